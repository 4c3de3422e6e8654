"""A store from the JSON lines of another, in one transaction."""

import base64
import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores.database import Database
from lodestone.components.stores.encoding import decode_meta, encode_meta
from lodestone.components.stores.exporting import EXPORT_FORMAT, OWN_PROPERTIES, Counts
from lodestone.components.stores.ledger import Ledger
from lodestone.components.stores.passage_table import VECTOR_ITEM_BYTES, PassageRow, PassageTable, to_vector
from lodestone.components.stores.records import SourceRecord, SourceText
from lodestone.components.stores.settings import StoreSettings

_BATCH = 1000
_JSON_TYPES: dict[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    float: (float, int),
    str | None: (str, type(None)),
}
_SOURCE_FIELDS = {field.name: _JSON_TYPES[field.type] for field in dataclasses.fields(SourceRecord)}
# Exports of earlier versions lack the others.
_NEEDED = {field.name for field in dataclasses.fields(SourceRecord) if field.default is dataclasses.MISSING}


class Importer:
    """Fills an empty database.

    :param database: Its transaction must be open.
    :param settings: What the store was created with.
    :param name: What the lines come from, for messages.
    """

    def __init__(self, database: Database, settings: StoreSettings, name: str) -> None:
        self._database = database
        self._settings = settings
        self._name = name
        self._number = 0
        self._dim: int | None = None
        self._batch: dict[str, PassageRow] = {}
        self._ended = False
        self.counts = Counts()

    def read(self, lines: Iterable[bytes]) -> None:
        """Import all lines.

        :param lines: What `Exporter.lines` made, as UTF-8.
        :raises ConfigurationError: If a line is wrong, with its number, or lines are missing, or the database holds
            something. Nothing may be committed then.
        """
        if any(self._database.execute(f"SELECT 1 FROM {table} LIMIT 1") for table in ("passages", "sources")):
            raise ConfigurationError(
                f"{self._database.path.parent} is not empty: import into another folder, or move this one away first"
            )
        for self._number, line in enumerate(lines, start=1):
            try:
                self._read_line(line)
            except (LodestoneError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
                raise ConfigurationError(f"{self._name}:{self._number}: {what}; nothing was imported") from error
        if not self._ended:
            raise ConfigurationError(
                f"{self._name} was cut off after line {self._number}: the line that ends it is missing; nothing was "
                "imported"
            )

    def _read_line(self, line: bytes) -> None:
        if self._ended:
            raise ValueError("nothing may come after the line that ends the export")
        entry = _decoded(line)
        kind = next(iter(entry))
        if (self._number == 1) != (kind == "lodestone_export"):
            raise ValueError("the first line, and no other, must be the header of a Lodestone export")
        if kind == "lodestone_export":
            self._read_header(entry)
        elif kind == "passage":
            self._read_passage(entry[kind])
        elif kind == "source":
            self._flush()
            self._read_source(entry[kind])
        elif kind == "end":
            self._flush()
            self._read_end(entry[kind])
        else:
            raise ValueError(f"must hold one of passage, source, end, got {kind!r:.80}")

    def _read_header(self, entry: dict[str, Any]) -> None:
        if entry["lodestone_export"] != EXPORT_FORMAT:
            raise ValueError(
                f"the export has format {entry['lodestone_export']!r}, this Lodestone reads format {EXPORT_FORMAT}: "
                "update lodestone"
            )
        for key, value in entry["properties"].items():
            if key not in OWN_PROPERTIES:
                self._database.set_property(key, value)
        self._settings.check(self._database)
        dim = self._database.get_property("embedding_dim")
        self._dim = None if dim is None else int(dim)
        for table, columns in (("settings", "key, value"), ("roots", "name, path")):
            rows = list(entry.get(table, {}).items())
            self._database.execute_many(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES (?, ?)", rows)

    def _read_passage(self, passage: dict[str, Any]) -> None:
        identifier, content, extra = passage["id"], passage["content"], passage.get("extra")
        if not isinstance(identifier, str) or not (content is None or isinstance(content, str)):
            raise ValueError("id must be a string, content a string or null")
        if not isinstance(passage["meta"], dict):
            raise ValueError(f"meta must be an object, got {passage['meta']!r:.80}")
        if identifier in self._batch:
            raise ValueError(f"the id {identifier!r} comes twice")
        score, blob, embedding = passage.get("score"), passage.get("blob"), passage.get("embedding")
        vector = None if embedding is None else to_vector(embedding, f"passage {identifier!r}").tobytes()
        if vector is not None:
            dim = len(vector) // VECTOR_ITEM_BYTES
            if self._dim is None:
                self._settings.adopt_dim(self._database, {dim: identifier})
                self._dim = dim
            if dim != self._dim:
                raise ValueError(f"the embedding has {dim} dimensions, expected {self._dim}")
        self._batch[identifier] = (
            identifier,
            encode_meta(passage["meta"]),
            None if score is None else float(score),
            content,
            None if extra is None else json.dumps(extra),
            None if blob is None else base64.b64decode(blob, validate=True),
            vector,
        )
        self.counts.passages += 1
        if len(self._batch) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        table = PassageTable(self._database)
        existing = table.rows_of(list(self._batch))
        if existing:
            raise ValueError(f"the id {next(iter(existing))!r} comes twice, at or before this line")
        table.insert(list(self._batch.values()))
        self._batch = {}

    def _read_source(self, source: dict[str, Any]) -> None:
        texts = [SourceText(text["id"], text["text"], text["meta"]) for text in source.pop("texts")]
        if wrong := sorted((_NEEDED - source.keys()) | (source.keys() - _SOURCE_FIELDS.keys())):
            raise ValueError(f"a source must hold {', '.join(sorted(_SOURCE_FIELDS))}; wrong: {', '.join(wrong)}")
        for name, value in source.items():
            if type(value) not in _SOURCE_FIELDS[name]:
                raise ValueError(f"a source's {name} must not be {value!r:.80}")
        Ledger(self._database).restore(SourceRecord(**source), texts)
        self.counts.sources += 1

    def _read_end(self, end: dict[str, Any]) -> None:
        if (end["passages"], end["sources"]) != (self.counts.passages, self.counts.sources):
            raise ValueError(
                f"the export held {end['passages']} passages and {end['sources']} files, here are "
                f"{self.counts.passages} and {self.counts.sources}: lines are missing"
            )
        self._ended = True


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        entry = decode_meta(line.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(entry, dict) or not entry:
        raise ValueError("must be a JSON object")
    return entry
