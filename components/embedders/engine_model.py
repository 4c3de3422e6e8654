"""An embedding model on one of our engines."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lodestone.components.embedders.fingerprint import model_fingerprint
from lodestone.components.embedders.pooling import pooled
from lodestone.components.embedders.sentence_folder import SentenceFolder
from lodestone.components.engines import Engine
from lodestone.components.engines.engine import FloatArray, IntArray
from lodestone.components.models.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Texts that are tokenized at a time: enough to find others of the same length, few enough to start computing early.
_BLOCK = 512


class EngineModel:
    """An embedding model, its encoder run by an engine; vectors are those of sentence-transformers.

    :param folder: The model's folder.
    :param parts: What the folder says the model is made of.
    :param engine: The encoder, loaded.
    """

    def __init__(self, folder: Path, parts: SentenceFolder, engine: Engine) -> None:
        self.folder = folder
        self._parts = parts
        self._engine = engine
        self._tokenizer = embedding_tokenizer(parts, engine.max_length)
        self.dimension = len(self.embed(["a"], query=False)[0])

    @property
    def fingerprint(self) -> str:
        """What `model_fingerprint` says of the folder."""
        return model_fingerprint(self.folder)

    @property
    def precision(self) -> str:
        """What the encoder computes in."""
        return self._engine.precision

    def embed(self, texts: Sequence[str], query: bool, batch_size: int = 32, progress_bar: bool = False) -> FloatArray:
        """Embed texts: see `EmbeddingModel.embed`."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        prompt = self._parts.prompts["query" if query else "document"]
        vectors: FloatArray | None = None
        # The batches that were drawn and whose vectors have not come back yet.
        waiting: deque[tuple[list[int], IntArray]] = deque()

        def drawn() -> Iterator[dict[str, IntArray]]:
            for rows, inputs in self._batches(texts, prompt, batch_size):
                waiting.append((rows, inputs["attention_mask"]))
                yield inputs

        with _progress(len(texts), progress_bar) as advance:
            for outputs in self._engine.forward_many(drawn()):
                rows, mask = waiting.popleft()
                found = pooled(outputs["last_hidden_state"], mask, self._parts.modes)
                for step in self._parts.steps:
                    found = step(found)
                if vectors is None:
                    vectors = np.empty((len(texts), found.shape[1]), dtype=np.float32)
                vectors[rows] = found
                advance(len(rows))
        assert vectors is not None
        return vectors

    def _batches(
        self, texts: Sequence[str], prompt: str, batch_size: int
    ) -> Iterator[tuple[list[int], dict[str, IntArray]]]:
        """Batches of texts of like length, the longest first, and which texts they are."""
        order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        for start in range(0, len(order), _BLOCK):
            rows = order[start : start + _BLOCK]
            encoded = self._tokenizer.encode_batch_fast([prompt + texts[row] for row in rows])
            ids = [encoding.ids for encoding in encoded]
            for group in pack_by_length([len(each) for each in ids], self._engine.batch_tokens, batch_size):
                yield [rows[at] for at in group], self._inputs([ids[at] for at in group])

    def _inputs(self, ids: Sequence[Sequence[int]]) -> dict[str, IntArray]:
        # A text without any token, from a tokenizer without special ones, is a row of padding.
        width = max(1, max(len(row) for row in ids))
        input_ids = np.full((len(ids), width), self._parts.pad_id, dtype=np.int64)
        mask = np.zeros_like(input_ids)
        for at, row in enumerate(ids):
            input_ids[at, : len(row)] = row
            mask[at, : len(row)] = 1
        inputs = {"input_ids": input_ids, "attention_mask": mask}
        if self._engine.takes_segments:
            inputs["token_type_ids"] = np.zeros_like(input_ids)
        return inputs


def embedding_tokenizer(parts: SentenceFolder, positions: int) -> "Tokenizer":
    """The tokenizer of an embedding model, cutting texts where the model does.

    :param parts: The model.
    :param positions: The most tokens that the encoder takes.
    :returns: A tokenizer that truncates and does not pad.
    """
    from tokenizers.normalizers import Lowercase, Normalizer
    from tokenizers.normalizers import Sequence as NormalizerSequence

    tokenizer = load_tokenizer(parts.encoder)
    tokenizer.enable_truncation(min(parts.max_length, positions))
    if parts.lower_case:
        steps: list[Normalizer] = [Lowercase()]
        if tokenizer.normalizer is not None:
            steps.append(tokenizer.normalizer)
        tokenizer.normalizer = NormalizerSequence(steps)
    return tokenizer


def pack_by_length(lengths: Sequence[int], max_tokens: int, max_rows: int) -> Iterator[list[int]]:
    """Group rows of like length.

    :param lengths: Tokens of each row.
    :param max_tokens: The most tokens of a group, padding counted; a longer row is a group of its own.
    :param max_rows: The most rows of a group.
    :returns: Groups of positions in `lengths`, the longest rows first.
    """
    group: list[int] = []
    for at in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        if group and (len(group) >= max_rows or (len(group) + 1) * lengths[group[0]] > max_tokens):
            yield group
            group = []
        group.append(at)
    if group:
        yield group


@contextmanager
def _progress(total: int, shown: bool) -> Iterator[Callable[[int], object]]:
    if not shown:
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="Embedding", unit=" texts") as bar:
        yield bar.update
