"""`lodestone calibrate`: fit a reader's probabilities to questions whose answers are known."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestone.commands.console import JsonOption, check_output, console, print_json
from lodestone.commands.measuring import IndexingOption, indexing_for, own_index, progress_bar, working

if TYPE_CHECKING:
    from haystack import Document

    from lodestone.components.readers import ExtractiveReader
    from lodestone.components.readers.calibration import Calibration
    from lodestone.evaluation.qa import Asked, QAData


def calibrate(
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            metavar="DATA",
            help="A SQuAD file, or JSON lines with `question` and `answers`; several count as much as each other.",
        ),
    ],
    reader: Annotated[
        str | None, typer.Option("--reader", metavar="M", help="Reader model: a folder or a hub name.")
    ] = None,
    pipeline: Annotated[
        str | None,
        typer.Option("--pipeline", metavar="P", help="Fit to what this query pipeline retrieves and reads."),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            metavar="DIR",
            help="Ask this index, a folder or a name in Elasticsearch  \\[default: one of the data's own paragraphs]",
        ),
    ] = None,
    indexing: IndexingOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Where the calibration goes  \\[default: the cache, where the reader finds it by its weights]",
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=1, help="At most N questions a file, always the same ones.")
    ] = 2000,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", help="Fit all weights anew, for some 1,000 questions, instead of adapting what is there."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit a reader's probabilities to labelled questions, for a model or for one pipeline, and say what it gains."""
    from lodestone.components.errors import ConfigurationError
    from lodestone.components.models import DEFAULT_READER, resolve_model
    from lodestone.components.readers import ExtractiveReader
    from lodestone.components.readers.calibration import cached_calibration, hash_weights
    from lodestone.evaluation.calibrating import bm25_passages, check_questions
    from lodestone.evaluation.calibrating import calibrate as fit
    from lodestone.evaluation.fingerprint import hash_files
    from lodestone.evaluation.qa import read_qa

    if pipeline is not None and output is None:
        raise ConfigurationError(
            "the calibration of a pipeline needs a file of its own: give --output, and name it in the pipeline's YAML "
            "as the reader's `calibration`"
        )
    if pipeline is None and (index is not None or indexing is not None):
        raise ConfigurationError(f"--{'indexing' if index is None else 'index'} goes with --pipeline")
    check_output(output, *data)
    files = [read_qa(file) for file in data]
    hashes = [hash_files([file]) for file in data]
    if len(set(hashes)) < len(data):
        raise ConfigurationError("a file, or a copy of it, is given twice; held-out questions would have been seen")
    if pipeline is None and not any(each.paragraphs for each in files):
        raise ConfigurationError("JSON lines hold no paragraphs to search: give --pipeline and --index")
    chosen = [_taken(file, each.questions, sample) for file, each in zip(data, files, strict=True)]
    questions = [question for each in chosen for question in each]
    check_questions(questions)
    about: dict[str, object] = {
        "data": [
            {"file": file.name, "sha256": sha256, "questions": len(each)}
            for file, sha256, each in zip(data, hashes, chosen, strict=True)
        ]
    }
    model = ExtractiveReader(reader if reader is not None else DEFAULT_READER)
    place = output if output is not None else cached_calibration(hash_weights(resolve_model(model.model)))
    place.parent.mkdir(parents=True, exist_ok=True)
    with working(place) as work:
        if pipeline is None:
            passages = bm25_passages(questions, [text for each in files for text in each.paragraphs.values()])
            about["retrieval"] = "BM25 over the data's paragraphs"
        else:
            with _index(pipeline, index, indexing, data, files, work) as asked:
                model, passages, about["pipeline_sha256"] = _retrieve(pipeline, asked, reader, questions)
        with progress_bar("Reading") as progress:
            calibration = fit(
                model,
                questions,
                passages,
                fresh=fresh,
                sizes=[len(each) for each in chosen],
                about=about,
                partial=work,
                progress=progress,
            )
        calibration.save(place)
    _show(calibration, place, as_json)


def _taken(file: Path, questions: "Sequence[Asked]", sample: int) -> "Sequence[Asked]":
    """A sample of a file's questions; that some are left out is said."""
    from lodestone.evaluation.partial import sampled

    taken = sampled(questions, sample)
    if len(taken) < len(questions):
        typer.echo(f"{file}: {len(taken):,} of {len(questions):,} questions are taken; more with --sample", err=True)
    return taken


def _index(
    pipeline: str, index: Path | None, indexing: str | None, data: list[Path], files: "Sequence[QAData]", work: Path
) -> contextlib.AbstractContextManager[Path | None]:
    """The index that a pipeline asks: the given one, else one of the data's own paragraphs, else the pipeline's."""
    if index is not None or not all(each.paragraphs for each in files):
        return contextlib.nullcontext(index)
    texts = [text for each in files for text in each.paragraphs.values()]
    named = ((str(number), text) for number, text in enumerate(texts))
    return own_index(named, data, indexing_for(pipeline, indexing), None, work)


def _retrieve(
    pipeline: str, index: Path | None, reader: str | None, questions: "Sequence[Asked]"
) -> "tuple[ExtractiveReader, list[list[Document]], str]":
    """The reader of a pipeline, what the pipeline retrieves for each question, and its hash."""
    from lodestone.components.errors import ConfigurationError
    from lodestone.components.readers import ExtractiveReader
    from lodestone.evaluation.fingerprint import hash_pipeline
    from lodestone.pipelines import load_pipeline
    from lodestone.pipelines.answering import QueryPipeline, Question

    overrides = {"ExtractiveReader": {"model": reader}} if reader is not None else None
    loaded = load_pipeline(pipeline, index=index, overrides=overrides)
    sha256 = hash_pipeline(loaded)
    asked = QueryPipeline(loaded)
    if not isinstance(asked.reader, ExtractiveReader):
        raise ConfigurationError(f"only an ExtractiveReader can be calibrated, {pipeline} has another reader")
    passages = []
    with progress_bar("Searching") as progress:
        for number, question in enumerate(questions):
            progress(number, len(questions))
            passages.append(asked.search(Question(question.text)))
    if hasattr(asked.store, "close"):
        asked.store.close()
    return asked.reader, passages, sha256


def _show(calibration: "Calibration", place: Path, as_json: bool) -> None:
    from lodestone.commands.figures import print_calibration

    if as_json:
        print_json({"output": str(place), **calibration.fitted_on})
        return
    print_calibration(calibration, console())
    typer.echo(f"kept in {place}")
