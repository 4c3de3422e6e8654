"""`lodestone ask`: answer questions from an index."""

from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from lodestone.commands.console import (
    FilterOption,
    IndexOption,
    JsonOption,
    QueryPipelineOption,
    check_output,
    console,
    open_query_pipeline,
    print_json,
)

if TYPE_CHECKING:
    from lodestone.pipelines.answering import Answered, Filters, QueryPipeline, Question

_BATCH = 64


def ask(
    question: Annotated[str | None, typer.Argument(help="The question.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="JSONL", help="Answer every line's `query` instead.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="JSONL", help="Where --file's answers go  \\[default: stdout]")
    ] = None,
    pipeline: QueryPipelineOption = "query_faiss",
    index: IndexOption = None,
    top_k: Annotated[int | None, typer.Option("--top-k", metavar="N", help="The most answers to show.")] = None,
    filters: FilterOption = None,
    reader: Annotated[
        str | None, typer.Option("--reader", metavar="M", help="Reader model: a folder or a hub name.")
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option("--min-score", metavar="P", help="Only answers of at least this probability, 0 to 1."),
    ] = None,
    timings: Annotated[bool, typer.Option("--timings", help="Show where the time went.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Answer a question with quotes from the indexed documents, or many from a file."""
    from lodestone.components.errors import ConfigurationError
    from lodestone.pipelines.answering import Question, check_min_score
    from lodestone.pipelines.filters import parse_filters
    from lodestone.pipelines.questions import read_questions

    if (question is None) == (file is None):
        raise ConfigurationError("give either a question or --file with questions")
    if output is not None and file is None:
        raise ConfigurationError("--output goes with --file")
    check_output(output, *([] if file is None else [file]))
    check_min_score(min_score)
    common = parse_filters(filters)
    questions = (
        [Question(question, filters=common, top_k=top_k)]
        if question is not None
        else read_questions(file, filters=common, top_k=top_k)  # type: ignore[arg-type]
    )
    asked = open_query_pipeline(pipeline, index, model=reader)
    if file is None and not as_json:
        from lodestone.commands.cards import print_answer

        answered = asked.ask(questions, min_score=min_score)
        print_answer(answered[0], console(), timings=timings, min_score=min_score, copies=asked.copies())
        _explain([one.question.filters for one in answered if not one.passages], asked)
        return
    if output is None:
        _answer_all(asked, questions, None, min_score)
        return
    # What was there before stays until all questions are answered.
    partial = output.with_name(f"{output.name}.part")
    with partial.open("w", encoding="utf-8") as stream:
        _answer_all(asked, questions, stream, min_score)
    partial.replace(output)


def _answer_all(
    asked: "QueryPipeline", questions: "list[Question]", stream: IO[str] | None, min_score: float | None
) -> None:
    import json

    from rich.progress import track

    err = console(stderr=True)
    unmatched: list[Filters | None] = []
    starts = range(0, len(questions), _BATCH)
    quiet = not err.is_terminal or len(questions) == 1
    for start in track(starts, "Answering", console=err, transient=True, disable=quiet):
        for answered in asked.ask(questions[start : start + _BATCH], min_score=min_score):
            entry = _to_json(answered, asked)
            unmatched += [answered.question.filters] if not answered.passages else []
            if stream is None:
                print_json(entry)
            else:
                stream.write(json.dumps(entry, ensure_ascii=False) + "\n")
    _explain(unmatched, asked)


def _explain(unmatched: "list[Filters | None]", asked: "QueryPipeline") -> None:
    """Say on stderr of filters that nothing matches which of their fields there are not."""
    from lodestone.pipelines.filters import explain_nothing

    reasons = [explain_nothing(filters, asked.store) for filters in {str(each): each for each in unmatched}.values()]
    for reason in dict.fromkeys(reasons):
        if reason is not None:
            typer.echo(reason, err=True)


def _to_json(answered: "Answered", asked: "QueryPipeline") -> dict[str, Any]:
    return answered.to_dict(model=asked.model, index=asked.index, copies=asked.copies())
