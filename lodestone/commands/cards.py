"""Answers and passages as a person reads them in a terminal."""

from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

if TYPE_CHECKING:
    from haystack import Document
    from haystack.dataclasses import ExtractedAnswer

    from lodestone.pipelines.answering import Answered
    from lodestone.pipelines.copies import Copies

_COPIES = 3
_NEAREST = 3
_EXCERPT_CHARS = 240


def print_answer(
    answered: "Answered",
    out: Console,
    *,
    timings: bool = False,
    min_score: float | None = None,
    copies: "Copies | None" = None,
) -> None:
    """Print a card for each answer, or that there is none with the nearest passages.

    :param answered: What the pipeline said.
    :param out: Where to print.
    :param timings: Whether to print milliseconds by stage.
    :param min_score: The lowest score that was asked for, to name when nothing reaches it.
    :param copies: Looks up the copies of documents; None to leave these out.
    """
    out.print()
    if not answered.passages:
        out.print(Text(" No passage was found: nothing in the index matches the filter", style="bold yellow"))
    elif answered.answered and not answered.answers:
        out.print(Text(f" No answer reaches {min_score or 0:.0%}", style="bold yellow"))
    elif answered.answered:
        for rank, answer in enumerate(answered.answers, start=1):
            out.print(_card(rank, answer, out.width, copies))
        if answered.calibrated and answered.no_answer_score is not None:
            out.print(Text(f" No answer: {answered.no_answer_score:.0%}", style="dim"))
    else:
        _print_no_answer(answered, out)
    if timings:
        stages = ", ".join(f"{stage} {spent:.0f} ms" for stage, spent in answered.timings_ms.items())
        out.print(Text(f" {stages}", style="dim"))


def print_passages(passages: "list[Document]", out: Console, copies: "Copies | None" = None) -> None:
    """Print passages, best first.

    :param passages: The passages.
    :param out: Where to print.
    :param copies: Looks up the copies of documents; None to leave these out.
    """
    for rank, passage in enumerate(passages, start=1):
        title = Text(f"{rank}", style="bold")
        out.print(
            Panel(
                Group(Text(_folded(passage.content or "")), *_also_in(passage, copies)),
                title=title,
                title_align="left",
                subtitle=_place(passage),
                subtitle_align="left",
                border_style="cyan",
            )
        )


def _print_no_answer(answered: "Answered", out: Console) -> None:
    if answered.calibrated and answered.no_answer_score is not None:
        out.print(Text(f" No answer ({answered.no_answer_score:.0%})", style="bold yellow"))
    else:
        out.print(
            Text(" No answer (uncalibrated: no quote scores above the model's own no-answer)", style="bold yellow")
        )
    if answered.answers:
        best = answered.answers[0]
        quote = _folded(best.data or "")
        guess = Text.assemble("Best guess: ", (quote, "bold"), f"  {_score(best)}  ")
        assert best.document is not None
        guess.append(_place(best.document, page=best.meta.get("answer_page_number")))
        out.print(Padding(guess, (0, 1)))
    if answered.passages:
        out.print(Padding(Text("The nearest passages:", style="dim"), (1, 1, 0, 1)))
    for passage in answered.passages[:_NEAREST]:
        excerpt = _folded(passage.content or "")
        excerpt = excerpt if len(excerpt) <= _EXCERPT_CHARS else f"{excerpt[:_EXCERPT_CHARS].rsplit(' ', 1)[0]} ..."
        out.print(Padding(Group(Text(excerpt), _place(passage)), (0, 1, 1, 3)))


def _card(rank: int, answer: "ExtractedAnswer", width: int, copies: "Copies | None") -> Panel:
    assert answer.document is not None
    assert answer.context_offset is not None
    context = answer.context or ""
    start, end = answer.context_offset.start, answer.context_offset.end
    body = Text.assemble(
        "..." if _cut_before(answer) else "",
        _folded(context[:start], edge="right"),
        (_folded(context[start:end]), "bold black on bright_yellow"),
        _folded(context[end:], edge="left"),
        "..." if _cut_behind(answer) else "",
    )
    quote = Text(_folded(answer.data or ""), style="bold green")
    score = _score(answer)
    quote.truncate(max(8, width - len(score) - 14), overflow="ellipsis")
    title = Text.assemble((f"{rank}  ", "bold"), quote, f"  {score}")
    subtitle = _place(answer.document, page=answer.meta.get("answer_page_number"))
    more = len(answer.meta.get("evidence", [])) - 1
    if more > 0:
        subtitle.append(f" (and {more} more place{'s' if more > 1 else ''})")
    parts = Group(body, *_also_in(answer.document, copies))
    return Panel(parts, title=title, title_align="left", subtitle=subtitle, subtitle_align="left", border_style="cyan")


def _cut_before(answer: "ExtractedAnswer") -> bool:
    assert answer.document_offset is not None
    assert answer.context_offset is not None
    return answer.document_offset.start > answer.context_offset.start


def _cut_behind(answer: "ExtractedAnswer") -> bool:
    assert answer.document is not None
    assert answer.document_offset is not None
    assert answer.context_offset is not None
    left = answer.document_offset.start - answer.context_offset.start
    return left + len(answer.context or "") < len((answer.document.content or "").rstrip())


def _score(answer: "ExtractedAnswer") -> str:
    if answer.meta.get("calibrated"):
        return f"{answer.score:.0%}"
    return f"margin {answer.score:+.1f} (uncalibrated)"


def _place(passage: "Document", page: Any = None) -> Text:
    """File, page and headings of a passage."""
    page = passage.meta.get("page_number") if page is None else page
    place = Text(str(passage.meta.get("source", passage.id)), style="cyan")
    if page is not None:
        place.append(f", page {page}")
    headings = passage.meta.get("headings")
    if headings:
        place.append(f"  {' > '.join(map(str, headings[-2:]))}", style="dim cyan")
    return place


def _also_in(passage: "Document", copies: "Copies | None") -> list[Text]:
    """A line with the files that hold the same; none where there are none."""
    found = [] if copies is None else copies.of(passage.meta)
    more = f" and {len(found) - _COPIES:,} more" if len(found) > _COPIES else ""
    return [Text(f"also in: {', '.join(found[:_COPIES])}{more}", style="dim")] if found else []


def _folded(text: str, edge: str = "") -> str:
    """White space folded for display; one blank kept on the side where the text goes on."""
    folded = " ".join(text.split())
    if edge == "right" and text[-1:].isspace():
        folded += " "
    if edge == "left" and text[:1].isspace():
        folded = f" {folded}"
    return folded
