"""Which linear combinations of targets have a definite symmetry?

If f(t, u) and f(u, t) are targets, f(t, u) ± f(u, t) are even and odd under exchange, and each is a simpler function than
either (arXiv:2302.00753).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import torch
from torch import Tensor

from lorentzoo.plugins.amplitudes.errors import AmplitudeError

__all__ = ["CombinationName", "find_combinations", "find_parities"]

CombinationName = Literal["none", "sum-difference", "bose"]

_WORST: Final = 1e8
"""Condition number from which a matrix is not inverted."""


def find_combinations(given: CombinationName | Sequence[Sequence[float]], count: int) -> Tensor:
    """The invertible matrix M of the combinations z_k = Σ_l M_kl x_l.

    Parameters
    ----------
    given
        ``"none"``; ``"sum-difference"``: (x₁ + x₂)/√2 and (x₁ - x₂)/√2 of neighbours; ``"bose"``: the same of A(λ₁, λ₂)
        and A(λ₂, λ₁) of a square of helicities of two bosons, row by row; or the rows of a matrix.
    count
        Numbers to be combined.

    Returns
    -------
    Shape (count, count), float64.

    Raises
    ------
    AmplitudeError
        If the combinations do not fit so many numbers, or numbers do not follow from them.
    """
    partner = list(range(count))
    if isinstance(given, str):
        if given == "sum-difference":
            if count % 2:
                raise AmplitudeError(f"sums and differences are of pairs, but there are {count} targets")
            partner = [place ^ 1 for place in range(count)]
        elif given == "bose":
            side = round(count**0.5)
            if side * side != count:
                raise AmplitudeError(
                    f"combinations='bose' is of all helicities of two bosons, 4 or 9, but there are {count} targets"
                )
            partner = [place % side * side + place // side for place in range(count)]
        return _pair_up(partner)
    if len(given) != count or any(len(row) != count for row in given):
        raise AmplitudeError(
            f"combinations of {count} targets are {count} rows of {count} numbers, not rows of "
            f"{[len(row) for row in given]}"
        )
    matrix = torch.tensor(given, dtype=torch.float64)
    condition = float(torch.linalg.cond(matrix)) if bool(matrix.isfinite().all()) else float("inf")
    if not condition < _WORST:
        raise AmplitudeError(
            f"targets do not follow from these combinations: the matrix has condition number {condition:.1e}; "
            "give as many independent rows as there are targets"
        )
    return matrix


def find_parities(
    combinations: CombinationName | Sequence[Sequence[float]],
    here: Tensor,
    there: Tensor,
    *,
    tolerance: float = 1e-8,
) -> Tensor:
    """Whether each combination is even or odd under an exchange.

    Parameters
    ----------
    combinations
        As for `find_combinations`.
    here, there
        Targets at points, and at the points that the exchange makes of them; shape (B, targets).
    tolerance
        How exactly, relative to the largest value of a combination.

    Returns
    -------
    +1 or -1 for each combination, shape (targets,); 0 for one that vanishes.

    Raises
    ------
    AmplitudeError
        Naming the first combination that is neither.
    """
    matrix = find_combinations(combinations, here.shape[1])
    before, after = (x.to(torch.float64) @ matrix.T for x in (here, there))
    size = torch.maximum(before.abs().amax(0), after.abs().amax(0))
    limit = tolerance * torch.where(size > tolerance * size.max(), size, size.max())
    even, odd = ((after - sign * before).abs().amax(0) for sign in (1, -1))
    neither = (torch.minimum(even, odd) > limit).nonzero()
    if len(neither):
        first = int(neither[0])
        rest = float(torch.minimum(even, odd)[first] / size[first])
        raise AmplitudeError(
            f"combination {first} has no definite symmetry: under the exchange it differs from ± itself by {rest:.2g} "
            "of its largest value"
        )
    signs = torch.where(even <= odd, 1, -1)
    return torch.where((even <= limit) & (odd <= limit), 0, signs)


def _pair_up(partner: Sequence[int]) -> Tensor:
    """Sums and differences of numbers and their partners, the sum in the place of the earlier one."""
    matrix = torch.zeros(len(partner), len(partner), dtype=torch.float64)
    for place, other in enumerate(partner):
        if place == other:
            matrix[place, place] = 1
        else:
            matrix[place, min(place, other)] = 0.5**0.5
            matrix[place, max(place, other)] = 0.5**0.5 if place < other else -(0.5**0.5)
    return matrix
