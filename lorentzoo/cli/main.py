"""The command line: one thin command a verb, imported lazily."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, Final

import typer

from lorentzoo import __version__
from lorentzoo.cli.catalogue import (
    catalogue_command,
    cite_command,
    describe_command,
    list_command,
    plugins_command,
)
from lorentzoo.cli.data import data_app
from lorentzoo.cli.export import export_command
from lorentzoo.cli.migrate import migrate_command
from lorentzoo.cli.models import evaluate_command, import_command, train_command, verify_command
from lorentzoo.cli.output import error_console
from lorentzoo.cli.plugins import new_plugin_command
from lorentzoo.cli.push import push_command
from lorentzoo.cli.studies import study_app
from lorentzoo.cli.symmetry import symmetry_command
from lorentzoo.cli.tables import table_app
from lorentzoo.core.errors import StoppedElsewhere
from lorentzoo.core.extras import explain_missing
from lorentzoo.core.text import plain

__all__ = ["app", "main"]

_INTERRUPTED: Final = 130

app = typer.Typer(
    name="lorentzoo",
    help="A zoo of Lorentz-symmetric networks: list them, compose them, verify their symmetry, study them.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list")(list_command)
app.command("describe")(describe_command)
app.command("catalogue")(catalogue_command)
app.command("cite")(cite_command)
app.command("plugins")(plugins_command)
app.command("new-plugin")(new_plugin_command)
app.command("verify")(verify_command)
app.command("symmetry")(symmetry_command)
app.command("train")(train_command)
app.command("import")(import_command)
app.command("evaluate")(evaluate_command)
app.command("export")(export_command)
app.command("push")(push_command)
app.command("migrate")(migrate_command)
app.add_typer(study_app, name="study")
app.add_typer(data_app, name="data")
app.add_typer(table_app, name="table")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lorentzoo {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the whole trace of an error."),
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """A zoo of Lorentz-symmetric networks: list them, compose them, verify their symmetry, study them."""


def main() -> None:
    """Run the command line; errors are one line on standard error, with exit code 1 (2 for wrong usage)."""
    debug = "--debug" in sys.argv
    if not debug:
        warnings.showwarning = _show_warning
    try:
        code = app(standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    except Exception as error:
        # Wrong usage. Typer has its own copy of click or another one, by version, so the class has no fixed home.
        show, code = getattr(error, "show", None), getattr(error, "exit_code", None)
        if callable(show) and isinstance(code, int):
            show()
            sys.exit(code)
        if debug:
            raise
        if isinstance(error, StoppedElsewhere) and os.environ.get("RANK") != "0":
            # The first process says why.
            sys.exit(1)
        if isinstance(error, ImportError):
            error = explain_missing(error) or error
        error_console().print(
            f"error: {plain(error) or type(error).__name__}", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(1)
    # Typer makes an exit code of Ctrl-C, in some versions.
    if code == _INTERRUPTED:
        error_console().print("interrupted; the same command goes on where it stopped")
    sys.exit(code if isinstance(code, int) else 0)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """One line, without the place in the code."""
    error_console().print(f"warning: {plain(message)}", markup=False, highlight=False, soft_wrap=True)
