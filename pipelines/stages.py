"""An indexing pipeline cut in two: files to passages, file by file, and embedding, in batches over many files."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from haystack import Pipeline
from haystack.components.writers import DocumentWriter
from haystack.dataclasses import ByteStream, Document

from lodestone.components.errors import ConfigurationError

# What says where and how fast a pipeline runs, not what comes out of it.
_NOT_IN_FINGERPRINT = {"document_store", "device", "token", "batch_size", "progress_bar"}


@dataclass
class ConvertingStage:
    """An indexing pipeline without embedder and writer: what makes passages of one file.

    :param pipeline: The pipeline that is left.
    :param entries: Names of its components that take `sources`.
    :param exit: Component and output that give the passages.
    """

    pipeline: Pipeline
    entries: list[str]
    exit: tuple[str, str]

    def run(self, stream: ByteStream) -> tuple[list[Document], list[Document], bool]:
        """Convert and split one file.

        :param stream: Its bytes, metadata and type.
        :returns: Its passages; its documents, where the splitter gives them as `sources`; and whether a component
            took the file at all.
        """
        outputs = self.pipeline.run({name: {"sources": [stream]} for name in self.entries})
        name, socket = self.exit
        passages = outputs.get(name, {}).get(socket, [])
        documents = [document for output in outputs.values() for document in output.get("sources", ())]
        refused = any(output.get("unclassified") for output in outputs.values())
        return passages, documents, not refused

    def to_dict(self) -> dict[str, Any]:
        """Describe the stage for another process.

        :returns: Plain values.
        """
        return {"pipeline": self.pipeline.to_dict(), "entries": self.entries, "exit": self.exit}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ConvertingStage":
        """Make the stage that `to_dict` described.

        :param data: What `to_dict` of a stage returned that was built in a process of ours: its classes were trusted
            there, and are not checked again.
        :returns: The stage.
        """
        return cls(Pipeline.from_dict(data["pipeline"], unsafe=True), data["entries"], tuple(data["exit"]))


@dataclass
class IndexingStages:
    """The parts of an indexing pipeline.

    :param converting: The pipeline without embedder and writer.
    :param embedder: The component that embeds passages, or None if the pipeline has none before its writer.
    :param document_store: Where the writer writes.
    :param fingerprint: Hash of all parameters that decide what comes out.
    """

    converting: ConvertingStage
    embedder: Any
    document_store: Any
    fingerprint: str


def cut_at_embedder(pipeline: Pipeline) -> IndexingStages:
    """Cut an indexing pipeline into its stages; the pipeline itself becomes the first.

    :param pipeline: A pipeline that takes `sources` and ends in one `DocumentWriter`.
    :returns: Its stages.
    :raises ConfigurationError: If it has another shape.
    """
    fingerprint = _fingerprint(pipeline)
    writers = [name for name in pipeline.graph.nodes if isinstance(pipeline.get_component(name), DocumentWriter)]
    if len(writers) != 1:
        raise ConfigurationError(f"an indexing pipeline ends in one DocumentWriter, this one has {len(writers)}")
    writer = writers[0]
    document_store = getattr(pipeline.get_component(writer), "document_store")  # noqa: B009
    sender, socket = _sender(pipeline, writer)
    embedder = None
    pipeline.remove_component(writer)
    if type(pipeline.get_component(sender)).__name__.endswith("Embedder"):
        name, (sender, socket) = sender, _sender(pipeline, sender)
        embedder = pipeline.remove_component(name)
    entries = [name for name in pipeline.graph.nodes if is_free(pipeline, name, "sources")]
    if not entries:
        raise ConfigurationError("an indexing pipeline needs a component with a free input `sources`, this has none")
    converting = ConvertingStage(pipeline, entries, (sender, socket))
    return IndexingStages(converting, embedder, document_store, fingerprint)


def is_free(pipeline: Pipeline, name: str, socket: str) -> bool:
    """Whether a component has an input that nothing is connected to.

    `Pipeline.inputs` also lists connected inputs that could take another sender, which a list can.
    """
    sockets = pipeline.graph.nodes[name]["input_sockets"]
    return socket in sockets and not sockets[socket].senders


def _sender(pipeline: Pipeline, receiver: str) -> tuple[str, str]:
    edges = [
        (sender, data["from_socket"].name)
        for sender, _, data in pipeline.graph.in_edges(receiver, data=True)
        if data["to_socket"].name == "documents"
    ]
    if len(edges) != 1:
        raise ConfigurationError(f"one component must send `documents` to {receiver!r}, {len(edges)} do")
    return edges[0]


def _fingerprint(pipeline: Pipeline) -> str:
    data = pipeline.to_dict()
    described = {"components": _described(data["components"]), "connections": data["connections"]}
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()


def _described(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _described(entry) for key, entry in value.items() if key not in _NOT_IN_FINGERPRINT}
    return [_described(entry) for entry in value] if isinstance(value, list | tuple) else value
