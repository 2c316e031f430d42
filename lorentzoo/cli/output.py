"""How does the command line print?"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from lorentzoo.core.text import plain

__all__ = ["as_json", "error_console", "numbers_with_errors", "print_json", "print_table"]


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


def numbers_with_errors(data: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested metrics as texts on one level, ``a.b.c``; what has an error beside it is written with it, as in tables.

    >>> numbers_with_errors({"auc": 0.9312, "auc_error": 0.0024, "rejection": {"value": 66.1, "error": 14.8}})
    {'auc': '0.9312 ± 0.0024', 'rejection': '66 ± 15'}
    """
    from lorentzoo.core.numbers import format_uncertain

    found: dict[str, str] = {}
    for key, value in data.items():
        error = data.get(f"{key}_error")
        if isinstance(value, Mapping):
            if value.get("is_limit"):
                found[f"{prefix}{key}"] = f"> {value['value']:.0f}"
            elif "value" in value and isinstance(value.get("error"), int | float):
                found[f"{prefix}{key}"] = format_uncertain(value["value"], value["error"])
            else:
                found |= numbers_with_errors(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and isinstance(error, int | float):
            found[f"{prefix}{key}"] = format_uncertain(value, error)
        elif not (key.endswith("_error") and key.removesuffix("_error") in data):
            found[f"{prefix}{key}"] = f"{value:.5g}" if isinstance(value, float) else str(value)
    return found


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
