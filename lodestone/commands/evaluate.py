"""`lodestone evaluate`: how good answers and rankings are, on data whose answers are known."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestone.commands.console import JsonOption, QueryPipelineOption, check_output, console, print_json
from lodestone.commands.corpus import index_corpus

if TYPE_CHECKING:
    from lodestone.evaluation.partial import Progress
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
IndexingOption = Annotated[str, typer.Option("--indexing", metavar="P", help="Indexing pipeline for the corpus.")]
CorpusIndexOption = Annotated[
    Path | None,
    typer.Option(
        "--corpus-index", metavar="DIR", help="Keep the index of the data's own corpus here, to use it again."
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
    with _work(output) as work, _progress() as progress:
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
    indexing: IndexingOption = "indexing_faiss",
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
    from lodestone.evaluation.fingerprint import fingerprint
    from lodestone.evaluation.qa import evaluate_qa, read_qa
    from lodestone.pipelines import load_pipeline

    if corpus and index is not None:
        raise ConfigurationError("give either --corpus, to index it, or --index, to ask it as it is")
    _check_outputs(data, output, report)
    asked = read_qa(data)
    overrides = {"ExtractiveReader": {"model": reader}} if reader is not None else None
    with _work(output) as work:
        if corpus:
            index = work / f"index-{fingerprint(indexing, [path.resolve() for path in corpus])[:12]}"
            index_corpus(corpus, indexing, index)
        elif index is None and asked.paragraphs:
            index = _index_own(asked.paragraphs.items(), [data], indexing, corpus_index, work)
        loaded = load_pipeline(pipeline, index=index, overrides=overrides)
        with _progress() as progress:
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
    indexing: IndexingOption = "indexing_faiss",
    corpus_index: CorpusIndexOption = None,
    measures: Annotated[
        list[str] | None,
        typer.Option("--measure", metavar="M", help="As ir-measures names it, such as nDCG@10; several may be given."),
    ] = None,
    depth: Annotated[int, typer.Option("--depth", metavar="N", min=1, help="How many passages to retrieve.")] = 100,
    sample: SampleOption = None,
    output: OutputOption = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search a collection with what a query pipeline has before its reader."""
    from lodestone.evaluation.ranking import MEASURES, collection_files, evaluate_retrieval
    from lodestone.evaluation.retrieval import measure, read_collection
    from lodestone.pipelines import load_pipeline

    _check_outputs(folder, output, report)
    # An unknown name is refused before the work.
    measure({}, {}, measures or MEASURES)
    collection = read_collection(folder)
    with _work(output) as work:
        texts = ((name, f"{entry.title}\n\n{entry.text}".strip()) for name, entry in collection.corpus.items())
        index = _index_own(texts, collection_files(folder)[:1], indexing, corpus_index, work)
        loaded = load_pipeline(pipeline, index=index)
        with _progress() as progress:
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
    from lodestone.evaluation.comparing import compare
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
        print_json({"first": str(first), "second": str(second), "measures": measures})
        return
    print_comparison(compared, names, console())


@contextlib.contextmanager
def _work(output: Path | None) -> Iterator[Path]:
    """A folder for what is not finished: beside the output, kept when the run is stopped, or else a temporary one."""
    if output is None:
        with tempfile.TemporaryDirectory(prefix="lodestone-evaluate-") as temporary:
            yield Path(temporary)
        return
    folder = output.with_name(f"{output.name}.part")
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    except BaseException as error:
        with contextlib.suppress(OSError):
            # Nothing was begun.
            folder.rmdir()
        if isinstance(error, KeyboardInterrupt):
            typer.echo("stopped; run the same command again to go on", err=True)
            raise typer.Exit(1) from error
        raise
    shutil.rmtree(folder)


@contextlib.contextmanager
def _progress() -> "Iterator[Progress]":
    """A bar on stderr, where that is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    err = console(stderr=True)
    columns = [TextColumn("Asking"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn(compact=True)]
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("Asking", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _index_own(
    texts: Iterable[tuple[str, str]], files: list[Path], indexing: str, index: Path | None, work: Path
) -> Path:
    """Index the corpus that comes with the data; nothing of other data is in that index."""
    from lodestone.evaluation.corpus import write_corpus
    from lodestone.evaluation.fingerprint import fingerprint, hash_files

    name = f"evaluation-{hash_files(files)[:12]}"
    index = index if index is not None else work / f"index-{fingerprint(indexing, name)[:12]}"
    write_corpus(texts, work / name)
    index_corpus([work / name], indexing, index, root_name=name)
    return index


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
