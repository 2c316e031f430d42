"""How much arithmetic do the published transformers take?"""

from __future__ import annotations

from lorentzoo import Reps
from lorentzoo.nn import MATVEC, FlopsSetting, count_attention, count_linear, count_vectors

__all__ = ["count_part", "count_transformer"]


def count_transformer(at: FlopsSetting) -> int:
    """The transformer of arXiv:2508.14898, in fixed or local frames."""
    given, n = at.parameters, at.particles
    heads = given["num_heads"]
    width = heads * Reps.parse(given["head_reps"]).dim
    block = n * (count_linear([width, 3 * width]) + count_linear([width, width]))
    block += n * count_linear([width, given["mlp_ratio"] * width, width])
    # Where values are moved between frames they are contiguous, and attention was fused: the counter missed it.
    block += count_attention(n, n, width) if at.all_attention or not at.learned else 0
    if at.local:
        block += n * heads * count_vectors(given["head_reps"]) * 4 * MATVEC
    ends = n * (count_linear([at.scalars, width]) + count_linear([width, *at.read_out]))
    return ends + given["num_blocks"] * block + at.top_boost


def count_part(at: FlopsSetting) -> int:
    """Particle Transformer (arXiv:2202.03772) and MIParT (arXiv:2407.08682), in fixed or local frames."""
    given, n = at.parameters, at.particles
    embed, pair, heads = list(given["embed_dims"]), list(given["pair_dims"]), given["num_heads"]
    width, interactions = embed[-1], given["num_interaction_blocks"]
    forward = count_linear([width, given["mlp_ratio"] * width, width])
    block = n * (count_linear([width, 3 * width]) + count_linear([width, width]) + forward)
    block += count_attention(n, n, width)
    if at.local:
        block += n * heads * count_vectors(given["head_reps"]) * 4 * MATVEC
    # Interaction blocks have one product of attention and no queries, keys and map after it.
    interaction = n * (count_linear([width, width]) + forward) + count_attention(n, n, width) // 2
    classes = 2 * count_linear([width, width]) + (n + 1) * count_linear([width, 2 * width]) + forward
    # The class token's attention is fused in ParT; MIParT's blocks are torch's own, whose is not.
    classes += count_attention(1, n + 1, width) if at.all_attention or interactions else 0
    return (
        n * count_linear([at.scalars, *embed])
        + n * (n + 1) // 2 * count_linear([4, *pair, heads])
        + interactions * interaction
        + given["num_blocks"] * block
        + given["num_class_blocks"] * classes
        + count_linear([width, *at.read_out])
        + at.top_boost
    )
