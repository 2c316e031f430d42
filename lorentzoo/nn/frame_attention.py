"""How do particles that live in different frames attend to each other?

Queries, keys and values carry a Lorentz representation a head. They are taken from local frames to the global one,
compared by the Minkowski inner product, and the result is taken back (arXiv:2505.20280, eq. 14). In identity and global
frames this is ordinary attention.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lorentzoo.core.frames import Frames
from lorentzoo.core.layout import Layout, PairValues

__all__ = ["attend_between_frames", "moves_vectors"]


def moves_vectors(frames: Frames, num_vectors: int) -> bool:
    """Whether messages with so many vectors change on their way between frames."""
    return num_vectors > 0 and not (frames.is_identity or frames.is_global)


def attend_between_frames(
    scalars: Tensor,
    vectors: Tensor,
    frames: Frames,
    layout: Layout,
    *,
    bias: PairValues | None = None,
    preserve_variance: bool = False,
    mass_floor: float = 0.0,
    one_by_one: bool = False,
) -> tuple[Tensor, Tensor]:
    """Attention of heads of scalars and vectors, v_i' = L_i Σ_j softmax_j(⟨L_i⁻¹ q_i, L_j⁻¹ k_j⟩ / √D) L_j⁻¹ v_j.

    Parameters
    ----------
    scalars
        Of queries, keys and values in turn, shape (*lead, 3, H, S).
    vectors
        The same in local frames, shape (*lead, 3, H, V, 4). A head is D = S + 4 V wide.
    frames
        The frame of each particle.
    layout
        Which particles attend to each other.
    bias
        Added to the logits, one number a head for each pair.
    preserve_variance
        Divide vectors by γ of their frame before and after attention, so that strongly boosted frames do not blow up
        the features (lloca 2.0).
    mass_floor
        0 takes γ against the frame in which messages travel, a positive value in GeV against the event's total, see
        `Frames.boost_factors`.
    one_by_one
        Move queries, keys and values by a product of matrices each, instead of one for all: equal up to rounding.

    Returns
    -------
    Scalars (*lead, H, S), and vectors (*lead, H, V, 4) in local frames.
    """
    heads, (num_vectors, _) = vectors.shape[-3], vectors.shape[-2:]
    local = moves_vectors(frames, num_vectors)
    if local:
        back = frames.inverse()
        parts = vectors.split(1 if one_by_one else 3, dim=-4)
        rows = torch.cat([back.take_vectors(part.flatten(-4, -2)) for part in parts], dim=-2)
        rows = rows.unflatten(-2, (3, -1))
        if preserve_variance:
            factors = frames.boost_factors(dtype=rows.dtype, mass_floor=mass_floor)[..., None, None]
            rows = rows / factors.unsqueeze(-1)
        # Lowering the index of the queries makes the inner product of the heads Minkowski's.
        signs = rows.new_ones(3, 1, 4)
        signs[0, :, 1:] = -1.0
        vectors = (rows * signs).unflatten(-2, (heads, num_vectors))
    q, k, v = torch.cat([scalars, vectors.flatten(-2)], dim=-1).unbind(-3)
    out = layout.attend(q, k, v, bias=bias)
    averaged, moved = out.split([scalars.shape[-1], 4 * num_vectors], dim=-1)
    moved = moved.unflatten(-1, (num_vectors, 4))
    if local:
        rows = frames.take_vectors(moved.flatten(-3, -2))
        if preserve_variance:
            rows = rows / factors
        moved = rows.unflatten(-2, (heads, num_vectors))
    return averaged, moved
