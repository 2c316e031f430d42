"""Functions of two, four or eight coordinates of phase space: q q̄ → V V, on shell, off shell, and with decays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import torch
from torch import Tensor

from lorentzoo import JetDataset
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.phase_space.decays import Decay, Scattering
from lorentzoo.plugins.amplitudes.phase_space.densities import Cauchy, Density, Uniform, Within
from lorentzoo.plugins.amplitudes.phase_space.rambo import beam_momenta
from lorentzoo.plugins.amplitudes.truth.vector_pairs import (
    contract_with_currents,
    decay_current,
    pair_helicity_amplitudes,
)

__all__ = ["COORDINATES", "vector_pairs"]

COORDINATES: Final = (
    "log_sqrt_s",
    "cos_theta",
    "mass_1",
    "mass_2",
    "cos_theta_1",
    "phi_1",
    "cos_theta_2",
    "phi_2",
)
"""In their order; the first two or four of them, or all."""
_HELICITIES: Final = "-0+"
_COLUMNS: Final = [0, 3, 1, 2, 5, 6, 7, 8]
"""Where they stand among those of a `Scattering` with two decays, whose azimuth, column 4, changes nothing."""
_AT_ONCE: Final = 50_000
_MOST_EVENTS: Final = 10**7
_Z_MASS: Final = 91.188
_Z_WIDTH: Final = 2.4952


def vector_pairs(
    dimensions: Literal[2, 4, 8] = 2,
    target: Literal["squared", "amplitude", "helicities"] = "squared",
    helicities: str = "-+",
    num_events: int = 10_000,
    split: Literal["train", "validation", "test"] | None = None,
    seed: int = 0,
    sqrt_s_min: float = 300.0,
    sqrt_s_max: float = 1000.0,
    cos_theta_max: float = 0.99,
    mass_min: float = 60.0,
    mass_max: float = 120.0,
    mass_density: Literal["uniform", "cauchy"] = "uniform",
    weights: Literal["none", "phase-space"] = "none",
) -> JetDataset:
    """Functions of few coordinates of q q̄ → V V at tree level, without couplings and propagators of the bosons.

    With two coordinates, ln √s and cos θ*, the bosons have the mass of the Z; with four, each has a mass of its own; with
    eight, each decays into a left-handed massless pair, by cos θ and φ in its rest frame, whose axes are those of the
    centre-of-mass frame. Coordinates are the context of an event, each mapped to [-1, 1]; its particles are q, q̄ and the
    bosons or what they decay into.

    Parameters
    ----------
    dimensions
        2, 4 or 8.
    target
        ``"squared"``: Σ|A|² over the helicities of quarks and bosons, in eight dimensions of quarks, in GeV⁴.
        ``"amplitude"``: A of a left-handed quark. In eight dimensions these are real and imaginary part, in GeV²; with
        fewer there is no azimuth, and A is real. ``"helicities"``: with two or four coordinates, all nine A of a
        left-handed quark, from which nine more follow by parity.
    helicities
        Of the bosons, two of ``"-0+"``, for amplitudes in two or four dimensions.
    num_events
        Points in all.
    split
        ``"train"``, ``"validation"`` or ``"test"``, 60:15:25; None takes all points.
    seed
        Of the random numbers.
    sqrt_s_min, sqrt_s_max
        Bounds of √s in GeV; ln √s is uniform.
    cos_theta_max
        Largest |cos θ*| of the bosons. Up to 1 the squares have forward peaks as narrow as 1 - cos θ* = m⁴/s².
    mass_min, mass_max, mass_density
        Bounds of the masses in GeV, and whether they are uniform, or have the resonance of a Z in them.
    weights
        ``"phase-space"`` weighs points such that their means are integrals over √s and phase space.

    Raises
    ------
    AmplitudeError
        On bounds that are not in order or leave bosons below their threshold, and on helicities that there are not.
    """
    if not 1 <= num_events <= _MOST_EVENTS:
        raise AmplitudeError(f"num_events must be from 1 to {_MOST_EVENTS:.0e}, not {num_events}")
    if len(helicities) != 2 or not set(helicities) <= set(_HELICITIES):
        raise AmplitudeError(
            f"helicities are two of {_HELICITIES!r}, one of each boson, such as '-+', not {helicities!r}"
        )
    if target == "helicities" and dimensions == 8:
        raise AmplitudeError(
            "with eight coordinates helicities are summed over: take dimensions=2 or 4, or target='amplitude'"
        )
    if not 0 < mass_min < mass_max:
        raise AmplitudeError(
            f"masses of bosons must be positive and their bounds rise: {mass_min:g} and {mass_max:g} GeV given"
        )
    if not 0 < cos_theta_max <= 1:
        raise AmplitudeError(f"cos_theta_max must be positive and at most 1, not {cos_theta_max:g}")
    highest = _Z_MASS if dimensions == 2 else mass_max
    if not 2 * highest < sqrt_s_min:
        raise AmplitudeError(
            f"two bosons of up to {highest:g} GeV need more than sqrt_s_min={sqrt_s_min:g} GeV; raise it"
            + ("" if dimensions == 2 else ", or lower mass_max")
        )
    density: Density = Within(
        Uniform() if mass_density == "uniform" else Cauchy(_Z_MASS, _Z_WIDTH), mass_min, mass_max
    )
    pair: Decay | float = _Z_MASS if dimensions == 2 else Decay(0.0, 0.0, density)
    chain = Scattering(Decay(pair, pair), sqrt_s_min, sqrt_s_max)
    coordinates = torch.rand(
        num_events, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    evaluate = _choose(dimensions, target, helicities)
    momenta, values, jacobians = [], [], []
    for u in coordinates.split(_AT_ONCE):
        found, jacobian = _to_momenta(chain, u, cos_theta_max)
        momenta.append(found)
        values.append(evaluate(found, u))
        jacobians.append(jacobian)
    weight = torch.cat(jacobians)
    weight = weight / weight.mean() if weights == "phase-space" else torch.ones_like(weight)
    particles = ("q", "q~", "l1", "l1~", "l2", "l2~") if dimensions == 8 else ("q", "q~", "V1", "V2")
    names: tuple[str, ...] = ("squared_amplitude",)
    unit = "GeV^4" if dimensions == 8 else ""
    if target == "amplitude":
        names = ("real", "imaginary") if dimensions == 8 else ("amplitude",)
        unit = "GeV^2" if dimensions == 8 else ""
    if target == "helicities":
        names = tuple(f"amplitude_{first}{second}" for first in _HELICITIES for second in _HELICITIES)
    kept = torch.cat(momenta)[:, _ends(dimensions)]
    dataset = JetDataset(
        kept.flatten(0, 1),
        torch.arange(num_events + 1) * len(particles),
        torch.cat(values),
        weight,
        None,
        scalars=torch.eye(len(particles)).repeat(num_events, 1),
        context=(2 * coordinates - 1).to(torch.float32),
        scalar_names=particles,
        context_names=COORDINATES[:dimensions],
        target_names=names,
        target_units=(unit,) * len(names),
        splits="hash",
        metadata={"source": "helicity amplitudes of q q̄ → V V at tree level, uniform in the coordinates"},
        validate=False,
    )
    dataset.tasks = ("amplitudes", "regression") if target == "squared" else ("regression",)
    dataset.particle_names = particles
    return dataset if split is None else dataset.split(split)


def _to_momenta(chain: Scattering, u: Tensor, cos_theta_max: float) -> tuple[Tensor, Tensor]:
    """q, q̄, both bosons, and what they decay into, (B, 4 or 8, 4), from points of the unit cube; and the Jacobian."""
    cube = u.new_zeros(len(u), chain.dimension)
    columns = [0, 1] if chain.dimension == 3 else _COLUMNS[: u.shape[1]]
    cube[:, columns] = u
    # The second coordinate is cos θ*, (1 + cos θ*)/2 in the cube.
    cube[:, columns[1]] = 0.5 + cos_theta_max * (u[:, 1] - 0.5)
    ends, jacobian = chain.to_momenta(cube)
    bosons = ends if chain.dimension == 3 else ends.unflatten(1, (2, 2)).sum(2)
    beams = beam_momenta(bosons.sum(1)[:, 0])
    return torch.cat([beams, bosons] if chain.dimension == 3 else [beams, bosons, ends], dim=1), jacobian


def _ends(dimensions: int) -> list[int]:
    """Which of the momenta of `_to_momenta` are particles of the events."""
    return [0, 1, 4, 5, 6, 7] if dimensions == 8 else [0, 1, 2, 3]


def _choose(dimensions: int, target: str, helicities: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The target (B,) or (B, 2) of momenta and points of the unit cube."""
    first, second = map(_HELICITIES.index, helicities)

    def evaluate(momenta: Tensor, u: Tensor) -> Tensor:
        amplitudes = pair_helicity_amplitudes(momenta[:, :4])
        if dimensions < 8:
            if target == "squared":
                return (amplitudes.abs() ** 2).sum((1, 2, 3))
            left = amplitudes[:, 0].real
            return left.flatten(1) if target == "helicities" else left[:, first, second]
        currents = [
            decay_current(
                momenta[:, 2 + boson], 2 * u[:, 4 + 2 * boson] - 1, 2 * torch.pi * u[:, 5 + 2 * boson]
            )
            for boson in range(2)
        ]
        summed = contract_with_currents(amplitudes, momenta[:, :4], currents[0], currents[1])
        return (summed.abs() ** 2).sum(1) if target == "squared" else torch.view_as_real(summed[:, 0])

    return evaluate
