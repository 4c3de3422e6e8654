"""Makes the saved part of a vector index anew, or larger, while the store is used."""

import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from haystack import logging

from lodestone.components.stores.database import Database
from lodestone.components.stores.files import checksum, replace_file, write_json
from lodestone.components.stores.index_types import INDEX_TYPES, Floats, Rows, chosen_type, import_faiss
from lodestone.components.stores.passage_table import PassageTable
from lodestone.components.stores.recall import RecallMeter
from lodestone.components.stores.saved_vectors import ABOUT, DATA, AboutVectors, read_vectors, remove_vectors

logger = logging.getLogger(__name__)

_HELD_OUT = 200  # vectors that recall is measured with: 2,000 neighbours, so 0.98 is known to 0.003
_BATCH = 20_000
_SEED = 11
_MOST_DEAD = 0.2  # of an index that deleted vectors cannot be taken out of
_SHORTEST, _LONGEST = 1e-12, 1e12  # of vectors whose lengths float32 can tell
_MOST_GROWTH = 2.0  # beyond that an index is trained anew


@dataclass(frozen=True)
class VectorBuilder:
    """A plan for a new saved index, and how to carry it out.

    :param folder: The store's folder.
    :param normalise: Whether vectors are brought to length 1.
    :param index_type: "auto" or a key of `INDEX_TYPES`.
    :param target_recall: Recall@10 to look hard enough for.
    :param sequence: Passages up to this number of the running sequence are taken.
    :param saved: What is saved now, to be added to where that will do; None builds anew.
    :param token: Tells apart the temporary files of builders that work at the same time.
    """

    folder: Path
    normalise: bool
    index_type: str
    target_recall: float
    sequence: int
    saved: AboutVectors | None
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def _temporary(self) -> Path:
        return self.folder / f"{DATA}.{self.token}.tmp"

    def build(self, database: Database) -> AboutVectors:
        """Write a new index beside the one in use.

        The database may be written to meanwhile: a passage that is deleted while this runs may be in the index or not.

        :param database: A connection of its own, so that nobody waits.
        :returns: What was written, for `install`; without vectors nothing is.
        """
        table = PassageTable(database)
        count = table.count_vectors()
        if count == 0:
            return self._about(database, "flat")
        saved = self.saved
        if saved is not None and self._may_grow(saved, table, count):
            try:
                return self._grow(saved, read_vectors(self.folder, saved), table)
            except (OSError, ValueError, RuntimeError) as error:
                path = str(self.folder / DATA)
                logger.warning("{path} is rebuilt from the database: {error}", path=path, error=str(error))
        return self._build_anew(table, count, database)

    def _may_grow(self, saved: AboutVectors, table: PassageTable, count: int) -> bool:
        """Whether what is saved can be added to."""
        index_type = INDEX_TYPES[saved.index_type]
        dead = table.deleted_after(saved.deletions, saved.sequence).size
        return (
            chosen_type(self.index_type, count, saved.index_type) is index_type
            and (index_type.exact or count <= saved.built_for * _MOST_GROWTH)
            and (index_type.removes or dead <= saved.vectors * _MOST_DEAD)
        )

    def _grow(self, saved: AboutVectors, index: Any, table: PassageTable) -> AboutVectors:
        deletions = saved.deletions
        if INDEX_TYPES[saved.index_type].removes:
            dead = table.deleted_after(deletions, saved.sequence)
            if dead.size:
                index.remove_ids(import_faiss().IDSelectorBatch(dead))
            deletions = self.sequence
        for rows, vectors in table.vectors_between(saved.sequence, self.sequence, _BATCH):
            index.add_with_ids(prepared(vectors, self.normalise), rows)
        return self._written(index, replace(saved, deletions=deletions))

    def _build_anew(self, table: PassageTable, count: int, database: Database) -> AboutVectors:
        index_type = chosen_type(self.index_type, count, None if self.saved is None else self.saved.index_type)
        chosen = self._sample(table, count, 0 if index_type.exact else _HELD_OUT + index_type.sample_size(count))
        held_out_count = 0 if index_type.exact else min(_HELD_OUT, len(chosen) // 10)
        held_out, held_vectors = self._vectors(table, chosen[:held_out_count])
        sample = self._vectors(table, chosen[held_out_count:])[1]
        index = index_type.create(int(database.get_property("embedding_dim") or 0), count, sample)
        del sample
        meter = RecallMeter(held_vectors) if held_out_count else None
        for rows, vectors in table.vectors_between(0, self.sequence, _BATCH):
            kept = ~np.isin(rows, held_out)
            rows, vectors = rows[kept], prepared(vectors[kept], self.normalise)
            if meter is not None and rows.size:
                meter.watch(rows, vectors)
            index.add_with_ids(vectors, rows)
        recall, efforts = 1.0, [(1.0, index_type.efforts(index)[-1])]
        if meter is not None:
            recall, efforts = meter.choose(index_type, index, self.target_recall)
            index.add_with_ids(held_vectors, held_out)
        about = self._about(database, index_type.name)
        return self._written(index, replace(about, built_for=count, recall=recall, efforts=efforts))

    def _about(self, database: Database, index_type: str) -> AboutVectors:
        """Of an index without vectors."""
        return AboutVectors(
            store_id=str(database.get_property("store_id")),
            index_type=index_type,
            normalised=self.normalise,
            dim=int(database.get_property("embedding_dim") or 0),
            deletions=self.sequence,
            built_for=0,
            recall=1.0,
            efforts=[],
            sequence=self.sequence,
        )

    def _sample(self, table: PassageTable, count: int, wanted: int) -> Rows:
        """Row numbers of passages, any of them, in any order."""
        if wanted == 0:
            return np.empty(0, dtype=np.int64)
        # Some row numbers were taken by tombstones and by passages without vectors.
        tried = min(self.sequence, int(wanted * 1.1 * self.sequence / count) + 100)
        rows = np.random.default_rng(_SEED).choice(self.sequence, tried, replace=False) + 1
        return rows[np.isin(rows, table.with_vector(rows))][:wanted]

    def _vectors(self, table: PassageTable, rows: Rows) -> tuple[Rows, Floats]:
        found, vectors = table.vectors_of(rows)
        return found, prepared(vectors, self.normalise)

    def _written(self, index: Any, about: AboutVectors) -> AboutVectors:
        import_faiss().write_index(index, str(self._temporary))
        crc32 = checksum(self._temporary)
        return replace(about, vectors=int(index.ntotal), sequence=self.sequence, crc32=crc32)

    def install(self, built: AboutVectors) -> None:
        """Put what was built in the place of what was saved before; without vectors, nothing is saved.

        :param built: What `build` has returned.
        """
        if built.vectors == 0:
            remove_vectors(self.folder)
            return
        replace_file(self._temporary, self.folder / DATA)
        write_json(self.folder / ABOUT, asdict(built))

    def discard(self) -> None:
        """Remove what was built, unless it was installed."""
        self._temporary.unlink(missing_ok=True)


def prepared(vectors: Floats, normalise: bool) -> Floats:
    """Vectors as an index takes them: brought to length 1 for the cosine.

    :param vectors: Shape (n, dim), float32.
    :param normalise: Whether to.
    """
    if not normalise:
        return np.ascontiguousarray(vectors)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    odd = np.flatnonzero(~((lengths > _SHORTEST) & (lengths < _LONGEST)))
    lengths[odd] = 1
    result: Floats = vectors / lengths[:, None]
    if odd.size:  # the squares of their numbers are too small or too large for float32
        exact = np.linalg.norm(vectors[odd].astype(np.float64), axis=1, keepdims=True)
        result[odd] = vectors[odd] / np.where(exact == 0, 1, exact)
    return result
