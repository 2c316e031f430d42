"""Which symmetry does a model have, measured?

The derivatives of the outputs along the six generators of so(1,3), over events and in float64, form
a matrix of (outputs x 6). Its null space is the measured algebra; looking at the generators one by one
would not see subgroups such as ISO(2), which mix them. Finite elements along a basis of it and of its
complement follow, in float64 and float32.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.generator import Generator
from lorentzoo.core.minkowski import GENERATOR_NAMES
from lorentzoo.core.model import Model
from lorentzoo.core.symmetry import DISCRETE, Symmetry
from lorentzoo.verification.densities import verify_density
from lorentzoo.verification.inputs import draw_condition, fit_if_needed, redraw_weights, take_shipped_jets
from lorentzoo.verification.measure import (
    BROKEN_ABOVE,
    measure_boosts,
    measure_derivatives,
    measure_discrete,
    singular_directions,
)
from lorentzoo.verification.result import Verification

__all__ = ["verify"]


def verify(
    model: Model | Generator,
    cloud: ParticleCloud | None = None,
    condition: ParticleCloud | None = None,
    *,
    redraw: bool = True,
    rapidities: Sequence[float] = (0.5, 1.0, 2.0, 3.0, 5.3, 7.6),
    seed: int = 0,
) -> Verification:
    """Measure a model's symmetry and compare it with the computed one.

    Parameters
    ----------
    model
        Any composition; it is copied, not changed. Of a generator, the symmetry of its density is measured, see
        `lorentzoo.verification.densities`.
    cloud
        Events to measure on; by default a few of the jets that ship with the package, or samples of the generator.
    condition
        The second cloud of the same events, for networks that attend to one; random by default. It moves along.
    redraw
        Draw the weights anew at unit scale, so that small or zero initial weights cannot hide a violation.
    rapidities
        Sizes of the finite transformations.
    seed
        Of the drawn weights and elements.

    Returns
    -------
    A `Verification`; print it, plot it, or call ``raise_if_failed()``.

    Raises
    ------
    ValueError
        If the events give fewer outputs than there are generators, or the outputs are piecewise constant.
    """
    if isinstance(model, Generator):
        return verify_density(model, cloud, redraw=redraw, seed=seed)
    if not model.head.passes_gradients:
        raise ValueError(
            f"the outputs of {type(model.head).__name__} are piecewise constant, so that they have no derivative along a "
            "generator; verify the same composition with another head, e.g. 'classify'"
        )
    if cloud is None:
        cloud = take_shipped_jets(model)
    reference = copy.deepcopy(model).double().eval().requires_grad_(False)
    if redraw:
        fit_if_needed(reference, cloud)
        redraw_weights(reference, seed)
    second = draw_condition(model, cloud.num_events) if condition is None else (condition,)
    clouds = [each.to(cloud.device).to_units("GeV") for each in (cloud, *second)]
    # A true symmetry is there with and without the anchor; a false one the anchor can hide, e.g. of features that
    # are only invariant once their event was taken to rest.
    networks = [reference] if reference.anchor == "none" else [reference, _without_anchor(reference)]
    rows, sensitivities = [], []
    for network in networks:
        along, sensitivity = measure_derivatives(network, clouds)
        if len(along) < len(GENERATOR_NAMES):
            raise ValueError(
                f"{len(along)} outputs cannot tell six generators apart: "
                f"verify on more events than these {cloud.num_events}"
            )
        rows.append(along / sensitivity if sensitivity > 0 else np.full_like(along, np.nan))
        sensitivities.append(sensitivity)
    relative, sensitivity = np.concatenate(rows), min(sensitivities)
    singular, directions = singular_directions(relative)
    measured = Symmetry(directions[singular < BROKEN_ABOVE])
    changes = [measure_discrete(network, clouds) for network in networks]
    discrete = {name: max(change[name] for change in changes) for name in DISCRETE}
    kept = frozenset(name for name, change in discrete.items() if change < 1e-8)
    measured = Symmetry(measured.generators, kept)
    per_generator = {name: float(np.linalg.norm(relative[:, a])) for a, name in enumerate(GENERATOR_NAMES)}
    predicted = model.symmetry
    curve = measure_boosts(reference, clouds, predicted, rapidities, seed)
    return Verification(
        predicted, measured, singular, per_generator, discrete, curve, model.exact, sensitivity
    )


def _without_anchor(model: Model) -> Model:
    bare = copy.deepcopy(model)
    bare.anchor = "none"
    return bare
