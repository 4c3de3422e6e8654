"""The tantivy index of a store: BM25 over the passages' headings and contents, derived from the database."""

import contextlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from haystack import logging

from lodestone.components.errors import LodestoneError
from lodestone.components.passages import headings_of
from lodestone.components.stores.database import Database
from lodestone.components.stores.encoding import clean_text, decode_meta
from lodestone.components.stores.files import checksum, read_json, write_json
from lodestone.components.stores.linked_folder import LinkedFolder, is_writable
from lodestone.components.stores.passage_table import PassageTable
from lodestone.components.stores.words import HEADINGS_WEIGHT, TOKENIZER, ParsedQuery, Words

logger = logging.getLogger(__name__)

FORMAT = 2
_MAX_TERMS = 20_000  # different terms of one query
_WRITER_BYTES = 64_000_000
_MAX_SEPARATE_ROWS = 1000  # up to here a term each is faster than a set of terms, for which tantivy fills a bit set
_MAX_LISTED_ROWS = 5000  # up to here a filter becomes part of the query, beyond it hits are filtered
_MAX_FILTERED_HITS = 20_000
_TIES = 16
_WORN = 0.1  # share of deleted passages from which on compacting makes the index anew

Rows = np.ndarray[Any, np.dtype[np.int64]]


class TextIndex:
    """Full-text search; row numbers of passages are the ids.

    :param folder: The store's folder; the index is in `text/` there.
    :param language: A key of `LANGUAGES`, or "none" for words as they are.
    """

    def __init__(self, folder: Path, language: str) -> None:
        self._folder = folder / "text"
        self._about = self._folder / "lodestone.json"
        self._language = language
        self._words = Words(language)
        self._index: Any = None
        self._links: LinkedFolder | None = None  # where the folder cannot be written to
        self._writer: Any = None
        self._schema: Any = None
        self._replayed = False  # whether what an interrupted commit may have left was taken into account
        self._loaded_version: tuple[int, int] | None = None
        self._checksums: dict[str, list[int]] = {}

    def is_behind(self, database: Database) -> bool:
        """Whether the index on the disk lacks changes that the database's open snapshot has."""
        about = read_json(self._about)
        if about is None or not self._fits(about, database):
            return database.sequence > 0 or about is not None
        return bool(about["sequence"] < database.sequence)

    def catch_up(self, database: Database, changes: int | None = None) -> bool:
        """Index and commit what the database has and the index lacks. The writer's lock must be held.

        :param database: The store's database; a snapshot or transaction of it must be open.
        :param changes: How many changes to take in at most; None for all.
        :returns: Whether the index lacks nothing any more.
        """
        about = self._open_for_writing(database)
        start, target = int(about["sequence"]), database.sequence
        if start >= target:
            return True
        until = target if changes is None else min(target, start + changes)
        table = PassageTable(database)
        # An interrupted commit may have left rows beyond `start`: what was deleted since is to go from these too.
        deleted = table.deleted_after(start, target if not self._replayed else start)
        if deleted.size:
            self._delete(deleted.tolist())
        for batch in table.after(start, until):
            if not self._replayed:
                self._delete([row for row, _, _ in batch])
            for row, meta, content in batch:
                self._writer.add_document(_to_tantivy(row, meta, content))
        self._writer.commit()
        self._replayed = self._replayed or until == target
        self._write_about(database, until)
        self._share()
        return until == target

    @property
    def sequence(self) -> int:
        """The last change that the index on the disk holds; 0 if there is none."""
        about = read_json(self._about)
        return int(about["sequence"]) if about is not None else 0

    def rows(self) -> Rows:
        """Row numbers of the passages that can be found, shape (n,)."""
        import tantivy

        count = self._index.searcher().num_docs if self._reload() else 0
        if not count:
            return np.empty(0, dtype=np.int64)
        searcher = self._index.searcher()
        hits = searcher.search(tantivy.Query.all_query(), limit=count, count=False).hits
        return np.array(searcher.fast_field_values("row", [address for _, address in hits]), dtype=np.int64)

    def search(self, query: str, top_k: int, rows: Rows | None = None) -> list[tuple[int, float]]:
        """Find passages by BM25.

        :param query: Any text. A phrase in quotes must occur as it stands, its words stemmed; nothing else is syntax.
        :param top_k: How many at most.
        :param rows: The only rows that may be found, shape (n,), ascending; None for all.
        :returns: Row and score, larger is better, equal scores by row.
        """
        parsed = self._words.parse(query)
        if not (parsed.terms or parsed.phrases) or not self._reload() or (rows is not None and rows.size == 0):
            return []
        searcher = self._index.searcher()
        wanted = self._query(parsed)
        if rows is None:
            return self._best(searcher, wanted, top_k, None)[0]
        if rows.size > _MAX_LISTED_ROWS:
            hits, complete = self._best(searcher, wanted, top_k, rows)
            if complete:
                return hits
        return self._best(searcher, self._restricted(wanted, rows), top_k, None)[0]

    def save(self) -> None:
        """Let background merges finish, and note the checksums of the files."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        writer.wait_merging_threads()
        self._share()
        about = read_json(self._about)
        if about is not None:
            about["files"] = self._files()
            write_json(self._about, about)

    def close(self) -> None:
        """Let go of files and threads; what was not committed is indexed again from the database."""
        writer, self._writer = self._writer, None
        if writer is not None:
            # A merge that goes on would write to the folder, which may be another index's by then.
            with contextlib.suppress(OSError, ValueError):
                writer.wait_merging_threads()
        self._index = self._loaded_version = None
        self._replayed = False
        if self._links is not None:
            self._links.close()
            self._links = None

    def rebuild(self, reason: str) -> None:
        """Throw the index away; the next `catch_up` makes a new one. The writer's lock must be held.

        :param reason: For the log.
        """
        logger.warning("{path} is rebuilt from the database: {reason}", path=str(self._folder), reason=reason)
        self.remove()

    def remove(self) -> None:
        """Throw the index away without a word. The writer's lock must be held."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def is_worn(self) -> bool:
        """Whether much of the index is of deleted passages, which tantivy keeps until it merges what they are in."""
        segments = (read_json(self._folder / "meta.json") or {}).get("segments", [])
        deleted = sum(segment["deletes"]["num_deleted_docs"] for segment in segments if segment.get("deletes"))
        return bool(deleted > sum(segment["max_doc"] for segment in segments) * _WORN)

    def _open_for_writing(self, database: Database) -> dict[str, Any]:
        about = read_json(self._about)
        if self._writer is not None and about is not None:
            return about
        self.close()
        problem = self._problem(about, database)
        if problem is None and about is not None and about["sequence"] > database.sequence:
            problem = "it is newer than the database"
        if problem is None:
            self._remove_leftovers()
            try:
                self._open()
                self._writer = self._index.writer(_WRITER_BYTES, 1)
                return about if about is not None else {}
            except (ValueError, OSError) as error:
                problem = str(error)
        if self._folder.exists() and problem != "":
            self.rebuild(problem)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self._open(create=True)
        self._writer = self._index.writer(_WRITER_BYTES, 1)
        self._replayed = True
        self._write_about(database, 0)
        fresh = read_json(self._about)
        if fresh is None:
            raise LodestoneError(f"{self._about} cannot be written")
        return fresh

    def problem(self, database: Database) -> str | None:
        """What is wrong with the index on the disk, checked once an opening; None if nothing is, or there is none."""
        if self._index is not None:
            return None
        for _ in range(2):
            # A writer in another process replaces the files while they are looked at: what is wrong twice is wrong.
            problem = self._problem(read_json(self._about), database)
            if problem is None:
                try:
                    problem = None if self._reload() else "meta.json is missing"
                except (OSError, ValueError) as error:
                    problem = str(error)
            if not problem:
                return None
            self.close()
        return problem

    def _problem(self, about: dict[str, Any] | None, database: Database) -> str | None:
        """What is wrong with the index on the disk; "" if there is none, None if it is right."""
        if about is None:
            return "lodestone.json is missing or damaged" if self._folder.exists() else ""
        if not self._fits(about, database):
            return "it belongs to another store, language or format"
        segments = self._segments()
        for name, (size, crc) in about.get("files", {}).items():
            path = self._folder / name
            try:
                if path.stat().st_size != size or checksum(path) != crc:
                    return f"{name} is damaged"
            except FileNotFoundError:  # segments never change; one that is gone was merged
                if path.suffix != ".del" and name.partition(".")[0] in segments:
                    return f"{name} is missing"
        return None

    def _remove_leftovers(self) -> None:
        """Remove what a killed writer was writing: the names are taken again, and tantivy would not write over them."""
        meta = read_json(self._folder / "meta.json") or {}
        listed = {
            f"{segment['segment_id'].replace('-', '')}.{segment['deletes']['opstamp']}.del"
            for segment in meta.get("segments", [])
            if segment.get("deletes")
        }
        for path in self._folder.iterdir():
            if path.name.startswith(".tmp") or (path.suffix == ".del" and path.name not in listed):
                path.unlink(missing_ok=True)

    def _segments(self) -> set[str]:
        """Names of the files, less their endings, that tantivy's own note counts on."""
        meta = read_json(self._folder / "meta.json") or {}
        return {segment["segment_id"].replace("-", "") for segment in meta.get("segments", [])}

    def _fits(self, about: dict[str, Any], database: Database) -> bool:
        return (
            about.get("format") == FORMAT
            and about.get("store_id") == database.get_property("store_id")
            and about.get("language") == self._language
            and isinstance(about.get("sequence"), int)
        )

    def _open(self, create: bool = False) -> None:
        import tantivy

        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field("row", indexed=True, fast=True)
        # Positions are there for phrases.
        builder.add_text_field("text", tokenizer_name=TOKENIZER, index_option="position")
        builder.add_text_field("headings", tokenizer_name=TOKENIZER, index_option="freq")
        self._schema = builder.build()
        folder = self._folder
        if not is_writable(folder):
            self._links = self._links or LinkedFolder(folder)
            self._links.refresh()
            folder = self._links.path
        self._index = tantivy.Index(self._schema, path=str(folder), reuse=not create)
        self._index.register_tokenizer(TOKENIZER, self._words.analyzer())
        self._index.config_reader("manual")
        self._loaded_version = None

    def _reload(self) -> bool:
        """See what was committed last; False if there is no index yet."""
        path = self._folder / "meta.json"
        try:
            status = path.stat()
        except FileNotFoundError:
            return False
        version = (status.st_ino, status.st_mtime_ns)
        if self._index is None:
            self._open()
        if version != self._loaded_version:
            if self._links is not None:
                self._links.refresh()
            self._index.reload()
            self._loaded_version = version
        return True

    def _delete(self, rows: list[int]) -> None:
        import tantivy

        self._writer.delete_documents_by_query(tantivy.Query.term_set_query(self._schema, "row", rows))

    def _query(self, parsed: ParsedQuery) -> Any:
        import tantivy

        clauses = []
        for term, count in parsed.terms.most_common(_MAX_TERMS):
            for name, weight in (("text", 1.0), ("headings", HEADINGS_WEIGHT)):
                query = tantivy.Query.term_query(self._schema, name, term, "freq")
                clauses.append((tantivy.Occur.Should, tantivy.Query.boost_query(query, weight * count)))
        for phrase in parsed.phrases:
            if len(phrase) == 1:
                query = tantivy.Query.term_query(self._schema, "text", phrase[0], "freq")
            else:
                query = tantivy.Query.phrase_query(self._schema, "text", list(phrase))
            clauses.append((tantivy.Occur.Must, query))
        return tantivy.Query.boolean_query(clauses)

    def _restricted(self, query: Any, rows: Rows) -> Any:
        import tantivy

        if rows.size <= _MAX_SEPARATE_ROWS:
            each = [tantivy.Query.term_query(self._schema, "row", row, "basic") for row in rows.tolist()]
            allowed = tantivy.Query.boolean_query([(tantivy.Occur.Should, row) for row in each])
        else:
            allowed = tantivy.Query.term_set_query(self._schema, "row", rows.tolist())
        must = tantivy.Occur.Must
        return tantivy.Query.boolean_query([(must, query), (must, tantivy.Query.const_score_query(allowed, 0.0))])

    def _best(self, searcher: Any, query: Any, top_k: int, rows: Rows | None) -> tuple[list[tuple[int, float]], bool]:
        """The best hits among some rows, and whether these are all that were wanted."""
        fetch = top_k + _TIES
        while True:
            found = searcher.search(query, limit=fetch, count=False).hits
            numbers = searcher.fast_field_values("row", [address for _, address in found])
            hits = [(int(row), float(score)) for row, (score, _) in zip(numbers, found, strict=True)]
            last = hits[-1][1] if hits else 0.0
            if rows is not None and hits:
                allowed = np.isin(np.array([row for row, _ in hits], dtype=np.int64), rows, assume_unique=True)
                hits = [hit for hit, keep in zip(hits, allowed.tolist(), strict=True) if keep]
            hits.sort(key=lambda hit: (-hit[1], hit[0]))
            if len(found) < fetch or (len(hits) >= top_k and hits[top_k - 1][1] > last):
                return hits[:top_k], True
            if rows is not None and fetch > _MAX_FILTERED_HITS:
                return [], False
            fetch *= 4

    def _write_about(self, database: Database, sequence: int) -> None:
        about = {
            "format": FORMAT,
            "store_id": database.get_property("store_id"),
            "language": self._language,
            "sequence": sequence,
        }
        write_json(self._about, about)

    def _share(self) -> None:
        """Let those read tantivy's own notes who may read the rest of the index: it hides them from other users."""
        mode = self._about.stat().st_mode & 0o777
        for name in ("meta.json", ".managed.json"):
            with contextlib.suppress(OSError):  # a merge in the background replaces them, or another user owns them
                (self._folder / name).chmod(mode)

    def _files(self) -> dict[str, list[int]]:
        files = {}
        for path in sorted(self._folder.iterdir()):
            if path.suffix and not path.name.startswith(".") and path.suffix != ".json":
                known = self._checksums.get(path.name)
                size = path.stat().st_size
                files[path.name] = known if known is not None and known[0] == size else [size, checksum(path)]
        self._checksums = files
        return files


def _to_tantivy(row: int, meta: str, content: str | None) -> Any:
    """What tantivy indexes of a passage. Each heading is a text of its own, so that no phrase runs across its end."""
    import tantivy

    document = tantivy.Document()
    document.add_unsigned("row", row)
    for heading in headings_of(decode_meta(meta)) if '"headings"' in meta else []:
        heading = clean_text(heading)
        document.add_text("headings", heading)
        document.add_text("text", heading)
    document.add_text("text", clean_text(content or ""))
    return document
