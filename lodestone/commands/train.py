"""`lodestone train` and `lodestone distil`: readers made by recipes."""

from pathlib import Path
from typing import Annotated

import typer

from lodestone.commands.console import JsonOption, print_json

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Recipe: a YAML file or a shipped one, such as roberta-base-squad2.")
]
OutputOption = Annotated[
    Path,
    typer.Option("--output", metavar="DIR", help="The reader's folder; a run that was stopped there goes on."),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data-folder", metavar="DIR", help="Where data files are  \\[default: the recipe's folder]"),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a value of the recipe, such as training.batch_size=8."),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Begin anew, whatever the folder holds of a run.")]
PushOption = Annotated[
    str | None, typer.Option("--push", metavar="TARGET", help="Publish it: OWNER/NAME on the hub, or a folder.")
]


def train(
    recipe: RecipeArgument,
    output: OutputOption,
    data_folder: DataOption = None,
    settings: SetOption = None,
    fresh: FreshOption = False,
    push: PushOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a reader by a recipe; the same command goes on with a run that was stopped."""
    _train(recipe, output, data_folder, settings, fresh, push, as_json, distil=False)


def distil(
    recipe: RecipeArgument,
    output: OutputOption,
    data_folder: DataOption = None,
    settings: SetOption = None,
    fresh: FreshOption = False,
    push: PushOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a reader that learns from a teacher, by a recipe with `distillation`."""
    _train(recipe, output, data_folder, settings, fresh, push, as_json, distil=True)


def _train(
    name: str,
    output: Path,
    data_folder: Path | None,
    settings: list[str] | None,
    fresh: bool,
    push: str | None,
    as_json: bool,
    distil: bool,
) -> None:
    from lodestone.components.errors import ConfigurationError
    from lodestone.training import read_recipe
    from lodestone.training.publishing import check_target, publish
    from lodestone.training.running import train as run

    recipe = read_recipe(name, settings or (), data_folder)
    if distil != (recipe.distillation is not None):
        other, has = ("train", "no") if distil else ("distil", "a")
        raise ConfigurationError(f"{name} has {has} distillation section; run `lodestone {other}`")
    if push is not None:
        check_target(push)
    trained = run(recipe, output, fresh=fresh, tell=lambda line: typer.echo(line, err=True))
    from accelerate import PartialState

    if not PartialState().is_main_process:
        return
    pushed = publish(output, push) if push is not None else None
    if as_json:
        print_json({"output": str(output), "pushed": pushed, **trained.record})
        return
    typer.echo(f"the reader is in {output}" + (f" and in {pushed}" if pushed is not None else ""))
