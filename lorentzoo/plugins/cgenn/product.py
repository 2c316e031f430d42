"""How are weighted geometric products of many multivectors evaluated?

One number weighs each path of grades (a, b) -> k that the geometric product knows, 35 of them in spacetime
(arXiv:2305.11141, eq. 9). Multivectors stand as planes, one for each component, with particles innermost: two blades
multiply to one blade up to a sign, so that of 16³ structure constants 256 remain, each a product of two planes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from lorentzoo.nn import SPACETIME, in_transform

__all__ = [
    "GRADES",
    "GRADE_SIGNS",
    "NUM_GRADES",
    "NUM_PATHS",
    "PARTNERS",
    "USES",
    "from_planes",
    "grade_linear",
    "grade_squares",
    "normalise",
    "operator_weights",
    "path_grades",
    "to_planes",
    "weighted_product",
]

_PASS: Final = 2**18
"""Products of components at a time."""
NUM_GRADES: Final = 5
GRADES: Final = torch.as_tensor(SPACETIME.grades)
"""Grade of each component, shape (16,)."""
_TABLE: Final = SPACETIME.table
_PARTNER: Final = np.abs(_TABLE).argmax(axis=1)
"""The other factor's component, for a factor's component and the result's, shape (16, 16): the same on both sides."""
_TRIPLES: Final = sorted(
    {tuple(SPACETIME.grades[list(place)]) for place in zip(*_TABLE.nonzero(), strict=True)}
)
NUM_PATHS: Final = len(_TRIPLES)
"""Paths (left grade, right grade, result's grade)."""
GRADE_SIGNS: Final = torch.as_tensor(
    (SPACETIME.grades == np.arange(NUM_GRADES)[:, None]) * SPACETIME.inner_signs
)
"""⟨x, x⟩ of each grade from the squares of components, shape (5, 16)."""
PARTNERS: Final = torch.as_tensor(_PARTNER.T.reshape(-1))
"""The other factor's component, for the result's and a factor's in turn, shape (256,)."""
USES: Final = torch.as_tensor(np.stack([_PARTNER[:, b] * 16 + np.arange(16) for b in range(16)]).reshape(-1))
"""Where in `PARTNERS` each component stands, for the component and the factor's in turn, shape (256,)."""


def _signed_paths(left: bool) -> Tensor:
    """±1 at the path of each (component of the result, component of one factor), shape (35, 256)."""
    found = np.zeros((NUM_PATHS, 16, 16))
    grades = SPACETIME.grades
    for one in range(16):
        for result in range(16):
            other = int(_PARTNER[one, result])
            first, second = (one, other) if left else (other, one)
            path = _TRIPLES.index((grades[first], grades[second], grades[result]))
            found[path, result, one] = _TABLE[first, second, result]
    return torch.as_tensor(found.reshape(NUM_PATHS, 256))


_PATHS_LEFT, _PATHS_RIGHT = _signed_paths(left=True), _signed_paths(left=False)


def path_grades(device: torch.device) -> Tensor:
    """Grade of the right factor on each path, shape (35,)."""
    return torch.tensor([triple[1] for triple in _TRIPLES], device=device)


def to_planes(x: Tensor) -> Tensor:
    """Components first and rows last, (..., C, 16) -> (16, C, P)."""
    return x.flatten(0, -3).permute(2, 1, 0).contiguous()


def from_planes(planes: Tensor, lead: tuple[int, ...]) -> Tensor:
    """Undo `to_planes`, (16, C, P) -> (*lead, C, 16)."""
    return planes.permute(2, 1, 0).reshape(*lead, planes.shape[1], 16)


def grade_linear(planes: Tensor, weight: Tensor) -> Tensor:
    """A linear map of channels for each grade. Shapes (16, C, P), (O, C, 5) -> (16, O, P)."""
    return torch.bmm(weight.permute(2, 0, 1).index_select(0, GRADES.to(planes.device)), planes)


def grade_squares(x: Tensor) -> Tensor:
    """The scalar part and ⟨x, x⟩ of each further grade, (..., C, 16) -> (..., C, 5): invariants of the full group."""
    squares = x.square() @ GRADE_SIGNS.to(x).T
    return torch.cat([x[..., :1], squares[..., 1:]], dim=-1)


def normalise(planes: Tensor, gain: Tensor) -> Tensor:
    """Multivectors over their channels' mean norm √|⟨x, x⟩|, times gains. Shapes (16, C, P), (C,) -> (16, C, P)."""
    squares = torch.einsum("k,kcp->cp", GRADE_SIGNS.sum(0).to(planes), planes.square())
    # (q² + ε)^¼: the gradient of the root stays finite at null multivectors.
    norms = (squares.square() + 1e-16).pow(0.25)
    return planes * (gain.unsqueeze(-1) / (norms.mean(0) + 1e-6))


