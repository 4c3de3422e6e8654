"""`lodestone status`: what an index holds."""

from typing import Any

from lodestone.commands.console import IndexOption, JsonOption, QueryPipelineOption, console, print_json, sized

# In the order in which they are shown.
_STATES = {"indexed": "indexed", "duplicate": "copies", "failed": "failed"}


def status(
    pipeline: QueryPipelineOption = "query_faiss", index: IndexOption = None, as_json: JsonOption = False
) -> None:
    """Show what the index holds: files, passages, size on disk, vector index, last writes, failures."""
    from rich.table import Table

    from lodestone.pipelines.stores import describe, open_index

    description = describe(open_index(pipeline, index))
    if as_json:
        print_json(description)
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(description):
        table.add_row(name, value)
    out = console()
    out.print(table, markup=False)
    for path, reason in description["failed"].items():
        out.print(f"Failed: {path}: {reason}", soft_wrap=True, markup=False)


def _rows(description: dict[str, Any]) -> list[tuple[str, str]]:
    """What people see; what is not there is left out."""
    files = description["sources"]
    parts, recall, writer = description["bytes"], description["recall"], description["writer"]
    on_disk = ", ".join(f"{part} {sized(size)}" for part, size in parts.items())
    measured = "not measured" if recall is None else f"recall {recall:.3f}, measured"
    vectors = f"{description['vectors']:,}, {description['dim']} dimensions, {description['similarity']}"
    rows = [
        ("index", description["index"]),
        (
            "files",
            ", ".join(f"{files[state]:,} {shown}" for state, shown in _STATES.items() if state in files),
        ),
        ("documents", f"{description['documents']:,}"),
        ("passages", f"{description['passages']:,}"),
        ("vectors", vectors if description["vectors"] else "0"),
        ("vector index", f"{description['index_type']}, {measured}" if description["index_type"] else ""),
        ("language", description["language"]),
        ("embedding model", description["embedding_model"] or ""),
        ("on disk", f"{sized(sum(parts.values()))}: {on_disk}"),
        ("roots", "\n".join(f"{name}: {path}" for name, path in description["roots"].items())),
        ("last write", description["last_write"] or ""),
        ("last indexed", "\n".join(f"{time}  {path}" for path, time in description["last_indexed"].items())),
        ("written to by", f"process {writer['pid']} on {writer['host']} since {writer['since']}" if writer else ""),
    ]
    return [(name, value) for name, value in rows if value]
