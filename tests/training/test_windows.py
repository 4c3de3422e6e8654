from pathlib import Path

import numpy as np
import pytest
import tiny_training
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.training.data import Example, load_data
from lodestone.training.recipe import Data, DataFile, Windows
from lodestone.training.windows import MOST_TOGETHER, TrainingWindows

SMALL = Windows(max_seq_length=40, stride=8, max_query_length=12)
PAIRS = {family: PairTokenizer(tiny_training.make_tokenizer(family)) for family in ("bert", "roberta")}


def example(context: str, *spans: tuple[int, int], weight: float = 1.0, id_: str = "a") -> Example:
    texts = tuple(context[start:end] for start, end in spans)
    return Example(id_, "Who built the Kestrel?", context, spans, texts, weight)


@pytest.mark.parametrize("family", PAIRS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_label_covers_the_answer_and_no_token_more(family: str, data: st.DataObject) -> None:
    words = ["ferry", "Ida", "é", "🐙", "1902", "O'Neill", "–", "smørrebrød", "闭馆", "built", "the"]
    text = " ".join(data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=60)))
    starts = [at for at in range(len(text)) if not text[at].isspace()]
    start = data.draw(st.sampled_from(starts))
    end = data.draw(st.sampled_from([at + 1 for at in starts if start <= at < start + 20]))
    windows = TrainingWindows([example(text, (start, end)), example("Ida")], PAIRS[family], SMALL, 512)
    held = 0
    for window, labels in zip(windows.windows, windows.labels, strict=True):
        if labels.spans == ((0, 0),) or window.query == 1:
            continue
        held += 1
        ((first, last),) = labels.spans
        tokens = windows.passages[window.passage]
        first, last = (at - window.offset + window.first for at in (first, last))
        assert window.first <= first <= last < window.last
        assert tokens.starts[first] <= start < tokens.ends[first]
        assert tokens.starts[last] < end <= tokens.ends[last]
    assert held or windows.left_out


def test_every_window_of_the_reader_is_there_and_is_labelled() -> None:
    text = " ".join(tiny_training.paragraph(n) for n in range(6))
    start = text.index("Ole Berg")
    windows = TrainingWindows([example(text, (start, start + 8))], PAIRS["bert"], SMALL, 512)
    assert len(windows) > 3
    covered = np.zeros(len(windows.passages[0]), dtype=bool)
    for window in windows.windows:
        covered[window.first : window.last] = True
    assert covered.all()
    kinds = {labels.spans == ((0, 0),) for labels in windows.labels}
    assert kinds == {True, False}
    assert windows.lengths.max() <= SMALL.max_seq_length


def test_all_accepted_answers_are_labels_and_padding_is_marked() -> None:
    text = tiny_training.paragraph(0)
    start = text.index("Ida Holm")
    two = example(text, (start, start + 8), (start, start + 3))
    windows = TrainingWindows([two, example("Nobody knows.", id_="b")], PAIRS["bert"], Windows(), 512)
    batch = windows.collate([0, 1])
    assert batch["spans"].shape == (2, 2, 2)
    assert batch["spans"][1].tolist() == [[0, 0], [-1, -1]]
    (first, last), (_, short) = batch["spans"][0].tolist()
    assert first <= short < last
    assert batch["attention_mask"].sum(dim=1).tolist() == windows.lengths.tolist()
    assert (batch["input_ids"][batch["attention_mask"] == 0] == windows.template.pad_id).all()
    assert batch["input_ids"].dtype == torch.int64


def test_the_windows_of_a_question_and_of_its_negatives_belong_together() -> None:
    text = " ".join(tiny_training.paragraph(n) for n in range(3))
    start = text.index("Ida Holm")
    asked = [example(text, (start, start + 8), id_="a"), example("Nobody knows.", id_="b")]
    negatives = [Example(f"{of} in 9", "Who?", "A boat.", (), negative_of=of) for of in ("b", "a")]
    windows = TrainingWindows([*asked, *negatives], PAIRS["bert"], SMALL, 512)
    last = len(windows) - 1
    assert last > 3
    assert windows.by_question() == [[*range(last - 2), last], [last - 2, last - 1]]


@pytest.mark.parametrize("answered", [True, False])
def test_of_many_windows_of_a_question_some_are_together_at_a_time_with_the_answer(answered: bool) -> None:
    text = " ".join(tiny_training.paragraph(n) for n in range(40))
    start = text.index("Ole Berg")
    one = example(text, (start, start + 8)) if answered else example(text)
    windows = TrainingWindows([one], PAIRS["bert"], SMALL, 512)
    assert len(windows) > 2 * MOST_TOGETHER
    groups = windows.by_question()
    holding = [number for number, labels in enumerate(windows.labels) if labels.spans != ((0, 0),)]
    assert bool(holding) == answered
    assert all(len(group) <= MOST_TOGETHER and group[: len(holding)] == holding for group in groups)
    others = [number for group in groups for number in group[len(holding) :]]
    assert sorted([*holding, *others]) == list(range(len(windows)))


def test_weights_have_the_mean_one() -> None:
    text = tiny_training.paragraph(0)
    windows = TrainingWindows([example(text), example(text, weight=3.0, id_="b")], PAIRS["bert"], Windows(), 512)
    assert [labels.weight for labels in windows.labels] == [0.5, 1.5]


def test_a_question_whose_answer_no_window_holds_is_left_out_and_named() -> None:
    text = " ".join(tiny_training.paragraph(n) for n in range(6))
    whole = example(text, (0, len(text)), id_="long")
    empty = example("\u200b\u200b", id_="nothing")
    windows = TrainingWindows([whole, empty, example("Ida", (0, 3))], PAIRS["bert"], SMALL, 512)
    assert [(bad.id, bad.reason) for bad in windows.left_out] == [
        ("long", "has an answer that no window holds whole"),
        ("nothing", "has a context without tokens"),
    ]
    assert {window.query for window in windows.windows} == {2}
    with pytest.raises(ConfigurationError, match="nothing to train on"):
        TrainingWindows([whole], PAIRS["bert"], SMALL, 512)


def test_the_fingerprint_is_of_tokens_and_labels(tmp_path: Path) -> None:
    text = tiny_training.paragraph(0)
    prints = {
        TrainingWindows([each], PAIRS["bert"], windows, 512).fingerprint()
        for each in (example(text), example(text, (0, 3)), example(text[:-1]))
        for windows in (Windows(), Windows(max_query_length=3))
    }
    assert len(prints) == 6
    again = TrainingWindows([example(text)], PAIRS["bert"], Windows(), 512).fingerprint()
    assert again in prints


def test_a_file_becomes_windows(tmp_path: Path) -> None:
    file = tiny_training.write_squad(tmp_path / "a.json", range(4))
    examples = load_data(Data((DataFile(str(file)),))).examples
    windows = TrainingWindows(examples, PAIRS["roberta"], Windows(), 512)
    described = windows.describe()
    assert (described["windows"], described["windows_with_an_answer"]) == (12, 8)
    assert described["tokens"] == windows.lengths.sum()
