"""The index of a corpus that an evaluation asks."""

from collections.abc import Sequence
from pathlib import Path

import typer

from lodestone.commands.console import counted
from lodestone.commands.job_view import watched


def index_corpus(paths: Sequence[Path], pipeline: str, index: Path, root_name: str | None = None) -> None:
    """Bring an index up to date with a corpus, and say on stderr what could not be indexed.

    :param paths: Folders and files.
    :param pipeline: Path or shipped name of the indexing pipeline.
    :param index: Folder of the index.
    :param root_name: Name of the only root that the index may hold; None for the folders' names, and any others.
    :raises ConfigurationError: If the index is another corpus's.
    :raises KeyboardInterrupt: If the job was stopped by it.
    """
    from lodestone.components.errors import ConfigurationError
    from lodestone.indexing import IndexingJob
    from lodestone.indexing.tracking import Tracker
    from lodestone.pipelines import load_pipeline
    from lodestone.pipelines.stages import cut_at_embedder

    stages = cut_at_embedder(load_pipeline(pipeline, index=index))
    store = stages.document_store
    tracker = Tracker()
    job = IndexingJob(stages, tracker)
    others = set(store.roots()) - {root_name} if root_name is not None else set()
    if others:
        raise ConfigurationError(f"{index} is the index of something else ({', '.join(sorted(others))}); name another")
    with watched(tracker, job):
        report = job.run(list(paths), root_name=root_name)
    store.close()
    if report.stopped:
        raise KeyboardInterrupt
    for outcome in [*report.failed, *report.skipped]:
        typer.echo(f"not indexed: {outcome.path}: {outcome.reason}", err=True)
    if report.failed or report.skipped:
        typer.echo(f"{counted(len(report.failed) + len(report.skipped), 'file')} not indexed", err=True)
