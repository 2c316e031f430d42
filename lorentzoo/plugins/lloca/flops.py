"""How much arithmetic do the published networks that make local frames take?"""

from __future__ import annotations

from collections.abc import Mapping

from lorentzoo import Embedding
from lorentzoo.nn import (
    MATMUL,
    MATVEC,
    MULTIVECTOR_NORM,
    FlopsSetting,
    NoClosedFormError,
    count_linear,
    count_multivector_network,
    count_pair_network,
    make_part,
)

__all__ = ["count_one", "count_three", "count_tetrad", "count_two"]


def count_three(at: FlopsSetting) -> int:
    """Three learned vectors: a boost and a rotation."""
    return _count_frames(at, 3, boosted=True)


def count_tetrad(at: FlopsSetting) -> int:
    """Three learned vectors, orthonormalised in Minkowski space."""
    return _count_frames(at, 3, boosted=False)


def count_two(at: FlopsSetting) -> int:
    """Two learned vectors: the boost is given, or along the beam."""
    return _count_frames(at, 2, boosted=True)


def count_one(at: FlopsSetting) -> int:
    """One learned vector: a rotation about the beam."""
    return _count_frames(at, 1, boosted=True)


def _count_frames(at: FlopsSetting, vectors: int, *, boosted: bool) -> int:
    given = at.frames
    lab = given["lab_scalars"]
    items = [] if lab is None else [lab] if isinstance(lab, str | Mapping) else list(lab)
    seen = [make_part("embedding", item, Embedding).scalar_names for item in items]
    scalars = at.auxiliary + sum(len(names) for names in seen)
    if given["equivectors"] == "mlp":
        widths = [2 * scalars + 1, *[given["hidden"]] * given["num_layers"], vectors]
        network = at.complete * count_linear(widths)
    elif given["equivectors"] == "pelican":
        network = count_pair_network(at.tokens**2, scalars, 32, 16, 1) + 2 * at.tokens**2 * 15 * 32 * vectors
    elif given["equivectors"] == "lgatr":
        network = _count_lgatr(at, scalars, vectors)
    else:
        raise NoClosedFormError(
            f"no published implementation of equivectors {given['equivectors']!r} is known here"
        )
    # Two reference vectors are boosted and two matrices multiplied; then each particle is seen from there, and its jet.
    orthonormal = at.tokens * (2 * MATVEC + MATMUL) if boosted else 0
    return network + orthonormal + at.particles * (2 if at.tagger else 1) * MATVEC


def _count_lgatr(at: FlopsSetting, scalars: int, vectors: int) -> int:
    """The small L-GATr of the published frames-net: one block of 2 multivectors and 24 scalars, one head."""
    mv, s = 2, 24
    share_mv, share_s = (2 * vectors * max(width // (2 * vectors), 1) for width in (mv, s))
    network = count_multivector_network(
        at.tokens, (mv, s), (1, mv, s), 4, 1, scalars, (share_mv, share_s), all_attention=at.all_attention
    )
    return network + at.tokens * share_mv * MULTIVECTOR_NORM
