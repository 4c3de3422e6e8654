"""`lodestone status`: what an index holds."""

from lodestone.commands.console import IndexOption, JsonOption, QueryPipelineOption, console, print_json


def status(
    pipeline: QueryPipelineOption = "query_faiss", index: IndexOption = None, as_json: JsonOption = False
) -> None:
    """Show what the index holds: files, passages, size on disk, embedding model, failures."""
    from rich.table import Table

    from lodestone.pipelines.stores import describe, open_store

    store = open_store(pipeline, index)
    description = describe(store)
    if as_json:
        print_json(description)
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in description.items():
        if name != "failed":
            table.add_row(name.replace("_", " "), _shown(value))
    out = console()
    out.print(table)
    for path, reason in description["failed"].items():
        out.print(f"Failed: {path}: {reason}", soft_wrap=True, markup=False)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(entry)}" for key, entry in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
