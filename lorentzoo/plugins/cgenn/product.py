"""How are weighted geometric products of many multivectors evaluated?

One number weighs each path of grades (a, b) -> k that the geometric product knows, 35 of them in spacetime
(arXiv:2305.11141, eq. 9). Multivectors stand as planes, one for each component, with particles innermost: two blades
multiply to one blade up to a sign, so that of 16³ structure constants 256 remain, each a product of two planes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lorentzoo.nn import SPACETIME, in_transform

__all__ = [
    "GRADES",
    "GRADE_SIGNS",
    "NUM_GRADES",
    "NUM_PATHS",
    "ProductTable",
    "from_planes",
    "grade_linear",
    "grade_squares",
    "normalise",
    "operator_weights",
    "pad_planes",
    "path_grades",
    "product_table",
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


@dataclass(frozen=True, eq=False)
class ProductTable:
    """Products of factors of which only the first components are there; the others are zero.

    Components stand in the order of their grades, so that these are all up to some grade.

    Attributes
    ----------
    inputs, results, result_grades
        Components of the factors, and components and grades of what they can give.
    partners
        The other factor's component, for the result's and a factor's in turn, shape (results inputs,), the same on
        both sides; ``inputs`` where it is zero.
    uses
        Where in `partners` each component stands, for the component and the factor's in turn, (inputs inputs,).
    left, right
        ±1 at the path of each (component of the result, component of one factor), (35, results inputs).
    """

    inputs: int
    results: int
    result_grades: int
    partners: Tensor
    uses: Tensor
    left: Tensor
    right: Tensor

    @property
    def complete(self) -> bool:
        """Whether no partner is zero."""
        return self.inputs == len(GRADES)

    def gather(self, planes: Tensor, dim: int) -> Tensor:
        """Partners in planes, with one of zeros behind them where some are."""
        if not self.complete:
            shape = list(planes.shape)
            shape[dim] = 1
            planes = torch.cat([planes, planes.new_zeros(shape)], dim)
        return planes.index_select(dim, self.partners.to(planes.device))


def _make_table(inputs: int) -> ProductTable:
    grades = SPACETIME.grades
    result_grades = min(2 * int(grades[inputs - 1]), NUM_GRADES - 1) + 1
    results = int((grades < result_grades).sum())
    place = np.arange(inputs)
    partners = _PARTNER.T[:results, :inputs]
    uses = np.stack([_PARTNER[:inputs, b] * inputs + place for b in place])
    left, right = (
        paths.unflatten(1, (16, 16))[:, :results, :inputs].flatten(1) for paths in (_PATHS_LEFT, _PATHS_RIGHT)
    )
    return ProductTable(
        inputs,
        results,
        result_grades,
        torch.as_tensor(np.minimum(partners, inputs).reshape(-1)),
        torch.as_tensor(uses.reshape(-1)),
        left,
        right,
    )


# Made here and not when asked for: a compiled graph has no place for a cache.
_TABLES = {count: _make_table(count) for count in np.bincount(SPACETIME.grades).cumsum().tolist()}


def product_table(inputs: int) -> ProductTable:
    """The table of factors with so many components."""
    return _TABLES[inputs]


def pad_planes(planes: Tensor, count: int) -> Tensor:
    """Planes with those behind them that are zero, (K, C, P) -> (count, C, P)."""
    return planes if len(planes) == count else F.pad(planes, (0, 0, 0, 0, 0, count - len(planes)))


def path_grades(device: torch.device) -> Tensor:
    """Grade of the right factor on each path, shape (35,)."""
    return torch.tensor([triple[1] for triple in _TRIPLES], device=device)


def to_planes(x: Tensor) -> Tensor:
    """Components first and rows last, (..., C, 16) -> (16, C, P)."""
    return x.flatten(0, -3).permute(2, 1, 0).contiguous()


def from_planes(planes: Tensor, lead: tuple[int, ...]) -> Tensor:
    """Undo `to_planes`, (K, C, P) -> (*lead, C, K)."""
    return planes.permute(2, 1, 0).reshape(*lead, planes.shape[1], len(planes))


def grade_linear(planes: Tensor, weight: Tensor) -> Tensor:
    """A linear map of channels for each grade. Shapes (K, C, P), (O, C, 5) -> (K, O, P)."""
    grades = GRADES[: len(planes)].to(planes.device)
    return torch.bmm(weight.permute(2, 0, 1).index_select(0, grades), planes)


def grade_squares(x: Tensor) -> Tensor:
    """The scalar part and ⟨x, x⟩ of each further grade, (..., C, K) -> (..., C, 5): invariants of the full group."""
    squares = x.square() @ GRADE_SIGNS[:, : x.shape[-1]].to(x).T
    return torch.cat([x[..., :1], squares[..., 1:]], dim=-1)


def normalise(planes: Tensor, gain: Tensor) -> Tensor:
    """Multivectors over their channels' mean norm √|⟨x, x⟩|, times gains. Shapes (K, C, P), (C,) -> (K, C, P)."""
    squares = torch.einsum("k,kcp->cp", GRADE_SIGNS.sum(0)[: len(planes)].to(planes), planes.square())
    # (q² + ε)^¼: the gradient of the root stays finite at null multivectors.
    norms = (squares.square() + 1e-16).pow(0.25)
    return planes * (gain.unsqueeze(-1) / (norms.mean(0) + 1e-6))


