"""`lodestone evaluate`: how good answers and rankings are, on data whose answers are known."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestone.commands.console import JsonOption, QueryPipelineOption, check_output, console, print_json
from lodestone.commands.corpus import index_corpus
from lodestone.commands.measuring import (
    IndexingOption,
    indexing_for,
    own_index,
    progress_bar,
    temporary_index,
    working,
)

if TYPE_CHECKING:
    from lodestone.evaluation.results import Result

_ANSWERS = "answers.jsonl"

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
        min=0,
        max=1,
        help='Above which probability of "no answer" none is given (default: 0.5, or 1 where all have an answer)',
    ),
]
SampleOption = Annotated[
    int | None, typer.Option("--sample", metavar="N", min=1, help="Only N questions, always the same ones.")
]
ReaderOption = Annotated[
    str | None, typer.Option("--reader", metavar="M", help="Reader model: a folder or a hub name.")
]
CorpusIndexOption = Annotated[
    Path | None,
    typer.Option(
        "--corpus-index",
        metavar="DIR",
        help="Keep the index of the data's own corpus here, to use it again; in Elasticsearch, its name.",
    ),
]
ResultArgument = Annotated[Path, typer.Argument(metavar="RESULT", help="What --output wrote.")]


@app.callback()
def evaluate() -> None:
    """Measure answers, their scores and rankings on data whose answers are known, and compare two runs."""


@app.command()
def squad(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A file in the format of SQuAD 1.1 or 2.0.")],
    reader: ReaderOption = None,
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
    _check_outputs(data, output, report)
    with working(output) as work, progress_bar("Asking") as progress:
        result = evaluate_squad(
            data, model, sample=sample, threshold=threshold, partial=work / _ANSWERS, progress=progress
        )
        _write(result, output, report)
    _show(result, as_json)


@app.command()
def qa(
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="DATA", help="JSON lines with `question`, `answers` and perhaps `file`, or a SQuAD file."
        ),
    ],
    pipeline: QueryPipelineOption = "query_faiss",
    corpus: Annotated[
        list[Path] | None,
        typer.Option("--corpus", metavar="PATH", help="Files to ask (default: the paragraphs of a SQuAD file)"),
    ] = None,
    index: Annotated[Path | None, typer.Option("--index", metavar="DIR", help="Ask this index as it is.")] = None,
    indexing: IndexingOption = None,
    corpus_index: CorpusIndexOption = None,
    reader: ReaderOption = None,
    sample: SampleOption = None,
    threshold: ThresholdOption = None,
    output: OutputOption = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a query pipeline questions of a corpus: retrieval, answers and their scores together."""
    from lodestone.components.errors import ConfigurationError
    from lodestone.evaluation.qa import evaluate_qa, read_qa
    from lodestone.pipelines import load_pipeline

    if corpus and index is not None:
        raise ConfigurationError("give either --corpus, to index it, or --index, to ask it as it is")
    _check_outputs(data, output, report)
    asked = read_qa(data)
    overrides = {"ExtractiveReader": {"model": reader}} if reader is not None else None
    indexing = indexing_for(pipeline, indexing)
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(working(output))
        if corpus:
            named = [path.resolve() for path in corpus]
            index = stack.enter_context(temporary_index(indexing, work, named))
            index_corpus(corpus, indexing, index)
        elif index is None and asked.paragraphs:
            index = stack.enter_context(own_index(asked.paragraphs.items(), [data], indexing, corpus_index, work))
        loaded = load_pipeline(pipeline, index=index, overrides=overrides)
        with progress_bar("Asking") as progress:
            result = evaluate_qa(
                data, asked, loaded, sample=sample, threshold=threshold, partial=work / _ANSWERS, progress=progress
            )
        _write(result, output, report)
    _show(result, as_json)


@app.command()
def retrieval(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A collection: corpus.jsonl, queries.jsonl and qrels.tsv (BEIR).")
    ],
    pipeline: QueryPipelineOption = "query_faiss",
    indexing: IndexingOption = None,
    corpus_index: CorpusIndexOption = None,
    measures: Annotated[
        list[str] | None,
        typer.Option("--measure", metavar="M", help="As ir-measures names it, such as nDCG@10; several may be given."),
    ] = None,
    depth: Annotated[int, typer.Option("--depth", metavar="N", min=1, help="How many documents to rank.")] = 100,
    sample: SampleOption = None,
    output: OutputOption = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search a collection with what a query pipeline has before its reader."""
    from lodestone.evaluation.ranking import MEASURES, collection_files, evaluate_retrieval
    from lodestone.evaluation.retrieval import check_depth, read_collection
    from lodestone.pipelines import load_pipeline

    _check_outputs(folder, output, report)
    # A measure that cannot be taken is refused before the work.
    check_depth(measures or MEASURES, depth)
    collection = read_collection(folder)
    indexing = indexing_for(pipeline, indexing)
    texts = ((name, f"{entry.title}\n\n{entry.text}".strip()) for name, entry in collection.corpus.items())
    with (
        working(output) as work,
        own_index(texts, collection_files(folder)[:1], indexing, corpus_index, work) as index,
    ):
        loaded = load_pipeline(pipeline, index=index)
        with progress_bar("Asking") as progress:
            result = evaluate_retrieval(
                folder,
                collection,
                loaded,
                measures=measures or MEASURES,
                depth=depth,
                sample=sample,
                partial=work / _ANSWERS,
                progress=progress,
            )
        _write(result, output, report)
    _show(result, as_json)


@app.command()
def compare(
    first: ResultArgument, second: ResultArgument, report: ReportOption = None, as_json: JsonOption = False
) -> None:
    """Compare two runs over the same questions: differences, their 95 % intervals, and p-values."""
    import dataclasses

    from lodestone.commands.figures import print_comparison
    from lodestone.evaluation.comparing import compare, note
    from lodestone.evaluation.comparison_report import write_comparison
    from lodestone.evaluation.results import Result

    for file in (first, second):
        _check_outputs(file, None, report)
    runs, names = (Result.load(first), Result.load(second)), (str(first), str(second))
    compared = compare(*runs)
    if report is not None:
        write_comparison(*runs, compared, names, report)
    if as_json:
        measures = [dataclasses.asdict(each) for each in compared]
        print_json({"first": str(first), "second": str(second), "note": note(*runs), "measures": measures})
        return
    print_comparison(compared, names, note(*runs), console())


def _check_outputs(data: Path, output: Path | None, report: Path | None) -> None:
    """Refuse before the work what could not be written after it."""
    from lodestone.evaluation.plots import require_matplotlib

    if report is not None:
        require_matplotlib()
    check_output(output, data)
    check_output(report, data, *([output] if output is not None else []))


def _write(result: "Result", output: Path | None, report: Path | None) -> None:
    if output is not None:
        result.save(output)
    if report is not None:
        from lodestone.evaluation.report import write_report

        write_report(result, report)


def _show(result: "Result", as_json: bool) -> None:
    from lodestone.commands.figures import print_result

    if as_json:
        print_json({name: value for name, value in vars(result).items() if name != "questions"})
    else:
        print_result(result, console())
