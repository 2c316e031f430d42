"""Which symmetry does a model have, measured?

The derivatives of the outputs along the six generators of so(1,3), over events and in float64, form
a matrix of (outputs x 6). Its null space is the measured algebra; looking at the generators one by one
would not see subgroups such as ISO(2), which mix them. Finite elements along a basis of it and of its
complement follow, in float64 and float32.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.autograd.forward_ad as forward_ad
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lorentzoo.core.cloud import Batch, ParticleCloud
from lorentzoo.core.errors import SymmetryError
from lorentzoo.core.generator import Generator
from lorentzoo.core.minkowski import GENERATOR_NAMES, exp, generators
from lorentzoo.core.model import Model
from lorentzoo.core.symmetry import DISCRETE, Symmetry
from lorentzoo.verification.events import random_cloud

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BoostCurve",
    "Verification",
    "fit_if_needed",
    "measure",
    "redraw_weights",
    "singular_directions",
    "verify",
]

Array = NDArray[np.float64]

BROKEN_ABOVE = 1e-6
"""Relative singular value above which a direction counts as broken."""


@dataclass(frozen=True)
class BoostCurve:
    """Relative change of the outputs against the size of the transformation.

    Attributes
    ----------
    rapidities
        Parameters of the finite elements, shape (R,).
    kept, broken
        Median over events along the algebra and along its complement, {dtype name: (R,)}; NaN where there is none.
    kept_quantile
        99 % quantile over events along the algebra.
    """

    rapidities: Array
    kept: dict[str, Array]
    broken: dict[str, Array]
    kept_quantile: dict[str, Array]


@dataclass(frozen=True)
class Verification:
    """What was predicted, what was measured, and whether they agree.

    Attributes
    ----------
    predicted, measured
        The computed and the measured symmetry.
    singular_values
        Of the derivative matrix relative to the model's sensitivity, shape (6,), ascending.
    per_generator
        Relative size of the derivative along each single generator.
    discrete
        Measured relative change under each discrete transformation; NaN where it cannot be evaluated.
    curve
        Error against boost.
    exact
        Whether every part declares its statement of symmetry exact.
    sensitivity
        Size of the derivatives when every particle moves on its own, to which the others are relative.
    """

    predicted: Symmetry
    measured: Symmetry
    singular_values: Array
    per_generator: dict[str, float]
    discrete: dict[str, float]
    curve: BoostCurve
    exact: bool
    sensitivity: float

    @property
    def violated(self) -> Symmetry:
        """Predicted directions that are not kept, as a subspace; trivial if there are none."""
        broken = self.predicted.generators - (
            self.predicted.generators @ self.measured.generators.T @ self.measured.generators
        )
        return Symmetry(broken[np.linalg.norm(broken, axis=1) > 1e-4])

    @property
    def accidental(self) -> bool:
        """Whether the model is more symmetric than computed."""
        return self.measured.dimension > self.predicted.dimension and self.violated.is_trivial

    @property
    def passed(self) -> bool:
        """Whether measured and computed symmetry agree (an accidental one passes where a part is not exact)."""
        if not self.violated.is_trivial or not np.isfinite(self.singular_values).all():
            return False
        return self.measured.dimension == self.predicted.dimension or not self.exact

    @property
    def verdict(self) -> str:
        """One line: what was found."""
        if self.sensitivity == 0:
            return "FAILED: the outputs do not depend on the momenta, so that no symmetry can be measured"
        if not np.isfinite(self.singular_values).all():
            return "FAILED: the outputs or their derivatives are not finite"
        if not self.violated.is_trivial:
            return f"FAILED: {self.predicted.name} is claimed, but {self.violated.describe()} is violated"
        if self.accidental:
            word = (
                "FAILED: more symmetric than declared"
                if self.exact
                else "passed, accidentally more symmetric"
            )
            return f"{word}: computed {self.predicted.name}, measured {self.measured.name}"
        return f"passed: {self.measured.name}, computed and measured"

    def raise_if_failed(self) -> Verification:
        """Return itself, or raise `SymmetryError` with the verdict."""
        if not self.passed:
            raise SymmetryError(str(self))
        return self

    def to_data(self) -> dict[str, Any]:
        """Plain data, e.g. for JSON."""
        curve = self.curve
        return {
            "passed": self.passed,
            "verdict": self.verdict,
            "predicted": self.predicted.describe(),
            "measured": self.measured.describe(),
            "singular_values": self.singular_values.tolist(),
            "per_generator": self.per_generator,
            "discrete": self.discrete,
            "sensitivity": self.sensitivity,
            "curve": {
                "rapidities": curve.rapidities.tolist(),
                "kept": {key: value.tolist() for key, value in curve.kept.items()},
                "kept_quantile": {key: value.tolist() for key, value in curve.kept_quantile.items()},
                "broken": {key: value.tolist() for key, value in curve.broken.items()},
            },
        }

    def __str__(self) -> str:
        lines = [
            self.verdict,
            f"  computed  {self.predicted.describe()}",
            f"  measured  {self.measured.describe()}",
            "  relative singular values  " + "  ".join(f"{value:.1e}" for value in self.singular_values),
            "  single generators         " + "  ".join(f"{k} {v:.1e}" for k, v in self.per_generator.items()),
            "  discrete                  " + "  ".join(f"{k} {v:.1e}" for k, v in self.discrete.items()),
            "  γ of the boost            " + "  ".join(f"{math.cosh(r):.3g}" for r in self.curve.rapidities),
        ]
        for label, values in (("kept", self.curve.kept), ("broken", self.curve.broken)):
            for dtype, row in values.items():
                if np.isfinite(row).any():
                    lines.append(f"  {label + ', ' + dtype:<26}" + "  ".join(f"{value:.1e}" for value in row))
        return "\n".join(lines)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Error against γ of the transformation, with the 99 % quantile as a dotted line."""
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=(6, 4), layout="constrained")
        gamma = np.cosh(self.curve.rapidities)
        for dtype, row in self.curve.kept.items():
            if np.isfinite(row).any():
                (line,) = ax.loglog(gamma, np.maximum(row, 1e-17), "o-", label=f"kept, {dtype}")
                quantile = np.maximum(self.curve.kept_quantile[dtype], 1e-17)
                ax.loglog(gamma, quantile, ":", color=line.get_color(), label=f"99 % of events, {dtype}")
        for dtype, row in self.curve.broken.items():
            if np.isfinite(row).any() and dtype == "float64":
                ax.loglog(gamma, np.maximum(row, 1e-17), "s--", color="0.5", label="not kept")
        ax.set_xlabel(r"Lorentz factor $\gamma$ (or $\cosh$ of the angle)")
        ax.set_ylabel("relative change of the outputs")
        ax.set_title(self.measured.name)
        ax.legend()
        return ax


