"""Writing an index out and reading it in, as `lodestone store export` and `import` do."""

import contextlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores.database import Database
from lodestone.components.stores.elasticsearch.bulk import Action
from lodestone.components.stores.elasticsearch.filters import ALL
from lodestone.components.stores.elasticsearch.generations import NEXT
from lodestone.components.stores.elasticsearch.index import PassageIndex
from lodestone.components.stores.elasticsearch.ledger import LedgerIndex
from lodestone.components.stores.elasticsearch.passages import EMBEDDING, STORED, to_document, to_source, to_vector_of
from lodestone.components.stores.exporting import Counts, Exporter
from lodestone.components.stores.importing import Importer
from lodestone.components.stores.ledger import Ledger
from lodestone.components.stores.maintenance import reading, writing
from lodestone.components.stores.passage_table import PassageTable, to_row
from lodestone.components.stores.settings import StoreSettings

Item = TypeVar("Item")

_FILE = "passages.sqlite"
_PAGE = 1000  # passages
_FILES = 100
_SHOWN = 3
_TABLES = {"settings": "key, value", "roots": "name, path"}


class TransferIndex(LedgerIndex):
    """An index that can be exported and imported, from and into a `FaissDocumentStore` too.

    Both go through a database in a temporary folder, as large as the file: so an export has the very same form, and
    what is imported was read and checked to its last line before anything of it is written.
    """

    def export_to(self, path: str | Path, salvage: bool = False) -> Counts:
        """Write all that the index holds into a file of JSON lines: passages with their vectors, the ledger of files
        with their texts, and settings. Nothing should be written to the index meanwhile.

        :param path: The file, which appears when it is complete; "-" for standard output.
        :param salvage: Not for Elasticsearch.
        :returns: How much was written.
        :raises ConfigurationError: If there is no index, it is to be salvaged, or a folder cannot have its language.
        """
        if salvage:
            raise ConfigurationError(
                "--salvage reads a damaged folder; a damaged index of Elasticsearch is restored from a snapshot, or "
                "its files are indexed again"
            )
        if not self.exists():
            raise ConfigurationError(f"there is no index {self._passages.shown}")
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(Database(Path(folder) / _FILE, create=_settings_of(self._passages).properties())) as database,
            writing(path) as file,
        ):
            with database.transaction():
                self._copy_into(database)
            exporter = Exporter(database)
            for line in exporter.lines():
                file.write(line.encode())
        return exporter.counts

    def import_from(self, path: str | Path) -> Counts:
        """Fill the index, which must be empty, with what `export_to` wrote: all of it or nothing.

        It is built behind `NAME-next`, and takes the place of the empty index, if there is one, when it is complete.

        :param path: The file; "-" for standard input.
        :returns: How much was read.
        :raises ConfigurationError: If a line is wrong, with its number; if lines are missing; if the index is not
            empty, is being built, or was created with other settings.
        """
        if self._passages.name.endswith(NEXT):
            raise ConfigurationError(f"a name that ends in {NEXT} is for an index that is being built: name another")
        building = self._building()
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(Database(Path(folder) / _FILE, create={})) as database,
            closing(building),
        ):
            with reading(path) as file, database.transaction():
                first = file.readline()
                importer = Importer(database, _check_header(first, self._passages, str(path)), str(path))
                importer.read(chain([first] if first else [], file))
            self._building().close()  # nobody else may have begun meanwhile
            try:
                _fill(building, database)
            except BaseException:
                with contextlib.suppress(Exception):  # what went wrong before is what matters
                    building.drop()
                raise
        self._passages.generations.swap(1)
        self._passages.close()
        return importer.counts

    def _building(self) -> PassageIndex:
        """The index to import into; refused where there is something that it would replace."""
        if self.exists() and (self._passages.count(ALL) or next(self.sources(), None) is not None):
            raise ConfigurationError(f"{self._passages.shown} is not empty: import into another index")
        building = self._passages.building()
        if building.exists():
            found = [one.name for one in self._passages.generations.listed() if one.state == "building"]
            raise ConfigurationError(
                f"an index is being built behind {building.shown}: finish it with `lodestone index --swap`, or delete "
                f"it with DELETE {','.join(f'{name},{name}-ledger' for name in found)}, and import again"
            )
        return building

    def _copy_into(self, database: Database) -> None:
        table, ledger = PassageTable(database), Ledger(database)
        for hits in self._passages.pages(ALL, [*STORED, *EMBEDDING]):
            table.insert([to_row(to_document(hit)) for hit in hits])
        for records in _batched(self.sources(), _FILES):
            texts = self.source_texts([(record.root, record.path) for record in records])
            for record in records:
                ledger.restore(record, texts.get((record.root, record.path), []))
        for name, held in (("settings", self.settings("")), ("roots", self.roots())):
            database.execute_many(f"INSERT INTO {name} ({_TABLES[name]}) VALUES (?, ?)", list(held.items()))


def _fill(index: PassageIndex, database: Database) -> None:
    """Write what a database holds into a new index."""
    dim = database.get_property("embedding_dim")
    index.prepare(None if dim is None else int(dim))
    into, ledger = LedgerIndex(index), Ledger(database)
    refused = index.write(_passage_actions(index, database)).refused
    if refused:
        shown = "; ".join(f"{name!r}: {reason}" for name, reason in list(refused.items())[:_SHOWN])
        raise LodestoneError(
            f"{index.shown.removesuffix(NEXT)} cannot take {len(refused):,} of the passages; nothing was imported: "
            f"{shown}"
        )
    last = ("", "")
    while records := ledger.page(None, "", last):
        into.restore([(record, ledger.texts(record.root, record.path)) for record in records])
        last = (records[-1].root, records[-1].path)
    for name, keep in (("settings", into.set_setting), ("roots", into.set_root)):
        for key, value in database.execute(f"SELECT {_TABLES[name]} FROM {name}"):
            keep(key, value)
    index.refresh()


def _passage_actions(index: PassageIndex, database: Database) -> Iterator[Action]:
    table = PassageTable(database)
    for rows in _batched(table.matching(None).tolist(), _PAGE):
        for document in table.fetch(rows, with_embedding=True).values():
            body = to_source(document, to_vector_of(document), index.settings.similarity)
            yield Action("index", index.name, document.id, body)


def _settings_of(index: PassageIndex) -> StoreSettings:
    settings = index.settings
    return StoreSettings(settings.similarity, settings.language, index.dim or settings.embedding_dim)


def _check_header(line: bytes, index: PassageIndex, name: str) -> StoreSettings:
    """The settings of the store that was exported, which must be those of the index; a line that cannot be read is
    left to the importer."""
    settings = _settings_of(index)
    try:
        exported = json.loads(line)["properties"]
    except (ValueError, TypeError, KeyError):
        return settings
    for key, wanted in settings.properties().items():
        if isinstance(exported, dict) and exported.get(key, wanted) != wanted:
            raise ConfigurationError(
                f"{name} is of a store with {key} {exported[key]!r}, not {wanted!r} as {index.shown} is to have: give "
                f"{key} {exported[key]!r} to the pipeline's store; nothing was imported"
            )
    return settings


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
