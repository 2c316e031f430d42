"""Points of processes and their |M|², by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import torch
from torch import Tensor

from lorentzoo import JetDataset
from lorentzoo.densities import Cuts
from lorentzoo.plugins.amplitudes.data.chunks import Recipe, make_points, read_values
from lorentzoo.plugins.amplitudes.data.particles import kind_names, number_repeated, particle_scalars
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.phase_space.densities import Density, LogUniform, Uniform
from lorentzoo.plugins.amplitudes.phase_space.points import Sampler
from lorentzoo.plugins.amplitudes.processes import Couplings, Process, find_process

__all__ = ["TARGET", "amplitudes", "join_points"]

_DENSITIES: Final[dict[str, Density]] = {"log-uniform": LogUniform(), "uniform": Uniform()}
_DEFAULT_MULTIPLICITY: Final = 2
_MOST_EVENTS: Final = 10**8
TARGET: Final = "squared_amplitude"
TASKS: Final = ("amplitudes", "regression")


def amplitudes(
    process: str | Sequence[str] = "qq-Zng",
    multiplicity: int | Sequence[int] | None = None,
    num_events: int = 10_000,
    split: Literal["train", "validation", "test"] | None = None,
    seed: int = 0,
    sqrt_s_min: float = 300.0,
    sqrt_s_max: float = 2000.0,
    density: Literal["log-uniform", "uniform"] = "log-uniform",
    pt_min: float = 20.0,
    eta_max: float = 5.0,
    delta_r_min: float = 0.4,
    sampler: Sampler = "rambo",
    weights: Literal["none", "phase-space"] = "none",
    truth: Callable[..., Any] | None = None,
    factor: Callable[..., Any] | None = None,
    cache: bool = True,
    workers: int = 1,
) -> JetDataset:
    """Points of one or several processes with their exact |M|², at tree level and with all colours, made on demand.

    Points are those of RAMBO within cuts, flat in phase space but for its weights, and not the unweighted events of the
    literature. They depend on the settings and the seed alone. Chunks of points are kept in the cache folder
    (``$LORENTZOO_CACHE``, else ``~/.cache/lorentzoo``), so that a larger set of the same settings extends a smaller one.

    Parameters
    ----------
    process
        Names of processes, e.g. ``"qq-Zng"``. Several make a joint set, with the process as one-hot context.
    multiplicity
        How many of the repeated particle; several make a joint set. 2 by default; none for fixed final states.
    num_events
        Points in all, of all processes and multiplicities in turn.
    split
        ``"train"``, ``"validation"`` or ``"test"``, 60:15:25; None takes all points.
    seed
        Of the random numbers.
    sqrt_s_min, sqrt_s_max, density
        Bounds in GeV and density of √s.
    pt_min, eta_max, delta_r_min
        Cuts on all outgoing particles, and on all pairs of them.
    sampler
        ``"rambo"``, or ``"madspace"``, whose points have the same density (``pip install "lorentzoo[generators]"``).
    weights
        ``"phase-space"`` weighs events such that means over a process are integrals over its phase space and √s, over its
        volume within the cuts.
    truth
        A function of momenta (B, N, 4) in GeV to be the target (B,) instead of |M|². Its values are not kept.
    factor
        A function of momenta, of either sign, that multiplies |M|², such as a K-factor.
    cache
        Whether to read and write the cache.
    workers
        Threads that make points; results do not depend on it.

    Raises
    ------
    MissingExtraError
        If madspace is asked for and not installed.
    AmplitudeError
        On an unknown process or multiplicity, on cuts or bounds that leave nothing, and where a truth is not finite.
    """
    channels = _find_channels(process, multiplicity)
    if not len(channels) <= num_events <= _MOST_EVENTS:
        raise AmplitudeError(
            f"num_events must be at least 1 for each of {len(channels)} channels, and at most {_MOST_EVENTS:.0e}, for "
            f"which there is memory; not {num_events}"
        )
    if workers < 1 or seed < 0:
        raise AmplitudeError(f"workers must be at least 1 and the seed at least 0, not {workers} and {seed}")
    cuts = Cuts(pt_min=pt_min, eta_max=eta_max, delta_r_min=delta_r_min)
    found, described = [], []
    for place, (chosen, n) in enumerate(channels):
        recipe = Recipe(chosen, n, seed, sqrt_s_min, sqrt_s_max, _DENSITIES[density], cuts, sampler=sampler)
        count = len(range(place, num_events, len(channels)))
        points, value = make_points(recipe, count, truth=truth, cache=cache, workers=workers)
        if factor is not None:
            multiplier = read_values(factor(points.momenta), len(value), f"factor of {recipe.label}")
            value = value * multiplier
        weight = points.weight / points.weight.mean() if weights == "phase-space" else torch.ones_like(value)
        found.append((points.momenta, value, weight))
        # ∫ d√s dΦ within the cuts, in GeV to the power that it has.
        described.append(
            {
                **recipe.describe(),
                "volume": float(points.weight.sum()) / points.tried,
                "alpha_s": Couplings().alpha_s,
                "alpha_s_power": n if chosen.strong else 0,
            }
        )
    metadata = {
        "source": "exact matrix elements at tree level on points of RAMBO within cuts"
        + (", by madspace" if sampler == "madspace" else ""),
        "channels": described,
        "modified": [name for name, given in (("truth", truth), ("factor", factor)) if given is not None],
    }
    dataset = join_points(channels, found, named=truth is None, metadata=metadata)
    return dataset if split is None else dataset.split(split)


def join_points(
    channels: Sequence[tuple[Process, int]],
    found: Sequence[tuple[Tensor, Tensor, Tensor]],
    *,
    named: bool,
    metadata: dict[str, Any],
    event_id: Tensor | None = None,
) -> JetDataset:
    """One data set of the momenta (B, N, 4), values (B,) and weights (B,) of several channels, in turn.

    Parameters
    ----------
    channels
        Processes with their multiplicities.
    found
        Points of each channel.
    named
        Whether values are |M|²; else they are called ``"value"`` and have no unit.
    metadata
        Where the points come from.
    event_id
        Identifiers of the points (B,) of a single channel; their places by default.
    """
    particles = [process.particles(n) for process, n in channels]
    names = kind_names(particles)
    processes = tuple(dict.fromkeys(process.name for process, _ in channels))
    place = torch.cat(
        [torch.arange(len(value)) * len(channels) + channel for channel, (_, value, _) in enumerate(found)]
    )
    order = place.argsort()
    lengths = torch.cat([torch.full((len(m),), m.shape[1]) for m, _, _ in found])
    # Rows of particles are gathered event by event in the new order.
    starts = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)[:-1]])[order]
    lengths = lengths[order]
    ptr = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    rows = torch.arange(int(ptr[-1])) + torch.repeat_interleave(starts - ptr[:-1], lengths)
    momenta = torch.cat([m.flatten(0, 1) for m, _, _ in found])[rows]
    scalars = torch.cat(
        [
            particle_scalars(kinds, names).repeat(len(m), 1)
            for kinds, (m, _, _) in zip(particles, found, strict=True)
        ]
    )[rows]
    context = None
    if len(processes) > 1:
        which = torch.cat(
            [
                torch.full((len(value),), processes.index(process.name))
                for (process, _), (_, value, _) in zip(channels, found, strict=True)
            ]
        )[order]
        context = torch.nn.functional.one_hot(which, len(processes)).to(torch.float32)
    units = {f"GeV^{4 - 2 * (len(kinds) - 2)}" for kinds in particles}
    dataset = JetDataset(
        momenta,
        ptr,
        torch.cat([value for _, value, _ in found])[order],
        torch.cat([weight for _, _, weight in found])[order],
        event_id,
        scalars=scalars,
        context=context,
        scalar_names=names,
        context_names=tuple(f"process_{name}" for name in processes) if len(processes) > 1 else (),
        target_names=(TARGET if named else "value",),
        # Dimensions differ between multiplicities.
        target_units=(units.pop() if len(units) == 1 and named else "",),
        splits="hash",
        metadata=metadata,
        validate=False,
    )
    dataset.tasks = TASKS
    if len(channels) == 1:
        dataset.particle_names = number_repeated(particles[0])
    return dataset


def _find_channels(
    process: str | Sequence[str], multiplicity: int | Sequence[int] | None
) -> list[tuple[Process, int]]:
    names = [process] if isinstance(process, str) else list(process)
    if not names or len(set(names)) < len(names):
        raise AmplitudeError(f"processes must be named, and once each: {names} given")
    given = [multiplicity] if isinstance(multiplicity, int) else list(multiplicity or [])
    if len(set(given)) < len(given):
        raise AmplitudeError(f"each multiplicity may be named once: {given} given")
    channels = []
    for chosen in map(find_process, names):
        wanted = given or [_DEFAULT_MULTIPLICITY]
        if not chosen.repeated:
            # Multiplicities of a joint set are those of the processes that have any.
            wanted = given if given and len(names) == 1 else [0]
        for n in wanted:
            chosen.particles(n)
            channels.append((chosen, n))
    return channels
