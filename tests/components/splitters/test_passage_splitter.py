import itertools
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from haystack import Document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lodestone.components.errors import ConfigurationError
from lodestone.components.models import load_tokenizer
from lodestone.components.passages import searchable_text
from lodestone.components.splitters import PassageSplitter
from lodestone.components.splitters.headings import find_headings, text_kind

_PARTS = st.sampled_from(
    [
        "The limit is 240 hours. ",
        "It was raised, e.g. by Dr. Smith (see sec. 4.2). ",
        "\n\n",
        "\n",
        "\r\n",
        "\f",
        "\r",
        "# Title\n",
        "## 2. Sub *title*\n\n",
        "Under\n=====\n",
        "Over\n----\n",
        "\n\n3.1  Numbered Title\n\n",
        "- item one\n",
        "1. step\n",
        "| a | b |\n",
        "```\ncode\n```\n",
        "word " * 60,
        "x" * 700,
        "漢字かな交じり文。" * 30,
        "มนุษย์ทั้งหลาย" * 20,
        "👨‍👩‍👧🏽🇨🇭" * 12,
        "e\u0301\u0323" * 40,
        "مرحبا بكم. كيف الحال؟ ",
        "\x00",
        "\t\t",
        "---\ntitle: X\n---\n",
        "<h2>T</h2>\n",
        "[SEP] </s> [CLS] ",
        "a\u00a0b\u2028c ",
        ". . . ",
        "?!",
        "<" * 90,
        "Ａ",
        "ﬁ",
        "\u200d",
        "\ufeff",
    ]
)
_TEXTS = st.lists(_PARTS | st.text(max_size=40), max_size=30).map("".join)
_LAWS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
_SUFFIXES = st.sampled_from(["", ".md", ".rst", ".txt", ".pdf"])


def split(splitter: PassageSplitter, text: str, **meta: Any) -> list[Document]:
    passages: list[Document] = splitter.run([Document(content=text, meta=meta)])["documents"]
    return passages


def check_offsets(text: str, passages: list[Document]) -> None:
    for number, passage in enumerate(passages):
        start = passage.meta["split_idx_start"]
        assert passage.content
        assert text[start : start + len(passage.content)] == passage.content
        assert passage.content == passage.content.strip()
        assert passage.meta["split_id"] == number


def check_fit(splitter: PassageSplitter, passages: list[Document]) -> None:
    reader, embedder = load_tokenizer(splitter.reader), load_tokenizer(splitter.embedder)
    room = splitter.reader_window - splitter.max_query_tokens - reader.num_special_tokens_to_add(True)
    for passage in passages:
        content = passage.content or ""
        read = len(reader.encode(content, add_special_tokens=False))
        assert read <= room
        assert len(embedder.encode(searchable_text(passage))) <= 256
        if splitter.max_tokens is not None:
            assert max(read, len(embedder.encode(content, add_special_tokens=False))) <= splitter.max_tokens


def uncovered(text: str, passages: list[Document], name: str) -> str:
    """The characters in no passage that are neither whitespace nor a heading's."""
    left = list(text)
    for start, end in [(h.start, h.end) for h in find_headings(text, text_kind(name))] + [
        (p.meta["split_idx_start"], p.meta["split_idx_start"] + len(p.content or "")) for p in passages
    ]:
        left[start:end] = [" "] * (end - start)
    return "".join(left).strip()


@given(text=_TEXTS, suffix=_SUFFIXES)
@_LAWS
def test_passages_are_exact_fit_and_leave_nothing_out(splitter: PassageSplitter, text: str, suffix: str) -> None:
    passages = split(splitter, text, source="a" + suffix)
    check_offsets(text, passages)
    check_fit(splitter, passages)
    assert uncovered(text, passages, "a" + suffix) == ""
    if text.strip():
        assert passages


@given(text=_TEXTS)
@_LAWS
def test_the_laws_hold_for_small_passages_under_two_different_tokenizers(bpe: str, text: str) -> None:
    splitter = _other(bpe)
    passages = split(splitter, text)
    check_offsets(text, passages)
    check_fit(splitter, passages)
    assert uncovered(text, passages, "") == ""


