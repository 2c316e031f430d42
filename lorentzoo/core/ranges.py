"""Which whole numbers are meant by a number, or by a range of them in text?"""

from __future__ import annotations

import re

from lorentzoo.core.errors import ParameterError

__all__ = ["read_range"]


def read_range(value: int | str, what: str) -> range:
    """The whole numbers that ``3``, ``"3"`` or ``"0-4"`` means, the last one included.

    Parameters
    ----------
    value
        A number that is not negative, or a range of such.
    what
        How errors call it.

    Raises
    ------
    ParameterError
        If it is neither, or ends before it begins.

    >>> list(read_range("0-4", "extra_jets"))
    [0, 1, 2, 3, 4]
    >>> read_range(2, "extra_jets")
    range(2, 3)
    """
    found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", str(value))
    if found is None or isinstance(value, bool):
        raise ParameterError(f"{what} is a whole number or a range such as '0-4', not {value!r}")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    if last < first:
        raise ParameterError(f"{what}={value!r} ends before it begins")
    return range(first, last + 1)
