"""How much arithmetic do the published particle-flow network and perceptron take?"""

from __future__ import annotations

from lorentzoo.nn import FlopsSetting, count_linear

__all__ = ["count_deep_sets", "count_mlp"]


def count_deep_sets(at: FlopsSetting) -> int:
    """One perceptron on each particle, one on their sum (arXiv:1810.05165)."""
    hidden = list(at.parameters["hidden"])
    return at.particles * count_linear([at.scalars, *hidden]) + count_linear([hidden[-1], *at.read_out])


def count_mlp(at: FlopsSetting) -> int:
    """One perceptron on all particles of an event (arXiv:2505.20280)."""
    given = at.parameters
    each = at.scalars if given["read_scalars"] else 4 * at.vectors
    return count_linear([given["num_particles"] * each, *given["hidden"], *at.read_out]) + at.top_boost
