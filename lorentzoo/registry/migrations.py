"""How does a specification of an earlier format become one of today's?

One pure function a step, from plain data of one format to plain data of the next. A format changes where its layout does;
names of components, their parameters and defaults are the components' own, see `lorentzoo.registry.renaming`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["FORMAT", "STEPS", "migrate"]


def _require_checksum(data: dict[str, Any]) -> dict[str, Any]:
    """From 2 on the file of a saved model must state its checksum; the composition is written as before."""
    return data


STEPS: Final[tuple[Callable[[dict[str, Any]], dict[str, Any]], ...]] = (_require_checksum,)
"""From format 1 to 2, from 2 to 3, and so on."""
FORMAT: Final = 1 + len(STEPS)
"""Version of the specification's own layout; a file of a newer one is refused."""


def migrate(
    data: Mapping[str, Any], steps: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = STEPS
) -> dict[str, Any]:
    """Plain data in today's format; what is in it comes back as it is.

    Parameters
    ----------
    data
        A mapping whose ``format`` is known: 1 to the last one, which is meant where none is stated.
    steps
        All steps there are, in order.
    """
    last = 1 + len(steps)
    migrated = dict(data)
    for number in range(migrated.get("format", last), last):
        migrated = {**steps[number - 1](migrated), "format": number + 1}
    return migrated
