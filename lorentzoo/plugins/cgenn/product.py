"""How are weighted geometric products of many multivectors evaluated?

One number weighs each path of grades (a, b) -> k that the geometric product knows, 35 of them in spacetime
(arXiv:2305.11141, eq. 9). Two blades multiply to one blade up to a sign, so that of 16³ structure constants 256
remain, one for each pair of a factor's component and the result's: a product of matrices over channels for each.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from lorentzoo.nn import SPACETIME

__all__ = [
    "GRADES",
    "NUM_GRADES",
    "NUM_PATHS",
    "grade_linear",
    "grade_squares",
    "norms",
    "pair_operators",
    "path_grades",
    "weighted_product",
]

NUM_GRADES: Final = 5
GRADES: Final = torch.as_tensor(SPACETIME.grades)
"""Grade of each component, shape (16,)."""
_INNER: Final = torch.as_tensor(SPACETIME.inner_signs)

_TABLE: Final = SPACETIME.table
_PARTNER: Final = np.abs(_TABLE).argmax(axis=1)
"""The other factor's component, for a factor's component and the result's, shape (16, 16): the same on both sides."""
_TRIPLES: Final = sorted(
    {tuple(SPACETIME.grades[list(place)]) for place in zip(*_TABLE.nonzero(), strict=True)}
)
NUM_PATHS: Final = len(_TRIPLES)
"""Paths (left grade, right grade, result's grade)."""


def _tables(left: bool) -> tuple[Tensor, Tensor]:
    """Sign and path of the product for each (component of one factor, component of the result), shape (256,)."""
    one, result = np.indices((16, 16)).reshape(2, -1)
    other = _PARTNER[one, result]
    first, second = (one, other) if left else (other, one)
    grades = SPACETIME.grades
    path = [
        _TRIPLES.index(triple) for triple in zip(grades[first], grades[second], grades[result], strict=True)
    ]
    return torch.as_tensor(_TABLE[first, second, result]), torch.as_tensor(path)


_SIGN_LEFT, _PATH_LEFT = _tables(left=True)
_SIGN_RIGHT, _PATH_RIGHT = _tables(left=False)
_OTHER: Final = torch.as_tensor(_PARTNER.reshape(-1))


def path_grades(device: torch.device) -> Tensor:
    """Grade of the right factor on each path, shape (35,)."""
    return torch.tensor([triple[1] for triple in _TRIPLES], device=device)


def grade_linear(x: Tensor, weight: Tensor) -> Tensor:
    """A linear map of channels for each grade. Shapes (..., C, 16), (O, C, 5) -> (..., O, 16)."""
    return torch.einsum("...ci,oci->...oi", x, weight[..., GRADES.to(x.device)])


def grade_squares(x: Tensor) -> Tensor:
    """The scalar part and ⟨x, x⟩ of each further grade, (..., C, 16) -> (..., C, 5): invariants of the full group."""
    squares = x.square() * _INNER.to(x)
    parts = squares.split([1, 4, 6, 4, 1], dim=-1)
    return torch.cat([x[..., :1], *[part.sum(-1, keepdim=True) for part in parts[1:]]], dim=-1)


def norms(x: Tensor) -> Tensor:
    """√|⟨x, x⟩| of multivectors, smooth at zero, (..., 16) -> (...)."""
    square = (x.square() * _INNER.to(x)).sum(-1)
    # (q² + ε)^¼: the gradient of the root stays finite at null multivectors.
    return (square.square() + 1e-16).pow(0.25)


def weighted_product(left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    """Σ_c of the weighted geometric products of channels.

    Parameters
    ----------
    left, right
        Shape (..., C, 16).
    weight
        One number a path, shape (O, C, 35).

    Returns
    -------
    Shape (..., O, 16).
    """
    other, sign, path = (table.to(left.device) for table in (_OTHER, _SIGN_LEFT, _PATH_LEFT))
    signed = weight[..., path] * sign.to(weight)
    products = left.unsqueeze(-1) * right[..., other].unflatten(-1, (16, 16))
    lead = products.shape[:-3]
    rows = products.flatten(0, -4) if lead else products.unsqueeze(0)
    # (256, rows, C) times (256, C, O): one product of matrices for each pair of components, dense or it is slow.
    mixed = rows.flatten(2).permute(2, 0, 1).contiguous() @ signed.permute(2, 1, 0).contiguous()
    return mixed.unflatten(0, (16, 16)).sum(0).permute(1, 2, 0).reshape(*lead, weight.shape[0], 16)


def pair_operators(x: Tensor, mine_left: Tensor, mine_right: Tensor) -> Tensor:
    """What a multivector does to its partners in weighted products, as matrices.

    Parameters
    ----------
    x
        Shape (b, n, C, 16).
    mine_left
        Weights (O, C', C, 35) where x_j is the left factor and the partner the right one.
    mine_right
        The same where x_j is the right factor.

    Returns
    -------
    Shape (b, n, 16 C', 16 O): rows of partners (16 C') times the matrix of j give their products with j.
    """
    device = x.device
    other = _OTHER.to(device)
    signed = mine_left[..., _PATH_RIGHT.to(device)] * _SIGN_RIGHT.to(x)
    signed = signed + mine_right[..., _PATH_LEFT.to(device)] * _SIGN_LEFT.to(x)
    outputs, partners = mine_left.shape[:2]
    b, n = x.shape[:2]
    # For each component of the partner and of the result, the one component of x_j that leads there.
    gathered = x[..., other].flatten(0, 1).permute(2, 0, 1).contiguous()
    weights = signed.permute(3, 2, 1, 0).flatten(2).contiguous()
    operators = (gathered @ weights).reshape(16, 16, b, n, partners, outputs)
    return operators.permute(2, 3, 4, 0, 5, 1).reshape(b, n, 16 * partners, 16 * outputs)
