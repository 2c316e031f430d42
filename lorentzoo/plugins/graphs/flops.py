"""How much arithmetic do the published networks of edges take?"""

from __future__ import annotations

from itertools import pairwise

from lorentzoo import Reps
from lorentzoo.nn import MATMUL, MATVEC, FlopsSetting, count_linear, count_vectors

__all__ = ["count_graphnet", "count_particlenet"]


def count_particlenet(at: FlopsSetting) -> int:
    """Dynamic edge convolutions (arXiv:1902.08570), in fixed or local frames."""
    given, n = at.parameters, at.particles
    edges = n * min(given["neighbours"], n - 1)
    widths = [at.scalars, *given["channels"]]
    vectors = [0, *(count_vectors(text) for text in given["hidden_reps"])]
    total = at.top_boost
    for place, (width, out) in enumerate(pairwise(widths)):
        total += edges * count_linear([2 * width, *[out] * given["num_layers"]])
        total += n * count_linear([width, out]) if width != out else 0
        total += 2 * n * n * (2 if place == 0 else width)  # inner products of all points, for distances
        total += edges * (2 * MATMUL + vectors[place] * MATVEC) if at.local else 0
    return total + count_linear([widths[-1], *at.read_out])


def count_graphnet(at: FlopsSetting) -> int:
    """Edge convolutions on the complete graph (arXiv:2505.20280), in fixed or local frames."""
    given, n = at.parameters, at.particles
    edges, width = n * (n - 1), Reps.parse(given["hidden_reps"]).dim
    message = count_linear([2 * width + given["edge_features"], *[width] * (given["num_layers"] + 1)])
    if at.local:
        message += 2 * MATMUL + count_vectors(given["hidden_reps"]) * MATVEC
    rows = count_linear([at.scalars, width]) + count_linear([width, *at.read_out])
    return n * rows + given["num_blocks"] * edges * message + at.top_boost
