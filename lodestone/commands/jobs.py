"""`lodestone jobs`: what indexing jobs did, do, and are to do again."""

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lodestone.commands.console import IndexOption, JsonOption, QueryPipelineOption, console, counted, print_json, sized
from lodestone.commands.index import run_job
from lodestone.components.errors import ConfigurationError
from lodestone.stopping import resumable

if TYPE_CHECKING:
    from lodestone.components.stores.source_store import SourceStore
    from lodestone.indexing.job_file import JobDefinition
    from lodestone.indexing.job_record import JobRecord

app = typer.Typer(
    no_args_is_help=True,
    help="See and steer indexing jobs: list, show, resume, cancel, errors, retry.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

JobArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]",
        help="The job, or the beginning of its id  \\[default: the last that it can be done to]",
        show_default=False,
    ),
]

_PATIENCE_SECONDS = 600.0
_LONGEST = 2000
_ENDED = {
    "stopped": "was stopped before it came to all",
    "died": "died before it came to all",
    "failed": "was ended by an error before it came to all",
}


@app.command(name="list")
def list_(
    pipeline: QueryPipelineOption = "query_faiss", index: IndexOption = None, as_json: JsonOption = False
) -> None:
    """List the last jobs of an index, newest first."""
    from rich.table import Table

    from lodestone.indexing.job_records import JobRecords

    store = _open(pipeline, index)
    records = JobRecords(store).all()
    if as_json:
        for record in records:
            print_json(_described(store, record))
        return
    out = console()
    if not records:
        out.print(f"No job has been recorded in {store.path} yet.", soft_wrap=True, markup=False)
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("job", "state", "started", "took"):
        table.add_column(name, no_wrap=True, justify="right" if name == "took" else "left")
    for name in ("files", "passages", "failed"):
        table.add_column(name, no_wrap=True, justify="right")
    for record in records:
        table.add_row(*_row(record))
    out.print(table, markup=False)


