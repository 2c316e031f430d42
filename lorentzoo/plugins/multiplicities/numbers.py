"""How probable is each number of particles?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from lorentzoo.nn import mean_and_deviation

__all__ = ["NumberOfParticles"]

_RIDGE: Final = 1e-6
"""Times the squares of the slopes: columns that say the same, as those of a one-hot, have one solution."""
_ITERATIONS: Final = 500


class NumberOfParticles(nn.Module):
    """P(n | c) = softmax_n(a_n + b_n · c) of an event with context c, for each number n that training events have.

    Without a context these are the weighted shares of the training events. With one they are those of multinomial
    logistic regression on the standardised context, which is convex: fitted at once, without a seed. Of processes as
    one-hots that is the share in each of them.

    Parameters
    ----------
    numbers
        The numbers of particles K.
    in_context
        Width C of the context.
    """

    numbers: Tensor
    mean: Tensor
    deviation: Tensor
    slopes: Tensor
    offsets: Tensor

    def __init__(self, numbers: Sequence[int], in_context: int = 0) -> None:
        super().__init__()
        kinds = len(numbers)
        self.register_buffer("numbers", torch.tensor(list(numbers)), persistent=False)
        self.register_buffer("mean", torch.zeros(in_context, dtype=torch.float64))
        self.register_buffer("deviation", torch.ones(in_context, dtype=torch.float64))
        self.register_buffer("slopes", torch.zeros(in_context, kinds, dtype=torch.float64))
        self.register_buffer("offsets", torch.zeros(kinds, dtype=torch.float64))

    def place(self, counts: Tensor) -> Tensor:
        """Which of the numbers K each event has, (B,); -1 where it is none of them."""
        same = counts.unsqueeze(-1) == self.numbers
        return torch.where(same.any(-1), same.long().argmax(-1), -1)

    def fit(self, counts: Tensor, weight: Tensor, context: Tensor) -> None:
        """Learn from the numbers of particles (B,), weights (B,) and contexts (B, C) of training events.

        Raises
        ------
        ValueError
            If events of some number have no positive weight in all.
        """
        place, weight = self.place(counts), weight.double()
        total = torch.zeros_like(self.offsets).index_add_(0, place, weight.to(self.offsets))
        missing = self.numbers[total <= 0].tolist()
        if missing:
            raise ValueError(
                f"no training event of positive weight has {', '.join(map(str, missing))} particles: leave what is never "
                f"seen out of the multiplicities {self.numbers.tolist()}"
            )
        self.offsets.copy_((total / total.sum()).log())
        self.slopes.zero_()
        if context.shape[-1]:
            self._regress(place, weight, context.double())

    def _regress(self, place: Tensor, weight: Tensor, context: Tensor) -> None:
        mean, deviation = mean_and_deviation(context, weight)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        seen, share = (context - mean) / deviation, weight / weight.abs().sum()
        with torch.enable_grad():
            slopes, offsets = (x.clone().requires_grad_() for x in (self.slopes, self.offsets))
            optimiser = torch.optim.LBFGS(
                [slopes, offsets], max_iter=_ITERATIONS, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
            )

            def closure() -> Tensor:
                optimiser.zero_grad()
                logits = seen @ slopes + offsets
                loss = (share * nn.functional.cross_entropy(logits, place, reduction="none")).sum()
                loss = loss + _RIDGE * slopes.square().sum()
                loss.backward()
                return loss

            optimiser.step(closure)
        self.slopes.copy_(slopes.detach())
        self.offsets.copy_(offsets.detach())

    def log_probs(self, context: Tensor) -> Tensor:
        """Logarithms of the probabilities of all numbers, contexts (B, C) to (B, K), float64."""
        seen = (context.to(self.mean) - self.mean) / self.deviation
        return torch.log_softmax(seen @ self.slopes + self.offsets, dim=-1)

    def log_prob(self, counts: Tensor, context: Tensor) -> Tensor:
        """Logarithms of the probabilities of numbers of particles (B,) in contexts (B, C), (B,)."""
        place = self.place(counts)
        found = self.log_probs(context).gather(-1, place.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return torch.where(place >= 0, found, -math.inf)

    def sample(self, context: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Numbers of particles (B,) of events in contexts (B, C)."""
        if not len(context):
            return self.numbers[:0]
        probs = self.log_probs(context).exp().to("cpu" if rng is None else rng.device)
        drawn = torch.multinomial(probs, 1, generator=rng).squeeze(-1)
        return self.numbers[drawn.to(self.numbers.device)]
