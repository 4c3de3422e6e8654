"""The part of the store that knows which files were indexed."""

import base64
import dataclasses
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from elasticsearch import ConflictError, NotFoundError
from haystack import Document

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores.elasticsearch.bulk import Action, RefusedDocumentsError
from lodestone.components.stores.elasticsearch.files import passages_of, texts_of, unlisted
from lodestone.components.stores.elasticsearch.filters import Query
from lodestone.components.stores.elasticsearch.index import PassageIndex
from lodestone.components.stores.elasticsearch.passages import to_source, to_vector_of
from lodestone.components.stores.elasticsearch.problems import explained
from lodestone.components.stores.elasticsearch.values import term_of
from lodestone.components.stores.encoding import clean_text, decode_meta, encode_meta
from lodestone.components.stores.records import SourceRecord, SourceText

Source = tuple[SourceRecord, list[SourceText], list[Document]]

_STATE = "state"
_TEXT_FIELDS = ["root", "path", "source_id", "text", "meta"]
_FIELDS = [field.name for field in dataclasses.fields(SourceRecord)]
_ATTEMPTS = 20
_MOST_UNSEEN = 100_000
_MOST_COPIES = 1000
_FILES_AT_ONCE = 1000


class LedgerIndex:
    """The ledger of files, the folders they came from, and free settings, in the index `NAME-ledger`.

    A file's row is written after its texts and passages. So what a killed job had not finished is not in the ledger,
    and the next run does it again.

    :param passages: The pair of indexes.
    """

    def __init__(self, passages: PassageIndex) -> None:
        self._passages = passages
        # Files that were written since the last refresh; None where an earlier process may have written any.
        self._unseen: set[tuple[str, str]] | None = None

    def exists(self) -> bool:
        """Whether there is an index."""
        return self._passages.exists()

    def write_source(
        self, record: SourceRecord, texts: list[SourceText], passages: list[Document]
    ) -> dict[tuple[str, str], str]:
        """Replace all that the store has of one file. See `write_sources`."""
        return self.write_sources([(record, texts, passages)])

    def write_sources(self, sources: Sequence[Source]) -> dict[tuple[str, str], str]:
        """Replace all that the store has of some files.

        New passages are visible to searches before old ones go, so that a file is never missing. When this returns,
        all is safe, and what is new becomes visible with the next refresh: the index's own, every 30 s, or `save`'s.

        :param sources: For each file its record, its texts, and its passages, whose meta must name it by `root` and
            `source`.
        :returns: Root and path of files with a passage that Elasticsearch refuses for good, and why; nothing is stored
            of these but a row with the state "failed".
        :raises ConfigurationError: If a passage cannot be stored or names another file; nothing was written.
        :raises LodestoneError: If the cluster is not able to write, or is gone; the files are not in the ledger then.
        """
        if not sources:
            return {}
        dim, passages = self._actions(sources)
        self._passages.patiently(lambda: self._passages.prepare(dim))
        self._see({(record.root, record.path) for record, _, _ in sources})
        reasons = self._passages.write(passages.values()).refused
        if not reasons:
            self._finish(sources, passages)
            return {}
        refused: dict[tuple[str, str], str] = {}
        for record, _, documents in sources:
            first = next((reasons[document.id] for document in documents if document.id in reasons), None)
            if first is not None:
                refused[record.root, record.path] = f"Elasticsearch refuses a passage of it: {first}"
        taken = [source for source in sources if (source[0].root, source[0].path) not in refused]
        self._finish(taken, self._actions(taken)[1])
        failed = [source[0] for source in sources if (source[0].root, source[0].path) in refused]
        # Other passages of theirs were taken, and are to be found and deleted.
        self._passages.refresh(self._passages.name)
        errors = [(record, refused[record.root, record.path]) for record in failed]
        self._finish([(replace(one, state="failed", error=error, passages=0), [], []) for one, error in errors], {})
        return refused

    def _actions(self, sources: Sequence[Source]) -> tuple[int | None, dict[str, Action]]:
        """The length of the files' vectors, and how their passages are written, by id."""
        dim: int | None = None
        actions: dict[str, Action] = {}
        for record, _, documents in sources:
            _check_named(record, documents)
            for document in documents:
                vector = to_vector_of(document)
                if vector is not None:
                    dim = vector.size if dim is None else dim
                    _check_dim(document, vector.size, dim)
                body = to_source(document, vector, self._passages.settings.similarity)
                actions[document.id] = Action("index", self._passages.name, document.id, body)
        return dim, actions

    def _finish(self, sources: Sequence[Source], passages: dict[str, Action]) -> None:
        """Make passages that are written all that there is of their files."""
        if not sources:
            return
        files = [(record.root, record.path) for record, _, _ in sources]
        self._delete_others(passages_of(files), set(passages), self._passages.name)
        of_files = [_text_actions(self._passages.ledger, record, listed) for record, listed, _ in sources]
        texts = {action.id: action for action in chain.from_iterable(of_files)}
        self._write(texts.values())
        self._delete_others(texts_of(files), set(texts), self._passages.ledger)
        self.touch_sources(record for record, _, _ in sources)

    def restore(self, sources: Sequence[tuple[SourceRecord, list[SourceText]]]) -> None:
        """Write files' rows and texts, and leave their passages alone."""
        actions = (_text_actions(self._passages.ledger, record, texts) for record, texts in sources)
        self._write({action.id: action for action in chain.from_iterable(actions)}.values())
        self.touch_sources(record for record, _ in sources)

    def _see(self, files: set[tuple[str, str]]) -> None:
        """Make what was written of files before visible, so that it is found and replaced."""
        if self._unseen is None or self._unseen & files or len(self._unseen) > _MOST_UNSEEN:
            self._passages.refresh()
            self._unseen = set()
        self._unseen |= files

    def touch_sources(self, records: Iterable[SourceRecord]) -> None:
        """Update ledger rows only, as for a file whose time has changed and whose bytes have not.

        :param records: They replace those of the same root and path.
        """
        self._passages.patiently(lambda: self._passages.prepare(None))
        rows = {}
        for record in records:
            body = {"kind": "source", **{name: getattr(record, name) for name in _FIELDS}}
            identifier = _row_id(record.root, record.path)
            rows[identifier] = Action("index", self._passages.ledger, identifier, _json(body))
        self._write(rows.values())

    def delete_sources(self, sources: Sequence[tuple[str, str]]) -> int:
        """Delete files with their texts and passages.

        :param sources: Root and path of each.
        :returns: How many passages were deleted.
        """
        if not sources or not self.exists():
            return 0
        self._passages.refresh()
        listed, deleted = list(dict.fromkeys(sources)), 0
        for start in range(0, len(listed), _FILES_AT_ONCE):
            files = listed[start : start + _FILES_AT_ONCE]
            deleted += self._delete_others(passages_of(files), set(), self._passages.name)
            self._delete_others(texts_of(files), set(), self._passages.ledger)
            self._write(Action("delete", self._passages.ledger, _row_id(root, path)) for root, path in files)
        self._passages.refresh()
        return deleted

    def sources(self, root: str | None = None, prefix: str = "") -> Iterator[SourceRecord]:
        """The files of the ledger, by root and path, as they are at one point in time.

        :param root: Only of this root; None for all.
        :param prefix: Only paths that start so.
        """
        if not self.exists():
            return
        self._passages.refresh(self._passages.ledger)
        parts: list[Query] = [{"term": {"kind": "source"}}]
        if root is not None:
            parts.append({"term": {"root": root}})
        if prefix:
            parts.append({"prefix": {"path": prefix}})
        query = {"bool": {"filter": parts}}
        for hits in self._passages.pages(query, _FIELDS, self._passages.ledger, ["root", "path"]):
            for hit in hits:
                yield _record(hit["_source"])

    def source(self, root: str, path: str) -> SourceRecord | None:
        """One file of the ledger, as it was last written; None if it is not there.

        :param root: Name of its root.
        :param path: Its path in it.
        """
        if not self.exists():
            return None
        with explained(self._passages.shown):
            answer = self._passages.client.options(ignore_status=404).get(
                index=self._passages.ledger, id=_row_id(root, path)
            )
        return _record(answer["_source"]) if answer.get("found") else None

    def copies(self, root: str, path: str) -> list[tuple[str, str]]:
        """The other files with the same content, type and metadata as a file, as searches see them.

        :param root: Name of the file's root.
        :param path: Its path in it.
        :returns: Root and path of each, in this order, 1,000 at most; [] for a file that is not in the ledger.
        """
        record = self.source(root, path)
        if record is None or not record.identity:
            return []
        with explained(self._passages.shown):
            hits = self._passages.client.search(
                index=self._passages.ledger,
                query={"term": {"identity": record.identity}},
                size=_MOST_COPIES + 1,
                sort=["root", "path"],
                source={"includes": ["root", "path"]},
                allow_partial_search_results=False,
            )["hits"]["hits"]
        found = [(hit["_source"]["root"], hit["_source"]["path"]) for hit in hits]
        return [copy for copy in found if copy != (root, path)][:_MOST_COPIES]

    def source_text(self, source_id: str) -> str | None:
        """The converted text of a document, in which its passages' offsets count; None if it is not stored.

        :param source_id: What the passages have as `meta["source_id"]`.
        """
        if not self.exists():
            return None
        self._passages.refresh(self._passages.ledger)
        terms: list[Query] = [{"term": {"kind": "text"}}, {"term": {"source_id": term_of(source_id)}}]
        hits = self._passages.search(
            self._passages.ledger, query={"bool": {"filter": terms}}, size=1, source={"includes": ["text"]}
        )["hits"]["hits"]
        return _unpacked(hits[0]["_source"]["text"]) if hits else None

    def source_texts(self, files: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[SourceText]]:
        """The converted texts of files.

        :param files: Root and path of each.
        :returns: Those of each that has any.
        """
        terms = {(term_of(root), term_of(path)): (root, path) for root, path in files}
        found: dict[tuple[str, str], list[SourceText]] = {}
        for hits in self._passages.pages(texts_of(files), _TEXT_FIELDS, self._passages.ledger):
            for source in (hit["_source"] for hit in hits):
                text = SourceText(source["source_id"], _unpacked(source["text"]), decode_meta(source["meta"]))
                found.setdefault(terms[source["root"], source["path"]], []).append(text)
        return found

    def unlisted(self) -> Iterator[tuple[str | None, str | None, int]]:
        """Passages of files that the ledger does not list. See `files.unlisted`."""
        if self.exists():
            yield from unlisted(self._passages)

    def roots(self) -> dict[str, str]:
        """Names of the folders that were indexed, with their absolute paths."""
        return dict(sorted(self._state()[0]["roots"].items()))

    def set_root(self, name: str, absolute_path: str) -> None:
        """Remember where a root is.

        :param name: Its name.
        :param absolute_path: Its folder.
        """
        self._change_state("roots", name, absolute_path)

    def forget_root(self, name: str) -> None:
        """Forget where a root is; its files are not touched."""
        self._change_state("roots", name, None)

    def get_setting(self, key: str) -> str | None:
        """A free setting, such as the embedding model's name; None if it was never set."""
        if not self.exists():
            return None
        found = self._document(_setting_id(key))
        if found is not None:
            return str(found["_source"]["value"])
        value: str | None = self._state()[0]["settings"].get(key)  # where older versions had them
        return value

    def set_setting(self, key: str, value: str) -> None:
        """Store a free setting."""
        self._passages.prepare(None)
        document = {"kind": "setting", "key": key, "value": value}
        with explained(self._passages.shown):
            self._passages.client.index(index=self._passages.ledger, id=_setting_id(key), document=document)

    def settings(self, prefix: str) -> dict[str, str]:
        """Free settings, in the order of their keys.

        :param prefix: Only those whose keys start so.
        """
        if not self.exists():
            return {}
        self._passages.refresh(self._passages.ledger)
        found = dict(self._state()[0].get("settings", {}))
        query: Query = {"term": {"kind": "setting"}}
        for hits in self._passages.pages(query, ["key", "value"], self._passages.ledger):
            found |= {hit["_source"]["key"]: hit["_source"]["value"] for hit in hits}
        return {key: value for key, value in sorted(found.items()) if key.startswith(prefix)}

    def forget_setting(self, key: str) -> None:
        """Forget a free setting, if there is one."""
        if self.exists():
            self._change_state("settings", key, None)
            self._write([Action("delete", self._passages.ledger, _setting_id(key))])

    def _state(self) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
        """Roots and what older versions kept with them, and what a change must name so as not to undo another one."""
        empty: dict[str, dict[str, str]] = {"roots": {}, "settings": {}}
        found = self._document(_STATE) if self.exists() else None
        if found is None:
            return empty, {"op_type": "create"}
        held = {"if_seq_no": found["_seq_no"], "if_primary_term": found["_primary_term"]}
        return json.loads(found["_source"]["state"]), held

    def _document(self, identifier: str) -> Any:
        """A document of the ledger, also before a refresh; None if there is none."""
        try:
            with explained(self._passages.shown):
                return self._passages.client.get(index=self._passages.ledger, id=identifier)
        except LodestoneError as error:
            if isinstance(error.__cause__, NotFoundError):
                return None
            raise

    def _change_state(self, part: str, key: str, value: str | None) -> None:
        self._passages.prepare(None)
        for attempt in range(_ATTEMPTS):
            state, held = self._state()
            if state[part].get(key) == value:
                return
            if value is None:
                state[part].pop(key)
            else:
                state[part][key] = value
            document = {"kind": "state", "state": json.dumps(state)}
            try:
                with explained(self._passages.shown):
                    self._passages.client.index(index=self._passages.ledger, id=_STATE, document=document, **held)
                return
            except LodestoneError as error:
                if not isinstance(error.__cause__, ConflictError) or attempt == _ATTEMPTS - 1:
                    raise

    def _write(self, actions: Iterable[Action]) -> None:
        refused = self._passages.write(actions).refused
        if refused:
            raise RefusedDocumentsError(self._passages.shown, refused)

    def _delete_others(self, query: Query, kept: set[str], alias: str) -> int:
        """Delete what matches and is not kept, after what is kept has become visible."""
        doomed = [identifier for identifier in self._passages.ids(query, alias) if identifier not in kept]
        if doomed:
            self._passages.refresh(alias)
            self._write(Action("delete", alias, identifier) for identifier in doomed)
        return len(doomed)