def verify(
    model: Model | Generator,
    cloud: ParticleCloud | None = None,
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
        from lorentzoo.verification.densities import verify_density

        return verify_density(model, cloud, redraw=redraw, seed=seed)
    if not model.head.passes_gradients:
        raise ValueError(
            f"the outputs of {type(model.head).__name__} are piecewise constant, so that they have no derivative along a "
            "generator; verify the same composition with another head, e.g. 'classify'"
        )
    if cloud is None:
        cloud = _shipped_jets(model)
    reference = copy.deepcopy(model).double().eval().requires_grad_(False)
    if redraw:
        fit_if_needed(reference, cloud)
        redraw_weights(reference, seed)
    cloud = cloud.to_units("GeV")
    # A true symmetry is there with and without the anchor; a false one the anchor can hide, e.g. of features that
    # are only invariant once their event was taken to rest.
    networks = [reference] if reference.anchor == "none" else [reference, _without_anchor(reference)]
    rows, sensitivities = [], []
    for network in networks:
        along, sensitivity = measure(network, cloud)
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
    changes = [_discrete_changes(network, cloud) for network in networks]
    discrete = {name: max(change[name] for change in changes) for name in DISCRETE}
    kept = frozenset(name for name, change in discrete.items() if change < 1e-8)
    measured = Symmetry(measured.generators, kept)
    per_generator = {name: float(np.linalg.norm(relative[:, a])) for a, name in enumerate(GENERATOR_NAMES)}
    predicted = model.symmetry
    curve = _boost_curve(reference, cloud, predicted, rapidities, seed)
    return Verification(
        predicted, measured, singular, per_generator, discrete, curve, model.exact, sensitivity
    )


def measure(model: Model, cloud: ParticleCloud) -> tuple[Array, float]:
    """Derivatives of the outputs along the six generators, and the model's sensitivity.

    Parameters
    ----------
    model
        In float64 and evaluation mode.
    cloud
        Events.

    Returns
    -------
    along
        Shape (outputs, 6): the derivative of every output of every event along each generator, less that by which
        an output of the head's representation should turn.
    sensitivity
        Norm of the derivative when every particle is transformed by a generator of its own, which no network
        ignores; zero for a model that does not read the momenta.
    """
    momenta, vectors = cloud.momenta, cloud.vectors
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        output = model(cloud)
    columns = [
        _derivative(model, cloud, momenta @ generator.T, vectors @ generator.T)
        - _turning(model, output, generator)
        for generator in generators(device=cloud.device)
    ]
    scattered = []
    rng = torch.Generator().manual_seed(0)
    for _ in range(4):
        coefficients = torch.randn(*momenta.shape[:-1], 6, generator=rng, dtype=torch.float64).to(
            cloud.device
        )
        own = torch.einsum("...a,aij->...ij", coefficients, generators(device=cloud.device))
        moved = (own @ momenta.unsqueeze(-1)).squeeze(-1)
        scattered.append(_derivative(model, cloud, moved, vectors @ own.transpose(-1, -2)))
    along = np.stack(columns, axis=1)
    return along, float(np.linalg.norm(np.stack(scattered)) / math.sqrt(len(scattered)))


def redraw_weights(model: nn.Module, seed: int = 0) -> None:
    """Draw all weights anew at unit scale: standard deviation 1/√(inputs) for maps, near one for gains.

    Fitted statistics and running means are buffers and stay.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters(), key=lambda item: item[0]):
            if parameter.numel() == 0:
                continue
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter)
            if parameter.ndim >= 2:
                parameter.copy_(noise / math.sqrt(max(parameter[0].numel(), 1)))
            elif name.rpartition(".")[2] == "weight":
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_(0.2 * noise)


def _without_anchor(model: Model) -> Model:
    bare = copy.deepcopy(model)
    bare.anchor = "none"
    return bare


def _derivative(model: Model, cloud: ParticleCloud, momenta_change: Tensor, vectors_change: Tensor) -> Array:
    """d/dt of the outputs under p -> p + t δp, by forward-mode differentiation. Shape (outputs,)."""
    _prepare_forward_mode()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), forward_ad.dual_level():
        momenta = forward_ad.make_dual(cloud.momenta, momenta_change)
        vectors = cloud.vectors
        if vectors.shape[-2]:
            vectors = forward_ad.make_dual(vectors, vectors_change)
        output = model(replace(cloud, momenta=momenta, vectors=vectors))
        value, tangent = forward_ad.unpack_dual(output)
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


def singular_directions(matrix: Array) -> tuple[Array, Array]:
    """Singular values (6,), ascending, and their directions (6, 6)."""
    if not np.isfinite(matrix).all():
        return np.full(6, np.nan), np.eye(6)
    _, values, directions = np.linalg.svd(matrix, full_matrices=True)
    padded = np.zeros(6)
    padded[: len(values)] = values
    return padded[::-1], directions[::-1]


def _discrete_changes(model: Model, cloud: ParticleCloud) -> dict[str, float]:
    with torch.no_grad():
        before = model(cloud)
        changes = {}
        for name, matrix in DISCRETE.items():
            transformation = torch.from_numpy(matrix).to(cloud.device)
            after = model(cloud.transform(transformation))
            expected = _transformed(model, before, transformation)
            changes[name] = float(((after - expected).abs().max() / _scale(before)).nan_to_num(nan=math.inf))
    return changes


def _boost_curve(
    model: Model, cloud: ParticleCloud, symmetry: Symmetry, rapidities: Sequence[float], seed: int
) -> BoostCurve:
    rng = np.random.default_rng(seed)
    subspaces = {"kept": symmetry.generators, "broken": symmetry.complement}
    median: dict[str, dict[str, Array]] = {"kept": {}, "broken": {}}
    quantile: dict[str, Array] = {}
    for dtype in (torch.float64, torch.float32):
        network = copy.deepcopy(model).to(dtype)
        name = str(dtype).removeprefix("torch.")
        with torch.no_grad():
            before = network(cloud).double()
        for label, basis in subspaces.items():
            rows = np.full((2, len(rapidities)), np.nan)
            for r, rapidity in enumerate(rapidities):
                if len(basis) == 0:
                    continue
                direction = rng.normal(size=len(basis)) @ basis
                element = _finite(direction / np.linalg.norm(direction), rapidity)
                with torch.no_grad():
                    after = network(cloud.transform(element.to(cloud.device))).double()
                difference = after - _transformed(network, before, element.to(cloud.device))
                change = (difference.reshape(len(before), -1).abs().amax(1) / _scale(before)).cpu().numpy()
                rows[:, r] = np.median(change), np.quantile(change, 0.99)
            median[label][name] = rows[0]
            if label == "kept":
                quantile[name] = rows[1]
    return BoostCurve(np.asarray(rapidities, dtype=np.float64), median["kept"], median["broken"], quantile)


def _finite(direction: Array, size: float) -> Tensor:
    return exp(torch.from_numpy(size * direction))


def _scale(output: Tensor) -> Tensor:
    """Typical size of the outputs, to which changes are relative."""
    return output.abs().mean().clamp(min=torch.finfo(output.dtype).tiny)


def fit_if_needed(model: Model, cloud: ParticleCloud) -> None:
    """Fit statistics to the events at hand where a fresh model has not seen any data."""
    if any(name.endswith("fitted") and not bool(flag) for name, flag in model.named_buffers()):
        b = cloud.num_events
        rng = torch.Generator().manual_seed(0)
        width = getattr(model.head, "num_targets", 1)
        target = torch.rand(b, width, generator=rng, dtype=torch.float64) + 0.5
        target = target if width > 1 else target.squeeze(1)
        one = torch.ones(b, dtype=torch.float64)
        batches = [Batch(cloud, target.to(cloud.device), one.to(cloud.device), torch.arange(b))]
        if not model.head.passes_gradients:
            batches = _labelled(model)
        model.fit_statistics(batches)


def _labelled(model: Model, events_a_class: int = 40) -> list[Batch]:
    """Drawn events of every class: what learns without gradients needs more than a few to learn anything."""
    classes = max(getattr(model.head, "num_classes", 2), 2)
    target = torch.arange(classes * events_a_class) % classes
    lengths = (3 + target + torch.arange(len(target)) % 5).tolist()
    cloud = random_cloud(lengths, in_scalars=model.in_scalars, in_context=model.in_context, seed=4)
    return [Batch(cloud, target, torch.ones(len(target), dtype=torch.float64), torch.arange(len(target)))]


def _shipped_jets(model: Model, count: int = 8) -> ParticleCloud:
    """Shipped jets with drawn scalars and context of the widths that the model wants."""
    from lorentzoo.registry.composition import load_dataset

    cloud = (
        load_dataset("toptag", split="test", num_jets=count, max_constituents=24)
        .batch(np.arange(count))
        .cloud
    )
    rng = torch.Generator().manual_seed(1)
    scalars = torch.randn(*cloud.layout.lead, model.in_scalars, generator=rng, dtype=torch.float64)
    context = torch.randn(cloud.num_events, model.in_context, generator=rng, dtype=torch.float64)
    return replace(cloud, scalars=scalars, context=context, scalar_names=(), context_names=())
