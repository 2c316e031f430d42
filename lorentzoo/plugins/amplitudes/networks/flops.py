"""How much arithmetic do the published perceptrons on invariants take?"""

from __future__ import annotations

from lorentzoo.nn import FlopsSetting, count_linear
from lorentzoo.plugins.amplitudes.invariants import pairs_of, systems_of

__all__ = ["count_invariant_mlp"]


def count_invariant_mlp(at: FlopsSetting) -> int:
    """Of products of momenta, and momenta where they are read too (DSI of arXiv:2405.14806); logarithms are free."""
    given = at.parameters
    count = given["num_particles"]
    width = len(pairs_of(count)[0]) + (len(systems_of(count)) if given["masses"] else 0)
    width += count * (at.auxiliary + 1) if given["read_scalars"] else 0
    width += 4 * count if given["read_momenta"] else 0
    return count_linear([width, *given["hidden"], *at.read_out])
