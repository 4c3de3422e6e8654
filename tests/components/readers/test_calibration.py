import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from haystack import Document
from hypothesis import given
from hypothesis import strategies as st

from lodestone import ExtractiveReader
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import resolve_model
from lodestone.components.readers.calibration import Calibration, Distribution, cached_calibration, hash_weights
from lodestone.components.readers.evidence import EXACT, WHICH, Evidence

SHIPPED = Calibration.load(resolve_model("lodestone/reader-minilm") / "calibration.json")


def evidence(margins: list[float], leads: list[float] | None = None) -> Evidence:
    which, exact = np.zeros((len(margins), len(WHICH))), np.zeros((len(margins), len(EXACT)))
    which[:, 0] = margins
    exact[:, 0] = 0.0 if leads is None else leads
    best = max(margins, default=0.0)
    return Evidence(tuple(map(str, margins)), np.array([best, 0.5]), which, exact)


@given(margins=st.lists(st.floats(-500, 500), max_size=30), scale=st.floats(0.1, 5), bias=st.floats(-9, 9))
def test_places_and_no_answer_sum_to_one_and_exact_cuts_are_no_likelier_than_their_places(
    margins: list[float], scale: float, bias: float
) -> None:
    adapted = replace(SHIPPED, adapted={"scale": scale, "bias": bias})
    for calibration in (SHIPPED, adapted):
        check_sums(calibration.distribution(evidence(margins)))


def check_sums(distribution: Distribution) -> None:
    assert distribution.places.sum() + distribution.none == pytest.approx(1)
    assert (distribution.answers <= distribution.places).all()
    assert (distribution.answers >= 0).all()
    assert 0 <= distribution.none <= 1


def test_an_adapted_calibration_says_more_or_less_of_answers_and_the_reverse_of_no_answer() -> None:
    plain = SHIPPED.distribution(evidence([4.0, 1.0]))
    more = replace(SHIPPED, adapted={"scale": 1.0, "bias": 1.0}).distribution(evidence([4.0, 1.0]))
    odds = [float(each.answers[0] / (1 - each.answers[0])) for each in (plain, more)]
    assert odds[1] == pytest.approx(np.e * odds[0])
    assert more.none < plain.none


def test_a_larger_margin_makes_an_answer_likelier_and_no_answer_less_likely() -> None:
    low, high = SHIPPED.distribution(evidence([2.0, 1.0])), SHIPPED.distribution(evidence([6.0, 1.0]))
    assert high.answers[0] > low.answers[0]
    assert high.none < low.none


def test_an_uncertain_cut_is_less_likely_to_be_exact_but_as_likely_the_place() -> None:
    sure, unsure = SHIPPED.distribution(evidence([5.0], [8.0])), SHIPPED.distribution(evidence([5.0], [0.1]))
    assert unsure.places[0] == pytest.approx(sure.places[0])
    assert unsure.answers[0] < 0.9 * sure.answers[0]


def test_a_calibration_is_the_same_after_saving(tmp_path: Path) -> None:
    SHIPPED.save(tmp_path / "file.json")
    assert Calibration.load(tmp_path / "file.json") == SHIPPED


def test_a_file_of_the_two_parameter_kind_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(json.dumps({"format": 1, "scale": 0.5, "offset": -2.0}))
    with pytest.raises(ConfigurationError, match=r"old\.json.*lodestone calibrate"):
        Calibration.load(tmp_path / "old.json")


def test_the_models_calibration_in_the_cache_goes_before_the_one_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LODESTONE_CACHE", str(tmp_path))
    passages = [Document(content="The lighthouse was built by Ida Holm in 1911.")]
    shipped = ExtractiveReader().run("Who built the lighthouse?", passages)["answers"][0].score
    file = cached_calibration(hash_weights(resolve_model("lodestone/reader-minilm")))
    file.parent.mkdir(parents=True)
    replace(SHIPPED, exact={**SHIPPED.exact, "bias": -10.0}).save(file)
    assert ExtractiveReader().run("Who built the lighthouse?", passages)["answers"][0].score < 0.01 < shipped
