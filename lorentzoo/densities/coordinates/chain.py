"""In which numbers is one particle described, and what of the Lorentz group do they respect?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from lorentzoo.core.minkowski import from_ptetaphim, generators, mass
from lorentzoo.core.symmetry import DISCRETE, Symmetry, intersection
from lorentzoo.densities.coordinates.standardise import Standardise
from lorentzoo.densities.coordinates.steps import OnShell, Step

__all__ = ["Coordinates", "null_symmetry", "reference_momenta"]

_GROWTHS: Final = 20
_NULL: Final = 1e-7
"""Singular values of derivatives by differences below which a direction counts as null."""


class Coordinates(nn.Module):
    """A chain of bijections from the four-momentum (E, px, py, pz) of a particle, in GeV and float64, to D numbers.

    Parameters
    ----------
    steps
        From the momentum on.
    name
        Under which `make_coordinates` made it.

    Attributes
    ----------
    names
        Names of the D components, e.g. ``("log_pt", "phi", "eta", "log_mass2")``.
    periods
        Their periods: 2π for φ, infinite for the others.

    Notes
    -----
    All methods act on the last dimension and are independent of the layout.
    """

    def __init__(self, steps: Sequence[Step], name: str = "") -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)
        self.name = name
        names: tuple[str, ...] = ("e", "px", "py", "pz")
        for step in steps:
            names = step.names(names)
        self.names = names
        self.periods = tuple(2 * math.pi if component == "phi" else math.inf for component in names)

    @property
    def dim(self) -> int:
        """Number of components D: four, or three on shell."""
        return len(self.names)

    @property
    def on_shell(self) -> bool:
        """Whether masses are fixed: densities are then relative to d³p/2E, otherwise to d⁴p."""
        return any(isinstance(step, OnShell) for step in self.steps)

    @property
    def logarithmic(self) -> tuple[int, ...]:
        """Components with a boundary at infinite distance: the logarithms."""
        return tuple(i for i, component in enumerate(self.names) if component.startswith("log_"))

    @property
    def unphysical(self) -> tuple[str, ...]:
        """Components some values of which no momentum has: energies, pT and m² without a logarithm go below zero."""
        return tuple(component for component in self.names if component in ("e", "pt", "mass2"))

    # ---- there and back -------------------------------------------------------------------

    def inside(self, momenta: Tensor) -> Tensor:
        """Whether momenta lie within the boundaries of the coordinates, (..., 4) to (...), bool."""
        x, good = momenta, torch.ones(momenta.shape[:-1], dtype=torch.bool, device=momenta.device)
        for step in self._unstandardised:
            good = good & step.inside(x)
            x = step(x)
        return good

    def forward(self, momenta: Tensor) -> Tensor:
        """Coordinates of momenta, (..., 4) to (..., D)."""
        x = momenta
        for step in self._steps:
            x = step(x)
        return x

    def inverse(self, x: Tensor) -> Tensor:
        """Momenta of coordinates, (..., D) to (..., 4)."""
        for step in reversed(self._steps):
            x = step.inverse(x)
        return x

    def log_det(self, momenta: Tensor) -> Tensor:
        """log |dx / dμ|, (..., 4) to (...), with the invariant measure μ: d⁴p, or d³p/2E on shell."""
        x, total = momenta, momenta.new_zeros(momenta.shape[:-1])
        for step in self._steps:
            total = total + step.log_det(x)
            x = step(x)
        return total

    def push(self, momenta: Tensor, velocity: Tensor) -> Tensor:
        """Velocities of coordinates of velocities of momenta, both (..., 4), to (..., D)."""
        x = momenta
        for step in self._steps:
            x, velocity = step(x), step.push(x, velocity)
        return velocity

    def pull(self, x: Tensor, velocity: Tensor) -> Tensor:
        """Velocities of momenta of velocities of coordinates, both (..., D), to (..., 4)."""
        for step in reversed(self._steps):
            x, velocity = step.inverse(x), step.pull(x, velocity)
        return velocity

    @property
    def _steps(self) -> list[Step]:
        return [step for step in self.steps if isinstance(step, Step)]

    # ---- statistics -----------------------------------------------------------------------

    def fit(self, momenta: Tensor, weight: Tensor | None = None) -> None:
        """Take statistics of momenta (P, 4), weighted by (P,); nothing where there is no standardisation.

        Raises
        ------
        ValueError
            If momenta lie outside the coordinates' boundaries: says how many, and where the first one is.
        """
        self.check(momenta)
        x = momenta
        for step in self._steps:
            if isinstance(step, Standardise):
                step.fit(x, weight)
            x = step(x)

    def check(self, momenta: Tensor) -> None:
        """Refuse momenta (P, 4) outside the boundaries, see `fit`."""
        outside = ~self.inside(momenta)
        if bool(outside.any()):
            first = int(outside.nonzero()[0, 0])
            remedy = "apply the cuts to the data first, or choose lower bounds (pt_min, mass_min, eta_max)"
            for step in self._steps:
                if isinstance(step, OnShell) and not bool(step.inside(momenta[first])):
                    remedy = (
                        f"its mass is {float(mass(momenta[first])):.6g} GeV, not that of the shell, {step.mass:g} GeV: "
                        "state the particles' mass, or take coordinates with a mass"
                    )
            raise ValueError(
                f"{int(outside.sum())} of {len(outside)} particles ({100 * float(outside.double().mean()):.3g} %) lie "
                f"outside the coordinates {self.name or self.names}, the first being particle {first} with (E, px, py, "
                f"pz) = {momenta[first].tolist()} GeV; {remedy}"
            )

    # ---- symmetry -------------------------------------------------------------------------

    @property
    def symmetry(self) -> Symmetry:
        """What commutes with the push-forward of velocities of momenta."""
        return intersection([step.symmetry for step in self._steps])

    def direction_symmetry(self, components: Sequence[int]) -> Symmetry:
        """What leaves velocities along single components alone, i.e. commutes with ∂/∂x_a for each of these a.

        Found by linear algebra: X keeps ∂/∂x_a where the velocity that X gives to the coordinates does not depend on
        x_a. Rescaling components changes nothing, so that no statistics are needed.
        """
        if not components:
            return Symmetry.full()
        x = self._plain(reference_momenta(self))
        basis = generators(device="cpu")

        def moved(y: Tensor) -> Tensor:
            p = self._plain_inverse(y)
            return torch.stack([self._plain_push(p, p @ generator.T) for generator in basis], dim=1)

        conditions = torch.cat([_derivative(moved, x, a).transpose(1, 2).flatten(0, 1) for a in components])
        kept = set()
        for name in ("P", "z-flip"):
            matrix = torch.from_numpy(DISCRETE[name].copy())

            def mirrored(y: Tensor, matrix: Tensor = matrix) -> Tensor:
                return self._plain(self._plain_inverse(y) @ matrix.T)

            changes = [
                _derivative(mirrored, x, a) - torch.eye(self.dim, dtype=x.dtype, device="cpu")[a]
                for a in components
            ]
            if all(float(change.abs().max()) < 1e-7 for change in changes):
                kept.add(name)
        return null_symmetry(conditions.numpy(), kept)

    @property
    def _unstandardised(self) -> list[Step]:
        return [step for step in self._steps if not isinstance(step, Standardise)]

    def _plain(self, p: Tensor) -> Tensor:
        for step in self._unstandardised:
            p = step(p)
        return p

    def _plain_inverse(self, x: Tensor) -> Tensor:
        for step in reversed(self._unstandardised):
            x = step.inverse(x)
        return x

    def _plain_push(self, p: Tensor, velocity: Tensor) -> Tensor:
        for step in self._unstandardised:
            p, velocity = step(p), step.push(p, velocity)
        return velocity


def reference_momenta(coordinates: Coordinates, count: int = 12) -> Tensor:
    """A few generic momenta inside the boundaries, (count, 4), on the host: where symmetries are looked for."""
    rng = np.random.default_rng(7)
    pt, eta, azimuth, mass = torch.from_numpy(
        rng.uniform([8, -0.4, -2.5, 2], [40, 0.4, 2.5, 20], (count, 4))
    ).T
    p = from_ptetaphim(pt, eta, azimuth, mass)
    shell = [step for step in coordinates.steps if isinstance(step, OnShell)]
    for _ in range(_GROWTHS):
        p = shell[0].inverse(p[:, 1:]) if shell else p
        if bool(coordinates.inside(p).all()):
            return p
        p = 2 * p
    raise ValueError(f"no momenta lie inside the boundaries of the coordinates {coordinates.name!r}")


def null_symmetry(conditions: np.ndarray, discrete: set[str] | frozenset[str] = frozenset()) -> Symmetry:
    """The generators whose coefficients (6,) the rows of `conditions` (K, 6), of about unit size, send to zero."""
    _, singular, directions = np.linalg.svd(conditions, full_matrices=True)
    size = singular[0] if len(singular) else 0.0
    padded = np.zeros(6)
    padded[: len(singular)] = singular
    return Symmetry(directions[padded <= _NULL * max(size, 1.0)], frozenset(discrete))


def _derivative(fn: Callable[[Tensor], Tensor], x: Tensor, component: int) -> Tensor:
    """∂fn/∂x_a at x, by central differences in float64 with error O(h⁴)."""
    step = torch.zeros(x.shape[-1], dtype=x.dtype, device=x.device)
    step[component] = 1e-3

    def central(h: float) -> Tensor:
        return (fn(x + h * step) - fn(x - h * step)) / (2 * h * 1e-3)

    return (4 * central(1.0) - central(2.0)) / 3
