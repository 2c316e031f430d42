"""Which symmetry does a density have, measured?

The logarithm of the density of an event is one number, which symmetries leave alone. Its derivatives along the six
generators of so(1,3), over events of the density itself and in float64, form a matrix of (events x 6), whose null space
is the measured algebra. Derivatives are differences of fourth order: through a solver with exact traces no other are
needed to tell 1e-6 from nothing.
"""

from __future__ import annotations

import contextlib
import copy
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lorentzoo.core.cloud import Batch, ParticleCloud
from lorentzoo.core.errors import DensityWarning, LorentzooError
from lorentzoo.core.generator import Generator
from lorentzoo.core.layout import Packed
from lorentzoo.core.minkowski import GENERATOR_NAMES, exp
from lorentzoo.core.symmetry import DISCRETE, Symmetry
from lorentzoo.registry.composition import load_dataset
from lorentzoo.verification.inputs import redraw_weights
from lorentzoo.verification.measure import BROKEN_ABOVE, singular_directions
from lorentzoo.verification.result import Array, BoostCurve, Verification

__all__ = ["fit_if_new", "training_events", "verify_density"]

_STEP = 1e-3
_KEPT_BELOW = 1e-6
_SHRINKS = 8
_PARTICLES = 3
"""Particles of the events of generators that take any number: the exact trace costs as many backward passes each."""


def verify_density(
    generator: Generator,
    cloud: ParticleCloud | None = None,
    *,
    redraw: bool = True,
    rapidities: Sequence[float] = (0.1, 0.3),
    count: int = 16,
    seed: int = 0,
) -> Verification:
    """Measure the symmetry of a density and compare it with the computed one.

    Parameters
    ----------
    generator
        It is copied, not changed. Where it was not fitted, the copy is fitted to events of top pairs.
    cloud
        Events to measure on; by default `count` samples of the generator itself.
    redraw
        Draw the network's weights anew.
    rapidities
        Sizes of the finite transformations along what is kept; cuts are seen by these alone.
    count
        Number of samples.
    seed
        Of weights, samples and transformations.

    Returns
    -------
    A `Verification` of the logarithm of the density.

    Raises
    ------
    ValueError
        If fewer events than there are generators have a finite density near them.
    """
    reference = copy.deepcopy(generator).double().eval().requires_grad_(False)
    fit_if_new(reference)
    if redraw:
        redraw_weights(reference, seed)
    reference.complete()
    if cloud is None:
        cloud = _samples(reference, count, seed, redraw)
    cloud = cloud.to_packed()
    rng = torch.Generator().manual_seed(seed)
    directions = [*torch.eye(6, dtype=torch.float64)]
    directions += [torch.randn(len(cloud.momenta), 6, generator=rng, dtype=torch.float64) for _ in range(2)]
    moved = [_moved(cloud, h * _STEP * d) for d in directions for h in (1, -1, 2, -2)]
    before, *values = _log_probs(reference, cloud, [cloud.momenta, *moved])
    # Differences of fourth order, one of each direction.
    grouped = torch.stack(values).unflatten(0, (len(directions), 4))
    near, far = grouped[:, 0] - grouped[:, 1], grouped[:, 2] - grouped[:, 3]
    derivatives = (8 * near - far) / (12 * _STEP)
    usable = torch.isfinite(derivatives).all(0)
    along, scattered = derivatives[:6].T, derivatives[6:]
    if int(usable.sum()) < len(GENERATOR_NAMES):
        raise ValueError(
            f"only {int(usable.sum())} of {len(usable)} events have a finite density near them, which cannot tell six "
            "generators apart: verify on more events, or on a trained generator"
        )
    sensitivity = float(scattered[:, usable].norm() / math.sqrt(len(scattered)))
    relative = (along[usable] / sensitivity).numpy()
    singular, axes = singular_directions(relative)
    discrete = _discrete_changes(reference, cloud, before)
    kept = frozenset(name for name, change in discrete.items() if change < _KEPT_BELOW)
    measured = Symmetry(axes[singular < BROKEN_ABOVE], kept)
    predicted = generator.symmetry
    curve = _curve(reference, cloud, before, predicted, rapidities, seed)
    broken = curve.kept["float64"]
    if np.nanmax(broken, initial=0.0) > _KEPT_BELOW:
        # Cuts have no derivative: what moves events over them is found by finite elements only.
        measured = Symmetry(np.zeros((0, 6)), kept)
    per_generator = {name: float(np.linalg.norm(relative[:, a])) for a, name in enumerate(GENERATOR_NAMES)}
    return Verification(
        predicted, measured, singular, per_generator, discrete, curve, generator.exact, sensitivity
    )


def training_events(generator: Generator, count: int) -> Batch:
    """Events for a generator: its own examples, or shipped events of top pairs.

    The latter have as many particles, and drawn scalars and context, as it wants.

    Raises
    ------
    ValueError
        If it wants more than the six particles of such an event.
    """
    own = generator.example_events(count)
    if own is not None:
        return own
    particles = generator.num_particles or _PARTICLES
    if particles > 6:
        raise ValueError(f"events of top pairs have six particles, not {particles}: give events to verify on")
    batch: Batch = load_dataset("ttbar", split="train", num_events=count).batch(range(count))
    rng = torch.Generator().manual_seed(1)
    # The one-hots of the places, as far as they go, are what every event has in common.
    kinds = torch.eye(particles, max(generator.in_scalars, 1), dtype=torch.float64)[:, : generator.in_scalars]
    cloud = ParticleCloud.from_packed(
        batch.cloud.momenta.unflatten(0, (-1, 6))[:, :particles].flatten(0, 1),
        particles * torch.arange(count + 1),
        kinds.repeat(count, 1),
        torch.randn(count, generator.in_context, generator=rng, dtype=torch.float64),
    )
    return replace(batch, cloud=cloud)


