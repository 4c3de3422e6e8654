"""`lodestone index`: bring an index up to date with folders and files."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestone.commands.console import IndexOption, JsonOption, check_output, console, counted, print_json
from lodestone.components.errors import ConfigurationError
from lodestone.stopping import resumable, say_how_to_resume, typed

if TYPE_CHECKING:
    from lodestone.indexing import Report
    from lodestone.indexing.job_file import JobDefinition
    from lodestone.indexing.job_record import JobRecord
    from lodestone.indexing.worker_process import WorkerProcess


@resumable()
def index(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH...", help="Folders, files, globs and URLs to index.")
    ] = None,
    job: Annotated[
        Path | None, typer.Option("--job", metavar="JOB.yaml", help="A job file; what is given here goes before it.")
    ] = None,
    pipeline: Annotated[
        str | None,
        typer.Option(
            "--pipeline",
            metavar="P",
            help="Indexing pipeline: a YAML file or a shipped definition  \\[default: indexing_faiss]",
        ),
    ] = None,
    index: IndexOption = None,
    prune: Annotated[bool, typer.Option("--prune", help="Drop what is gone even if that is most of it.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Compare files by hash, not by size and time.")] = False,
    root_name: Annotated[
        str | None, typer.Option("--root-name", metavar="NAME", help="Name of the root  \\[default: the folder's]")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", help="Processes that convert files  \\[default: half the CPUs]"),
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option("--max-seconds", metavar="S", help="Time that one file may take  \\[default: 120]")
    ] = None,
    max_memory: Annotated[
        int | None, typer.Option("--max-memory", metavar="MIB", help="Memory that one file may take  \\[default: 2048]")
    ] = None,
    max_size: Annotated[
        float | None, typer.Option("--max-size", metavar="MIB", help="Size that one file may have  \\[default: 64]")
    ] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write a report: .html, .json or text.")
    ] = None,
    swap: Annotated[
        bool,
        typer.Option("--swap", help="Elasticsearch: build a new index, and let it take the old one's place when done."),
    ] = False,
    executor: Annotated[
        str | None,
        typer.Option("--executor", metavar="local|ray", help="Where the work is done  \\[default: local]"),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="A", help="Ray cluster  \\[default: RAY_ADDRESS, or one of its own]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Index folders and files; run it again to bring the index up to date, or to go on after it was stopped."""
    from lodestone.indexing.worker_process import WorkerProcess

    if not paths and job is None:
        raise ConfigurationError("give a PATH to index, or --job JOB.yaml")
    check_output(report_file, *map(Path, paths or ()), *([job] if job is not None else []))
    # It imports what most pipelines need while this process does the same.
    worker = WorkerProcess(pipeline or "indexing_faiss")
    from lodestone.indexing.job_file import JobDefinition, read_job
    from lodestone.indexing.sources import Source

    if root_name is not None and len(paths or ()) != 1:
        raise ConfigurationError(f"--root-name names the root of one path, got {len(paths or ())} paths")
    definition = JobDefinition([]) if job is None else read_job(job)
    definition = definition.overridden(
        sources=[Source(path, root_name=root_name) for path in paths or ()],
        pipeline=pipeline,
        index=index,
        workers=workers,
        limits={"seconds": max_seconds, "memory": max_memory, "megabytes": max_size},
        prune=prune,
        verify=verify,
        executor=executor,
        address=address,
    )
    if executor == "local" and address is None:
        definition = replace(definition, address=None)
    run_job(definition, worker, swap=swap, report_file=report_file, as_json=as_json)


def run_job(
    definition: "JobDefinition",
    worker: "WorkerProcess",
    *,
    swap: bool = False,
    of: "JobRecord | None" = None,
    only: frozenset[tuple[str, str]] | None = None,
    report_file: Path | None = None,
    as_json: bool = False,
) -> None:
    """Run a job, and say what it did.

    :param definition: The job.
    :param worker: A worker process that was started ahead.
    :param swap: Whether to build a new index, and let it take the old one's place.
    :param of: The job that this one resumes or retries; None if it is new.
    :param only: The files to retry, as `IndexingJob.run` takes them; None for all that the job is about.
    :param report_file: Where to write a report; None for nowhere.
    :param as_json: Whether to print events for programs.
    :raises typer.Exit: If not all was done.
    """
    from lodestone.indexing.rendering import as_text, write_report

    report, shown, held = _run(definition, worker, swap, of, only, as_json)
    if not as_json:
        out = console()
        out.print(as_text(report), soft_wrap=True, markup=False)
        out.print(f"{shown} holds {counted(held, 'passage')}.", soft_wrap=True, markup=False)
    if report_file is not None:
        write_report(report, report_file, shown)
    if report.stopped:
        say_how_to_resume()
    if not report.complete:
        raise typer.Exit(1)


def _run(
    definition: "JobDefinition",
    worker: "WorkerProcess",
    swap: bool,
    of: "JobRecord | None",
    only: frozenset[tuple[str, str]] | None,
    as_json: bool,
) -> "tuple[Report, str, int]":
    """Run the job, watched; its report, the index as people call it, and how many passages that holds now."""
    from lodestone.commands.job_view import watched
    from lodestone.indexing import IndexingJob, swapping
    from lodestone.indexing.events import EventStream
    from lodestone.indexing.executors import make_executor
    from lodestone.indexing.job_recorder import JobRecorder, new_record
    from lodestone.indexing.tracking import Tracker
    from lodestone.pipelines import load_pipeline
    from lodestone.pipelines.stages import cut_at_embedder

    runner = make_executor(definition.executor, definition.address, worker)
    stages = cut_at_embedder(load_pipeline(definition.pipeline, index=definition.index))
    serving = stages.document_store
    shown = str(serving.path)
    swapping.refuse_name(serving)
    swapping.refuse_beside(serving, swap)
    if swap:
        swapping.check_swap(serving, definition.sources)
        stages = cut_at_embedder(load_pipeline(definition.pipeline, index=swapping.name_while_building(serving)))
    guard = swapping.serving_on(serving) if swap else contextlib.nullcontext()
    events = EventStream(print_json, {"index": shown}) if as_json else None
    tracker = Tracker() if events is None else events
    record = new_record(serving, definition, typed(), swap=swap, of=of, is_retry=only is not None)
    with guard, JobRecorder(serving, record, tracker) as recorder:
        job = IndexingJob(stages, recorder, definition.settings, definition.metadata, runner)
        with contextlib.nullcontext() if events is None else events, watched(tracker, job, beside=as_json):
            report = job.run(
                definition.sources,
                prune=definition.prune,
                verify=definition.verify,
                only=only,
                replaces=serving if swap else None,
            )
        if swap:
            with recorder.swapping():
                swapping.swap(serving, report)
        recorder.end(report)
    held = serving.count_documents()
    serving.close()
    if events is not None:
        events.report(report, held)
    return report, shown, held
