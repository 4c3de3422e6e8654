"""What commands share that measure on data whose answers are known: going on, progress, and an index of the data."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestone.commands.console import console
from lodestone.commands.corpus import index_corpus

if TYPE_CHECKING:
    from lodestone.evaluation.partial import Progress

IndexingOption = Annotated[
    str | None,
    typer.Option(
        "--indexing",
        metavar="P",
        help="Indexing pipeline for the corpus  \\[default: the shipped one for the store of --pipeline]",
    ),
]


@contextlib.contextmanager
def working(output: Path | None) -> Iterator[Path]:
    """A folder for what is not finished: beside the output, kept when the run is stopped, or else a temporary one.

    :param output: The file that is written at the end; None for none.
    """
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
def progress_bar(title: str) -> "Iterator[Progress]":
    """A bar on stderr, where that is a terminal.

    :param title: What is done.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    err = console(stderr=True)
    columns = [TextColumn(title), BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn(compact=True)]
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def indexing_for(pipeline: str, indexing: str | None) -> str:
    """The indexing pipeline whose index a query pipeline can ask.

    :param pipeline: Path or shipped name of the query pipeline.
    :param indexing: The one that was asked for; None for the shipped one with the same kind of store.
    """
    from lodestone.pipelines.loader import names_its_index

    if indexing is not None:
        return indexing
    return "indexing_elasticsearch" if names_its_index(pipeline) else "indexing_faiss"


@contextlib.contextmanager
def temporary_index(indexing: str, work: Path, *corpus: object) -> Iterator[Path]:
    """Where a corpus is indexed for one run: a folder in `work`, or an index in Elasticsearch that goes at the end.

    :param indexing: Path or shipped name of the indexing pipeline.
    :param work: The run's folder.
    :param corpus: What is indexed.
    """
    from lodestone.evaluation.fingerprint import fingerprint
    from lodestone.pipelines import load_pipeline
    from lodestone.pipelines.loader import names_its_index
    from lodestone.pipelines.stages import cut_at_embedder

    if not names_its_index(indexing):
        yield work / f"index-{fingerprint(indexing, *corpus)[:12]}"
        return
    # Runs that go on at the same time over the same data do not delete each other's.
    name = Path(f"lodestone-evaluation-{fingerprint(indexing, work.resolve(), *corpus)[:12]}")
    try:
        yield name
    finally:
        with cut_at_embedder(load_pipeline(indexing, index=name)).document_store as store:
            store.delete_all_documents(recreate_index=True)


@contextlib.contextmanager
def own_index(
    texts: Iterable[tuple[str, str]], files: list[Path], indexing: str, index: Path | None, work: Path
) -> Iterator[Path]:
    """Index the corpus that comes with the data; nothing of other data is in that index.

    :param texts: Name and text of each.
    :param files: What they were read from.
    :param indexing: As in `temporary_index`.
    :param index: The index to make or to use again; None for a temporary one.
    :param work: As there.
    """
    from lodestone.evaluation.corpus import write_corpus
    from lodestone.evaluation.fingerprint import hash_files

    name = f"evaluation-{hash_files(files)[:12]}"
    kept = temporary_index(indexing, work, name) if index is None else contextlib.nullcontext(index)
    with kept as place:
        write_corpus(texts, work / name)
        index_corpus([work / name], indexing, place, root_name=name)
        yield place
