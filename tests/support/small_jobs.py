"""Jobs of one converter and a store, without a model: for what does not depend on what is indexed."""

from pathlib import Path
from typing import Any

from haystack import Pipeline
from haystack.components.converters import TextFileToDocument
from haystack.components.writers import DocumentWriter

from lodestone import FaissDocumentStore
from lodestone.indexing import IndexingJob, MetadataRules, Report, Settings, Source
from lodestone.pipelines.stages import IndexingStages, cut_at_embedder


def stages(index: Path, converter: object) -> IndexingStages:
    """A pipeline of a converter and a store."""
    pipeline = Pipeline()
    pipeline.add_component("converter", converter)
    pipeline.add_component("writer", DocumentWriter(FaissDocumentStore(str(index))))
    pipeline.connect("converter.documents", "writer.documents")
    return cut_at_embedder(pipeline)


def index_texts(
    index: Path,
    *sources: str | Path | Source,
    settings: Settings | None = None,
    metadata: MetadataRules | None = None,
    converter: object | None = None,
    **options: Any,
) -> Report:
    """Index text files as they are, in this process unless the settings say otherwise."""
    made = stages(index, TextFileToDocument() if converter is None else converter)
    settings = Settings(workers=0) if settings is None else settings
    report = IndexingJob(made, settings=settings, metadata=metadata).run(sources, **options)
    made.document_store.close()
    return report


def texts(index: Path) -> dict[str, str]:
    """What an index holds: texts by root and path."""
    with FaissDocumentStore(str(index)) as store:
        documents = store.filter_documents()
        return {f"{doc.meta['root']}/{doc.meta['source']}": str(doc.content) for doc in documents}


def metas(index: Path) -> dict[str, dict[str, Any]]:
    """The metadata in an index, by path."""
    with FaissDocumentStore(str(index)) as store:
        return {doc.meta["source"]: doc.meta for doc in store.filter_documents()}