@app.command()
def show(
    id: JobArgument = None,
    pipeline: QueryPipelineOption = "query_faiss",
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all that is known of a job, and how far it is while it runs."""
    from rich.table import Table

    store, record = _find(pipeline, index, id)
    if as_json:
        print_json(_described(store, record))
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _details(record):
        if value:
            table.add_row(name, value)
    out = console()
    out.print(table, markup=False)
    if record.counts["failed"]:
        out.print(f"Which failed and why: {_command('errors', record, pipeline, index)}", soft_wrap=True, markup=False)


@app.command()
@resumable()
def resume(
    id: JobArgument = None,
    pipeline: QueryPipelineOption = "query_faiss",
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a job again, as it was defined: it goes on where it was stopped, killed, or had failures."""
    from lodestone.indexing.job_records import JobRecords
    from lodestone.indexing.retrying import failed_files

    store = _open(pipeline, index)
    record = JobRecords(store).to_resume(id)
    definition = _definition(store, record)
    only = None
    if record.kind == "retry":
        only = failed_files(store, definition.sources, record.unread)
    _run(store, record, definition, only, as_json)


@app.command()
def cancel(
    id: JobArgument = None,
    pipeline: QueryPipelineOption = "query_faiss",
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop a running job when it has finished its batch; what it has done stays, and it can be resumed."""
    from lodestone.indexing import cancelling
    from lodestone.indexing.job_records import JobRecords

    store = _open(pipeline, index)
    record = JobRecords(store).to_cancel(id)
    ended = cancelling.cancel(store, record, _PATIENCE_SECONDS)
    if as_json:
        print_json(_described(store, record if ended is None else ended))
    elif ended is None:
        typer.echo(
            f"Job {record.id} was asked to stop, and has not finished its batch within {_took(_PATIENCE_SECONDS)}: "
            f"look again with {_command('show', record, pipeline, index)}",
            err=True,
        )
    elif ended.state == "stopped":
        done = f"{counted(ended.counts['files'], 'file')} and {counted(ended.counts['passages'], 'passage')}"
        typer.echo(f"Stopped job {ended.id} after {done}.")
        typer.echo(f"Resume with: {_command('resume', ended, pipeline, index)}")
    else:
        typer.echo(f"Job {ended.id} ended by itself before it could be stopped: {ended.state_now}.")
    if ended is None:
        raise typer.Exit(1)


@app.command()
def errors(
    id: JobArgument = None,
    pipeline: QueryPipelineOption = "query_faiss",
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the files that failed in a job, by reason."""
    from lodestone.indexing.failures import failures_of
    from lodestone.indexing.reasons import ENCRYPTED, SCANNED

    store, record = _find(pipeline, index, id)
    failures = failures_of(store, record)
    by_reason = failures.by_reason()
    if as_json:
        print_json(
            {
                "job": record.id,
                "index": store.path,
                "failed": [{"path": each.path, "reason": each.reason} for each in failures.listed],
                "encrypted": by_reason.get(ENCRYPTED, []),
                "needs_ocr": by_reason.get(SCANNED, []),
                "not_listed": failures.unlisted,
            }
        )
        return
    out = console()
    if not by_reason and not failures.unlisted:
        out.print(f"No file failed in job {record.id}.")
        return
    for reason, paths in by_reason.items():
        title = {ENCRYPTED: f"Encrypted, {ENCRYPTED.partition(': ')[2]}", SCANNED: f"Needs OCR, {SCANNED}"}
        out.print(f"{title.get(reason, reason)} ({counted(len(paths), 'file')})", soft_wrap=True, markup=False)
        for path in paths:
            out.print(f"  {path}", soft_wrap=True, markup=False)
    if failures.unlisted:
        out.print(f"{counted(failures.unlisted, 'more file')} failed, which are not listed any more.")
    if not record.is_running:
        out.print(f"Try them again with: {_command('retry', record, pipeline, index)}", soft_wrap=True, markup=False)


@app.command()
@resumable()
def retry(
    id: JobArgument = None,
    pipeline: QueryPipelineOption = "query_faiss",
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Index only the files that failed in what a job is about; nothing else is looked at or deleted."""
    from lodestone.indexing.job_record import DIED, FAILED, STOPPED
    from lodestone.indexing.job_records import JobRecords
    from lodestone.indexing.retrying import failed_files

    store = _open(pipeline, index)
    candidates = JobRecords(store).to_retry(id)
    for record in candidates:
        definition = _definition(store, record)
        if only := failed_files(store, definition.sources, record.unread):
            break
    else:
        record = candidates[0]
    if not only and not as_json:
        if record.state_now in (STOPPED, DIED, FAILED):
            resume = _command("resume", record, pipeline, index)
            typer.echo(f"There is nothing to retry: job {record.id} {_ENDED[record.state_now]}; go on with: {resume}")
            return
        typer.echo(f"There is nothing to retry: job {record.id} has no failed file that is still there.")
        return
    _run(store, record, definition, only, as_json)


def _open(pipeline: str, index: Any) -> "SourceStore":
    from lodestone.pipelines.stores import open_index

    return open_index(pipeline, index)


def _find(pipeline: str, index: Any, id: str | None) -> "tuple[SourceStore, JobRecord]":
    from lodestone.indexing.job_records import JobRecords

    store = _open(pipeline, index)
    return store, JobRecords(store).find(id)


def _definition(store: "SourceStore", record: "JobRecord") -> "JobDefinition":
    """What a job that does not run any more is about, with the index that its record was found in."""
    from lodestone.indexing.job_records import index_of
    from lodestone.indexing.job_text import read_text

    if record.is_running:
        raise ConfigurationError(
            f"job {record.id} is running, as process {record.pid} on {record.host}: wait until it ends, or cancel it"
        )
    return read_text(record.definition, f"job {record.id}", index_of(store))


def _run(
    store: "SourceStore",
    record: "JobRecord",
    definition: "JobDefinition",
    only: frozenset[tuple[str, str]] | None,
    as_json: bool,
) -> None:
    from lodestone.indexing.worker_process import WorkerProcess

    store.close()
    worker = WorkerProcess(definition.pipeline)
    run_job(definition, worker, swap=record.swap and only is None, of=record, only=only, as_json=as_json)


def _described(store: "SourceStore", record: "JobRecord") -> dict[str, Any]:
    return {**record.to_dict(), "index": store.path}


def _command(verb: str, record: "JobRecord", pipeline: str, index: Any) -> str:
    """A command for a job of the same index, to be copied."""
    words = ["lodestone", "jobs", verb, record.id]
    words += [] if pipeline == "query_faiss" else ["--pipeline", pipeline]
    words += [] if index is None else ["--index", str(index)]
    return shlex.join(words)


def _row(record: "JobRecord") -> list[str]:
    from datetime import datetime

    started = datetime.fromtimestamp(record.started).strftime("%Y-%m-%d %H:%M")
    counts = (f"{record.counts[name]:,}" for name in ("files", "passages", "failed"))
    return [record.id, record.state_now, started, _took(record.seconds), *counts]


def _details(record: "JobRecord") -> list[tuple[str, str]]:
    """What people see of a job; what is empty is left out."""
    from lodestone.indexing.job_record import shown_time

    counts, left = record.counts, record.seconds_left
    where = f"process {record.pid} on {record.host}"
    kind = {"index": "resumes", "retry": "retries what failed in"}[record.kind]
    what = [
        counted(counts[name], name.removesuffix("s")) if name == "passages" else f"{counts[name]:,} {name}"
        for name in ("indexed", "unchanged", "deleted", "skipped", "failed", "passages")
        if counts.get(name)
    ]
    return [
        ("job", record.id),
        ("state", record.state_now),
        ("error", record.error or ""),
        ("runs as" if record.is_running else "ran as", where),
        ("command", _cut(record.command)),
        (kind, record.of or ""),
        ("started", shown_time(record.started)),
        ("last seen", shown_time(record.seen) if record.ended is None else ""),
        ("ended", shown_time(record.ended) if record.ended is not None else ""),
        ("took", _took(record.seconds)),
        ("progress", _progress(record) if record.report is None else ""),
        ("rate", f"{record.rate:,.{0 if record.rate >= 10 else 1}f} passages/s" if record.rate else ""),
        ("time left", _took(left) if left is not None else ""),
        ("done", ", ".join(what)),
        ("warnings", "\n".join((record.report or {}).get("warnings", []))),
        ("definition", _cut(record.definition.rstrip())),
    ]


def _cut(text: str) -> str:
    """A text without what nobody reads of a job that names thousands of files."""
    left = len(text) - _LONGEST
    return text if left <= 0 else f"{text[:_LONGEST]}... (and {left:,} characters more, which --json has)"


def _progress(record: "JobRecord") -> str:
    if record.files is None:
        return "looking for files" if record.is_running else ""
    counts = record.counts
    # Rows of tables are counted as they are read.
    files = f"{counts['files']:,} of {counted(max(record.files, counts['files']), 'file')}"
    return f"{files}, {sized(counts['bytes'])} of {sized(max(record.size, counts['bytes']))}"


def _took(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3m 20s`, `2h 05m`, `3d 04h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3600:02}h"
