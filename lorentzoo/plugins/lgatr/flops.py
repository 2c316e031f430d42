"""How much arithmetic do the published taggers L-GATr and L-GATr-slim take?"""

from __future__ import annotations

from typing import Final

from lorentzoo.nn import FlopsSetting, count_attention

__all__ = ["count_multivector", "count_slim"]

_GEOMETRIC_PRODUCT: Final = 2 * 16**3
"""An outer product of 16 x 16 components, contracted to 16."""
_MULTIVECTOR_NORM: Final = 2 * 5 * 16
_EQUIVARIANT_MAPS: Final = 10


def count_multivector(at: FlopsSetting) -> int:
    """L-GATr with spurions and a class token among its tokens (arXiv:2411.00446)."""
    _require_tagger(at)
    at.require_no_kinematics()
    at.require(head_channels=None, multi_query=False, reinsert_vectors=(), reinsert_scalars=(), grid=None)
    at.require(group="connected", read_out="auto")
    given, n = at.parameters, at.tokens + 1
    mv, s, heads = given["hidden_channels"], given["hidden_scalars"], given["num_heads"]
    mv_head, s_head = given["attention_ratio"] * mv // heads, given["attention_ratio"] * s // heads
    attended, attended_s = heads * mv_head, heads * s_head
    inner, inner_s = given["mlp_ratio"] * mv, given["mlp_ratio"] * s

    def linear(a: int, b: int, scalars: int, scalars_out: int) -> int:
        """The basis is contracted with the weights once, then applied as a full matrix on 16 components."""
        contraction = 2 * a * b * _EQUIVARIANT_MAPS * 256
        mixed = 2 * (scalars * 2 * b + 2 * a * scalars_out + scalars * scalars_out)
        return contraction + n * (2 * a * b * 256 + mixed)

    block = linear(mv, 3 * attended, s, 3 * attended_s) + linear(attended, mv, attended_s, s)
    block += 2 * linear(mv, inner, s, 0) + linear(inner, inner, s, inner_s) + linear(inner, mv, inner_s, s)
    block += n * inner * _GEOMETRIC_PRODUCT
    block += n * (2 * mv + 3 * attended + inner) * _MULTIVECTOR_NORM
    block += count_attention(n, n, heads * (16 * mv_head + s_head)) if at.all_attention else 0
    ends = linear(1, mv, at.auxiliary + 1, s) + linear(mv, at.outputs, s, 0)
    return ends + given["num_blocks"] * block + at.top_boost


def count_slim(at: FlopsSetting) -> int:
    """L-GATr-slim with spurions and a class token among its tokens (arXiv:2512.17011)."""
    _require_tagger(at)
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


def _require_tagger(at: FlopsSetting) -> None:
    at.require_pooling("global-token")
    at.require_vectors(1)
    at.require(head_scalars=None, mlp_layers=2, condition_vectors=0, condition_scalars=0)
