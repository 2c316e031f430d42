"""Which of many names does an error list?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["list_names"]

_MOST: Final = 40
"""Names that a reader looks through."""
_ALIKE: Final = 6


def list_names(names: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Names in alphabetical order; of more than 40, those most like what was wanted, and how many others there are.

    Examples
    --------
    >>> list_names(["pt", "eta"], ["phi"])
    ['eta', 'pt']
    >>> list_names([f"x{number}" for number in range(50)] + ["jet_phi", "phi0"], ["phi"])
    ['jet_phi', 'phi0', '... and 50 others']
    """
    there = sorted(set(names))
    if len(there) <= _MOST:
        return there
    close: set[str] = set()
    for name in wanted:
        close.update(difflib.get_close_matches(name, there, n=_ALIKE))
        close.update([other for other in there if name.lower() in other.lower()][:_ALIKE])
    return [*sorted(close), f"... and {len(there) - len(close)} others"]
