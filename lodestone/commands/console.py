"""What commands share: their options, where they print, how they fail."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from lodestone.pipelines.answering import QueryPipeline

IndexOption = Annotated[
    Path | None,
    typer.Option(
        "--index",
        metavar="DIR",
        help="Folder of the index, or its name in Elasticsearch  \\[default: the pipeline's, .lodestone]",
    ),
]
FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="FILTER",
        help="Only passages that match, such as 'source == leave.md' or 'page_number >= 3'; operators: == != > >= < <= "
        "in, not in; or a Haystack filter as JSON. May be given several times: all must match.",
    ),
]
QueryPipelineOption = Annotated[
    str, typer.Option("--pipeline", metavar="P", help="Query pipeline: a YAML file or a shipped definition.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON lines for programs.")]

# What was typed is wrong: typer has a class for that, and no public name for it.
UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])


def configure_logging() -> None:
    """Warnings of ours go to stderr, one line each; libraries speak only of errors."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.addLevelName(logging.WARNING, "warning")
    logging.basicConfig(level=logging.ERROR, handlers=[handler], force=True)
    logging.getLogger("lodestone").setLevel(logging.WARNING)


def fail(error: Exception) -> NoReturn:
    """Say what is wrong and exit with 2."""
    for line in str(error).splitlines():
        typer.echo(f"error: {line}", err=True)
    sys.exit(2)


def fail_usage(error: Exception) -> NoReturn:
    """Say in one line what was typed wrong, and exit with 2.

    :param error: A `UsageError`.
    """
    message = str(error.format_message()).rstrip(".").replace("Value error, ", "")  # type: ignore[attr-defined]
    if not message:
        # Nothing was typed: help has been shown.
        sys.exit(2)
    problems: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    wrong = [problem["input"] for problem in problems]
    if wrong and repr(wrong[0]) not in message:
        message += f", got {wrong[0]!r}"
    command = error.ctx.command_path if error.ctx is not None else "lodestone"  # type: ignore[attr-defined]
    fail(ValueError(f"{message[0].lower()}{message[1:]}; see `{command} --help`"))


def print_json(value: Any) -> None:
    """One JSON object on one line of stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def counted(number: int, noun: str) -> str:
    """`1 file`, `1,200 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def sized(size: int) -> str:
    """`512 B`, `1.5 kB`, `2.3 GB`."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:,.1f} TB"


def check_output(file: Path | None, *inputs: Path) -> None:
    """Refuse before the work a file that could not be written after it.

    :param file: The file; None for none.
    :param inputs: Files that are read, which it must not replace.
    :raises ConfigurationError: If it is one of these, or a folder, or there is no folder for it.
    """
    from lodestone.components.errors import ConfigurationError

    if file is None:
        return
    if file.is_dir() or file.resolve() in [each.resolve() for each in inputs]:
        raise ConfigurationError(f"{file} would be overwritten; name another file")
    if not file.absolute().parent.is_dir():
        raise ConfigurationError(
            f"{file} cannot be written: there is no folder {file.parent}; make it first, or name another file"
        )
    if not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
        raise ConfigurationError(f"{file} may not be written; name another file")


def console(stderr: bool = False) -> "Console":
    """A rich console for people; it drops colours where the output is no terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def open_query_pipeline(pipeline: str, index: Path | None, **reader: Any) -> "QueryPipeline":
    """Load a query pipeline over an index that exists.

    :param pipeline: Path or shipped name of its definition.
    :param index: Folder of the index; None for the definition's own.
    :param reader: Parameters of its ExtractiveReader to set; those that are None are left.
    :raises ConfigurationError: If there is no index, or the definition is wrong.
    """
    from lodestone.pipelines import load_pipeline
    from lodestone.pipelines.answering import QueryPipeline

    given = {name: value for name, value in reader.items() if value is not None}
    overrides = {"ExtractiveReader": given} if given else None
    return QueryPipeline(load_pipeline(pipeline, index=index, overrides=overrides))
