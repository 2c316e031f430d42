"""How are points of a process drawn within cuts?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from lorentzoo import Packed
from lorentzoo.densities import Cuts
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.phase_space.densities import Density, LogUniform
from lorentzoo.plugins.amplitudes.phase_space.fast_rambo import fast_rambo
from lorentzoo.plugins.amplitudes.phase_space.rambo import beam_momenta, rambo

__all__ = ["Points", "Sampler", "draw_points", "pass_cuts"]

Sampler = Literal["rambo", "madspace"]
"""RAMBO here, or the fast RAMBO of madspace (extra ``generators``): other points of the same density."""

_LEAST_SHARE = 1e-3
_LEAST_TRIED = 50_000
_LEAST_BATCH = 1024
"""Cuts that leave less than this share of so many points are said to leave nothing."""


@dataclass(frozen=True)
class Points:
    """Points of phase space.

    Attributes
    ----------
    momenta
        Beams along ±z and outgoing particles in their centre-of-mass frame, GeV, shape (B, 2 + n, 4).
    weight
        Σ weight f/tried estimates ∫ d√s dΦ_n f within the cuts, shape (B,).
    tried
        Points drawn for these, those outside the cuts included.
    """

    momenta: Tensor
    weight: Tensor
    tried: int


def pass_cuts(momenta: Tensor, cuts: Cuts) -> Tensor:
    """Whether the outgoing particles of each point pass the cuts. Shape (B, 2 + n, 4) -> (B,), bool."""
    if not cuts.any:
        return torch.ones(len(momenta), dtype=torch.bool)
    outgoing = momenta[:, 2:]
    ptr = torch.arange(len(outgoing) + 1) * outgoing.shape[1]
    return cuts.events(outgoing.flatten(0, 1), Packed(ptr))


def draw_points(
    masses: Sequence[float],
    count: int,
    rng: torch.Generator,
    *,
    low: float = 300.0,
    high: float = 2000.0,
    density: Density | None = None,
    cuts: Cuts | None = None,
    sampler: Sampler = "rambo",
) -> Points:
    """Points of phase space at energies between two bounds, until so many have passed the cuts.

    Parameters
    ----------
    masses
        Masses of the outgoing particles in GeV.
    count
        Points wanted.
    rng
        Where random numbers come from; equal states give equal points.
    low, high
        Bounds of √s in GeV.
    density
        Of √s; ln s is uniform by default.
    cuts
        On the outgoing particles.
    sampler
        Who maps random numbers to momenta.

    Raises
    ------
    MissingExtraError
        If madspace is asked for and not installed.
    AmplitudeError
        If the bounds make no sense, there is no such sampler, or the cuts leave (almost) nothing.
    """
    if not sum(masses) < low < high < math.inf:
        raise AmplitudeError(
            f"bounds of √s must rise and lie above the masses, {sum(masses):.6g} GeV: {low:.6g}, {high:.6g} given"
        )
    if sampler not in get_args(Sampler):
        raise AmplitudeError(f"there is no sampler {sampler!r}; known are {', '.join(get_args(Sampler))}")
    numbers = 4 * len(masses) if sampler == "rambo" else 3 * len(masses) - 4
    density, cuts = density or LogUniform(), cuts or Cuts()
    found: list[tuple[Tensor, Tensor]] = []
    accepted = tried = 0
    batch = max(count, _LEAST_BATCH)
    while accepted < count:
        if tried >= _LEAST_TRIED and accepted < _LEAST_SHARE * tried:
            raise AmplitudeError(
                f"only {accepted} of {tried} points of masses {list(masses)} at {low:.6g} to {high:.6g} GeV pass {cuts}; "
                "ask less of them"
            )
        u = torch.rand(batch, numbers + 1, generator=rng, dtype=torch.float64)
        sqrt_s, slope = density.draw(u[:, 0], u.new_full((batch,), low), u.new_full((batch,), high))
        if sampler == "rambo":
            outgoing, weight = rambo(u[:, 1:].unflatten(1, (-1, 4)), sqrt_s, masses)
        else:
            outgoing, weight = fast_rambo(u[:, 1:], sqrt_s, masses)
        momenta = torch.cat([beam_momenta(sqrt_s), outgoing], dim=1)
        good = pass_cuts(momenta, cuts).nonzero().squeeze(1)
        # The last one that is needed ends the count of those that were tried.
        good = good[: count - accepted]
        accepted += len(good)
        tried += batch if accepted < count else int(good[-1]) + 1
        found.append((momenta[good], (weight * slope)[good]))
    momenta, weight = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Points(momenta, weight, tried)
