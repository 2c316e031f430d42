"""How does a table of numbers become a CSV file that a spreadsheet does not run?"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["to_csv"]

_FORMULAE: Final = ("=", "+", "-", "@", "\t", "\r")
"""With which a spreadsheet begins a formula."""


def to_csv(lines: Sequence[Mapping[str, Any]]) -> str:
    """Lines of a table as CSV under their keys; texts and keys that would run as a formula get an apostrophe before them.

    >>> to_csv([{"label": "=1+1", "auc": -0.5}])
    "label,auc\\n'=1+1,-0.5\\n"
    """
    columns = list(dict.fromkeys(key for line in lines for key in line))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_guard(column) for column in columns])
    writer.writerows([_guard(line.get(column, "")) for column in columns] for line in lines)
    return stream.getvalue()


def _guard(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAE) else value
