"""`lodestone delete`: take files out of an index."""

from typing import Annotated

import typer

from lodestone.commands.console import IndexOption, JsonOption, QueryPipelineOption, counted, print_json


def delete(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files or folders: as on disk, or as `ask` shows them.")
    ],
    pipeline: QueryPipelineOption = "query_faiss",
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take files and folders out of the index; the files themselves stay."""
    from lodestone.indexing.removal import remove
    from lodestone.indexing.swapping import refuse_beside
    from lodestone.pipelines.stores import open_index

    store = open_index(pipeline, index)
    refuse_beside(store)
    removed = remove(store, paths)
    store.close()
    if as_json:
        print_json(
            {
                "files": removed.files,
                "passages": removed.passages,
                "copies": removed.copies,
                "not_found": removed.not_found,
            }
        )
    else:
        counts = f"{counted(removed.files, 'file')} ({counted(removed.passages, 'passage')})"
        typer.echo(f"Deleted {counts} from {store.path}.")
        if removed.copies:
            left = "1 copy is" if len(removed.copies) == 1 else f"{len(removed.copies):,} copies are"
            typer.echo(f"  {left} left; the next `lodestone index` indexes:")
        for path in removed.copies:
            typer.echo(f"    {path}")
        for path in removed.not_found:
            typer.echo(f"  Not in the index: {path}")
    if removed.not_found:
        raise typer.Exit(1)
