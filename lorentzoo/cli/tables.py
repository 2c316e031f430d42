"""``lorentzoo table taggers``."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path

import typer

from lorentzoo.cli.completion import complete_parts

__all__ = ["table_app"]

_complete_models = complete_parts("model")

table_app = typer.Typer(help="Tables of the zoo beside the published ones.", no_args_is_help=True)


class Format(str, Enum):
    """How a table is written."""

    text = "text"
    md = "md"
    csv = "csv"
    json = "json"


@table_app.callback()
def _tables() -> None:
    """Tables of the zoo beside the published ones."""


@table_app.command("taggers")
def taggers(
    models: list[str] = typer.Argument(
        None,
        help="Names or patterns, e.g. 'lloca-*'; by default the published table and its like.",
        autocompletion=_complete_models,
    ),
    format_: Format = typer.Option(Format.text, "--format", "-f", help="How the table is written."),
    out: Path | None = typer.Option(None, "--out", "-o", help="File to write; standard output by default."),
    multiplicity: int = typer.Option(50, "--particles", "-n", min=1, help="Particles of the jets."),
    batch_size: int = typer.Option(32, "--batch-size", "-b", min=2, help="Jets in a batch."),
) -> None:
    """Measure parameters, FLOPs, times and memory of taggers, beside what papers say of them.

    Example: lorentzoo table taggers part 'lloca-*' --format md --out taggers.md
    """
    from lorentzoo.cli.output import as_json
    from lorentzoo.studies.taggers import tagger_table

    result = tagger_table(models or (), multiplicity=multiplicity, batch_size=batch_size)
    if format_ is Format.json:
        text = as_json(result.to_data()) + "\n"
    elif format_ is Format.csv:
        text = result.to_csv()
    elif format_ is Format.md:
        text = result.table().to_markdown()
    else:
        text = result.table().to_text(_width() if out is None else 240)
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        typer.echo(str(out))


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 240
