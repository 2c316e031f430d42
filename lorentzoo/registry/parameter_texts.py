"""How is a parameter told to a person: what may be given, and what it is for?"""

from __future__ import annotations

import inspect
import os
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from lorentzoo.core.text import plain

__all__ = ["allowed_values", "describe_type", "read_texts"]

_ENTRY: Final = re.compile(r"(?P<names>[*\w]+(?:, *[*\w]+)*)(?: *:.*)?")
_BOUNDS: Final = (("ge", "at least {}"), ("gt", "above {}"), ("le", "at most {}"), ("lt", "below {}"))


def describe_type(annotation: Any) -> str:
    """What may be given, in plain words of Python: closed choices by their values, never the name of an alias.

    >>> describe_type(typing.Literal["own", "centre"] | None)
    "'own' | 'centre' | None"
    >>> describe_type(Sequence[int] | str)
    'list[int] | str'
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any or annotation is inspect.Parameter.empty:
        return "anything"
    if annotation is None or annotation is types.NoneType:
        return "None"
    if hasattr(annotation, "__metadata__"):
        inner = describe_type(arguments[0])
        bounds = [text.format(value) for name, text in _BOUNDS for value in _bounds(annotation, name)]
        return f"{inner} ({', '.join(bounds)})" if bounds else inner
    if origin is typing.Literal:
        return " | ".join(repr(value) for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(describe_type(argument) for argument in arguments))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping[{', '.join(describe_type(argument) for argument in arguments)}]"
    if isinstance(origin, type) and issubclass(origin, Callable):  # type: ignore[arg-type]
        return "function"
    if (origin or annotation) is os.PathLike:
        return "path"
    if origin is tuple:
        listed = ["..." if argument is ... else describe_type(argument) for argument in arguments]
        return f"tuple[{', '.join(listed)}]"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"list[{', '.join(describe_type(argument) for argument in arguments)}]"
    if isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def allowed_values(annotation: Any) -> tuple[Any, ...]:
    """The values of a closed choice, None among them where it may be left open; empty where anything of a type fits."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return allowed_values(arguments[0])
    if origin is typing.Literal:
        return arguments
    if annotation is bool:
        return (True, False)
    if annotation is None or annotation is types.NoneType:
        return (None,)
    if origin in (typing.Union, types.UnionType):
        each = [allowed_values(argument) for argument in arguments]
        return tuple(value for values in each for value in values) if all(each) else ()
    return ()


def read_texts(target: Any) -> dict[str, str]:
    """What the docstring of a class or function says of each parameter, in one line each (NumPy style)."""
    found: dict[str, str] = {}
    kinds = reversed(target.__mro__) if isinstance(target, type) else [target]
    for each in kinds:
        for documented in (each, each.__dict__.get("__init__") if isinstance(each, type) else None):
            found |= _read_section(getattr(documented, "__doc__", None) or "")
    return found


# ---- helpers ----------------------------------------------------------------------------------


def _bounds(annotation: Any, name: str) -> list[Any]:
    """Values of a bound, which pydantic keeps in its own metadata or in those of a field."""
    parts = [part for item in annotation.__metadata__ for part in (item, *getattr(item, "metadata", ()))]
    return list(dict.fromkeys(value for part in parts if (value := getattr(part, name, None)) is not None))


def _read_section(documentation: str) -> dict[str, str]:
    lines = inspect.cleandoc(documentation).splitlines()
    found: dict[str, list[str]] = {}
    names: list[str] = []
    inside = False
    for line, below in zip(lines, [*lines[1:], ""], strict=False):
        if set(below.strip()) == {"-"} and len(below.strip()) > 2:
            inside, names = line.strip() in ("Parameters", "Attributes"), []
            continue
        if not inside or set(line.strip()) == {"-"}:
            continue
        if line and not line.startswith(" "):
            entry = _ENTRY.fullmatch(line.strip())
            names = [name.strip() for name in entry["names"].split(",")] if entry else []
            names = [name for name in names if name not in found]
            found |= {name: [] for name in names}
        elif line.strip():
            for name in names:
                found[name].append(line.strip())
    # What strangers write is text: no orders to terminals, no markup.
    return {name: plain(" ".join(text)).replace("`", "") for name, text in found.items() if text}