@given(text=_TEXTS)
@_LAWS
def test_the_laws_hold_for_a_tokenizer_with_three_tokens_a_character(tiny_bpe: str, text: str) -> None:
    splitter = _other(tiny_bpe)
    passages = split(splitter, text)
    check_offsets(text, passages)
    check_fit(splitter, passages)
    assert uncovered(text, passages, "") == ""


_others: dict[str, PassageSplitter] = {}


def _other(reader: str) -> PassageSplitter:
    if reader not in _others:
        _others[reader] = PassageSplitter(reader=reader, max_tokens=24, overlap_tokens=8)
    return _others[reader]


@given(text=_TEXTS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_same_text_gives_the_same_passages(splitter: PassageSplitter, text: str) -> None:
    meta = {"root": "r", "source": "a.md"}
    once, again = split(splitter, text, **meta), split(PassageSplitter(), text, **meta)
    assert [p.to_dict() for p in once] == [p.to_dict() for p in again]
    assert len({p.id for p in once}) == len(once)


def test_the_whole_demo_corpus_keeps_the_laws(splitter: PassageSplitter, demo: Path) -> None:
    for path in sorted(demo.rglob("*")):
        if path.suffix not in {".md", ".rst", ".txt"}:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        passages = split(splitter, text, source=path.name)
        check_offsets(text, passages)
        check_fit(splitter, passages)
        assert uncovered(text, passages, path.name) == "", path


def test_a_long_rfc_is_cut_in_about_a_second(splitter: PassageSplitter, demo: Path) -> None:
    text = (demo / "rfc" / "rfc2616.txt").read_text(encoding="utf-8", errors="replace")
    split(splitter, text[:10_000])
    begun = time.process_time()
    split(splitter, text, source="rfc2616.txt")
    assert time.process_time() - begun < 5  # 0.8 s on one free Zen 5 core


def test_real_passages_fit_a_roberta_reader(bpe: str, demo: Path) -> None:
    splitter = PassageSplitter(reader=bpe)
    text = (demo / "rfc" / "rfc959.txt").read_text(encoding="utf-8", errors="replace")
    passages = split(splitter, text, source="rfc959.txt")
    check_offsets(text, passages)
    check_fit(splitter, passages)


def test_passages_begin_and_end_with_sentences(splitter: PassageSplitter) -> None:
    sentence = "Dr. Smith paid $5.5 million to the U.S. Government, i.e. to all of\nus, in sec. 3.2 of no. {}."
    text = " ".join(sentence.format(number) for number in range(60))
    passages = split(splitter, text)
    assert len(passages) > 4
    for passage in passages:
        assert (passage.content or "").startswith("Dr. Smith")
        assert re.search(r"no\. \d+\.$", passage.content or "")


def test_neighbours_overlap_by_whole_sentences_up_to_the_limit(splitter: PassageSplitter) -> None:
    text = " ".join(f"Sentence {number} has eight words in it now." for number in range(120))
    tokenizer = load_tokenizer(splitter.reader)
    passages = split(splitter, text)
    for before, after in itertools.pairwise(passages):
        end = before.meta["split_idx_start"] + len(before.content or "")
        shared = text[after.meta["split_idx_start"] : end]
        assert shared.startswith("Sentence ")
        assert shared.endswith("now.")
        assert 10 <= len(tokenizer.encode(shared, add_special_tokens=False)) <= 32
    apart = split(PassageSplitter(overlap_tokens=0), text)
    for before, after in itertools.pairwise(apart):
        assert before.meta["split_idx_start"] + len(before.content or "") < after.meta["split_idx_start"]


def test_a_passage_never_spans_a_heading(splitter: PassageSplitter) -> None:
    passages = split(splitter, "Before.\n\n# A\n\nOne.\n\n## B\n\nTwo.\n\n# C\n\nThree.\n", source="a.md")
    assert [(p.meta["headings"], p.content) for p in passages] == [
        ([], "Before."), (["A"], "One."), (["A", "B"], "Two."), (["C"], "Three.")
    ]  # fmt: skip


def test_headings_without_text_become_content_so_that_they_can_be_found(splitter: PassageSplitter) -> None:
    passages = split(splitter, "# Guide\n\n## Opening hours\n\n## Parking\n\nBehind the house.\n", source="a.md")
    assert [(p.meta["headings"], p.content) for p in passages] == [
        (["Guide"], "Opening hours"),
        (["Guide", "Parking"], "Behind the house."),
    ]
    assert [p.content for p in split(splitter, "# Only\n## Headings\n", source="a.md")] == ["Headings"]


def test_headings_that_take_too_much_room_lose_the_outermost(splitter: PassageSplitter) -> None:
    titles = [f"Level {level} " + "of a deep and wordy hierarchy " * 3 for level in range(1, 7)]
    text = "\n\n".join(f"{'#' * level} {title}" for level, title in enumerate(titles, 1)) + "\n\n" + "Body text. " * 200
    passages = split(splitter, text, source="a.md")
    check_fit(splitter, passages)
    assert passages[0].meta["headings"][-1].startswith("Level 6")
    assert 0 < len(passages[0].meta["headings"]) < 6
    long = split(splitter, "# " + "endless words " * 60 + "\n\nBody.", source="a.md")
    assert long[0].meta["headings"][0].startswith("endless words")
    check_fit(splitter, long)


def test_list_items_and_table_rows_are_not_torn_apart(splitter: PassageSplitter) -> None:
    rows = [f"| product {number} | {number * 7} pieces on the shelf | aisle {number} |" for number in range(60)]
    for text in ("\n".join(rows), "\n".join(f"- entry {row[2:-2]}" for row in rows)):
        whole = set(text.split("\n"))
        passages = split(splitter, text)
        assert len(passages) > 2
        for passage in passages:
            assert set((passage.content or "").split("\n")) <= whole


def test_an_overlong_sentence_is_cut_between_words_and_overlaps(splitter: PassageSplitter) -> None:
    text = " ".join(f"word{number}" for number in range(900))
    passages = split(splitter, text)
    assert len(passages) > 3
    for before, after in itertools.pairwise(passages):
        assert set((before.content or "").split()) <= set(text.split())
        assert after.meta["split_idx_start"] < before.meta["split_idx_start"] + len(before.content or "")


def test_an_overlong_word_is_cut_between_visible_characters(tiny_bpe: str) -> None:
    family = "👨‍👩‍👧🏽"
    splitter = PassageSplitter(reader=tiny_bpe, max_tokens=64, overlap_tokens=0)
    passages = split(splitter, family * 50)
    assert len(passages) > 10
    assert all(set((passage.content or "").split(family)) == {""} for passage in passages)


@pytest.mark.parametrize("text", ["x" * 2_000_000, "漢字" * 100_000, "word " * 100_000, "a-b/" * 200_000])
def test_one_huge_line_is_cut_into_passages(splitter: PassageSplitter, text: str) -> None:
    passages = split(splitter, text)
    check_offsets(text, passages)
    assert max(len(passage.content or "") for passage in passages) < 5000
    assert uncovered(text, passages, "") == ""


def test_pages_are_those_of_the_first_character(splitter: PassageSplitter) -> None:
    text = "\f".join(
        f"Page {page} begins here and says something of its own. " + "More of it. " * 90 for page in range(1, 8)
    )
    passages = split(splitter, text, source="a.pdf")
    assert len(passages) > 7
    for passage in passages:
        start = passage.meta["split_idx_start"]
        assert passage.meta["page_number"] == text.count("\f", 0, start) + 1
    assert {passage.meta["page_number"] for passage in passages} == set(range(1, 8))


def test_a_sentence_may_run_across_a_page_break(splitter: PassageSplitter) -> None:
    (passage,) = split(splitter, "It ends on\fthe next page. Done.", source="a.pdf")
    assert passage.content == "It ends on\fthe next page. Done."
    assert passage.meta["page_number"] == 1


def test_only_documents_with_pages_have_page_numbers(splitter: PassageSplitter) -> None:
    assert "page_number" not in split(splitter, "Text.", source="a.md")[0].meta
    assert split(splitter, "Text.", source="a.PDF")[0].meta["page_number"] == 1
    assert split(splitter, "Text.", file_path="b/slides.pptx")[0].meta["page_number"] == 1
    assert split(splitter, "A.\fB.", source="a.txt")[0].meta["page_number"] == 1


def test_documents_without_text_are_left_out_with_a_warning(
    splitter: PassageSplitter, caplog: pytest.LogCaptureFixture
) -> None:
    documents = [Document(content=None, meta={"source": "scan.pdf"}), Document(content=""), Document(content=" \n\f\n")]
    result = splitter.run(documents)
    assert result["documents"] == []
    assert len(result["sources"]) == 2
    assert "scan.pdf" in caplog.text


def test_sources_keep_their_text_under_the_source_id(splitter: PassageSplitter) -> None:
    document = Document(content="One. Two.", meta={"root": "r", "source": "a.txt", "author": {"name": "A"}})
    result = splitter.run([document])
    (source,), (passage,) = result["sources"], result["documents"]
    assert source.id == passage.meta["source_id"]
    assert source.content == document.content
    assert source.meta == document.meta
    assert passage.meta["author"] == {"name": "A"}
    assert "headings" not in document.meta


def test_ids_depend_on_place_text_and_settings_and_on_nothing_else(splitter: PassageSplitter) -> None:
    meta = {"root": "r", "source": "a.txt"}
    first = split(splitter, "One. Two.", **meta, file_path="/tmp/x/a.txt")[0]
    assert re.fullmatch(r"[0-9a-f]{64}", first.id)
    assert split(splitter, "One. Two.", **meta, file_path="/home/y/a.txt")[0].id == first.id
    others = [
        split(splitter, "One. Two.", root="other", source="a.txt")[0],
        split(splitter, "One. Two.", root="r", source="b.txt")[0],
        split(splitter, "One. Three.", **meta)[0],
        split(PassageSplitter(overlap_tokens=0), "One. Two.", **meta)[0],
        split(splitter, "One. Two.", **meta, row=2)[0],
    ]
    assert len({first.id, *(other.id for other in others)}) == 6


def test_equal_documents_in_one_call_do_not_collide(splitter: PassageSplitter) -> None:
    for meta in ({"root": "r", "source": "a.jsonl"}, {}):
        documents = [Document(content="The same.", meta=dict(meta)) for _ in range(3)]
        result = splitter.run(documents)
        assert len({passage.id for passage in result["documents"]}) == 3
        assert len({source.id for source in result["sources"]}) == 3


def test_headings_of_the_document_stand_above_its_own(splitter: PassageSplitter) -> None:
    (passage,) = split(splitter, "# Inner\n\nText.", source="a.md", headings=["Sheet 1"])
    assert passage.meta["headings"] == ["Sheet 1", "Inner"]


def test_the_component_goes_through_a_dictionary() -> None:
    splitter = PassageSplitter(max_tokens=100, overlap_tokens=0, language="de")
    data = splitter.to_dict()
    assert data == {
        "type": "lodestone.components.splitters.passage_splitter.PassageSplitter",
        "init_parameters": {
            "embedder": "sentence-transformers/all-MiniLM-L6-v2",
            "reader": "lodestone/reader-minilm",
            "max_tokens": 100,
            "overlap_tokens": 0,
            "max_query_tokens": 64,
            "reader_window": 384,
            "language": "de",
        },
    }
    assert PassageSplitter.from_dict(data).to_dict() == data


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_tokens": 0}, "max_tokens must be a whole number of at least 16, got 0"),
        ({"overlap_tokens": -1}, "overlap_tokens must be a whole number of at least 0, got -1"),
        ({"overlap_tokens": 1.5}, "got 1.5"),
        ({"max_query_tokens": 0}, "max_query_tokens"),
        ({"language": ""}, "language"),
    ],
)
def test_wrong_parameters_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PassageSplitter(**parameters)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_tokens": 300}, "max_tokens must be at most 254, got 300"),
        ({"max_tokens": 40, "overlap_tokens": 32}, "overlap_tokens must be at most 20"),
        ({"reader_window": 80}, "leaves 13 tokens"),
        ({"reader_window": 513}, "reader_window must be at most 512"),
        ({"reader": "/no/such/folder"}, "no model folder"),
    ],
)
def test_parameters_that_do_not_fit_the_models_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PassageSplitter(**parameters).warm_up()


def test_threads_may_share_a_splitter() -> None:
    splitter = PassageSplitter()
    results: list[list[str]] = []

    def work() -> None:
        results.append([passage.id for passage in split(splitter, "One. " * 900, source="a.txt")])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(result == results[0] for result in results)
