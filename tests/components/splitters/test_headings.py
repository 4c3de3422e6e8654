from pathlib import Path

import pytest

from lodestone.components.splitters.headings import Kind, clean_heading, find_headings, text_kind
from lodestone.components.splitters.sections import find_sections


def outline(text: str, kind: Kind) -> list[tuple[int, str]]:
    return [(heading.level, heading.text) for heading in find_headings(text, kind)]


def test_markdown_atx_headings_have_the_level_of_their_marks() -> None:
    text = "# One\n\ntext\n## Two ##\n\n#hashtag\n####### seven\n#\n    # code\n  ### Three\n"
    assert outline(text, "markdown") == [(1, "One"), (2, "Two"), (3, "Three")]


def test_fenced_code_holds_no_headings_but_an_unclosed_fence_hides_none() -> None:
    assert outline("```sh\n# comment\n```\n# Real\n~~~~\n# no\n~~~\n# no\n~~~~\n", "markdown") == [(1, "Real")]
    assert outline("```\nnever closed\n\n# Real\n", "markdown") == [(1, "Real")]


def test_markdown_setext_headings_are_single_lines_between_blank_ones() -> None:
    assert outline("Title\n=====\n\nSub\n---\ntext\n", "markdown") == [(1, "Title"), (2, "Sub")]
    for text in (
        "a | b\n--- | ---\n",
        "two lines\nof text\n-----\n",
        "- item\n---\n",
        "text\n\n---\n\ntext",
        "| a |\n---\n",
    ):
        assert outline(text, "markdown") == []


def test_front_matter_is_no_heading_but_its_title_is() -> None:
    text = "---\ntitle: 'Leave types'\nredirect_from:\n  - /leave/\n---\n\n## Annual\n\ntext\n"
    assert outline(text, "markdown") == [(0, "Leave types"), (2, "Annual")]
    assert outline("PEP: 8\nTitle: Style Guide\nAuthor: A,\n  B\n\n\nIntro\n=====\n", "rst") == [
        (0, "Style Guide"), (1, "Intro")
    ]  # fmt: skip
    assert outline("Title: only one line of prose\n\ntext", "unknown") == []


def test_rst_underlines_take_their_levels_from_the_order_of_first_use() -> None:
    text = "Doc\n###\n\nA\n~~~\n\nB\n===\n\nA2\n~~~\n\nC\n---\n"
    assert outline(text, "rst") == [(1, "Doc"), (2, "A"), (3, "B"), (2, "A2"), (4, "C")]


def test_rst_overlines_are_a_style_of_their_own() -> None:
    assert outline("=====\n Doc\n=====\n\nPart\n=====\n\n-----\n\ntext", "rst") == [(1, "Doc"), (2, "Part")]
    assert outline("=====  =====\nA      B\n=====  =====\n1      2\n=====  =====\n", "rst") == []


def test_rst_comments_in_code_are_no_headings() -> None:
    assert outline("Example::\n\n   # a comment\n   x = 1\n", "rst") == []


def test_numbered_headings_of_plain_text_stand_alone_and_count_on() -> None:
    text = (
        "1.  Introduction\n\n  text\n\n1.1 Purpose\n\n  text\n\n   1. Save the file\n\n   2. Close it\n\n"
        "2.  Terms\n\n2.1.  Words. And more\n\n  3.1.2 is a section\n\n3.  IRC Concepts.\n\nAPPENDIX A: Codes\n\ntext\n"
    )
    assert outline(text, "text") == [
        (1, "1. Introduction"), (2, "1.1 Purpose"), (1, "2. Terms"), (1, "3. IRC Concepts."), (1, "APPENDIX A: Codes")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "1. Introduction ........ 4\n\n2. Terms ........ 5\n",
        "1. Introduction       4\n\n",
        "1. milk\n\n2. eggs\n\n",
        "12 October 1999\n\n",
        "5. Out of turn\n\ntext",
        "3.5 million people live there.\n\n",
        "1. A line\nthat goes on\n",
        "# comment\nprint(1)\n",
    ],
)
def test_what_looks_like_a_heading_of_plain_text_is_left_alone(text: str) -> None:
    assert outline(text, "text") == []


