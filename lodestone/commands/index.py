"""`lodestone index`: bring an index up to date with folders and files."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestone.commands.console import IndexOption, JsonOption, console, counted, print_json

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn

    from lodestone.indexing import Report
    from lodestone.indexing.sources import SourceFile


def index(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Folders and files to index.")],
    pipeline: Annotated[
        str, typer.Option("--pipeline", metavar="P", help="Indexing pipeline: a YAML file or a shipped definition.")
    ] = "indexing_faiss",
    index: IndexOption = None,
    prune: Annotated[bool, typer.Option("--prune", help="Drop what is gone even if that is most of it.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Compare files by hash, not by size and time.")] = False,
    root_name: Annotated[
        str | None, typer.Option("--root-name", metavar="NAME", help="Name of the root  [default: the folder's]")
    ] = None,
    swap: Annotated[
        bool,
        typer.Option("--swap", help="Elasticsearch: build a new index, and let it take the old one's place when done."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Index folders and files; run it again to bring the index up to date, or to go on after it was stopped."""
    from rich.progress import Progress as Bar

    from lodestone.indexing import IndexingJob, swapping
    from lodestone.pipelines import load_pipeline
    from lodestone.pipelines.stages import cut_at_embedder

    err = console(stderr=True)
    stages = cut_at_embedder(load_pipeline(pipeline, index=index))
    serving = stages.document_store
    if swap:
        swapping.check_swap(serving, paths, root_name)
        stages = cut_at_embedder(load_pipeline(pipeline, index=f"{serving.index}-next"))
    guard = swapping.serving_on(serving) if swap else contextlib.nullcontext()
    with guard, Bar(*_columns(), console=err, transient=True, disable=not err.is_terminal) as bar:
        job = IndexingJob(stages, progress=_BarProgress(bar))
        report = job.run(paths, root_name=root_name, prune=prune, verify=verify)
    if swap:
        swapping.swap(serving, stages.document_store, report)
        stages.document_store = serving
    held = stages.document_store.count_documents()
    stages.document_store.close()
    if as_json:
        print_json({**report.to_dict(), "index": str(stages.document_store.path), "passages_in_index": held})
    else:
        _print_report(report, str(stages.document_store.path), held)
    if not report.complete:
        raise typer.Exit(1)


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
        self._files = 0
        self._passages = 0

    def start(self, files: int, size: int) -> None:
        self._task = self._bar.add_task("Indexing", total=size, rate=0.0, files=0, of=files)

    def done(self, source: "SourceFile", passages: int) -> None:
        self._files += 1
        self._passages += passages
        elapsed = self._bar.tasks[self._task].elapsed
        rate = self._passages / elapsed if elapsed else 0.0
        self._bar.update(self._task, advance=source.size, rate=rate, files=self._files)


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
    if report.stopped:
        out.print("Run the same command again to go on.")
