"""Which texts must not stand in a CSV file as they are?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["guard_cells"]

_FORMULAE: Final = ("=", "+", "-", "@", "\t", "\r")
"""With which a spreadsheet begins a formula."""


def guard_cells(line: Mapping[str, Any]) -> dict[str, Any]:
    """The same line with an apostrophe before texts that a spreadsheet would run as a formula.

    >>> guard_cells({"label": "=1+1", "auc": -0.5})
    {'label': "'=1+1", 'auc': -0.5}
    """
    return {
        key: f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAE) else value
        for key, value in line.items()
    }
