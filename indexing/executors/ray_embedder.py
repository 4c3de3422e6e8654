"""An actor of Ray that embeds, and writes where that can be done from any machine."""

import threading
from dataclasses import replace
from typing import Any

from haystack import Pipeline
from haystack.components.writers import DocumentWriter

from lodestone.components.stores import SourceRecord
from lodestone.indexing.backlog import Item
from lodestone.indexing.embedding import warm_up
from lodestone.indexing.executors.local_executor import with_embeddings
from lodestone.indexing.job_tables import JobTables
from lodestone.indexing.planning import Plan
from lodestone.indexing.progress import Progress
from lodestone.indexing.report import Report
from lodestone.indexing.writing import BatchWriter
from lodestone.pipelines.stages import IndexingStages

Answer = tuple[list[Item], list[SourceRecord] | None]


def described(stages: IndexingStages, writes: bool) -> dict[str, Any]:
    """Describe what an actor needs of a pipeline.

    :param stages: The pipeline.
    :param writes: Whether the actor is to write, too.
    :returns: Plain values.
    """
    pipeline = Pipeline()
    if stages.embedder is not None:
        pipeline.add_component("embedder", stages.embedder)
    if writes:
        pipeline.add_component("writer", DocumentWriter(stages.document_store))
    description = pipeline.to_dict()
    if stages.embedder is not None:
        pipeline.remove_component("embedder")
    return description


class RayEmbedder:
    """Embeds batches of documents on one machine of a cluster; `ray.remote` makes an actor of it.

    It takes two batches at a time: one is embedded while the other is sent or written.

    :param description: What `described` returned.
    :param fingerprint: Of the pipeline.
    """

    def __init__(self, description: dict[str, Any], fingerprint: str) -> None:
        pipeline = Pipeline.from_dict(description, unsafe=True)
        parts = {name: pipeline.get_component(name) for name in pipeline.graph.nodes}
        self._embedder = parts.get("embedder")
        warm_up(self._embedder)
        self._writer: BatchWriter | None = None
        if "writer" in parts:
            store = getattr(parts["writer"], "document_store")  # noqa: B009
            self._writer = BatchWriter(store, Plan(JobTables(), fingerprint), Report(), lambda *_: None)
        self._embedding = threading.Lock()

    def ready(self) -> None:
        """Answers when the model is loaded."""

    def embed(self, batch: list[Item]) -> Answer:
        """Embed the passages of documents, and write them if that is the actor's part.

        :param batch: Documents with what became of them.
        :returns: The documents, with passages embedded, and None; or, when they are written, without texts and
            passages, and what the ledger holds of them.
        """
        with self._embedding:
            embedded = with_embeddings(self._embedder, batch, Progress())
        if self._writer is None:
            return embedded, None
        records = self._writer.store(embedded)
        return [(task, replace(conversion, texts=[], passages=[])) for task, conversion in embedded], records
