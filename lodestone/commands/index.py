"""`lodestone index`: bring an index up to date with folders and files."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestone.commands.console import IndexOption, JsonOption, console, counted, print_json
from lodestone.components.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn

    from lodestone.indexing import Report
    from lodestone.indexing.job_file import JobDefinition
    from lodestone.indexing.sources import SourceFile
    from lodestone.indexing.worker_process import WorkerProcess
    from lodestone.pipelines.stages import IndexingStages


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
    as_json: JsonOption = False,
) -> None:
    """Index folders and files; run it again to bring the index up to date, or to go on after it was stopped."""
    from lodestone.indexing.worker_process import WorkerProcess

    if not paths and job is None:
        raise ConfigurationError("give a PATH to index, or --job JOB.yaml")
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
    stages, report = _run(definition, worker)
    held = stages.document_store.count_documents()
    stages.document_store.close()
    if as_json:
        print_json({**report.to_dict(), "index": str(stages.document_store.path), "passages_in_index": held})
    else:
        _print_report(report, str(stages.document_store.path), held)
    if report.stopped:
        typer.echo(f"Resume with: {shlex.join(['lodestone', *sys.argv[1:]])}", err=True)
    if not report.complete:
        raise typer.Exit(1)


def _run(definition: "JobDefinition", worker: "WorkerProcess") -> "tuple[IndexingStages, Report]":
    from rich.progress import Progress as Bar

    from lodestone.indexing import IndexingJob
    from lodestone.pipelines import load_pipeline
    from lodestone.pipelines.stages import cut_at_embedder

    err = console(stderr=True)
    stages = cut_at_embedder(load_pipeline(definition.pipeline, index=definition.index))
    with Bar(*_columns(), console=err, transient=True, disable=not err.is_terminal) as bar:
        job = IndexingJob(stages, _BarProgress(bar), definition.settings, definition.metadata, worker)
        return stages, job.run(definition.sources, prune=definition.prune, verify=definition.verify)


def _columns() -> "list[str | ProgressColumn]":
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    return [
        TextColumn("Indexing"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[files]}/{task.fields[of]} files, {task.fields[rate]:.0f} passages/s,"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    ]


class _BarProgress:
    """Shows a job's progress; the time left is reckoned from bytes, as files differ widely in size."""

    def __init__(self, bar: "Bar") -> None:
        self._bar = bar
        self._files = self._of = 0
        self._passages = 0

    def start(self, files: int, size: int) -> None:
        self._of = files
        self._task = self._bar.add_task("Indexing", total=size, rate=0.0, files=0, of=files)

    def done(self, source: "SourceFile", passages: int) -> None:
        self._files += 1
        self._of = max(self._of, self._files)  # rows of tables are counted as they are read
        self._passages += passages
        elapsed = self._bar.tasks[self._task].elapsed
        rate = self._passages / elapsed if elapsed else 0.0
        self._bar.update(self._task, advance=source.size, rate=rate, files=self._files, of=self._of)


def _print_report(report: "Report", folder: str, held: int) -> None:
    out = console()
    verb = "Stopped after indexing" if report.stopped else "Indexed"
    counts = [f"{verb} {counted(report.indexed, 'file')} ({counted(report.passages, 'passage')})"]
    counts += [f"{report.unchanged} unchanged"] if report.unchanged else []
    counts += [f"{report.deleted} gone and deleted"] if report.deleted else []
    counts += [f"{len(report.failed)} failed"] if report.failed else []
    counts += [f"{len(report.skipped)} skipped"] if report.skipped else []
    out.print(f"{', '.join(counts)} in {report.seconds:.1f} s.", soft_wrap=True)
    for title, outcomes in (("Failed", report.failed), ("Skipped", report.skipped)):
        for outcome in outcomes:
            out.print(f"  {title}: {outcome.path}: {outcome.reason}", soft_wrap=True, markup=False)
    for warning in report.warnings:
        out.print(f"  Warning: {warning}", soft_wrap=True, markup=False)
    out.print(f"{folder} holds {counted(held, 'passage')}.", soft_wrap=True, markup=False)
