"""What is the exponential average of the weights over the steps?"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """Exponential moving average of a model's parameters; buffers are taken as they are.

    Parameters
    ----------
    model
        Whose parameters to follow.
    decay
        Weight of the past in each step. It rises from 0.1 in the first steps, so that the random
        initial weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.weights: dict[str, Tensor] = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the model's weights of this step into the average."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 9.0))
        for name, p in model.named_parameters():
            self.weights[name] = self.weights[name].to(p.device)
            self.weights[name].lerp_(p, 1.0 - decay)

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Exchange the model's weights and the average."""
        for name, p in model.named_parameters():
            kept = p.detach().clone()
            p.copy_(self.weights[name])
            self.weights[name].copy_(kept)

    def state(self) -> dict[str, object]:
        """Plain data and tensors that `restore` reads back."""
        return {"steps": self.steps, "weights": self.weights}

    @torch.no_grad()
    def restore(self, steps: int, weights: dict[str, Tensor]) -> None:
        """Continue from a saved `state`."""
        self.steps = steps
        for name, value in weights.items():
            self.weights[name].copy_(value)
