"""How far does a trained network break each part of the Lorentz group, on real events?

`verify` asks which symmetry a composition has, with weights drawn anew. Here the weights are those that were learned: a
network that is free to break a symmetry may have learned to keep it, and spurions that break it may have no effect.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import SymmetryError
from lorentzoo.core.minkowski import GENERATOR_NAMES
from lorentzoo.core.model import Model
from lorentzoo.core.numbers import format_uncertain
from lorentzoo.core.symmetry import Symmetry
from lorentzoo.core.trainable import Trainable
from lorentzoo.verification.measure import differentiate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SUBGROUPS", "SymmetrySpectrum", "combine_spectra", "symmetry_spectrum"]

Array = NDArray[np.float64]

SUBGROUPS: Final[dict[str, tuple[str, ...]]] = {
    "SO(2)_beam": ("Jz",),
    "SO⁺(1,1)_beam": ("Kz",),
    "SO⁺(1,1)_beam × SO(2)_beam": ("Kz", "Jz"),
    "SO(3)": ("Jx", "Jy", "Jz"),
    "SO⁺(1,2)": ("Kx", "Ky", "Jz"),
    "SO⁺(1,3)": GENERATOR_NAMES,
}
"""Subgroups that a network might keep, by the generators that span them."""

_AT_ONCE: Final = 32
_BOOTSTRAPS: Final = 200


@dataclass(frozen=True)
class SymmetrySpectrum:
    """How fast outputs change along the generators, relative to every particle moving on its own.

    With A_e the derivatives of the outputs of event e along the six generators, and S_e² the mean square of those when
    each particle is moved by a generator of its own with normal coefficients, the matrix is G = Σ_e A_eᵀ A_e/Σ_e S_e².
    Zero is a symmetry that is kept. Did particles not know of each other, each generator would have 1/√6 = 0.41.

    Attributes
    ----------
    predicted
        The symmetry that the composition has with any weights.
    generators
        √G_aa of each generator, and its error.
    subgroups
        (Σ_a G_aa/d)^½ over the d generators of each of `SUBGROUPS`, and its error.
    singular_values, errors
        √ of the eigenvalues of G, ascending, (6,), and their errors.
    directions
        Their directions in the space of generators, (6, 6), a row each.
    num_events
        Events, or with `combine_spectra` events of each network.
    spread_of
        ``"events"`` where errors are those of a bootstrap over events, ``"networks"`` where they are the standard
        deviation of several networks.
    """

    predicted: Symmetry
    generators: dict[str, tuple[float, float]]
    subgroups: dict[str, tuple[float, float]]
    singular_values: Array
    errors: Array
    directions: Array
    num_events: int
    spread_of: str = "events"

    def to_data(self) -> dict[str, Any]:
        """Plain data, e.g. for JSON."""
        return {
            "predicted": self.predicted.name,
            "generators": {name: list(pair) for name, pair in self.generators.items()},
            "subgroups": {name: list(pair) for name, pair in self.subgroups.items()},
            "singular_values": self.singular_values.tolist(),
            "errors": self.errors.tolist(),
            "directions": self.directions.tolist(),
            "num_events": self.num_events,
            "spread_of": self.spread_of,
        }

    def __str__(self) -> str:
        def written(pairs: dict[str, tuple[float, float]]) -> list[str]:
            return [f"  {name:<28}{format_uncertain(value, error)}" for name, (value, error) in pairs.items()]

        values = "  ".join(
            format_uncertain(float(value), float(error))
            for value, error in zip(self.singular_values, self.errors, strict=True)
        )
        return "\n".join(
            [
                f"computed symmetry of the composition: {self.predicted.name}",
                f"derivatives relative to every particle moving on its own, {self.num_events} events, ± over "
                f"{self.spread_of}; 0 is kept, 0.41 is no symmetry at all",
                *written(self.generators),
                *written(self.subgroups),
                f"  singular values             {values}",
            ]
        )

    def plot(self, ax: Axes | None = None, label: str | None = None) -> Axes:
        """Breaking of each generator and subgroup on a logarithmic axis."""
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=(7, 4), layout="constrained")
        pairs = self.generators | self.subgroups
        values, errors = np.array(list(pairs.values())).T
        ax.errorbar(
            range(len(pairs)), np.maximum(values, 1e-17), yerr=errors, fmt="o", capsize=3, label=label
        )
        ax.set_yscale("log")
        ax.set_xticks(range(len(pairs)), list(pairs), rotation=35, ha="right")
        ax.axhline(6**-0.5, color="0.6", linestyle=":")
        ax.set_ylabel("relative derivative")
        if label:
            ax.legend()
        return ax


def symmetry_spectrum(model: Trainable, data: Any, *, num_events: int = 256) -> SymmetrySpectrum:
    """Measure how far a trained model breaks each generator and subgroup of the Lorentz group.

    Parameters
    ----------
    model
        With its trained weights; it is copied, and evaluated in float64.
    data
        Events as those that it is for, e.g. the test split: a `ParticleCloud`, or a data set with ``batch(indices)`` and
        a length.
    num_events
        How many of them, from the first, are taken.

    Raises
    ------
    SymmetryError
        If it is a generator, outputs have no derivatives, are not one row an event, or do not depend on the momenta.
    """
    if not isinstance(model, Model):
        raise SymmetryError(
            f"a generator has no outputs of events: verify the density of {type(model).__name__} instead"
        )
    if not model.head.passes_gradients:
        raise SymmetryError(
            f"the outputs of {type(model.head).__name__} are piecewise constant: there is no derivative along a generator"
        )
    if model.backbone.takes_condition:
        raise SymmetryError(
            f"{type(model.backbone).__name__} attends to a second cloud, which data do not have"
        )
    network = copy.deepcopy(model).double().eval().requires_grad_(False)
    grams, scales = [], []
    for cloud in _clouds(data, num_events, model.device):
        output, along, scattered = differentiate(network, [network.fitted_inputs.arrange(cloud)])
        if len(output) % cloud.num_events:
            raise SymmetryError("outputs are not one row an event: take a model of whole events")
        shape = (cloud.num_events, len(output) // cloud.num_events)
        rows, moved = along.reshape(*shape, 6), scattered.reshape(len(scattered), *shape)
        if shape[1] > 1 and _ignores_shifts(network, torch.from_numpy(output).reshape(shape)):
            # E.g. a number that is added to all logits is nothing that a classifier says.
            rows = rows - rows.mean(1, keepdims=True)
            moved = moved - moved.mean(2, keepdims=True)
        grams.append(np.einsum("eka,ekb->eab", rows, rows))
        scales.append(np.square(moved).sum(2).mean(0))
    gram, scale = np.concatenate(grams), np.concatenate(scales)
    if not np.isfinite(gram).all() or not scale.sum() > 0:
        raise SymmetryError("the outputs do not depend on the momenta, or their derivatives are not finite")
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(gram), np.full(len(gram), 1 / len(gram)), size=_BOOTSTRAPS)
    drawn = np.einsum("de,eab->dab", draws, gram) / (draws @ scale)[:, None, None]
    whole = gram.sum(0) / scale.sum()
    values, directions = _decompose(whole)
    return SymmetrySpectrum(
        network.symmetry,
        _pair(_generators(whole), np.array([_generators(each) for each in drawn]).std(0), GENERATOR_NAMES),
        _pair(_subgroups(whole), np.array([_subgroups(each) for each in drawn]).std(0), SUBGROUPS),
        values,
        np.array([_decompose(each)[0] for each in drawn]).std(0),
        directions,
        len(gram),
    )


def combine_spectra(spectra: Sequence[SymmetrySpectrum]) -> SymmetrySpectrum:
    """Means of several networks of one composition, e.g. of several seeds, with their standard deviations.

    Raises
    ------
    SymmetryError
        If there is none, or compositions keep different symmetries.
    """
    if not spectra or any(each.predicted != spectra[0].predicted for each in spectra):
        names = sorted({each.predicted.name for each in spectra})
        raise SymmetryError(f"spectra of one composition are combined, not of {', '.join(names) or 'none'}")

    def spread(values: Sequence[Any]) -> tuple[Any, Any]:
        found = np.array(values)
        return found.mean(0), found.std(0, ddof=1) if len(found) > 1 else np.zeros_like(found[0])

    def of_pairs(name: str) -> dict[str, tuple[float, float]]:
        keys = getattr(spectra[0], name)
        return _pair(*spread([[pair[0] for pair in getattr(each, name).values()] for each in spectra]), keys)

    values, errors = spread([each.singular_values for each in spectra])
    return SymmetrySpectrum(
        spectra[0].predicted,
        of_pairs("generators"),
        of_pairs("subgroups"),
        values,
        errors,
        spectra[0].directions,
        min(each.num_events for each in spectra),
        "networks",
    )


def _clouds(data: Any, num_events: int, device: torch.device) -> Iterator[ParticleCloud]:
    if isinstance(data, ParticleCloud):
        packed = data.to_packed()
        places = torch.arange(min(num_events, packed.num_events)).split(_AT_ONCE)
        clouds = (packed.select(events) for events in places)
    else:
        places = torch.arange(min(num_events, len(data))).split(_AT_ONCE)
        clouds = (data.batch(events).cloud for events in places)
    if not places or not len(places[0]):
        raise SymmetryError("there are no events to measure on")
    for cloud in clouds:
        yield cloud.to_units("GeV").to(device)


def _ignores_shifts(model: Model, output: Tensor) -> bool:
    """Whether a number that is added to all outputs of an event does not change what is predicted."""
    output = output.to(model.device)
    before, after = (model.head.predict(output + shift) for shift in (0.0, 1.0))
    return bool(torch.allclose(before, after, rtol=1e-9, atol=1e-12))


def _generators(gram: Array) -> Array:
    found: Array = np.sqrt(np.diag(gram))
    return found


def _subgroups(gram: Array) -> Array:
    places = [[GENERATOR_NAMES.index(name) for name in names] for names in SUBGROUPS.values()]
    return np.array([np.sqrt(np.diag(gram)[each].mean()) for each in places])


def _decompose(gram: Array) -> tuple[Array, Array]:
    """Square roots of the eigenvalues, ascending, and their directions, a row each."""
    values, vectors = np.linalg.eigh(gram)
    return np.sqrt(np.clip(values, 0, None)), vectors.T


def _pair(values: Any, errors: Any, names: Any) -> dict[str, tuple[float, float]]:
    return {name: (float(v), float(e)) for name, v, e in zip(names, values, errors, strict=True)}
