"""How fast do the outputs change along each generator of so(1,3), and how far under finite elements?"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.minkowski import exp, generators
from lorentzoo.core.model import Model
from lorentzoo.core.symmetry import DISCRETE, Symmetry
from lorentzoo.verification.result import Array, BoostCurve

__all__ = [
    "BROKEN_ABOVE",
    "differentiate",
    "measure_boosts",
    "measure_derivatives",
    "measure_discrete",
    "singular_directions",
]

BROKEN_ABOVE = 1e-6
"""Relative singular value above which a direction counts as broken."""
_ROUNDING = 1e-7
"""Sensitivity relative to the outputs that is rounding, e.g. of an angle that is π by construction."""


def measure_derivatives(model: Model, clouds: Sequence[ParticleCloud]) -> tuple[Array, float]:
    """Derivatives of the outputs along the six generators, and the model's sensitivity.

    Parameters
    ----------
    model
        In float64 and evaluation mode.
    clouds
        Events; for networks that attend to one, followed by the second cloud of the same events, which moves along.

    Returns
    -------
    along
        Shape (outputs, 6): the derivative of every output of every event along each generator, less that by which
        an output of the head's representation should turn.
    sensitivity
        Norm of the derivative when every particle is transformed by a generator of its own, which no network
        ignores; zero for a model that does not read the momenta, or only through rounding (1e-7 of its outputs).
    """
    output, along, scattered = differentiate(model, clouds)
    sensitivity = float(np.linalg.norm(scattered) / math.sqrt(len(scattered)))
    if sensitivity < _ROUNDING * float(np.linalg.norm(output)):
        sensitivity = 0.0
    return along, sensitivity


def differentiate(
    model: Model, clouds: Sequence[ParticleCloud], draws: int = 4
) -> tuple[Array, Array, Array]:
    """Outputs, their derivatives along the generators, and those when every particle moves on its own.

    Parameters
    ----------
    model, clouds
        As for `measure_derivatives`.
    draws
        How often each particle is given a generator of its own, with normal coefficients.

    Returns
    -------
    Shapes (outputs,), (outputs, 6) and (draws, outputs).
    """
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        output = model(*clouds)
    basis = generators(device=clouds[0].device)
    columns = [
        _derivative(model, clouds, [generator] * len(clouds)) - _turning(model, output, generator)
        for generator in basis
    ]
    scattered = []
    rng = torch.Generator().manual_seed(0)
    for _ in range(draws):
        drawn = [
            torch.randn(*cloud.momenta.shape[:-1], 6, generator=rng, dtype=torch.float64) for cloud in clouds
        ]
        own = [torch.einsum("...a,aij->...ij", c.to(basis.device), basis) for c in drawn]
        scattered.append(_derivative(model, clouds, own))
    return output.reshape(-1).cpu().numpy(), np.stack(columns, axis=1), np.stack(scattered)


def singular_directions(matrix: Array) -> tuple[Array, Array]:
    """Singular values (6,), ascending, and their directions (6, 6)."""
    if not np.isfinite(matrix).all():
        return np.full(6, np.nan), np.eye(6)
    _, values, directions = np.linalg.svd(matrix, full_matrices=True)
    padded = np.zeros(6)
    padded[: len(values)] = values
    return padded[::-1], directions[::-1]


def measure_discrete(model: Model, clouds: Sequence[ParticleCloud]) -> dict[str, float]:
    """Largest relative change of the outputs under each of `DISCRETE`; infinite where an output is not finite."""
    with torch.no_grad():
        before = model(*clouds)
        changes = {}
        for name, matrix in DISCRETE.items():
            transformation = torch.from_numpy(matrix).to(clouds[0].device)
            after = model(*(cloud.transform(transformation) for cloud in clouds))
            expected = _transformed(model, before, transformation)
            changes[name] = float(((after - expected).abs().max() / _scale(before)).nan_to_num(nan=math.inf))
    return changes


def measure_boosts(
    model: Model, clouds: Sequence[ParticleCloud], symmetry: Symmetry, rapidities: Sequence[float], seed: int
) -> BoostCurve:
    """Relative change of each event's outputs under finite elements of a symmetry and of its complement.

    Parameters
    ----------
    model
        In evaluation mode; it runs in float64 and in float32.
    clouds
        Events, as for `measure_derivatives`.
    symmetry
        What the model is computed to keep.
    rapidities
        Sizes of the elements, shape (R,).
    seed
        Directions within the subspaces.
    """
    rng = np.random.default_rng(seed)
    subspaces = {"kept": symmetry.generators, "broken": symmetry.complement}
    median: dict[str, dict[str, Array]] = {"kept": {}, "broken": {}}
    quantile: dict[str, Array] = {}
    for dtype in (torch.float64, torch.float32):
        network = copy.deepcopy(model).to(dtype)
        name = str(dtype).removeprefix("torch.")
        with torch.no_grad():
            before = network(*clouds).double()
        for label, basis in subspaces.items():
            rows = np.full((2, len(rapidities)), np.nan)
            for r, rapidity in enumerate(rapidities):
                if len(basis) == 0:
                    continue
                direction = rng.normal(size=len(basis)) @ basis
                element = exp(torch.from_numpy(rapidity * (direction / np.linalg.norm(direction))))
                element = element.to(clouds[0].device)
                with torch.no_grad():
                    after = network(*(cloud.transform(element) for cloud in clouds)).double()
                difference = after - _transformed(network, before, element)
                change = (difference.reshape(len(before), -1).abs().amax(1) / _scale(before)).cpu().numpy()
                rows[:, r] = np.median(change), np.quantile(change, 0.99)
            median[label][name] = rows[0]
            if label == "kept":
                quantile[name] = rows[1]
    return BoostCurve(np.asarray(rapidities, dtype=np.float64), median["kept"], median["broken"], quantile)


def _derivative(model: Model, clouds: Sequence[ParticleCloud], motions: Sequence[Tensor]) -> Array:
    """d/dt of the outputs under p -> p + t X p, by forward-mode differentiation. Shape (outputs,).

    Parameters
    ----------
    motions
        X of each cloud, (4, 4) or one of each particle (*lead, 4, 4).
    """
    _prepare_forward_mode()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), forward_ad.dual_level():
        moving = []
        for cloud, motion in zip(clouds, motions, strict=True):
            momenta = forward_ad.make_dual(cloud.momenta, (motion @ cloud.momenta.unsqueeze(-1)).squeeze(-1))
            vectors = cloud.vectors
            if vectors.shape[-2]:
                vectors = forward_ad.make_dual(vectors, vectors @ motion.transpose(-1, -2))
            moving.append(replace(cloud, momenta=momenta, vectors=vectors))
        value, tangent = forward_ad.unpack_dual(model(*moving))
    if tangent is None:
        return np.zeros(value.numel())
    change: Array = tangent.reshape(-1).cpu().numpy()
    return change


def _transformed(model: Model, output: Tensor, matrix: Tensor) -> Tensor:
    """The output as it should be of transformed events: unchanged, but for what carries a Lorentz index."""
    reps = model.head.reps
    return output if reps is None else reps.transform(output, matrix.to(output))


def _turning(model: Model, output: Tensor, generator: Tensor) -> Array:
    """How fast the output should change along a generator X. Shape (outputs,)."""
    identity = torch.eye(4, dtype=generator.dtype, device=generator.device)
    # Scalars and vectors are at most linear in the matrix 1 + X.
    change = _transformed(model, output, identity + generator) - output
    result: Array = change.reshape(-1).cpu().numpy()
    return result


@cache
def _prepare_forward_mode() -> None:
    """Torch's own first use of forward mode warns of torch.jit, which is an error in many test suites."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.zeros(1), torch.zeros(1))


def _scale(output: Tensor) -> Tensor:
    """Typical size of the outputs, to which changes are relative."""
    return output.abs().mean().clamp(min=torch.finfo(output.dtype).tiny)