def fit_if_new(generator: Generator, count: int = 500) -> None:
    """Fit statistics to events of top pairs where a fresh generator has not seen any data."""
    if any(name.endswith("fitted") and not bool(flag) for name, flag in generator.named_buffers()):
        generator.fit_statistics([training_events(generator, count)])


def _samples(generator: Generator, count: int, seed: int, shrink: bool) -> ParticleCloud:
    """Events of the generator; newly drawn weights are made smaller until its flow is finite and steady."""
    condition = training_events(generator, count).cloud
    for remaining in reversed(range(_SHRINKS if shrink else 1)):
        with contextlib.suppress(*([LorentzooError] if remaining else [])):
            cloud = generator.sample(count, condition, rng=torch.Generator().manual_seed(seed))
            # A flow that loses one event there and back loses many around it.
            if not remaining or _steady_densities(generator, cloud, seed) == count:
                return cloud
        with torch.no_grad():
            for parameter in generator.parameters():
                parameter.mul_(0.5)
        generator.complete()
    raise AssertionError("the last attempt returns or raises")


def _steady_densities(generator: Generator, cloud: ParticleCloud, seed: int) -> int:
    """How many events have a density that is a number, and does not change by as much as rounding of momenta does."""
    rng = torch.Generator().manual_seed(seed)
    noise = torch.randn(cloud.momenta.shape, generator=rng, dtype=torch.float64)
    rounded = cloud.momenta * (1 + torch.finfo(torch.float64).eps * noise)
    before, after = _log_probs(generator, cloud, [cloud.momenta, rounded])
    return int((torch.isfinite(before) & ~((after - before).abs() > _KEPT_BELOW / 10)).sum())


def _moved(cloud: ParticleCloud, coefficients: Tensor) -> Tensor:
    """Momenta under exp(Σ c_a X_a), with one c (6,) for all or one of each particle (P, 6)."""
    return (exp(coefficients) @ cloud.momenta.unsqueeze(-1)).squeeze(-1)


def _log_probs(generator: Generator, cloud: ParticleCloud, momenta: Sequence[Tensor]) -> list[Tensor]:
    """Logarithms of the densities of events of one kind with several momenta, in one call."""
    assert isinstance(cloud.layout, Packed)
    copies = len(momenta)
    joined = replace(
        cloud,
        momenta=torch.cat(list(momenta)),
        layout=Packed.from_lengths(list(cloud.layout.lengths) * copies),
        scalars=cloud.scalars.repeat(copies, 1),
        context=cloud.context.repeat(copies, 1),
        vectors=cloud.vectors.repeat(copies, 1, 1),
    )
    values = torch.full((joined.num_events,), math.nan, dtype=torch.float64)
    todo = torch.ones(joined.num_events, dtype=torch.bool)
    while bool(todo.any()):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DensityWarning)
                values[todo] = generator.log_prob(joined.select(todo))
            break
        except LorentzooError as error:
            # Events for which a wild flow has no finite trajectory stay unknown.
            failed = getattr(error, "events", [])
            if not failed:
                raise
            todo[todo.nonzero().squeeze(1)[failed]] = False
    return list(values.chunk(copies))


def _change(after: Tensor, before: Tensor) -> Array:
    """|log p' - log p| of each event; zero where both vanish or one is unknown, infinite where one vanishes."""
    same = (after == before) | after.isnan() | before.isnan()
    change: Array = torch.where(same, 0.0, (after - before).abs()).numpy()
    return change


def _discrete_changes(generator: Generator, cloud: ParticleCloud, before: Tensor) -> dict[str, float]:
    changes = dict.fromkeys(DISCRETE, math.nan)  # there are no events of negative energy
    names = [name for name, matrix in DISCRETE.items() if matrix[0, 0] > 0]
    moved = [cloud.momenta @ torch.from_numpy(DISCRETE[name].copy()).T for name in names]
    for name, after in zip(names, _log_probs(generator, cloud, moved), strict=True):
        changes[name] = float(_change(after, before).max())
    return changes


def _curve(
    generator: Generator,
    cloud: ParticleCloud,
    before: Tensor,
    symmetry: Symmetry,
    rapidities: Sequence[float],
    seed: int,
) -> BoostCurve:
    rng = np.random.default_rng(seed)
    rows = {label: np.full(len(rapidities), np.nan) for label in ("kept", "broken")}
    for label, basis in (("kept", symmetry.generators), ("broken", symmetry.complement)):
        if len(basis) == 0 or len(rapidities) == 0:
            continue
        drawn = rng.normal(size=(len(rapidities), len(basis))) @ basis
        drawn *= np.asarray(rapidities)[:, None] / np.linalg.norm(drawn, axis=1, keepdims=True)
        moved = [_moved(cloud, torch.from_numpy(row)) for row in drawn]
        changes = [_change(after, before) for after in _log_probs(generator, cloud, moved)]
        rows[label][:] = [change.max() if label == "kept" else np.median(change) for change in changes]
    return BoostCurve(
        np.asarray(rapidities, dtype=np.float64),
        {"float64": rows["kept"]},
        {"float64": rows["broken"]},
        {"float64": np.full(len(rapidities), np.nan)},
    )