def test_a_table_of_contents_gives_way_to_the_headings_it_names() -> None:
    text = "   1. One\n\n   1.1 Sub\n\n   2. Two\n\n\n1. One\n\ntext\n\n1.1 Sub\n\ntext\n\n2. Two\n\ntext\n"
    found = find_headings(text, "text")
    assert [heading.text for heading in found] == ["1. One", "1.1 Sub", "2. Two"]
    assert found[0].start > 30


def test_html_headings_on_one_line_count_in_markdown() -> None:
    assert outline('<h2 class="x">A &amp; B</h2>\n\ntext', "markdown") == [(2, "A & B")]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("**Bold** and `code`", "Bold and code"),
        ("[Link](http://x.y/z) to _it_", "Link to it"),
        ('<a name="sec5"></a>5 *Authenticators* {#auth}', "5 Authenticators"),
        ("![logo](a.png)", ""),
        ("snake_case_name and 2*3*4", "snake_case_name and 2*3*4"),
        ("a < b &gt; c", "a < b > c"),
        ("The ``NAME := expr`` form", "The NAME := expr form"),
    ],
)
def test_headings_lose_their_markup(raw: str, clean: str) -> None:
    assert clean_heading(raw) == clean


def test_heading_spans_hold_the_underline_and_the_title() -> None:
    text = "x\n\n## *Two* ##\n\nUnder\n-----\n"
    first, second = find_headings(text, "markdown")
    assert text[first.start : first.end] == "## *Two* ##"
    assert text[first.title_start : first.title_end] == "*Two*"
    assert text[second.start : second.end] == "Under\n-----"


def test_the_kind_of_a_text_is_known_by_its_file() -> None:
    names = ["a/b.MD", "c.rst", "d.txt", "e.pdf", "f.html", "g", None, "h.xyz"]
    assert [text_kind(name) for name in names] == [
        "markdown", "rst", "text", "text", "markdown", "unknown", "unknown", "unknown"
    ]  # fmt: skip


def test_an_unknown_text_may_mix_underlines_and_marks() -> None:
    assert outline("Top\n---\n\ntext\n\nMain\n====\n", "unknown") == [(1, "Top"), (2, "Main")]
    assert outline("Top\n===\n\nSub\n---\n\n### Three\n", "unknown") == [(1, "Top"), (2, "Sub"), (3, "Three")]


def test_sections_carry_all_headings_above_them() -> None:
    text = "# A\n\na\n\n### B\n\nb\n\n## C\n\nc\n\n# D\n\nd\n"
    sections = [(section.headings, text[section.start : section.end]) for section in find_sections(text, "markdown")]
    assert sections == [(("A",), "a"), (("A", "B"), "b"), (("A", "C"), "c"), (("D",), "d")]


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("rfc/rfc2616.txt", (3, "13.2.1 Server-Specified Expiration")),
        ("rfc/rfc959.txt", (2, "4.2. FTP REPLIES")),
        ("rfc/rfc768.txt", (1, "Protocol Number")),
        ("rfc/rfc1459.txt", (2, "3.2 One-to-many")),
        ("debian/perl-policy.txt", (2, "2.3. Module Path")),
        ("peps/pep-0572.rst", (0, "Assignment Expressions")),
        ("peps/pep-0008.rst", (2, "Tabs or Spaces?")),
        ("tts-handbook/leave.md", (2, "Reasons someone can take leave")),
        ("nist-800-63-3/sp800-63b_sec5_authenticators.md", (4, "5.1.1.2 Memorized Secret Verifiers")),
    ],
)
def test_headings_of_real_documents_are_found(demo: Path, file: str, wanted: tuple[int, str]) -> None:
    text = (demo / file).read_text(encoding="utf-8", errors="replace")
    found = outline(text, text_kind(file))
    assert wanted in found
    assert len(found) == len([name for _, name in found if len(name) <= 160])


def test_no_table_of_contents_of_a_real_document_passes_for_headings(demo: Path) -> None:
    text = (demo / "rfc" / "rfc2616.txt").read_text(encoding="utf-8", errors="replace")
    names = [heading.text for heading in find_headings(text, "text")]
    assert len(names) == len(set(names))
    assert min(heading.start for heading in find_headings(text, "text")) > text.index("Table of Contents")
