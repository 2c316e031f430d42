"""What does a verification say: the computed symmetry, the measured one, and the error against boost?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lorentzoo.core.errors import SymmetryError
from lorentzoo.core.symmetry import Symmetry

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Array", "BoostCurve", "Verification"]

Array = NDArray[np.float64]


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
