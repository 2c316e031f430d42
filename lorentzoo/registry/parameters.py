"""Which parameters does a component take, and does a value fit?

Parameters are read from the constructor's signature and checked against its annotations.
"""

from __future__ import annotations

import difflib
import inspect
import math
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import pydantic

from lorentzoo.core.errors import ParameterError
from lorentzoo.registry.parameter_texts import describe_type, read_texts

__all__ = ["FILLED", "Parameter", "check_parameters", "parameters_of"]

FILLED = frozenset(
    {
        "in_scalars",
        "in_vectors",
        "in_context",
        "out_scalars",
        "out_vectors",
        "out_pairs",
        "out_queries",
        "spurion_names",
        "matrix_names",
    }
)
"""Parameters that the composition fills and a specification does not name."""

_LARGEST: Final = 3.4e38
"""The largest number of float32."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a component.

    Attributes
    ----------
    name, type, default
        As in the signature; `type` as text, empty where there is no annotation, `default` is `inspect.Parameter.empty`
        where required.
    text
        What it is for, by the docstring.
    """

    name: str
    type: str
    default: Any
    annotation: Any
    text: str = ""

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is inspect.Parameter.empty


@lru_cache(maxsize=512)
def parameters_of(target: Any) -> dict[str, Parameter]:
    """Parameters of a class or function, in order, without ``self``."""
    signature = inspect.signature(target)
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints = typing.get_type_hints(function)
    except Exception:
        # Annotations of names that only exist for type checkers: such parameters stay unchecked.
        hints = {}
    found, texts = {}, read_texts(target)
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        annotation = hints.get(name, Any)
        # Settings of tasks have no constructor of their own: their signature holds the types.
        shown = hints.get(name, parameter.annotation)
        bare = shown is inspect.Parameter.empty
        text = "" if bare else shown if isinstance(shown, str) else describe_type(shown)
        found[name] = Parameter(name, text, parameter.default, annotation, texts.get(name, ""))
    return found


def check_parameters(
    label: str, target: Any, given: Mapping[str, Any], *, reserved: Collection[str] = (), finite: bool = True
) -> dict[str, Any]:
    """Validate values against a constructor's annotations and return them converted.

    Parameters
    ----------
    label
        How errors call the component, e.g. ``"backbone 'lgatr'"``.
    target
        The class or function.
    given
        Values by name.
    reserved
        Names that the caller may not set here because the composition fills them.
    finite
        Whether plain numbers must be finite, as those of networks; a cut of a data set may be off, at infinity.

    Raises
    ------
    ParameterError
        Saying the component, the parameter, what was given and what is allowed; also for negative values of parameters
        that are annotated as int, and infinite ones of those annotated as float, unless their default is such a value.
    """
    known = parameters_of(target)
    open_names = [name for name in known if name not in reserved]
    checked = {}
    for name, value in given.items():
        if name in reserved and name in known:
            raise ParameterError(f"{label}: {name!r} follows from the composition and cannot be set")
        if name not in known:
            close = difflib.get_close_matches(name, open_names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else "."
            listing = ", ".join(open_names) or "none"
            raise ParameterError(f"{label} has no parameter {name!r}{hint} Its parameters: {listing}.")
        checked[name] = _convert(label, known[name], value, finite)
    for name in open_names:
        if known[name].required and name not in given and name not in FILLED:
            raise ParameterError(f"{label} needs a value for {name!r} ({known[name].type})")
    return checked


def _convert(label: str, parameter: Parameter, value: Any, finite: bool) -> Any:
    adapter = _adapter(parameter.annotation) if _hashable(parameter.annotation) else None
    if adapter is None:
        return value
    try:
        if isinstance(value, bool) and parameter.annotation in (int, float):
            raise ValueError("a truth value is not a number")
        converted = adapter.validate_python(value)
    except (pydantic.ValidationError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, pydantic.ValidationError) else str(error)
        raise ParameterError(
            f"{label}: {parameter.name}={value!r} does not fit {parameter.type or 'its type'} ({reason})"
        ) from None
    if _counts(parameter) and isinstance(converted, int) and converted < 0:
        raise ParameterError(f"{label}: {parameter.name} must not be negative, and is {converted}")
    if finite and _is_finite(parameter) and isinstance(converted, float) and abs(converted) > _LARGEST:
        raise ParameterError(f"{label}: {parameter.name} must be finite in float32, and is {converted}")
    return converted


def _is_finite(parameter: Parameter) -> bool:
    """Whether it is a plain number, and not a bound that is off by default."""
    return parameter.annotation in (float, float | None) and parameter.default not in (math.inf, -math.inf)


def _counts(parameter: Parameter) -> bool:
    """Whether it is a plain whole number: those count something, unless their default is negative."""
    default_below = isinstance(parameter.default, int) and parameter.default < 0
    return parameter.annotation in (int, int | None) and not default_below


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@lru_cache(maxsize=512)
def _adapter(annotation: Any) -> pydantic.TypeAdapter[Any] | None:
    if annotation is Any or annotation is inspect.Parameter.empty:
        return None
    try:
        return pydantic.TypeAdapter(annotation)
    except (pydantic.errors.PydanticSchemaGenerationError, pydantic.errors.PydanticUserError):
        return None
