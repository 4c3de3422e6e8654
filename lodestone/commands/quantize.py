"""`lodestone quantize`: make the int8 version of a model for CPUs."""

from pathlib import Path
from typing import Annotated

import typer

from lodestone.commands.console import JsonOption, print_json


def quantize(
    model: Annotated[str, typer.Argument(help="Reader or embedder: a folder or a hub name.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="SQUAD.json", help="Questions to judge it on  \\[default: the examples']"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a model's int8 version, say what it costs in quality, and keep it in the cache."""
    import dataclasses

    from lodestone.evaluation.quantizing import quantize_model

    result = quantize_model(model, data)
    if as_json:
        print_json({"model": model, **dataclasses.asdict(result), "entry": str(result.entry)})
        return
    figures = f"{result.measure} before {result.before:.4f}, after {result.after:.4f} ({result.count} texts)"
    typer.echo(f"{figures}: {result.verdict}")
