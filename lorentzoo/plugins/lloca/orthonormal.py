"""How do three four-vectors become a Lorentz frame?

Every construction is scale-free in each vector, and where the vectors span too little it falls back,
deterministically, first on a covariant support vector (the event's total) and only where that leaves
nothing either on a fixed axis: there no equivariant frame exists. Nothing is ever drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from lorentzoo.nn import boost_to_rest, cap_gamma, determinant3, inner, lower_index, mass_squared

__all__ = ["cap_boost", "gram_schmidt_frames", "polar_frames", "rotation_frames"]

_DEGENERATE: Final = 1e-10
"""Relative size below which a direction counts as rounding: frames are equivariant up to condition 1e4."""


def polar_frames(timelike: Tensor, references: Tensor, support: Tensor, gamma_max: float) -> Tensor:
    """Polar decomposition L = R B (arXiv:2505.20280, sec. 3.2).

    Parameters
    ----------
    timelike
        Future time-like vectors that B takes to rest, shape (..., 4).
    references
        Two vectors whose spatial parts, seen after B, give the first axes of R, shape (..., 2, 4).
    support
        Covariant vectors that stand in for missing directions, shape (..., 4).
    gamma_max
        Largest boost.

    Returns
    -------
    Lorentz matrices, shape (..., 4, 4), whose rows satisfy x_local = L x.
    """
    boost = boost_to_rest(cap_gamma(_replaced(timelike, support), gamma_max))
    at_rest = torch.cat([references, support.unsqueeze(-2)], dim=-2) @ boost.transpose(-1, -2)
    return rotation_frames(at_rest[..., :2, :], at_rest[..., 2, :]) @ boost


def cap_boost(timelike: Tensor, support: Tensor, gamma_max: float) -> Tensor:
    """Vectors whose boost, seen from the event's rest frame, is γ_max at most: t + (E' - E) P/M with E'² = |t|² + E²/γ².

    E and |t| are those in the rest frame of P, so that events at any speed are treated alike. An event whose total is
    light-like to γ_max has no rest frame: there γ_max bounds the boost in the given frame, and no frame is covariant.

    Parameters
    ----------
    timelike
        Future causal vectors t, shape (..., 4).
    support
        The event's total P, shape (..., 4).
    gamma_max
        The bound.

    Returns
    -------
    Shape (..., 4).
    """
    mass2 = mass_squared(support)
    sound = mass2 > (support[..., 0] / gamma_max).square()
    mass2 = torch.where(sound, mass2, torch.ones_like(mass2))
    along, square = inner(timelike, support) / mass2, mass_squared(timelike) / mass2
    floor = (along / gamma_max).square()
    # The root is taken only where it is needed: elsewhere t² may exceed E².
    needed = sound & (square < floor)
    raised = torch.where(needed, along.square() - square + floor, torch.ones_like(along)).sqrt()
    change = torch.where(needed, raised - along, torch.zeros_like(along))
    relative = timelike + change.unsqueeze(-1) * support
    return torch.where(sound.unsqueeze(-1), relative, cap_gamma(timelike, gamma_max))


def rotation_frames(references: Tensor, support: Tensor) -> Tensor:
    """Rotations whose first axis is along the first reference and whose third is normal to both.

    Parameters
    ----------
    references
        Shape (..., 2, 4); energies set the scale against which a spatial part counts as missing.
    support
        Stands in for missing directions, shape (..., 4).

    Returns
    -------
    Shape (..., 4, 4).
    """
    first = _spatial_or(references[..., 0, :], support)
    first = _unit(_direction_or_axis(first))
    normal = _normal_or(first, references[..., 1, :], support)
    third = _unit(normal)
    # The product of nearly parallel vectors is not normal to them to all digits; a second pass makes it so.
    third = _unit(third - (third * first).sum(-1, keepdim=True) * first)
    second = torch.linalg.cross(third, first)
    return _embed(torch.stack([first, second, third], dim=-2))


def gram_schmidt_frames(vectors: Tensor, support: Tensor, gamma_max: float) -> Tensor:
    """Gram-Schmidt in Minkowski space, the fourth vector by the ε tensor (arXiv:2505.20280, app. A).

    The same frames as `polar_frames` in exact arithmetic; where a step has no direction left, those are taken.

    Parameters
    ----------
    vectors
        Shape (..., 3, 4), the first future time-like.
    support, gamma_max
        As in `polar_frames`.

    Returns
    -------
    Shape (..., 4, 4).
    """
    fallback = polar_frames(vectors[..., 0, :], vectors[..., 1:, :], support, gamma_max)
    time = cap_gamma(_replaced(vectors[..., 0, :], support), gamma_max)
    time = time / inner(time, time).clamp(min=torch.finfo(time.dtype).tiny).sqrt().unsqueeze(-1)
    rows = [time]
    sound = torch.ones(time.shape[:-1], dtype=torch.bool, device=time.device)
    for axis in (1, 2):
        vector = vectors[..., axis, :]
        along_time = inner(vector, time)
        size = along_time.square() + (along_time.square() - inner(vector, vector)).clamp(min=0)
        remainder = _without(vector, rows)
        square = -inner(remainder, remainder)
        good = square > _DEGENERATE * size
        sound = sound & good
        unit = remainder / torch.where(good, square, torch.ones_like(square)).sqrt().unsqueeze(-1)
        rows.append(_refined(unit, rows, good))
    rows.append(_refined(_fourth(*rows), rows, sound))
    tetrad = lower_index(torch.stack(rows, dim=-2))
    # Row a of L is η^aa u_aᵀ g.
    frames = torch.cat([tetrad[..., :1, :], -tetrad[..., 1:, :]], dim=-2)
    return torch.where(sound[..., None, None], frames, fallback)


def _without(vector: Tensor, rows: Sequence[Tensor]) -> Tensor:
    """What is left of a vector beside orthonormal ones, the first of them time-like."""
    remainder = vector - inner(vector, rows[0]).unsqueeze(-1) * rows[0]
    for other in rows[1:]:
        remainder = remainder + inner(remainder, other).unsqueeze(-1) * other
    return remainder


def _refined(unit: Tensor, rows: Sequence[Tensor], good: Tensor) -> Tensor:
    """A space-like unit vector made orthogonal to the rows to all digits: a first pass leaves what cancelled in it."""
    again = _without(unit, rows)
    square = -inner(again, again)
    sound = good & (square > 0)
    size = torch.where(sound, square, torch.ones_like(square)).sqrt().unsqueeze(-1)
    return torch.where(sound.unsqueeze(-1), again / size, unit)


def _fourth(u0: Tensor, u1: Tensor, u2: Tensor) -> Tensor:
    """u3^μ = g^{μν} ε_{νρσκ} u0^ρ u1^σ u2^κ with ε_{3012} = -1: orthogonal to all, (0,0,0,1) for the trivial tetrad."""
    columns = torch.stack([u0, u1, u2], dim=-2)
    minors = []
    for component in range(4):
        others = [index for index in range(4) if index != component]
        minors.append((-1) ** component * determinant3(columns[..., others]))
    return lower_index(torch.stack(minors, dim=-1))


def _replaced(timelike: Tensor, support: Tensor) -> Tensor:
    """The vector itself, or the support where it has no energy (a particle without any partner)."""
    return torch.where((timelike[..., :1] > 0), timelike, support)


def _spatial_or(vector: Tensor, support: Tensor) -> Tensor:
    good = _present(vector[..., 1:].square().sum(-1), vector.square().sum(-1))
    return torch.where(good, vector[..., 1:], support[..., 1:] / _size(support))


def _direction_or_axis(x: Tensor) -> Tensor:
    axis = torch.zeros_like(x)
    axis[..., 2] = 1.0
    good = x.square().sum(-1, keepdim=True) > _DEGENERATE**2
    small = torch.where(good, x, axis)
    # A supplied vector has any scale; only the support was brought to unit size.
    return torch.where(x.square().sum(-1, keepdim=True) > 0, small, axis)


def _normal_or(first: Tensor, vector: Tensor, support: Tensor) -> Tensor:
    """first x vector; first x support where that vanishes; first x (its least aligned axis) where both do."""
    candidates = [torch.linalg.cross(first, x[..., 1:], dim=-1) for x in (vector, support)]
    good = [
        _present(c.square().sum(-1), x.square().sum(-1))
        for c, x in zip(candidates, (vector, support), strict=True)
    ]
    least = torch.nn.functional.one_hot(first.detach().abs().argmin(-1), 3).to(first.dtype)
    last = torch.linalg.cross(first, least, dim=-1)
    return torch.where(good[0], candidates[0], torch.where(good[1], candidates[1], last))


def _present(part: Tensor, whole: Tensor) -> Tensor:
    return ((part > _DEGENERATE**2 * whole) & (part > 0)).unsqueeze(-1)


def _size(x: Tensor) -> Tensor:
    square = x.detach().square().sum(-1, keepdim=True)
    return torch.where(square > 0, square, torch.ones_like(square)).sqrt()


def _unit(x: Tensor) -> Tensor:
    """x/|x|, scaled first so that squares neither overflow nor vanish."""
    scale = x.detach().abs().amax(-1, keepdim=True)
    scaled = x / torch.where(scale > 0, scale, torch.ones_like(scale))
    return scaled / scaled.square().sum(-1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny).sqrt()


def _embed(rotation: Tensor) -> Tensor:
    """Shape (..., 3, 3) -> (..., 4, 4), with the time axis left alone."""
    out = torch.nn.functional.pad(rotation, (1, 0, 1, 0))
    time = torch.zeros(4, 4, dtype=rotation.dtype, device=rotation.device)
    time[0, 0] = 1.0
    return out + time
