"""Ridge regression in closed form, with the ridge of least generalised cross-validation."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

__all__ = ["RidgeSums"]

_RIDGES: Final = tuple(10.0 ** (exponent / 2) for exponent in range(-26, 3))
"""Tried, relative to the number of events; columns have unit variance."""


class RidgeSums:
    """Sums over events from which the regression follows; the first column must be 1.

    Parameters
    ----------
    columns
        How many there are.
    """

    def __init__(self, columns: int) -> None:
        self.events = 0
        self.products = torch.zeros(columns, columns, dtype=torch.float64)
        self.with_target = torch.zeros(columns, dtype=torch.float64)
        self.target_squares = 0.0
        self.target_sum = 0.0

    def add(self, columns: Tensor, target: Tensor) -> None:
        """Count events, (B, columns) and (B,)."""
        columns, target = columns.detach().cpu(), target.detach().cpu()
        self.events += len(target)
        self.products.addmm_(columns.T, columns)
        self.with_target += columns.T @ target
        self.target_squares += float(target.square().sum())
        self.target_sum += float(target.sum())

    def solve(self) -> Tensor:
        """Coefficients of all columns, of which that of the constant is not shrunk. Shape (columns,)."""
        n = self.events
        mean = self.products[0] / n
        target_mean = self.target_sum / n
        centred = self.products / n - mean.outer(mean)
        centred[0], centred[:, 0] = 0, 0
        slope = self.with_target / n - mean * target_mean
        slope[0] = 0
        scale = centred.diagonal().clamp(min=0).sqrt()
        scale = torch.where(scale > 1e-9 * scale.max(), scale, torch.inf)
        values, vectors = torch.linalg.eigh(centred / scale.outer(scale))
        values = values.clamp(min=0)
        projected = vectors.T @ (slope / scale)
        variance = self.target_squares / n - target_mean**2
        best, chosen = float("inf"), torch.zeros_like(projected)
        for ridge in _RIDGES:
            shrunk = projected / (values + ridge)
            left = variance - 2 * (projected * shrunk).sum() + (values * shrunk.square()).sum()
            freedom = (values / (values + ridge)).sum() + 1
            if freedom >= n:
                continue
            score = float(left.clamp(min=1e-15 * variance) / (1 - freedom / n) ** 2)
            if score < best:
                best, chosen = score, shrunk
        coefficients = (vectors @ chosen) / scale
        coefficients[0] = target_mean - (coefficients * mean).sum()
        return coefficients
