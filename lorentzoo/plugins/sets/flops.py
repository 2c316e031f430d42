"""How much arithmetic does the published particle-flow network take?"""

from __future__ import annotations

from lorentzoo.nn import FlopsSetting, count_linear

__all__ = ["count_deep_sets"]


def count_deep_sets(at: FlopsSetting) -> int:
    """One perceptron on each particle, one on their sum (arXiv:1810.05165)."""
    hidden = list(at.parameters["hidden"])
    return at.particles * count_linear([at.scalars, *hidden]) + count_linear([hidden[-1], *at.read_out])
