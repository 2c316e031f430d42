"""How much arithmetic does the published LorentzNet take?"""

from __future__ import annotations

from lorentzoo.nn import FlopsSetting, count_linear

__all__ = ["count_lorentznet"]


def count_lorentznet(at: FlopsSetting) -> int:
    """Messages on all pairs of particles and reference vectors (arXiv:2201.08187)."""
    at.require_vectors(1)
    at.require_no_kinematics()
    given, n = at.parameters, at.tokens
    width, layers = given["hidden_channels"], given["num_blocks"]
    message = count_linear([2 * width + 2, width, width]) + count_linear([width, 1])
    coordinate = count_linear([width, width, 1])
    node = count_linear([2 * width + at.auxiliary, width, width])
    total = n * count_linear([at.auxiliary, width]) + layers * (at.complete * message + n * node)
    total += (layers - 1) * at.complete * coordinate
    return total + count_linear([width, *at.read_out]) + at.top_boost
