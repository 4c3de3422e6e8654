from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from haystack import Document

from lodestone import ExtractiveReader
from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.calibration import Calibration
from lodestone.evaluation.calibrating import Stated, bm25_passages, calibrate
from lodestone.evaluation.labelling import read_labelled

BOATS = ["Kestrel", "Heron", "Plover", "Dunlin", "Avocet", "Curlew", "Gannet", "Puffin", "Osprey", "Merlin"]
BUILDERS = ["Ida Holm", "Jon Vik", "Mara Lind", "Ole Berg", "Una Dahl", "Per Strand", "Liv Moe", "Tor Lie", "Eva Ness"]


@dataclass(frozen=True)
class Asked:
    text: str
    accepted: tuple[str, ...]


PARAGRAPHS = [
    f"The ferry {boat} was built by {builder} in {1900 + number}. She carries {20 + number} cars."
    for number, (boat, builder) in enumerate(zip(BOATS, BUILDERS, strict=False))
]
QUESTIONS = [
    asked
    for number, (boat, builder) in enumerate(zip(BOATS, BUILDERS, strict=False))
    for asked in (
        Asked(f"Who built the {boat}?", (builder,)),
        Asked(f"When was the {boat} built?", (str(1900 + number),)),
        Asked(f"How many cars does the {boat} carry?", (str(20 + number),)),
        Asked(f"Who painted the {boat}?", ()),
        Asked(f"What does a ticket for the {boat} cost?", ()),
        Asked(f"Which port is the {boat} registered in?", ()),
    )
]


def test_a_calibration_says_what_it_was_fitted_on_and_how_good_it_is_in_each_precision() -> None:
    passages = bm25_passages(QUESTIONS, PARAGRAPHS, top_k=3)
    calibration = calibrate(ExtractiveReader(), QUESTIONS, passages, about={"data": "boats"})
    fitted = calibration.fitted_on
    assert fitted["data"] == "boats"
    assert (fitted["questions"], fitted["unanswerable"], fitted["passages_per_question"]) == (54, 27, 2.0)
    assert {"float32", fitted["precision"]} <= fitted["held_out"].keys()
    for figures in fitted["held_out"].values():
        assert figures["after"]["log_loss"] < figures["before"]["log_loss"]
    assert calibration.weights_sha256 is not None


def test_the_same_questions_never_count_twice(tmp_path: Path) -> None:
    passages = bm25_passages(QUESTIONS, PARAGRAPHS, top_k=1)

    def adapted(start: Calibration | None, sha256: str) -> Calibration:
        start_file = tmp_path / "start.json"
        if start is not None:
            start.save(start_file)
        reader = ExtractiveReader(precision="float32", calibration=None if start is None else str(start_file))
        return calibrate(reader, QUESTIONS, passages, about={"data": [{"file": "boats", "sha256": sha256}]})

    once = adapted(None, "a")
    assert adapted(once, "a") == once
    other = adapted(once, "b")
    assert other.adapted != once.adapted
    assert adapted(other, "b") == other


def test_a_fresh_fit_does_not_start_from_what_is_there() -> None:
    passages = bm25_passages(QUESTIONS, PARAGRAPHS, top_k=1)
    fitted = calibrate(ExtractiveReader(precision="float32"), QUESTIONS, passages, fresh=True).fitted_on
    assert fitted["started_from"] is None
    assert all(figures["before"] is None for figures in fitted["held_out"].values())


def test_too_few_questions_and_questions_of_one_kind_are_refused() -> None:
    passages = bm25_passages(QUESTIONS, PARAGRAPHS, top_k=1)
    with pytest.raises(ConfigurationError, match="at least 50 questions, got 10"):
        calibrate(ExtractiveReader(), QUESTIONS[:10], passages[:10])
    nothing = [Asked(question.text, ()) for question in QUESTIONS]
    with pytest.raises(ConfigurationError, match="none of the questions has an accepted answer"):
        calibrate(ExtractiveReader(), nothing, passages)
    unfound = [Asked(question.text, ("nowhere",)) for question in QUESTIONS]
    with pytest.raises(ConfigurationError, match="with and without a right answer"):
        calibrate(ExtractiveReader(), unfound, passages)


def test_held_out_figures_count_files_equally_and_stand_for_each_file() -> None:
    stated = Stated(np.array([0.5] * 30 + [1.0] * 10), np.ones(40), [40 / 2 / 30] * 30 + [2.0] * 10)
    assert stated.figures()["ece"] == pytest.approx(0.25)
    assert stated.figures()["brier"] == pytest.approx(0.125)
    assert [stated.of(part).figures()["ece"] for part in (slice(30), slice(30, 40))] == [0.5, 0.0]


def test_what_is_kept_of_a_reading_is_the_reading(tmp_path: Path) -> None:
    reader = ExtractiveReader(precision="float32")
    passages: list[list[Document]] = [*bm25_passages(QUESTIONS[:2], PARAGRAPHS, top_k=2), []]
    told: list[tuple[int, int]] = []
    once, again = (
        read_labelled(
            reader, QUESTIONS[:3], passages, partial=tmp_path / "kept", progress=lambda *done: told.append(done)
        )
        for _ in range(2)
    )
    assert told == [(0, 3)]
    for one, other in zip(once, again, strict=True):
        assert one.evidence.texts == other.evidence.texts
        for part in ("found", "which", "exact"):
            assert np.array_equal(getattr(one.evidence, part), getattr(other.evidence, part))
    assert [each.place for each in once] == [0, 0, None]