def operator_weights(own_left: Tensor, own_right: Tensor) -> Tensor:
    """Weights of products as linear maps from one factor to the matrices by which it multiplies its partners.

    Parameters
    ----------
    own_left
        Weights (O, D, C, 35) of channel d of the factor, on the left, and channel c of the partner.
    own_right
        Weights (O, C, D, 35) where the factor is on the right.

    Returns
    -------
    Shape (256, D, C O): for each (result's component, partner's component), with the factor's in `PARTNERS`.
    """
    # The partner is the right factor where the factor is the left one.
    to_partner_right = own_left.permute(1, 2, 0, 3).flatten(1, 2) @ _PATHS_RIGHT.to(own_left)
    to_partner_left = own_right.permute(2, 1, 0, 3).flatten(1, 2) @ _PATHS_LEFT.to(own_right)
    return (to_partner_right + to_partner_left).permute(2, 0, 1).contiguous()


def weighted_product(left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    """Σ_c of the weighted geometric products of channels.

    Parameters
    ----------
    left, right
        Planes (G, 16, C, P) of G products.
    weight
        One number a path, shape (G, O, C, 35).

    Returns
    -------
    Planes (G, 16, O, P).
    """
    if torch.compiler.is_compiling() or in_transform():
        return _traceable_product(left, right, weight)
    return _WeightedProduct.apply(left, right, weight)


def _traceable_product(left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    return _signed(weight) @ _products(left, right.index_select(1, PARTNERS.to(right.device)))


class _WeightedProduct(torch.autograd.Function):
    """Products of components, mixed by matrices, in passes that stay in the cache. Saves its inputs only."""

    @staticmethod
    def forward(left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
        signed, partners = _signed(weight), PARTNERS.to(left.device)
        out = left.new_empty(len(right), 16, weight.shape[1], right.shape[-1])
        for rows in _passes(right):
            gathered = right[..., rows].index_select(1, partners)
            out[..., rows] = signed @ _products(left[..., rows], gathered)
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(gradient.device.type, enabled=False):
            return _WeightedProduct._gradients(ctx, gradient)

    @staticmethod
    def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        if torch.is_grad_enabled():
            # Second derivatives are wanted: the same gradients by operations that have their own.
            wanted = [x for x in inputs if x.requires_grad]
            found = iter(
                torch.autograd.grad(_traceable_product(*inputs), wanted, gradient, create_graph=True)
            )
            return tuple(next(found) if x.requires_grad else None for x in inputs)
        left, right, weight = inputs
        signed, partners, uses = _signed(weight), PARTNERS.to(left.device), USES.to(left.device)
        to_signed = torch.zeros_like(signed)
        to_left, to_right = torch.empty_like(right), torch.empty_like(right)
        for rows in _passes(right):
            one, given = left[..., rows], gradient[..., rows]
            gathered = right[..., rows].index_select(1, partners)
            to_signed += given @ _products(one, gathered).transpose(2, 3)
            to_products = (signed.transpose(2, 3) @ given).view(len(right), 16, *one.shape[1:])
            to_left[..., rows] = (to_products * gathered.view(to_products.shape)).sum(1)
            to_products *= one.unsqueeze(1)
            to_products = to_products.flatten(1, 2).index_select(1, uses)
            to_right[..., rows] = to_products.unflatten(1, (16, 16)).sum(2)
        by_path = to_signed.unflatten(-1, (16, -1)).permute(0, 2, 4, 1, 3).flatten(3)
        return to_left, to_right, by_path @ _PATHS_LEFT.to(by_path).T


def _passes(x: Tensor) -> Iterator[slice]:
    """Some rows of planes at a time."""
    step = max(1, _PASS // (256 * len(x) * x.shape[2]))
    return (slice(start, start + step) for start in range(0, x.shape[-1], step))


def _signed(weight: Tensor) -> Tensor:
    """Weights of products of components for each component of the result, (G, O, C, 35) -> (G, 16, O, 16 C)."""
    return (weight @ _PATHS_LEFT.to(weight)).unflatten(-1, (16, 16)).permute(0, 3, 1, 4, 2).flatten(3)


def _products(left: Tensor, gathered: Tensor) -> Tensor:
    """(G, 16, C, P) times (G, 256, C, P) for each (component of the result, of the left factor): (G, 16, 16 C, P)."""
    return (left.unsqueeze(1) * gathered.unflatten(1, (16, 16))).flatten(2, 3)
