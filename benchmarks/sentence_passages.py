"""Any number of passages of real text, no two alike, with vectors that lie as those of real passages do.

A passage is two neighbouring sentences of a document and one of anywhere; its vector is the mean of the sentences'
embeddings and some noise, brought to length 1. So passages that share sentences are near each other, by their words
and by their vectors, and subjects crowd together as they do in a corpus.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from haystack import Document

Floats = np.ndarray[Any, np.dtype[np.float32]]

_NOISE = 0.25  # length of the noise; a mean of three sentences' embeddings is about 0.75 long
_DOCUMENT_PASSAGES = 20
_SEED = 20
_QUERIES = 1000


class SentencePassages:
    """Passages recombined from a folder of texts.

    :param data: A folder with .jsonl files (`text` a line), .md and .txt files, and SQuAD files (.json), at any depth.
    :param cache: A folder where the sentences' embeddings are kept.
    :param sentences: How many sentences to take; more give more different passages, and take longer to embed.
    """

    def __init__(self, data: Path, cache: Path, sentences: int = 24_000) -> None:
        documents = _documents(data)
        np.random.default_rng(_SEED).shuffle(documents)  # type: ignore[arg-type]
        self._sentences: list[str] = []
        self._starts: list[int] = []  # of pairs of neighbours
        self.queries: list[str] = []
        for found, question in documents:
            first = len(self._sentences)
            self._sentences.extend(found)
            self._starts.extend(range(first, first + len(found) - 1))
            if question is not None and len(self.queries) < _QUERIES:
                self.queries.append(question)
            if len(self._sentences) >= sentences:
                break
        vectors = _embedded([*self.queries, *self._sentences], cache)
        self.query_vectors, self._vectors = vectors[: len(self.queries)], vectors[len(self.queries) :]

    @property
    def possible(self) -> int:
        """How many different passages there are."""
        return len(self._starts) * len(self._sentences)

    def batches(self, count: int, size: int) -> Iterator[list[Document]]:
        """Passages as documents, with the metadata that the indexing job gives them.

        :param count: How many.
        :param size: How many a batch.
        """
        chance = np.random.default_rng(_SEED)
        keys = np.unique(chance.integers(0, self.possible, int(count * 1.2) + 100))
        keys = chance.permutation(keys)[:count]
        for start in range(0, count, size):
            yield self._batch(start, keys[start : start + size], chance)

    def _batch(self, first: int, keys: "np.ndarray[Any, np.dtype[np.int64]]", chance: np.random.Generator) -> Any:
        pairs = np.asarray(self._starts)[keys // len(self._sentences)]
        others = keys % len(self._sentences)
        vectors = (self._vectors[pairs] + self._vectors[pairs + 1] + self._vectors[others]) / 3
        noise = chance.standard_normal(vectors.shape).astype(np.float32)
        vectors += noise * np.float32(_NOISE / np.sqrt(vectors.shape[1]))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        documents = []
        for offset, (pair, other, vector) in enumerate(zip(pairs.tolist(), others.tolist(), vectors, strict=True)):
            number = first + offset
            source, split = divmod(number, _DOCUMENT_PASSAGES)
            meta = {
                "root": "corpus",
                "source": f"part-{source % 100:02}/document-{source}.txt",
                "source_id": hashlib.sha256(str(source).encode()).hexdigest(),
                "split_id": split,
                "split_idx_start": split * 400,
                "headings": [],
                "number": number,
            }
            text = " ".join(self._sentences[n] for n in (pair, pair + 1, other))
            identifier = hashlib.sha256(f"passage {number}".encode()).hexdigest()
            documents.append(Document(id=identifier, content=text, meta=meta, embedding=vector.tolist()))
        return documents


def _documents(data: Path) -> list[tuple[list[str], str | None]]:
    """The sentences of each text, texts in a fixed order, no sentence twice; and a question about it, or None."""
    seen: set[str] = set()
    documents = []
    for path in sorted(data.rglob("*")):
        for text, question in _texts(path):
            sentences = []
            for sentence in re.split(r"(?<=[.!?])\s+", " ".join(text.split())):
                if 6 <= len(sentence.split()) <= 40 and sentence not in seen:
                    seen.add(sentence)
                    sentences.append(sentence)
            if len(sentences) > 1:
                documents.append((sentences[:60], question))
    return documents


def _texts(path: Path) -> Iterator[tuple[str, str | None]]:
    if path.suffix in (".md", ".txt", ".rst"):
        for part in re.split(r"\n\s*\n\s*\n", path.read_text(encoding="utf-8", errors="replace")):
            yield part, None
    elif path.suffix == ".jsonl":
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if isinstance(record, dict) and isinstance(record.get("text"), str):
                yield record["text"], None
    elif path.suffix == ".json":
        value = json.loads(path.read_text(encoding="utf-8"))
        for article in value.get("data", []) if isinstance(value, dict) else []:
            for paragraph in article.get("paragraphs", []):
                questions = [entry["question"] for entry in paragraph["qas"]]
                yield paragraph["context"], questions[0] if questions else None


def _embedded(sentences: list[str], cache: Path) -> Floats:
    """Embeddings by the default model, from the cache if these sentences were embedded before; shape (n, 384)."""
    path = cache / f"sentences-{hashlib.sha256(json.dumps(sentences).encode()).hexdigest()[:16]}.npy"
    if path.exists():
        return np.asarray(np.load(path), dtype=np.float32)
    from lodestone import PassageEmbedder

    embedder = PassageEmbedder(progress_bar=True)
    embedded = embedder.run([Document(content=sentence) for sentence in sentences])["documents"]
    vectors = np.array([document.embedding for document in embedded], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cache.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors)
    return vectors
