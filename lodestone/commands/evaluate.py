"""`lodestone evaluate`: how good answers and rankings are, on data whose answers are known."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestone.commands.console import JsonOption, console, print_json

if TYPE_CHECKING:
    from lodestone.evaluation.partial import Progress
    from lodestone.evaluation.results import Result

app = typer.Typer(no_args_is_help=True)

OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        metavar="FILE",
        help="Write the result here, with every question, for `compare`; a run that was stopped goes on from there.",
    ),
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", metavar="FILE.html", help="Write a report with plots and examples.")
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--no-answer-threshold",
        metavar="P",
        help='Above which probability of "no answer" none is given  [default: 0.5, or 1 where all have an answer]',
    ),
]
SampleOption = Annotated[
    int | None, typer.Option("--sample", metavar="N", help="Only N questions, always the same ones.")
]
ResultArgument = Annotated[Path, typer.Argument(metavar="RESULT", help="What --output wrote.")]


@app.callback()
def evaluate() -> None:
    """Measure answers, their scores and rankings on data whose answers are known, and compare two runs."""


@app.command()
def squad(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A file in the format of SQuAD 1.1 or 2.0.")],
    reader: Annotated[
        str | None, typer.Option("--reader", metavar="M", help="Reader model: a folder or a hub name.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="T", help="float32, bfloat16, float16, int8, or auto.")
    ] = "auto",
    sample: SampleOption = None,
    threshold: ThresholdOption = None,
    output: OutputOption = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read every question in its own paragraph; exact match and F1 are those of the SQuAD script."""
    from lodestone.components.models import DEFAULT_READER
    from lodestone.components.readers import ExtractiveReader
    from lodestone.evaluation.reading import evaluate_squad

    model = ExtractiveReader(reader if reader is not None else DEFAULT_READER, precision=precision)
    with _progress() as progress:
        result = evaluate_squad(
            data, model, sample=sample, threshold=threshold, partial=_partial(output), progress=progress
        )
    _show(result, output, report, as_json)


@app.command()
def compare(first: ResultArgument, second: ResultArgument, as_json: JsonOption = False) -> None:
    """Compare two runs over the same questions: differences, their 95 % intervals, and p-values."""
    import dataclasses

    from lodestone.commands.figures import print_comparison
    from lodestone.evaluation.comparing import compare
    from lodestone.evaluation.results import Result

    compared = compare(Result.load(first), Result.load(second))
    if as_json:
        for each in compared:
            print_json(dataclasses.asdict(each))
        return
    print_comparison(compared, (str(first), str(second)), console())


def _partial(output: Path | None) -> Path | None:
    return None if output is None else output.with_name(f"{output.name}.part")


@contextmanager
def _progress() -> "Iterator[Progress]":
    """A bar on stderr, where that is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    err = console(stderr=True)
    columns = [TextColumn("Asking"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn(compact=True)]
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("Asking", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _show(result: "Result", output: Path | None, report: Path | None, as_json: bool) -> None:
    from lodestone.commands.figures import print_result

    if output is not None:
        result.save(output)
        output.with_name(f"{output.name}.part").unlink(missing_ok=True)
    if as_json:
        print_json({name: value for name, value in vars(result).items() if name != "questions"})
    else:
        print_result(result, console())
