import pytest
from haystack import Document
from hypothesis import given
from hypothesis import strategies as st

from lodestone.components.converters import PlainMarkdown
from lodestone.components.converters.plain_markdown import render


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("A **bold** and *slanted* [link](http://x.y) `code`", "A bold and slanted link code"),
        ("Title\n=====\n\ntext\n\n### Deep ###", "# Title\n\ntext\n\n### Deep"),
        ("- one\n- two\n  - deep\n- three", "- one\n- two\n  - deep\n- three"),
        ("3. three\n4. four", "3. three\n4. four"),
        ("| a | b |\n|---|---|\n| 1 | *2* |", "a | b\n1 | 2"),
        ("```python\n# not a heading\n```", "```\n# not a heading\n```"),
        ("> quoted\n> words", "quoted\nwords"),
        ("![a picture](x.png) here", "a picture here"),
        ("x<br>y <b>z</b> &amp; w", "x\ny z & w"),
        ("<div>kept <script>dropped()</script></div>", "kept"),
        ("see [leave]({% page 'a b' %}#c) now", "see leave now"),
        ("2 < 3 and a\\_b", "2 < 3 and a_b"),
        ("", ""),
    ],
)
def test_markdown_reads_as_its_page_would(markdown: str, text: str) -> None:
    assert render(markdown) == text


def test_the_title_of_the_front_matter_becomes_the_first_heading() -> None:
    document = Document(content="---\ntitle: Leave types\nother: 1\n---\nBody.", meta={"source": "leave.md"})
    rendered = PlainMarkdown().run([document])["documents"][0]
    assert rendered.content == "# Leave types\n\nBody."
    assert rendered.meta == {"source": "leave.md", "title": "Leave types"}


def test_a_text_with_a_first_heading_of_its_own_keeps_it_alone() -> None:
    document = Document(content="---\ntitle: Short\n---\n# Long title\n\nBody.")
    assert PlainMarkdown().run([document])["documents"][0].content == "# Long title\n\nBody."


@pytest.mark.parametrize(
    "content", ["---\n: : :\n  - [\n---\ntext", "---\nno end", "--- \n---\ntext", "---\n- a\n---\nx"]
)
def test_odd_front_matter_loses_no_text(content: str) -> None:
    rendered = PlainMarkdown().run([Document(content=content)])["documents"][0].content
    assert rendered is not None
    assert content.splitlines()[-1] in rendered or "no end" in rendered


def test_a_document_without_content_is_passed_on() -> None:
    assert PlainMarkdown().run([Document(content=None)])["documents"][0].content is None


@given(words=st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1, max_size=30), marks=st.data())
def test_no_word_is_lost_whatever_marks_stand_between_them(words: list[str], marks: st.DataObject) -> None:
    separators = st.sampled_from([" ", "\n", "\n\n", " **", "** ", "\n- ", "\n1. ", "\n# ", "\n> ", " _", "_ ", " | "])
    markdown = "".join(word + marks.draw(separators) for word in words)
    rendered = render(markdown)
    position = 0
    for word in words:
        position = rendered.index(word, position) + len(word)
