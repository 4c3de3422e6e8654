"""`lodestone store`: look after an index."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestone.commands.console import (
    IndexOption,
    JsonOption,
    QueryPipelineOption,
    check_output,
    console,
    counted,
    print_json,
    sized,
)

if TYPE_CHECKING:
    from lodestone.components.stores.verification import Verification

# What takes these commands' place where the passages live in Elasticsearch.
_NO_COMPACT = (
    "Elasticsearch merges what was deleted away by itself; an index that is not written to any more becomes one "
    "segment, and faster, by POST NAME/_forcemerge?max_num_segments=1"
)
_NO_VERIFY = (
    "Elasticsearch checks its files' checksums itself; GET _cluster/health tells of shards that are missing, and "
    "`lodestone status` counts what is there"
)
_NO_REBUILD = "`lodestone index PATH... --swap` builds a new index there while the old one serves"

app = typer.Typer(
    no_args_is_help=True,
    help="Look after an index: compact, verify, rebuild, export, import.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="JSON lines; - for the terminal or a pipe.")]


@app.command()
def compact(
    pipeline: QueryPipelineOption = "query_faiss", index: IndexOption = None, as_json: JsonOption = False
) -> None:
    """Give back the space of what was deleted, and make searching as fast as in a new index."""
    from lodestone.pipelines.stores import open_store

    with open_store(pipeline, index, elsewhere=_NO_COMPACT) as store:
        before = store.statistics()["bytes"]
        store.compact()
        after = store.statistics()["bytes"]
    if as_json:
        print_json({"index": store.path, "bytes_before": before, "bytes": after})
        return
    for part, size in after.items():
        typer.echo(f"{part:<10}{sized(before[part]):>10} -> {sized(size):>10}")


@app.command()
def verify(
    pipeline: QueryPipelineOption = "query_faiss", index: IndexOption = None, as_json: JsonOption = False
) -> None:
    """Check the database, all checksums, and that dense, BM25 and SQL agree; change nothing."""
    from lodestone.pipelines.stores import open_store

    store = open_store(pipeline, index, elsewhere=_NO_VERIFY)
    found = store.verify()
    if as_json:
        print_json({"index": store.path, "ok": found.ok, **vars(found)})
    else:
        _print_verification(found, store.path)
    if not found.ok:
        raise typer.Exit(1)


@app.command()
def rebuild(
    pipeline: QueryPipelineOption = "query_faiss",
    index: IndexOption = None,
    index_type: Annotated[
        str | None,
        typer.Option(
            "--index-type", metavar="T", help="Change the vector index to auto, flat, hnsw or ivf, and keep it."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the vector index and the text index again from the database; nothing is embedded again."""
    from lodestone.pipelines.stores import open_store

    with open_store(pipeline, index, elsewhere=_NO_REBUILD) as store:
        if index_type is not None:
            store.set_index_type(index_type)
        store.rebuild()
        figures = store.statistics()
    if as_json:
        print_json({"index": store.path, "index_type": figures["index_type"], "recall": figures["recall"]})
        return
    recall = "" if figures["recall"] is None else f", recall {figures['recall']:.3f}"
    typer.echo(f"Rebuilt {store.path}: {counted(figures['passages'], 'passage')}, {figures['index_type']}{recall}.")


@app.command()
def export(
    file: FileArgument,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Leave out what cannot be read in a damaged database.")
    ] = False,
    pipeline: QueryPipelineOption = "query_faiss",
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write passages, vectors, files and settings as JSON lines, for import elsewhere."""
    from lodestone.pipelines.stores import open_portable, require_index

    check_output(None if file == "-" else Path(file))
    store = open_portable(pipeline, index)
    require_index(store)
    counts = store.export_to(file, salvage=salvage)
    if as_json and file != "-":
        print_json({"index": store.path, "file": file, **vars(counts)})
        return
    summary = f"{counted(counts.passages, 'passage')} and {counted(counts.sources, 'file')}"
    typer.echo(f"Exported {summary} from {store.path}.", err=True)
    if counts.left_out:
        typer.echo(f"  Left out, as it could not be read: {counted(counts.left_out, 'passage')} or files", err=True)


@app.command(name="import")
def import_(
    file: FileArgument,
    pipeline: QueryPipelineOption = "query_faiss",
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fill a new or empty index with what `lodestone store export` wrote: all of it or nothing."""
    from lodestone.pipelines.stores import open_portable

    store = open_portable(pipeline, index)
    try:
        counts = store.import_from(file)
    finally:
        store.close()
    if as_json:
        print_json({"index": store.path, "passages": counts.passages, "sources": counts.sources})
        return
    summary = f"{counted(counts.passages, 'passage')} and {counted(counts.sources, 'file')}"
    typer.echo(f"Imported {summary} into {store.path}.")


@app.command()
def indices(
    pipeline: QueryPipelineOption = "query_elasticsearch", index: IndexOption = None, as_json: JsonOption = False
) -> None:
    """List the indexes behind an alias in Elasticsearch: the one that serves, old ones, and one being built."""
    from lodestone.components.errors import ConfigurationError
    from lodestone.pipelines.stores import open_index

    store = open_index(pipeline, index)
    generations = getattr(store, "generations", None)
    if generations is None:
        raise ConfigurationError(f"{pipeline} has no ElasticsearchStore; a folder holds one index")
    listed = generations()
    if as_json:
        print_json({"index": store.path, "indices": [vars(one) for one in listed]})
        return
    for one in listed:
        typer.echo(f"{one.name}  {one.state:<8}  {counted(one.passages, 'passage')}  {sized(one.bytes)}  {one.created}")


def _print_verification(found: "Verification", folder: str) -> None:
    out = console()
    counts = [counted(found.passages, "passage"), counted(found.vectors, "vector")]
    out.print(f"{folder}: {', '.join(counts)} in the database", soft_wrap=True, markup=False)
    for problem in [*found.database_problems, *found.index_problems]:
        out.print(f"  Wrong: {problem}", soft_wrap=True, markup=False)
    if found.ok:
        out.print("Everything is intact: checksums, vectors and words agree with the database.")
    if found.index_problems and not found.database_problems:
        out.print(
            f"The database is intact: run `lodestone store rebuild --index {folder}`", soft_wrap=True, markup=False
        )
    if found.database_problems:
        out.print(
            f"Restore {folder} from a copy; or run `lodestone store export --salvage FILE --index {folder}`, import "
            "FILE into a new index and run `lodestone index` on it, which indexes again what was lost; or index anew.",
            soft_wrap=True,
            markup=False,
        )
