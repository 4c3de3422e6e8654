"""`lodestone calibrate`: fit a reader's probabilities to questions whose answers are known."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestone.commands.console import JsonOption, check_output, console, print_json

if TYPE_CHECKING:
    from haystack import Document

    from lodestone.components.readers import ExtractiveReader
    from lodestone.components.readers.calibration import Calibration
    from lodestone.evaluation.qa import QAData


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
        typer.Option("--index", metavar="DIR", help="Ask this index  \\[default: one of the data's own paragraphs]"),
    ] = None,
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
    from lodestone.evaluation.calibrating import bm25_passages
    from lodestone.evaluation.calibrating import calibrate as fit
    from lodestone.evaluation.fingerprint import hash_files
    from lodestone.evaluation.partial import sampled
    from lodestone.evaluation.qa import read_qa

    if pipeline is not None and output is None:
        raise ConfigurationError(
            "the calibration of a pipeline needs a file of its own: give --output, and name it in the pipeline's YAML "
            "as the reader's `calibration`"
        )
    if pipeline is None and index is not None:
        raise ConfigurationError("--index goes with --pipeline")
    check_output(output, *data)
    files = [read_qa(file) for file in data]
    hashes = [hash_files([file]) for file in data]
    if len(set(hashes)) < len(data):
        raise ConfigurationError("a file, or a copy of it, is given twice; held-out questions would have been seen")
    chosen = [sampled(each.questions, sample) for each in files]
    questions = [question for each in chosen for question in each]
    weights = [len(questions) / len(chosen) / len(each) for each in chosen for _ in each]
    about: dict[str, object] = {
        "data": [
            {"file": file.name, "sha256": sha256, "questions": len(each)}
            for file, sha256, each in zip(data, hashes, chosen, strict=True)
        ]
    }
    if pipeline is None:
        paragraphs = [text for each in files for text in each.paragraphs.values()]
        if not paragraphs:
            raise ConfigurationError("JSON lines hold no paragraphs to search: give --pipeline and --index")
        model = ExtractiveReader(reader if reader is not None else DEFAULT_READER)
        passages = bm25_passages(questions, paragraphs)
        about["retrieval"] = "BM25 over the data's paragraphs"
    else:
        model, passages, about["pipeline_sha256"] = _retrieve(
            pipeline, index, reader, files, [q.text for q in questions]
        )
    with console(stderr=True).status("Reading"):
        calibration = fit(model, questions, passages, fresh=fresh, weights=weights, about=about)
    place = output if output is not None else cached_calibration(hash_weights(resolve_model(model.model)))
    place.parent.mkdir(parents=True, exist_ok=True)
    calibration.save(place)
    _show(calibration, place, as_json)


def _retrieve(
    pipeline: str, index: Path | None, reader: str | None, files: "Sequence[QAData]", questions: Sequence[str]
) -> "tuple[ExtractiveReader, list[list[Document]], str]":
    from lodestone.commands.corpus import index_corpus
    from lodestone.components.errors import ConfigurationError
    from lodestone.components.readers import ExtractiveReader
    from lodestone.evaluation.corpus import write_corpus
    from lodestone.evaluation.fingerprint import hash_pipeline
    from lodestone.pipelines import load_pipeline
    from lodestone.pipelines.answering import QueryPipeline, Question

    overrides = {"ExtractiveReader": {"model": reader}} if reader is not None else None
    with tempfile.TemporaryDirectory(prefix="lodestone-calibrate-") as work:
        if index is None and all(each.paragraphs for each in files):
            texts = [text for each in files for text in each.paragraphs.values()]
            write_corpus(((str(number), text) for number, text in enumerate(texts)), Path(work) / "corpus")
            index = Path(work) / "index"
            index_corpus([Path(work) / "corpus"], "indexing_faiss", index)
        loaded = load_pipeline(pipeline, index=index, overrides=overrides)
        sha256 = hash_pipeline(loaded)
        asked = QueryPipeline(loaded)
        if not isinstance(asked.reader, ExtractiveReader):
            raise ConfigurationError(f"only an ExtractiveReader can be calibrated, {pipeline} has another reader")
        passages = [asked.search(Question(text)) for text in questions]
        asked.store.close()
    return asked.reader, passages, sha256


def _show(calibration: "Calibration", place: Path, as_json: bool) -> None:
    if as_json:
        print_json({"output": str(place), **calibration.fitted_on})
        return
    fitted = calibration.fitted_on
    typer.echo(f"fitted on {fitted['questions']} questions, {fitted['unanswerable']} of them without an answer")
    for precision, figures in fitted["held_out"].items():
        before, after = figures["before"], figures["after"]
        was = f"{before['ece']:.3f} before, " if before is not None else ""
        typer.echo(
            f"calibration error on held-out questions, {precision}: {was}{after['ece']:.3f} after; perfect "
            f"probabilities would show {after['ece_of_perfect']:.3f} on so many questions"
        )
    typer.echo(f"kept in {place}")
