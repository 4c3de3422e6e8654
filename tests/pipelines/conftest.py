"""A correct indexing definition that the tests break in one place at a time."""

from collections.abc import Callable
from pathlib import Path

import pytest

INDEXING = """\
components:
  router:
    type: haystack.components.routers.file_type_router.FileTypeRouter
    init_parameters:
      mime_types: [text/plain, text/html]
  text:
    type: haystack.components.converters.txt.TextFileToDocument
  html:
    type: haystack.components.converters.html.HTMLToDocument
  joiner:
    type: haystack.components.joiners.document_joiner.DocumentJoiner
    init_parameters:
      join_mode: concatenate
      top_k: null
  cleaner:
    type: haystack.components.preprocessors.document_cleaner.DocumentCleaner
    init_parameters:
      remove_empty_lines: true
      unicode_normalization: NFC
  writer:
    type: haystack.components.writers.document_writer.DocumentWriter
    init_parameters:
      policy: OVERWRITE
      document_store:
        type: haystack.document_stores.in_memory.document_store.InMemoryDocumentStore
        init_parameters:
          bm25_algorithm: BM25L
connections:
  - {sender: router.text/plain, receiver: text.sources}
  - {sender: router.text/html, receiver: html.sources}
  - {sender: text.documents, receiver: joiner.documents}
  - {sender: html.documents, receiver: joiner.documents}
  - {sender: joiner.documents, receiver: cleaner.documents}
  - {sender: cleaner, receiver: writer}
max_runs_per_component: 10
metadata: {name: indexing}
"""


@pytest.fixture(scope="session")
def indexing_text() -> str:
    return INDEXING


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a definition into the working directory, which makes its name in messages short."""
    monkeypatch.chdir(tmp_path)

    def write_text(text: str | bytes, name: str = "pipeline.yaml") -> Path:
        path = Path(name)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_text
