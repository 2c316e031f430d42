"""How much arithmetic do the published transformers take?"""

from __future__ import annotations

from lorentzoo import Reps
from lorentzoo.nn import MATVEC, FlopsSetting, count_attention, count_linear, count_vectors

__all__ = ["count_part", "count_transformer"]


def count_transformer(at: FlopsSetting) -> int:
    """The transformers of arXiv:2508.14898 and of lloca 2.0, in fixed or local frames."""
    given, n = at.parameters, at.particles
    heads = given["num_heads"]
    inner = heads * Reps.parse(given["head_reps"]).dim
    width = inner // given["attention_ratio"]
    hidden = given["mlp_ratio"] * width
    block = n * (count_linear([width, 3 * inner]) + count_linear([inner, width]))
    block += n * (
        count_linear([width, hidden * (2 if given["gated"] else 1)]) + count_linear([hidden, width])
    )
    # Where values are moved between frames they are contiguous, and attention was fused: the counter missed it.
    block += count_attention(n, n, inner) if at.all_attention or not at.learned else 0
    if at.local:
        block += n * heads * count_vectors(given["head_reps"]) * 4 * MATVEC
    ends = n * (count_linear([at.scalars, width]) + count_linear([width, *at.read_out]))
    return ends + given["num_blocks"] * block + at.top_boost


def count_part(at: FlopsSetting) -> int:
    """Versions of the Particle Transformer (arXiv:2202.03772) and MIParT (arXiv:2407.08682), in fixed or local frames."""
    given, n = at.parameters, at.particles
    embed, pair, heads = list(given["embed_dims"]), list(given["pair_dims"]), given["num_heads"]
    width, interactions = embed[-1], given["num_interaction_blocks"]
    hidden = given["mlp_ratio"] * width
    forward = count_linear([width, hidden, width])
    forward += count_linear([width, hidden]) if given["swiglu"] else 0
    gate = count_linear([width, {"none": 0, "heads": heads, "channels": width}[given["attention_gate"]]])
    # A global token is one more particle, which has no frame: messages are then scalars.
    rows = n + int(given["global_token"])
    block = rows * (count_linear([width, 3 * width]) + count_linear([width, width]) + gate + forward)
    block += count_attention(rows, rows, width)
    if at.local and not given["global_token"]:
        block += n * heads * count_vectors(given["head_reps"]) * 4 * MATVEC
    # Interaction blocks have one product of attention and no queries, keys and map after it.
    interaction = n * (count_linear([width, width]) + forward) + count_attention(n, n, width) // 2
    classes = 2 * count_linear([width, width]) + (n + 1) * count_linear([width, 2 * width]) + gate + forward
    # The class token's attention is fused in ParT; MIParT's blocks are torch's own, whose is not.
    classes += count_attention(1, n + 1, width) if at.all_attention or interactions else 0
    pairs = n * (n + 1) // 2 - (0 if given["self_pairs"] else n)
    return (
        n * count_linear([at.scalars, *embed])
        + pairs * count_linear([len(given["pair_features"]), *pair, heads])
        + interactions * interaction
        + given["num_blocks"] * block
        + given["num_class_blocks"] * classes
        + count_linear([width, *at.read_out])
        + at.top_boost
    )
