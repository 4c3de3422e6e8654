"""`lodestone draw`: a picture of a pipeline definition."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How to draw."""

    TEXT = "text"
    SVG = "svg"
    MERMAID = "mermaid"


def draw(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="A YAML file or a shipped definition.")],
    form: Annotated[Format, typer.Option("--format", help="Text for the terminal, or a picture.")] = Format.TEXT,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write it to a file.")] = None,
) -> None:
    """Draw a pipeline definition; nothing leaves this machine."""
    from lodestone.commands.console import check_output, console
    from lodestone.pipelines import draw_mermaid, draw_svg, draw_text, load_pipeline

    check_output(output)
    loaded = load_pipeline(pipeline)
    if form is Format.TEXT:
        drawing = draw_text(loaded, width=console().width)
    else:
        drawing = draw_svg(loaded) if form is Format.SVG else draw_mermaid(loaded)
    if output is None:
        typer.echo(drawing)
    else:
        output.write_text(drawing + "\n", encoding="utf-8")
