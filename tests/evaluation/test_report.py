import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.evaluation import plots
from lodestone.evaluation.comparing import compare, note
from lodestone.evaluation.comparison_report import comparison_html, write_comparison
from lodestone.evaluation.judging import Judgement, judge_answering, judge_reading
from lodestone.evaluation.labels import heading, sections
from lodestone.evaluation.mistakes import kinds_of
from lodestone.evaluation.records import Guess, Record
from lodestone.evaluation.report import to_html, write_report
from lodestone.evaluation.results import Result

HOSTILE = '<script>alert("1")</script>&'
DATA = {"file": f"{HOSTILE}.json", "sha256": "0", "questions": 6}


def record(number: int, accepted: tuple[str, ...], guess: str, score: float, **found: int) -> Record:
    guesses = (Guess(guess, score, HOSTILE),)
    return Record(str(number), f"{number} {HOSTILE}?", accepted, guesses, 1 - score, True, **found)  # type: ignore[arg-type]


RECORDS = [
    record(1, ("Holm",), "Holm", 0.9, answer_rank=1),
    record(2, ("Holm",), "Ida Holm", 0.8, answer_rank=1),
    record(3, ("Holm",), HOSTILE, 0.7, answer_rank=2),
    record(4, ("Holm",), "Holm", 0.3, answer_rank=1),
    record(5, ("Lind",), "Holm", 0.2),
    record(6, (), "Holm", 0.6),
    record(7, (), "Holm", 0.1),
]


def result_of(records: list[Record], kind: str = "qa") -> Result:
    judged = (judge_answering if kind == "qa" else judge_reading)(records, 0.5)
    settings = {"no_answer_threshold": 0.5, "reader": HOSTILE}
    return Result.of(kind, DATA, settings, judged, [each.to_dict() for each in records])


def ranking_of(measure: str) -> Result:
    questions = [{"id": "1", "question": "Who?", "documents": ["a"], "measures": {measure: 1.0}}]
    return Result("retrieval", DATA, {}, {measure: 1.0}, {measure: (1.0, 1.0)}, questions)


