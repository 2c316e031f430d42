"""How much arithmetic do the published L-GATr and L-GATr-slim take?"""

from __future__ import annotations

from lorentzoo.nn import FlopsSetting, count_attention, count_multivector_network

__all__ = ["count_multivector", "count_slim"]


def count_multivector(at: FlopsSetting) -> int:
    """L-GATr with spurions among its tokens, of taggers with a class token too (arXiv:2411.00446)."""
    if at.tagger:
        at.require_pooling("global-token")
    _require_published(at)
    at.require_no_kinematics()
    at.require(multi_query=False, reinsert_vectors=(), reinsert_scalars=(), grid=None)
    at.require(group="connected", read_out="auto")
    given, flag = at.parameters, int(at.pooling == "global-token")
    mv, s, heads = given["hidden_channels"], given["hidden_scalars"], given["num_heads"]
    shared = given["attention_ratio"] * mv // heads
    network = count_multivector_network(
        at.tokens + flag,
        (mv, s),
        (heads, given["head_channels"] or shared, given["attention_ratio"] * s // heads),
        given["mlp_ratio"],
        given["num_blocks"],
        at.auxiliary + flag,
        (at.outputs, 0),
        all_attention=at.all_attention,
    )
    return network + at.top_boost


def count_slim(at: FlopsSetting) -> int:
    """L-GATr-slim with spurions and a class token among its tokens (arXiv:2512.17011)."""
    at.require_pooling("global-token")
    _require_published(at)
    at.require(head_vectors=None)
    given, n = at.parameters, at.tokens + 1
    v, s = given["hidden_vectors"], given["hidden_scalars"]
    ratio, inner = given["attention_ratio"], given["mlp_ratio"]
    wide_v, wide_s = ratio * v, ratio * s

    def linear(a: int, b: int, scalars: int, scalars_out: int) -> int:
        return n * 2 * (4 * a * b + scalars * scalars_out)

    block = linear(v, 3 * wide_v, s, 3 * wide_s) + linear(wide_v, v, wide_s, s)
    # Gated: three products of vectors and two of scalars for each channel inside.
    block += linear(v, 3 * inner * v, s, 2 * inner * s) + linear(inner * v, v, inner * s, s)
    block += count_attention(n, n, 4 * wide_v + wide_s)
    return linear(1, v, at.scalars + 1, s) + given["num_blocks"] * block + linear(v, 0, s, at.outputs)


def _require_published(at: FlopsSetting) -> None:
    at.require_vectors(1)
    at.require(head_scalars=None, mlp_layers=2, condition_vectors=0, condition_scalars=0)
