"""What the probabilities of a question's answers are computed from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from haystack import Document
from numpy.typing import NDArray

from lodestone.components.passages import searchable_text
from lodestone.components.readers.merging import MergedAnswer
from lodestone.components.readers.wording import QuestionWording, count_words

Float64Array = NDArray[np.float64]

# The names of the columns of `Evidence`, which are those of the weights in a calibration file.
FOUND = ("best_margin", "best_share_in_passage")
WHICH = ("margin", "log_rank", "share_in_sentence", "share_in_passage")
EXACT = ("lead", "log_words")
# Answers further down the list of margins weigh nothing beside these.
CONSIDERED = 30


@dataclass(frozen=True)
class Evidence:
    """Of one question the features of its answers, in the order in which they were merged.

    :param texts: The answers' words.
    :param found: What tells whether the answer stands in what was read at all, float64, shape (len(FOUND),): the best
        margin, and the largest share of the question's words in one of the answers' passages.
    :param which: What tells which answer is meant, float64, shape (answers, len(WHICH)): margin; log(1 + the passage's
        position among those read, from 0); the shares of the question's words in the answer's sentence, and in its
        passage with the headings above it.
    :param exact: What tells whether the words begin and end where they should, float64, shape (answers, len(EXACT)):
        `Quote.lead`; log(1 + words).
    """

    texts: tuple[str, ...]
    found: Float64Array
    which: Float64Array
    exact: Float64Array

    def __len__(self) -> int:
        return len(self.texts)


def gather_evidence(query: str, documents: Sequence[Document], merged: Sequence[MergedAnswer]) -> Evidence:
    """The features of a question's answers.

    :param query: The question.
    :param documents: The passages that were read, in the order in which they were given, the best first.
    :param merged: The merged answers, the best margin first; those behind the first 30 are left out.
    """
    wording = QuestionWording(query)
    positions = {document.id: position for position, document in reversed(list(enumerate(documents)))}
    in_passage: dict[str, float] = {}
    which, exact, texts = [], [], []
    for answer in merged[:CONSIDERED]:
        quote = answer.best
        passage, content = quote.document.id, quote.document.content or ""
        if passage not in in_passage:
            in_passage[passage] = wording.share_in(searchable_text(quote.document))
        around = wording.share_around(content, quote.start, quote.end)
        which.append((quote.margin, math.log1p(positions[passage]), around, in_passage[passage]))
        exact.append((quote.lead, math.log1p(count_words(quote.text))))
        texts.append(quote.text)
    found = (which[0][0], max(in_passage.values())) if which else (0.0, 0.0)
    return Evidence(
        tuple(texts),
        np.array(found),
        np.array(which, dtype=np.float64).reshape(-1, len(WHICH)),
        np.array(exact, dtype=np.float64).reshape(-1, len(EXACT)),
    )
