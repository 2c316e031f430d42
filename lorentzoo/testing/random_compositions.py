"""Which compositions are there besides those that somebody thought of?

Drawn from everything that is registered: every slot, and every parameter whose values are known from its annotation
(closed choices, switches, lists of choices) or stated here (parts within parts). What the registry refuses is drawn anew.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, get_args, get_origin

import numpy as np

from lorentzoo.core.errors import LorentzooError
from lorentzoo.core.model import Model
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.components import Component
from lorentzoo.registry.composition import build_model
from lorentzoo.registry.parameters import FILLED, Parameter, check_parameters, parameters_of
from lorentzoo.registry.specs import Spec

__all__ = ["OPEN_CHOICES", "SIZES", "random_models"]

SIZES: Final[dict[str, Any]] = {
    "num_blocks": 2,
    "num_class_blocks": 1,
    "num_layers": 2,
    "num_transforms": 1,
    "hidden": [8],
    "hidden_channels": 4,
    "hidden_scalars": 8,
    "hidden_vectors": 4,
    "num_heads": 2,
    "embed_dims": [8, 8],
    "pair_dims": [8],
    "channels": [8],
    "neighbours": 4,
    "num_particles": 8,
    "context": 8,
    "width": 8,
    "stem": 4,
    "stages": [4],
    "units": 1,
}
"""Parameters that keep a network small, as far as a component has them under that name and of that type."""

OPEN_CHOICES: Final[dict[str, Sequence[Any]]] = {
    "equivectors": ["mlp", "pelican:num_blocks=1,hidden_channels=4", "lgatr", "lgatr-slim:num_blocks=1"],
    "lab_scalars": [None, None, "kinematics", "kinematics-rotation", ["kinematics-beam", "invariants"]],
    "hidden_reps": ["8x0n", "4x0n+2x1n", ["8x0n"], ["4x0n+1x1n"]],
    "head_reps": ["4x0n", "4x0n+1x1n", "2x1n"],
    "reinsert_vectors": [[], [0]],
    "mlp_layers": [2, 3],
    "scale": [1.0, 20.0],
    "time_features": [0, 2],
    "num_targets": [1, 2],
    "num_classes": [1, 3],
}
"""Values of parameters that no annotation lists."""

_LISTS: Final = {"spurions": (0, 2), "embedding": (1, 3)}
_SINGLE: Final = ("frames", "backbone", "head")
_TRIES: Final = 200


def random_models(
    count: int,
    seed: int = 0,
    *,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    leave_out: Sequence[str] = (),
) -> Iterator[Model]:
    """Models of random compositions over all parameters of all parts, those that the registry accepts.

    Parameters
    ----------
    count
        How many.
    seed
        The same seed gives the same models, as long as the same components are registered.
    parameters
        ``{"kind/name": values}`` of components that need some.
    leave_out
        ``"kind/name"`` of components that are not to be drawn.

    Raises
    ------
    RuntimeError
        If a model needs more than 200 attempts.
    """
    rng = np.random.default_rng(seed)
    parts = {
        kind: [part for part in catalogue().components(kind) if f"{kind}/{part.name}" not in leave_out]
        for kind in (*_LISTS, *_SINGLE)
    }
    for _ in range(count):
        for _ in range(_TRIES):
            data = _draw_composition(rng, parts, parameters or {})
            try:
                yield build_model(Spec.from_data(data))
                break
            except LorentzooError:
                continue
        else:
            raise RuntimeError(f"{_TRIES} random compositions were refused one after the other")


def _draw_composition(
    rng: np.random.Generator,
    parts: Mapping[str, Sequence[Component]],
    parameters: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    def draw(kind: str, several: int = 1) -> list[dict[str, Any]]:
        chosen = rng.choice(len(parts[kind]), several, replace=False)
        return [_draw_part(rng, parts[kind][index], parameters) for index in chosen]

    data: dict[str, Any] = {kind: draw(kind, int(rng.integers(a, b + 1))) for kind, (a, b) in _LISTS.items()}
    data |= {kind: draw(kind)[0] for kind in _SINGLE}
    data["spurion_mode"] = _choose(rng, [None, "tokens", "channels", "drop"])
    data["anchor"] = _choose(rng, ["auto", "auto", "none"])
    data["in_scalars"], data["in_context"] = (int(number) for number in rng.integers(0, 2, 2))
    return data


def _draw_part(
    rng: np.random.Generator, part: Component, parameters: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """A part's name with drawn parameters; half of those that could vary stay at their defaults."""
    target = catalogue().target(part)
    drawn: dict[str, Any] = {"name": part.full_name if part.plugin else part.name}
    for name, parameter in parameters_of(target).items():
        if name in FILLED:
            continue
        sizes = [SIZES[name]] if name in SIZES else []
        choices = [*sizes, *OPEN_CHOICES.get(name, ()), *_list_choices(rng, parameter)]
        fitting = [value for value in choices if _fits(target, name, value)]
        if fitting and (sizes or rng.random() < 0.5):
            drawn[name] = _choose(rng, fitting)
    return {**drawn, **parameters.get(f"{part.kind}/{part.name}", {})}


def _list_choices(rng: np.random.Generator, parameter: Parameter) -> list[Any]:
    """Values that the annotation lists; of a sequence of choices, one random selection in random order."""
    annotation = parameter.annotation
    if annotation is bool:
        return [True, False]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if get_origin(annotation) in (types.UnionType, typing.Union):
        return [
            value
            for inner in get_args(annotation)
            if get_origin(inner) is Literal
            for value in (None, *get_args(inner))
        ]
    inside = get_args(annotation)
    if get_origin(annotation) is Sequence and inside and get_origin(inside[0]) is Literal:
        values = get_args(inside[0])
        order = rng.permutation(len(values))[: rng.integers(1, len(values) + 1)]
        return [[values[index] for index in order]]
    return []


def _fits(target: Any, name: str, value: Any) -> bool:
    try:
        check_parameters("", target, {name: value})
    except LorentzooError:
        return False
    return True


def _choose(rng: np.random.Generator, values: Sequence[Any]) -> Any:
    return values[int(rng.integers(len(values)))]
