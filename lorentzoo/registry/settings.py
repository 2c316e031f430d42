"""How do plain data become validated settings, and what is said of keys that are wrong?"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from lorentzoo.core.errors import TrainingError

__all__ = ["describe_problems", "describe_unknown", "read_settings"]


def read_settings(kind: type[Any], data: Any, what: str, error: type[Exception] = TrainingError) -> Any:
    """A validated value of a pydantic class from plain data; a value of the class is returned as it is.

    Raises
    ------
    TrainingError
        Or `error`, naming every key that is unknown or has a value that does not fit.
    """
    if isinstance(data, kind):
        return data
    if data is not None and not isinstance(data, Mapping):
        raise error(f"{what}: expected keys and values, not {data!r}")
    try:
        return kind.model_validate(dict(data or {}))
    except ValidationError as problem:
        raise error(f"{what}: {describe_problems(problem, list(kind.model_fields))}") from None


def describe_problems(error: ValidationError, known: list[str]) -> str:
    """What is wrong, key by key, with the closest known name for an unknown one."""
    problems = []
    for problem in error.errors():
        where = ".".join(str(step) for step in problem["loc"]) or "value"
        if problem["type"] == "extra_forbidden":
            problems.append(describe_unknown(where, known))
        elif problem["type"] == "missing":
            problems.append(f"{where!r} is missing")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            given = "" if problem["type"] == "value_error" else f", not {problem['input']!r}"
            problems.append(f"{where}: {message}{given}" if problem["loc"] else message)
    return "; ".join(problems)


def describe_unknown(key: str, known: Sequence[str]) -> str:
    """That a key is unknown, with the closest known one.

    >>> describe_unknown("num_sample", ["num_samples", "seed"])
    "unknown key 'num_sample'; did you mean 'num_samples'?"
    """
    close = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
    return f"unknown key {key!r}" + (
        f"; did you mean {close[0]!r}?" if close else f"; known keys: {', '.join(known) or 'none'}"
    )