def operator_weights(own_left: Tensor, own_right: Tensor, table: ProductTable) -> Tensor:
    """Weights of products as linear maps from one factor to the matrices by which it multiplies its partners.

    Parameters
    ----------
    own_left
        Weights (O, D, C, 35) of channel d of the factor, on the left, and channel c of the partner.
    own_right
        Weights (O, C, D, 35) where the factor is on the right.
    table
        Which components the factors have.

    Returns
    -------
    Shape (results inputs, D, C O): for each (result's component, partner's component), with the factor's in
    `ProductTable.partners`.
    """
    # The partner is the right factor where the factor is the left one.
    to_partner_right = own_left.permute(1, 2, 0, 3).flatten(1, 2) @ table.right.to(own_left)
    to_partner_left = own_right.permute(2, 1, 0, 3).flatten(1, 2) @ table.left.to(own_right)
    return (to_partner_right + to_partner_left).permute(2, 0, 1).contiguous()


def weighted_product(left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    """Σ_c of the weighted geometric products of channels.

    Parameters
    ----------
    left, right
        Planes (G, inputs, C, P) of G products.
    weight
        One number a path, shape (G, O, C, 35).

    Returns
    -------
    Planes (G, results, O, P), see `ProductTable`.
    """
    if torch.compiler.is_compiling() or in_transform():
        return _traceable_product(left, right, weight)
    return _WeightedProduct.apply(left, right, weight)


def _traceable_product(left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    table = product_table(left.shape[1])
    return _signed(weight, table) @ _products(left, table.gather(right, 1))


class _WeightedProduct(torch.autograd.Function):
    """Products of components, mixed by matrices, in passes that stay in the cache. Saves its inputs only."""

    @staticmethod
    def forward(left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
        table = product_table(left.shape[1])
        signed = _signed(weight, table)
        out = left.new_empty(len(right), table.results, weight.shape[1], right.shape[-1])
        for rows in _passes(right):
            gathered = table.gather(right[..., rows], 1)
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
        table = product_table(left.shape[1])
        signed, uses = _signed(weight, table), table.uses.to(left.device)
        to_signed = torch.zeros_like(signed)
        to_left, to_right = torch.empty_like(right), torch.empty_like(right)
        for rows in _passes(right):
            one, given = left[..., rows], gradient[..., rows]
            gathered = table.gather(right[..., rows], 1)
            to_signed += given @ _products(one, gathered).transpose(2, 3)
            to_products = (signed.transpose(2, 3) @ given).view(len(right), table.results, *one.shape[1:])
            to_left[..., rows] = (to_products * gathered.view(to_products.shape)).sum(1)
            to_products *= one.unsqueeze(1)
            to_products = to_products.flatten(1, 2).index_select(1, uses)
            to_right[..., rows] = to_products.unflatten(1, (table.inputs, table.inputs)).sum(2)
        by_path = to_signed.unflatten(-1, (table.inputs, -1)).permute(0, 2, 4, 1, 3).flatten(3)
        return to_left, to_right, by_path @ table.left.to(by_path).T


def _passes(x: Tensor) -> Iterator[slice]:
    """Some rows of planes at a time."""
    step = max(1, _PASS // (256 * len(x) * x.shape[2]))
    return (slice(start, start + step) for start in range(0, x.shape[-1], step))


def _signed(weight: Tensor, table: ProductTable) -> Tensor:
    """Weights of products of components for each of the result, (G, O, C, 35) -> (G, results, O, inputs C)."""
    by_component = (weight @ table.left.to(weight)).unflatten(-1, (table.results, table.inputs))
    return by_component.permute(0, 3, 1, 4, 2).flatten(3)


def _products(left: Tensor, gathered: Tensor) -> Tensor:
    """(G, inputs, C, P) times gathered partners (G, results inputs, C, P): (G, results, inputs C, P)."""
    return (left.unsqueeze(1) * gathered.unflatten(1, (-1, left.shape[1]))).flatten(2, 3)
