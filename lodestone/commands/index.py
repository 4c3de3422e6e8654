"""`lodestone index`: bring an index up to date with folders and files."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestone.commands.console import IndexOption, JsonOption, check_output, console, counted, print_json
from lodestone.components.errors import ConfigurationError
from lodestone.stopping import resumable, say_how_to_resume, typed

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn

    from lodestone.indexing import Report
    from lodestone.indexing.job_file import JobDefinition
    from lodestone.indexing.job_record import JobRecord
    from lodestone.indexing.sources import SourceFile
    from lodestone.indexing.worker_process import WorkerProcess
    from lodestone.pipelines.stages import IndexingStages


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
            help="Indexing pipeline: a YAML file or a shipped definition  [default: indexing_faiss]",
        ),
    ] = None,
    index: IndexOption = None,
    prune: Annotated[bool, typer.Option("--prune", help="Drop what is gone even if that is most of it.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Compare files by hash, not by size and time.")] = False,
    root_name: Annotated[
        str | None, typer.Option("--root-name", metavar="NAME", help="Name of the root  [default: the folder's]")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", help="Processes that convert files  [default: half the CPUs]"),
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option("--max-seconds", metavar="S", help="Time that one file may take  [default: 120]")
    ] = None,
    max_memory: Annotated[
        int | None, typer.Option("--max-memory", metavar="MIB", help="Memory that one file may take  [default: 2048]")
    ] = None,
    max_size: Annotated[
        float | None, typer.Option("--max-size", metavar="MIB", help="Size that one file may have  [default: 64]")
    ] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write a report: .html, .json or text.")
    ] = None,
    swap: Annotated[
        bool,
        typer.Option("--swap", help="Elasticsearch: build a new index, and let it take the old one's place when done."),
    ] = False,
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
    )
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
    :param as_json: Whether to print for programs.
    :raises typer.Exit: If not all was done.
    """
    from lodestone.indexing.rendering import as_text, write_report

    stages, report = _run(definition, worker, swap, of, only)
    held = stages.document_store.count_documents()
    stages.document_store.close()
    if as_json:
        print_json({**report.to_dict(), "index": str(stages.document_store.path), "passages_in_index": held})
    else:
        out = console()
        out.print(as_text(report), soft_wrap=True, markup=False)
        out.print(f"{stages.document_store.path} holds {counted(held, 'passage')}.", soft_wrap=True, markup=False)
    if report_file is not None:
        write_report(report, report_file)
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
) -> "tuple[IndexingStages, Report]":
    from rich.progress import Progress as Bar

    from lodestone.indexing import IndexingJob, swapping
    from lodestone.indexing.job_recorder import JobRecorder, new_record
    from lodestone.pipelines import load_pipeline
    from lodestone.pipelines.stages import cut_at_embedder

    err = console(stderr=True)
    stages = cut_at_embedder(load_pipeline(definition.pipeline, index=definition.index))
    serving = stages.document_store
    if swap:
        swapping.check_swap(serving, definition.sources)
        stages = cut_at_embedder(load_pipeline(definition.pipeline, index=f"{serving.index}-next"))
    guard = swapping.serving_on(serving) if swap else contextlib.nullcontext()
    with guard, Bar(*progress_columns(), console=err, transient=True, disable=not err.is_terminal) as bar:
        record = new_record(serving, definition, typed(), swap=swap, of=of, is_retry=only is not None)
        with JobRecorder(serving, record, BarProgress(bar)) as recorder:
            job = IndexingJob(stages, recorder, definition.settings, definition.metadata, worker)
            report = job.run(definition.sources, prune=definition.prune, verify=definition.verify, only=only)
            if swap:
                with recorder.swapping():
                    swapping.swap(serving, stages.document_store, report)
                stages.document_store = serving
            recorder.end(report)
    return stages, report


def progress_columns() -> "list[str | ProgressColumn]":
    """What a bar of an indexing job shows."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    return [
        TextColumn("Indexing"),
        BarColumn(bar_width=None),
        TextColumn(
            "{task.fields[files]}/{task.fields[of]} files, {task.fields[rate]:.0f} passages/s, "
            "{task.fields[failed]} failed,"
        ),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    ]


class BarProgress:
    """Shows a job's progress; the time left is reckoned from bytes, as files differ widely in size."""

    def __init__(self, bar: "Bar") -> None:
        self._bar = bar
        self._files = self._of = self._failed = 0
        self._passages = 0

    def start(self, files: int, size: int) -> None:
        """See `Progress.start`."""
        self._of = files
        self._task = self._bar.add_task("Indexing", total=size, rate=0.0, files=0, failed=0, of=files)

    def done(self, source: "SourceFile", passages: int, failed: bool) -> None:
        """See `Progress.done`."""
        self._files += 1
        self._failed += failed
        self._of = max(self._of, self._files)  # rows of tables are counted as they are read
        self._passages += passages
        elapsed = self._bar.tasks[self._task].elapsed
        rate = self._passages / elapsed if elapsed else 0.0
        self._bar.update(
            self._task, advance=source.size, rate=rate, files=self._files, failed=self._failed, of=self._of
        )
