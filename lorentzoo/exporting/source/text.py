"""What do source files in different languages share: templates, tools, comments?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files

__all__ = ["fill_template", "literal", "select_tools"]


@lru_cache(maxsize=32)
def read_template(name: str) -> str:
    """The text of a template."""
    return (files("lorentzoo.exporting.source") / "templates" / name).read_text(encoding="utf-8")


def fill_template(name: str, values: Mapping[str, str]) -> str:
    """A template with every ``@KEY@`` replaced."""
    return re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], read_template(name))


def select_tools(name: str, wanted: Iterable[str]) -> str:
    """The tools of a template that are wanted, and those that these need, in their order.

    A tool begins with a line ``@tool NAME NEEDED ...`` in a comment.
    """
    pieces = re.split(r"^.*@tool (.*?)(?: \*/)?\n", read_template(name), flags=re.MULTILINE)
    tools = {
        head.split()[0]: (head.split()[1:], body)
        for head, body in zip(pieces[1::2], pieces[2::2], strict=True)
    }
    chosen: set[str] = set()
    left = list(wanted)
    while left:
        tool = left.pop()
        if tool not in chosen:
            chosen.add(tool)
            left += tools[tool][0]
    return "".join(body for tool, (_, body) in tools.items() if tool in chosen)


def literal(number: float) -> str:
    """A number in float64 with all of its digits, as C writes it."""
    text = repr(float(number))
    return text if any(mark in text for mark in ".en") else f"{text}.0"