class Page(HTMLParser):
    """Collects the elements of a page, and refuses those that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("kind", ["qa", "squad"])
def test_a_report_is_one_well_formed_page_in_which_nothing_runs(kind: str) -> None:
    html = to_html(result_of(RECORDS, kind))
    page = Page()
    page.feed(html)
    assert not page.open
    assert page.seen.count("svg") == 2
    assert not {"script", "link", "img", "iframe"} & set(page.seen)
    assert not re.search(r'(src|href)="(?!#)', html)
    assert "<b>" not in html
    assert html == to_html(result_of(RECORDS, kind))


def test_a_report_shows_examples_of_every_kind_of_mistake() -> None:
    html = to_html(result_of(RECORDS))
    for title in ("Shares words", "Other words", "though there is one", "in no passage", "though there is none"):
        assert title in html
    assert "7 &lt;script&gt;" not in html  # it was right


def test_margins_are_not_drawn_as_probabilities() -> None:
    html = to_html(result_of([replace(each, calibrated=False) for each in RECORDS]))
    assert html.count("<svg") == 1


def test_a_report_on_rankings_lists_the_worst_queries() -> None:
    entries = [{"id": "1", "question": HOSTILE, "documents": []}, {"id": "2", "question": "best", "documents": ["a"]}]
    judged = Judgement({"nDCG@10": 0.5}, {"nDCG@10": (0.0, 1.0)}, [{"nDCG@10": 0.0}, {"nDCG@10": 1.0}])
    html = to_html(Result.of("retrieval", DATA, {}, judged, entries))
    assert html.index("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;</td>") < html.index("<td>best</td>")
    assert "0.000 to 1.000" in html


def test_a_report_is_written_whole(tmp_path: Path) -> None:
    write_report(result_of(RECORDS), tmp_path / "r.html")
    assert [file.name for file in tmp_path.iterdir()] == ["r.html"]


def test_without_matplotlib_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LodestoneError, match=r"pip install 'lodestone\[evaluate\]'"):
        to_html(result_of(RECORDS))


def test_every_question_is_of_one_kind_and_the_surest_mistakes_come_first() -> None:
    kinds = kinds_of([*RECORDS, record(8, (), "Holm", 0.95)], 0.5, searched=True)
    found = {kind.title.split(",")[0]: [each.id for each in kind.records] for kind in kinds}
    assert found == {
        "Right to the letter": ["1"],
        'Rightly given "no answer"': ["7"],
        "Shares words with an accepted answer": ["2"],
        "Other words than any accepted answer": ["3"],
        'Given "no answer"': ["4"],
        "The answer was in no passage that was retrieved": ["5"],
        "Given an answer": ["8", "6"],
    }
    in_paragraphs = kinds_of(RECORDS, 0.5, searched=False)
    assert [each.id for kind in in_paragraphs if kind.title.startswith('Given "no') for each in kind.records] == [
        "5",
        "4",
    ]


def test_a_result_comes_back_from_its_file(tmp_path: Path) -> None:
    result = result_of(RECORDS)
    result.save(tmp_path / "r.json")
    loaded = Result.load(tmp_path / "r.json")
    assert loaded.metrics == result.metrics
    assert loaded.intervals == result.intervals
    assert to_html(loaded) == to_html(result)


def ranked(values: list[float]) -> Result:
    entries = [{"id": str(n), "question": f"{n} {HOSTILE}", "documents": []} for n in range(len(values))]
    judged = Judgement({"RR": 0.5}, {}, [{"RR": value} for value in values])
    return Result.of("retrieval", DATA, {}, judged, entries)


BETTER = [replace(each, guesses=(Guess("Holm", 0.9, HOSTILE),), no_answer_score=0.1) for each in RECORDS]
COMPARISONS = {
    "qa": (result_of(RECORDS), result_of(BETTER), 3),
    "margins": (result_of(RECORDS), result_of([replace(each, calibrated=False) for each in BETTER]), 2),
    "retrieval": (ranked([0.0, 1.0, 0.5]), ranked([1.0, 0.5, 0.5]), 2),
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_comparison_is_one_well_formed_page_in_which_nothing_runs(name: str) -> None:
    first, second, plotted = COMPARISONS[name]
    html = comparison_html(first, second, compare(first, second), (HOSTILE, "b.json"))
    page = Page()
    page.feed(html)
    assert not page.open
    assert page.seen.count("svg") == plotted
    assert not {"script", "link", "img", "iframe"} & set(page.seen)


def test_a_comparison_shows_what_only_one_run_has_right(tmp_path: Path) -> None:
    first, second, _ = COMPARISONS["qa"]
    write_comparison(first, second, compare(first, second), ("a.json", "b.json"), tmp_path / "c.html")
    html = (tmp_path / "c.html").read_text()
    only_first, only_second = html.index("Only A is right: 1"), html.index("Only B is right: 3")
    assert only_first < html.index("7 &lt;script") < only_second < html.index("2 &lt;script")
    assert "no answer</mark> (0.90)" in html
    assert html.count("<blockquote>") == 4
    assert [file.name for file in tmp_path.iterdir()] == ["c.html"]


def test_a_comparison_of_rankings_lists_the_queries_that_each_ranks_better() -> None:
    first, second, _ = COMPARISONS["retrieval"]
    html = comparison_html(first, second, compare(first, second), ("a.json", "b.json"))
    assert html.index("A ranks better: 1") < html.index("1 &lt;script") < html.index("B ranks better: 1")
    assert "2 &lt;script" not in html


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "kind": "qa"}', "[" * 100_000])
def test_other_files_are_no_results(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(ConfigurationError, match="is no result of an evaluation"):
        Result.load(tmp_path / "r.json")
    with pytest.raises(ConfigurationError, match="does not exist"):
        Result.load(tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("id", "2"),
        ("question", 1),
        ("guesses", [{"text": None, "score": 1.0}]),
        ("guesses", [{"text": "Holm", "score": "high"}]),
        ("no_answer_score", float("nan")),
        ("measures", {"exact": 1.0}),
        ("measures", {"exact": 1.0, "right": "yes"}),
        ("accepted", 1),
    ],
)
def test_a_result_that_was_changed_is_refused(tmp_path: Path, part: str, value: object) -> None:
    result_of(RECORDS).save(tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text())
    data["questions"][0][part] = value
    (tmp_path / "r.json").write_text(json.dumps(data))
    with pytest.raises(ConfigurationError, match="is no result of an evaluation"):
        Result.load(tmp_path / "r.json")


def test_runs_are_compared_over_the_questions_of_both() -> None:
    better = [replace(each, guesses=(Guess("Holm", 0.9),), no_answer_score=0.1) for each in RECORDS[1:]]
    compared = {each.name: each for each in compare(result_of(RECORDS), result_of(better))}
    assert compared["exact"].count == 6
    assert (compared["exact"].first, compared["exact"].second) == (pytest.approx(1 / 6), pytest.approx(3 / 6))
    assert compared["exact"].difference.difference == pytest.approx(2 / 6)
    assert compared["answer_recall"].count == 4
    assert compared["answer_recall"].difference.p_value == 1


def test_what_scores_are_worth_is_compared_over_the_same_resamples() -> None:
    first, second, _ = COMPARISONS["qa"]
    compared = {each.name: each for each in compare(first, second)}
    assert compared["right_auroc"].first == pytest.approx(first.metrics["right_auroc"])
    assert compared["aurc"].second == pytest.approx(second.metrics["aurc"])
    difference = compared["ece"].difference
    assert difference.difference == pytest.approx(second.metrics["ece"] - first.metrics["ece"])
    assert difference.low <= difference.difference <= difference.high
    assert difference.p_value is None
    same = {each.name: each.difference for each in compare(first, first)}
    assert all((each.difference, each.low, each.high) == (0, 0, 0) for each in same.values())
    assert "ece" not in {each.name for each in compare(*COMPARISONS["margins"][:2])}


def test_runs_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="different kinds: qa and squad"):
        compare(result_of(RECORDS), result_of(RECORDS, "squad"))
    with pytest.raises(ConfigurationError, match="no question in common"):
        compare(result_of(RECORDS[:2]), result_of(RECORDS[2:]))
    other = replace(RECORDS[0], accepted=("Lind",))
    with pytest.raises(ConfigurationError, match="'1' has other accepted answers"):
        compare(result_of(RECORDS), result_of([other, *RECORDS[1:]]))
    other = replace(RECORDS[0], question="Who else?")
    with pytest.raises(ConfigurationError, match="'1' has other words"):
        compare(result_of(RECORDS), result_of([other, *RECORDS[1:]]))
    with pytest.raises(ConfigurationError, match="no measure in common"):
        compare(ranking_of("RR"), ranking_of("AP"))


def test_an_interval_of_no_width_is_not_shown() -> None:
    rows = {row.label: row for row in sections(result_of([RECORDS[0], RECORDS[0]]))["All questions"]}
    assert (rows["Exact match"].value, rows["Exact match"].interval) == ("100.0 %", "")


def test_bars_have_a_width_where_all_or_none_of_a_few_answers_are_right() -> None:
    low, high = plots._wilson(np.array([0.0, 0.5, 1.0]), np.array([4, 4, 4]))
    assert low == pytest.approx([0, 0.15, 0.51], abs=0.005)
    assert high == pytest.approx([0.49, 0.85, 1], abs=0.005)


def test_the_result_is_json_that_other_programs_read(tmp_path: Path) -> None:
    result_of(RECORDS).save(tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["questions"][1]["measures"]["f1"] == pytest.approx(2 / 3)
    assert data["intervals"].keys() <= data["metrics"].keys()


def test_one_question_is_one() -> None:
    result = replace(result_of(RECORDS[5:6]), data={**DATA, "questions": 1})
    assert heading(result).endswith(".json: 1 question, 0 with an answer and 1 without")


def test_coverage_says_how_many_answers_it_rests_on() -> None:
    result = replace(result_of(RECORDS), data={**DATA, "questions": len(RECORDS)})
    rows = sections(result)["What the score of the best quote is worth"]
    place = next(number for number, row in enumerate(rows) if row.label == "Coverage at 80 % accuracy")
    assert (rows[place].value, rows[place + 1].value) == ("14.3 %", "1")


def test_a_comparison_of_runs_with_other_thresholds_says_so() -> None:
    first, second, _ = COMPARISONS["qa"]
    assert note(first, second) == ""
    other = replace(second, settings={**second.settings, "no_answer_threshold": 1.0})
    said = note(first, other)
    assert "above 0.5 in A and above 1 in B" in said
    assert "above 1 in B" in comparison_html(first, other, compare(first, other), ("a", "b"))
