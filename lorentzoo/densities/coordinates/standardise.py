"""How do coordinates become numbers of unit size?"""

from __future__ import annotations

import torch
from torch import Tensor

from lorentzoo.core.errors import NotFittedError
from lorentzoo.densities.coordinates.steps import Names, Step

__all__ = ["Standardise"]


class Standardise(Step):
    """(x - mean) / std with statistics of the training set; angles stay as they are, so that circles stay circles.

    Parameters
    ----------
    names
        Names of the components.
    isotropic
        One width for px, py and pz, and no shift of them: what rotations need.
    """

    mean: Tensor
    std: Tensor
    fitted: Tensor

    def __init__(self, names: Names, isotropic: bool = False) -> None:
        super().__init__()
        self.component_names = names
        self.isotropic = isotropic
        self.register_buffer("mean", torch.zeros(len(names)))
        self.register_buffer("std", torch.ones(len(names)))
        self.register_buffer("fitted", torch.tensor(False))

    def fit(self, x: Tensor, weight: Tensor | None = None) -> None:
        """Take mean and standard deviation of the components of x, (P, D), weighted by (P,).

        Raises
        ------
        ValueError
            If a component does not vary, or is not finite.
        """
        weight = torch.ones_like(x[:, 0]) if weight is None else weight.to(x)
        share = (weight / weight.sum()).unsqueeze(-1)
        mean = (share * x).sum(0)
        std = (share * (x - mean).square()).sum(0).sqrt()
        wrong = ~torch.isfinite(std) | (std <= 0)
        if bool(wrong.any()):
            which = [name for name, bad in zip(self.component_names, wrong.tolist(), strict=True) if bad]
            raise ValueError(
                f"the coordinates {which} do not vary in the training data, or are not finite (mean "
                f"{mean[wrong].tolist()}, width {std[wrong].tolist()}); choose coordinates in which they do"
            )
        angles = torch.tensor([name == "phi" for name in self.component_names], device=x.device)
        if self.isotropic:
            three = torch.tensor([name in ("px", "py", "pz") for name in self.component_names]).to(x.device)
            size = (share * x.square()).sum(0)[three].mean().sqrt()
            mean, std = torch.where(three, 0.0, mean), torch.where(three, size, std)
        self.mean.copy_(torch.where(angles, 0.0, mean))
        self.std.copy_(torch.where(angles, 1.0, std))
        self.fitted.fill_(True)

    def set(self, mean: Tensor, std: Tensor) -> None:
        """Set the statistics, each (D,)."""
        self.mean.copy_(mean)
        self.std.copy_(std)
        self.fitted.fill_(True)

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        if not getattr(self, "_known_fitted", False) and self.fitted.device.type != "meta":
            if not bool(self.fitted):
                raise NotFittedError(
                    "the coordinates were not standardised by data; call fit_statistics(batches) once before the "
                    "first step, or load a trained generator"
                )
            self._known_fitted = True
        return self.mean.to(like), self.std.to(like)

    def forward(self, x: Tensor) -> Tensor:
        """Standardised components."""
        mean, std = self._statistics(x)
        return (x - mean) / std

    def inverse(self, y: Tensor) -> Tensor:
        mean, std = self._statistics(y)
        return y * std + mean

    def log_det(self, x: Tensor) -> Tensor:
        _, std = self._statistics(x)
        return -torch.log(std).sum().expand(x.shape[:-1])

    def push(self, x: Tensor, velocity: Tensor) -> Tensor:
        _, std = self._statistics(x)
        return velocity / std

    def pull(self, y: Tensor, velocity: Tensor) -> Tensor:
        _, std = self._statistics(y)
        return velocity * std
