"""The `lodestone` command: one module a verb, none with logic of its own."""

import os
import sys

import typer

from lodestone import __version__
from lodestone.commands import (
    ask,
    calibrate,
    delete,
    draw,
    evaluate,
    index,
    jobs,
    quantize,
    search,
    status,
    store,
    train,
    validate,
)
from lodestone.commands.console import UsageError, configure_logging, fail, fail_usage
from lodestone.components.errors import LodestoneError

app = typer.Typer(
    name="lodestone",
    help="Answers questions from your documents with exact, located, calibrated quotes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(index.index)
app.command()(ask.ask)
app.command()(search.search)
app.command()(delete.delete)
app.command()(status.status)
app.add_typer(jobs.app, name="jobs")
app.add_typer(store.app, name="store")
app.command()(quantize.quantize)
app.command()(calibrate.calibrate)
app.command()(train.train)
app.command()(train.distil)
app.add_typer(evaluate.app, name="evaluate")
app.command()(validate.validate)
app.command()(draw.draw)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lodestone {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    configure_logging()


def main() -> None:
    """Run the command line: exit 0 when all was done, 1 when some inputs failed, 2 for wrong usage."""
    try:
        sys.exit(app(prog_name="lodestone", standalone_mode=False))
    except UsageError as error:
        fail_usage(error)
    except LodestoneError as error:
        fail(error)
    except UnicodeEncodeError:
        fail(ValueError("what was typed is not valid UTF-8"))
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, went away; closing stdout quietly is what it expects.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        fail(OSError(f"{error.filename}: {error.strerror}") if error.filename is not None else error)
