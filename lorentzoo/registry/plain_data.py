"""Which plain data is believed: how deep, how much of it, and which numbers?

Specifications and studies come from files, command lines and other people. What they declare is bounded here, before
anything is read out of it, repeated or printed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lorentzoo.core.errors import LorentzooError, SpecError
from lorentzoo.registry.files import read_file

__all__ = [
    "MAX_CHARACTERS",
    "MAX_DEPTH",
    "MAX_ITEMS",
    "check_plain",
    "read_json",
    "read_json_file",
    "read_text",
]

MAX_DEPTH: Final = 32
"""Lists and mappings inside each other."""
MAX_ITEMS: Final = 20_000
"""Values, names and keys together, each counted as often as it is referred to."""
MAX_CHARACTERS: Final = 250_000
"""Characters of the text of one specification or study."""
_MAX_FILE: Final = 1 << 26
"""Bytes of a file that the package wrote itself, e.g. of a study of ten thousand runs."""
_MAX_INTEGER: Final = 1 << 63


def check_plain(data: Any, what: str, error: type[LorentzooError] = SpecError) -> None:
    """Refuse data that is nested too deeply, too much, or holds NaN or whole numbers beyond 64 bits.

    Parameters
    ----------
    data
        Mappings, lists and scalars; other objects are passed over.
    what
        How errors call it.
    error
        What is raised.

    Raises
    ------
    SpecError
        Or `error`, saying which bound is exceeded.
    """
    level, depth, count = [data], 0, 0
    while level:
        if depth > MAX_DEPTH:
            raise error(f"{what} is nested more than {MAX_DEPTH} levels deep; no specification needs so many")
        below: list[Any] = []
        for value in level:
            if isinstance(value, int) and not -_MAX_INTEGER <= value < _MAX_INTEGER:
                raise error(f"{what} holds a whole number of {value.bit_length()} bits; at most 63 are read")
            if isinstance(value, float) and value != value:
                raise error(f"{what} holds a number that is not one (NaN)")
            inner = _inner(value)
            count += len(inner)
            if count > MAX_ITEMS:
                raise error(f"{what} holds more than {MAX_ITEMS} values; no specification needs so many")
            below += inner
        level, depth = below, depth + 1


def read_json(text: str, what: str, error: type[LorentzooError] = SpecError) -> Any:
    """Plain data from JSON text, within the bounds of `check_plain`.

    Raises
    ------
    SpecError
        Or `error`, if it is not JSON or exceeds a bound.
    """
    try:
        data = json.loads(text)
    except RecursionError:
        raise error(f"{what} is nested more than {MAX_DEPTH} levels deep") from None
    except ValueError as problem:  # also whole numbers of more than 4300 digits
        raise error(f"cannot read {what} as JSON: {problem}") from None
    check_plain(data, what, error)
    return data


def read_text(path: Path, what: str, error: type[LorentzooError] = SpecError) -> str:
    """The text of a file that holds plain data.

    Raises
    ------
    SpecError
        Or `error`, if there is no such file, it is a folder, a pipe or a device, is larger than any text that is read, or
        is not UTF-8.
    """
    try:
        # A character has at most four bytes.
        return read_file(path, 4 * MAX_CHARACTERS).decode("utf-8")
    except FileNotFoundError:
        raise error(f"{what}: there is no file {path}") from None
    except (OSError, ValueError) as problem:
        raise error(f"{what} cannot be read: {problem}") from None


def read_json_file(path: Path) -> Any:
    """Plain data of a file that the package wrote itself, and that may have been damaged or exchanged since.

    Raises
    ------
    FileNotFoundError
        If there is none.
    OSError
        If it is a folder, a pipe or a device, or cannot be read.
    ValueError
        If it is not JSON, is nested too deeply, or has more than 64 MB.
    """
    try:
        return json.loads(read_file(path, _MAX_FILE))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _inner(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [item for pair in value.items() for item in pair]
    return list(value) if isinstance(value, list | tuple) else []
