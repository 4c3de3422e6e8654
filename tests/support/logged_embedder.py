"""An embedder that needs no model, and notes which process embeds what."""

import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

from haystack import Document, component


@component
class LoggedEmbedder:
    """Makes vectors of hashes.

    :param log: A file that gets a line a call: the process, its parent and the number of documents.
    :param seconds: How long a call takes.
    """

    def __init__(self, log: str, seconds: float = 0.0) -> None:
        self.log = log
        self.seconds = seconds

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Embed documents."""
        time.sleep(self.seconds)
        with Path(self.log).open("a") as lines:
            lines.write(f"{os.getpid()} {os.getppid()} {len(documents)}\n")
        vectors = [list(hashlib.sha256(str(document.content).encode()).digest()[:8]) for document in documents]
        return {
            "documents": [replace(doc, embedding=[*map(float, v)]) for doc, v in zip(documents, vectors, strict=True)]
        }
