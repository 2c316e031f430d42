"""How does the command line print?"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import typer

from lorentzoo.core.text import plain

__all__ = ["as_json", "error_console", "print_json", "print_table"]


def as_json(value: Any) -> str:
    """Plain data as JSON, with NaN and infinity as null."""
    return json.dumps(_finite(value), indent=2, ensure_ascii=False)


def print_json(value: Any) -> None:
    """Plain data as JSON on standard output, with NaN and infinity as null."""
    typer.echo(as_json(value))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table for a terminal; tab-separated columns where the output is not a terminal."""
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(plain(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in header:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Texts of plugins are text, whatever signs they hold.
        table.add_row(*(Text(plain(cell)) for cell in row))
    Console().print(table)


def error_console() -> Any:
    """A console on standard error."""
    from rich.console import Console

    return Console(stderr=True)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
