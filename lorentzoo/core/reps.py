"""Which Lorentz representation does a feature vector carry?

`Reps` is a direct sum of tensor representations written as text: ``"8x0n+2x1n"`` is eight scalars
and two vectors. The number after the x is the order of the tensor (0 scalar, 1 vector, 2 matrix,
...), the letter its parity: ``n`` as it is, ``p`` times the determinant of the matrix (pseudo-).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["Rep", "Reps"]

_TERM = re.compile(r"(?P<multiplicity>\d+)x(?P<order>\d+)(?P<parity>[np])")


@dataclass(frozen=True)
class Rep:
    """Several copies of one tensor representation.

    Parameters
    ----------
    multiplicity
        Number of copies.
    order
        Number of Lorentz indices.
    parity
        ``"n"`` for tensors, ``"p"`` for pseudotensors (an extra sign under improper matrices).
    """

    multiplicity: int
    order: int
    parity: str = "n"

    @property
    def dim(self) -> int:
        """Numbers needed: multiplicity · 4^order."""
        return int(self.multiplicity * 4**self.order)

    def __str__(self) -> str:
        return f"{self.multiplicity}x{self.order}{self.parity}"


@dataclass(frozen=True)
class Reps:
    """A direct sum of Lorentz representations: immutable, hashable, and its text parses back.

    Examples
    --------
    >>> reps = Reps.parse("8x0n+2x1n")
    >>> reps.dim
    16
    >>> Reps.parse(str(reps)) == reps
    True
    >>> reps + Reps.parse("1x2p")
    Reps.parse('8x0n+2x1n+1x2p')
    """

    terms: tuple[Rep, ...]

    @classmethod
    def parse(cls, text: str | Reps) -> Reps:
        """Read ``"8x0n+2x1n"``.

        Raises
        ------
        ValueError
            On anything that is not a sum of terms ``MULTIPLICITYxORDERPARITY``.
        """
        if isinstance(text, Reps):
            return text
        terms = []
        for part in text.replace(" ", "").split("+"):
            match = _TERM.fullmatch(part)
            if match is None:
                raise ValueError(
                    f"{part!r} in {text!r} is not a representation; write e.g. '8x0n+2x1n' (parity n or p)"
                )
            terms.append(Rep(int(match["multiplicity"]), int(match["order"]), match["parity"]))
        return cls(tuple(terms))

    def __str__(self) -> str:
        return "+".join(str(term) for term in self.terms)

    def __repr__(self) -> str:
        return f"Reps.parse({str(self)!r})"

    def __iter__(self) -> Iterator[Rep]:
        return iter(self.terms)

    def __add__(self, other: Reps) -> Reps:
        return Reps(self.terms + other.terms)

    @cached_property
    def dim(self) -> int:
        """Length of a feature vector in this representation."""
        return sum(term.dim for term in self.terms)

    @property
    def is_invariant(self) -> bool:
        """Whether only scalars occur."""
        return all(term.order == 0 and term.parity == "n" for term in self.terms)

    def transform(self, x: Tensor, matrices: Tensor) -> Tensor:
        """Apply ρ(L): every Lorentz index of every tensor is multiplied by the matrix.

        Parameters
        ----------
        x
            Features, shape (..., dim).
        matrices
            Lorentz matrices, broadcastable to (..., 4, 4).

        Returns
        -------
        Shape (..., dim).
        """
        if x.shape[-1] != self.dim:
            raise ValueError(f"features of {self!r} have {self.dim} numbers, not {x.shape[-1]}")
        pieces, offset = [], 0
        for term in self.terms:
            block = x[..., offset : offset + term.dim]
            offset += term.dim
            pieces.append(_transform_term(term, block, matrices))
        return torch.cat(pieces, dim=-1)

    def lower(self, x: Tensor) -> Tensor:
        """Lower every Lorentz index with the metric: a sign on each component. Shape (..., dim)."""
        return x * self.signs(dtype=x.dtype, device=x.device)

    def signs(self, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Tensor:
        """The metric on this representation, a vector of signs of shape (dim,)."""
        metric = torch.tensor([1.0, -1.0, -1.0, -1.0], dtype=dtype, device=device)
        pieces = []
        for term in self.terms:
            signs = metric.new_ones(1)
            for _ in range(term.order):
                signs = torch.outer(signs, metric).flatten()
            pieces.append(signs.repeat(term.multiplicity))
        return torch.cat(pieces)


def _transform_term(term: Rep, block: Tensor, matrices: Tensor) -> Tensor:
    out = block
    if term.order == 1:
        # One product for all copies: rows are vectors, so they multiply the transpose.
        vectors = block.unflatten(-1, (term.multiplicity, 4))
        out = (vectors @ matrices.transpose(-1, -2)).flatten(-2)
    elif term.order > 1:
        tensor = block.unflatten(-1, (term.multiplicity,) + (4,) * term.order)
        lead = tensor.ndim - term.order - 1
        expanded = matrices.transpose(-1, -2)
        for _ in range(term.order):
            # Multiply the last index and bring it to the front of the Lorentz indices: after `order` turns
            # every index was multiplied and stands where it was.
            shape = tensor.shape
            tensor = (tensor.reshape(*shape[:lead], -1, 4) @ expanded).reshape(shape)
            tensor = tensor.movedim(-1, lead + 1)
        out = tensor.flatten(lead)
    if term.parity == "p":
        out = out * torch.linalg.det(matrices).sign().unsqueeze(-1).to(out.dtype)
    return out
