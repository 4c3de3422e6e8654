"""`lodestone validate`: check a pipeline definition."""

from typing import Annotated

import typer


def validate(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="A YAML file or a shipped definition.")],
) -> None:
    """Check a pipeline definition against the signatures of its components."""
    from lodestone.pipelines import check, read_definition

    definition = read_definition(pipeline)
    problems = check(definition)
    for problem in problems:
        typer.echo(str(problem), err=True)
    if problems:
        raise typer.Exit(2)
    typer.echo(f"{definition.file} is valid.")