def _record(stored: dict[str, Any]) -> SourceRecord:
    """A record as it was stored, maybe by an earlier version with fewer fields."""
    return SourceRecord(**{name: stored[name] for name in _FIELDS if name in stored})


def _check_named(record: SourceRecord, passages: Sequence[Document]) -> None:
    try:
        f"{record.root}{record.path}".encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"the file name {record.path!r} is not valid UTF-8: rename the file") from None
    for passage in passages:
        named = (passage.meta.get("root"), passage.meta.get("source"))
        if named != (record.root, record.path):
            raise ConfigurationError(
                f"passage {passage.id!r} of {record.root}/{record.path} has meta root {named[0]!r} and "
                f"source {named[1]!r}: they must name the file that it is written for"
            )


def _check_dim(document: Document, dim: int, expected: int) -> None:
    if dim != expected:
        raise ConfigurationError(
            f"document {document.id!r} has an embedding of {dim} dimensions, expected {expected}; "
            "nothing was written. Use one embedding model for a store"
        )


def _text_actions(ledger: str, record: SourceRecord, texts: Sequence[SourceText]) -> Iterator[Action]:
    for text in texts:
        body = {
            "kind": "text",
            "root": term_of(record.root),
            "path": term_of(record.path),
            "source_id": term_of(text.id),
            "text": base64.b64encode(zlib.compress(clean_text(text.text).encode())).decode(),
            "meta": encode_meta(text.meta),
        }
        yield Action("index", ledger, _row_id(record.root, record.path, text.id), _json(body))


def _unpacked(text: str) -> str:
    return zlib.decompress(base64.b64decode(text)).decode()


def _setting_id(key: str) -> str:
    return f"setting:{hashlib.sha256(key.encode()).hexdigest()}"


def _row_id(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
