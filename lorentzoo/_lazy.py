"""How does a package offer names without importing what is behind them?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["resolve_on_use"]


def resolve_on_use(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package whose names are imported on first use (PEP 562).

    Parameters
    ----------
    package
        Its ``__name__``.
    homes
        The module of each public name; ``"module:attribute"`` where it is called otherwise there.
    """

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, attribute = homes[name].partition(":")
        value = getattr(_import_or_explain(module), attribute or name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return __getattr__, __dir__


def _import_or_explain(module: str) -> Any:
    """A module; where a package of an extra is missing, the error names the extra."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        from lorentzoo.core.extras import explain_missing

        explained = explain_missing(error)
        if explained is None:
            raise
        raise explained from error
