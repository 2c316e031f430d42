"""How do values of a few named kinds, e.g. adapters, come from inline text and go to plain data?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lorentzoo.core.errors import ParameterError
from lorentzoo.registry.parameters import check_parameters
from lorentzoo.registry.specs import parse_part

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Kinds"]

K = TypeVar("K", bound="DataclassInstance")


class Kinds(Generic[K]):
    """Dataclasses by name.

    Parameters
    ----------
    option
        Where they are given, e.g. ``"adapters"``.
    none
        How an error begins, e.g. ``"there are no adapters"``.
    kind
        What one is called in errors, e.g. ``"adapters"``.
    names
        Names and classes.
    """

    def __init__(self, option: str, none: str, kind: str, names: Mapping[str, type[K]]) -> None:
        self._option, self._none, self._kind, self._names = option, none, kind, names

    def read(self, value: Any) -> K:
        """One from a name, inline text or a mapping.

        Raises
        ------
        ParameterError
            If there is none of this name, or a parameter does not fit.
        """
        part = parse_part(value, self._option)
        made = self._names.get(part.name)
        if made is None:
            raise ParameterError(f"{self._none} {part.name!r}, but {', '.join(self._names)}")
        named = f"{self._kind} {part.name!r}"
        try:
            return made(**check_parameters(named, made, part.parameters))
        except ValueError as error:
            raise ParameterError(f"{named}: {error}") from None

    def write(self, made: K) -> dict[str, Any]:
        """Plain data that `read` reads back, without what is as it is by default."""
        name = next(name for name, kind in self._names.items() if isinstance(made, kind))
        usual = asdict(type(made)())
        return {"name": name, **{key: value for key, value in asdict(made).items() if value != usual[key]}}
