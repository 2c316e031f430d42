"""How much does a velocity spread the points of an event apart?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from lorentzoo import Layout
from lorentzoo.plugins.flow_matching.manifolds import Manifold

__all__ = ["Divergence", "tangent_noise", "with_divergence"]

Divergence = Literal["exact", "hutchinson"]


def with_divergence(
    velocity: Callable[[Tensor], Tensor],
    x: Tensor,
    manifold: Manifold,
    layout: Layout,
    noise: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Velocity and its divergence, Σ_i g(e_i, ∇_{e_i} v) over an orthonormal basis of each event's tangent space.

    Parameters
    ----------
    velocity
        Of all rows at points (P, A); rows of different events do not see each other.
    x
        Points (P, A).
    noise
        Coefficients (P, d) of Hutchinson's estimate, of mean zero and unit covariance: one backward pass instead of
        one a dimension of the event. None computes the divergence exactly.

    Returns
    -------
    Velocities (P, A) and divergences (B,), without gradients.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        v = velocity(x)
    basis = manifold.basis(x.detach())
    if noise is not None:
        total = _along(v, x, (noise.unsqueeze(-2) @ basis).squeeze(-2), manifold, layout)
        return v.detach(), total
    total = x.new_zeros(layout.num_events)
    place = _places(layout, x)
    longest = int(place.max()) + 1 if len(place) else 0
    # Events do not see each other: the same direction of the same particle is taken in all of them at once.
    for particle in range(longest):
        chosen = (place == particle).to(x.dtype).unsqueeze(-1)
        for direction in range(manifold.dim):
            total = total + _along(v, x, chosen * basis[:, direction], manifold, layout)
    return v.detach(), total


def tangent_noise(like: Tensor, dim: int, rng: torch.Generator | None) -> Tensor:
    """Signs with equal probability, (P, d): of all noises of unit covariance they give the least variance."""
    signs = torch.randint(0, 2, (*like.shape[:-1], dim), generator=rng)
    return (2 * signs - 1).to(like)


def _along(v: Tensor, x: Tensor, direction: Tensor, manifold: Manifold, layout: Layout) -> Tensor:
    """g(e, ∇_e v) summed over the rows of each event, (B,)."""
    if not v.requires_grad:
        return x.new_zeros(layout.num_events)
    weights = manifold.covector(x.detach(), direction)
    (gradient,) = torch.autograd.grad(v, x, weights, retain_graph=True, allow_unused=True)
    if gradient is None:
        return x.new_zeros(layout.num_events)
    return layout.pool((gradient * direction).sum(-1, keepdim=True), "sum").squeeze(-1)


def _places(layout: Layout, x: Tensor) -> Tensor:
    """Place of each row in its event, (P,)."""
    longest = layout.pad(x[..., :0]).shape[1]
    return layout.unpad(torch.arange(longest, device=x.device).expand(layout.num_events, -1))
