"""Which part of drawn events passes the cuts?"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from lorentzoo.nn import NotFittedError

__all__ = ["Acceptance"]

_MOST_CONTEXTS: Final = 16
"""Different contexts of which each has an acceptance of its own."""


class Acceptance(nn.Module):
    """A = accepted / drawn, counted for each number of particles and each context.

    Contexts are those of the training events, of which there may be 16 different ones, such as processes.

    Parameters
    ----------
    kinds
        How many numbers of particles K.
    in_context
        Width C of the context.
    """

    contexts: Tensor
    used: Tensor
    drawn: Tensor
    accepted: Tensor

    def __init__(self, kinds: int, in_context: int = 0) -> None:
        super().__init__()
        counts = torch.zeros(kinds, _MOST_CONTEXTS, dtype=torch.float64)
        self.register_buffer("contexts", torch.zeros(_MOST_CONTEXTS, in_context, dtype=torch.float64))
        self.register_buffer("used", torch.tensor(0))
        self.register_buffer("drawn", counts)
        self.register_buffer("accepted", counts.clone())

    def fit(self, context: Tensor) -> None:
        """Take the different contexts of training events (B, C).

        Raises
        ------
        ValueError
            If there are too many.
        """
        context = context.double()
        found = torch.unique(context, dim=0) if context.shape[-1] else context[:1]
        if len(found) > _MOST_CONTEXTS:
            raise ValueError(
                f"cuts are held by rejection, whose acceptance is measured for each of at most {_MOST_CONTEXTS} "
                f"contexts, but the training events have {len(found)}: leave delta_r_min, pt_min and eta_max, or the "
                "context out"
            )
        self.contexts.zero_()
        self.contexts[: len(found)] = found
        self.used.fill_(len(found))
        self.forget()

    @property
    def known_contexts(self) -> Tensor:
        """The contexts, (c, C), float64."""
        return self.contexts[: int(self.used)]

    def forget(self) -> None:
        """Count anew: weights have changed."""
        self.drawn.zero_()
        self.accepted.zero_()

    def count(self, kind: int, context: int, accepted: int, drawn: int) -> None:
        """Add what was found for a number of particles in a context, by their places."""
        self.accepted[kind, context] += accepted
        self.drawn[kind, context] += drawn

    @property
    def values(self) -> Tensor:
        """The acceptances, (K, c); NaN where nothing was counted."""
        return (self.accepted / self.drawn)[:, : int(self.used)]

    @property
    def errors(self) -> Tensor:
        """Statistical errors √(A (1 - A) / N) of the acceptances, (K, c)."""
        share = self.values
        return (share * (1 - share) / self.drawn[:, : int(self.used)]).sqrt()

    def log(self, kind: Tensor, context: Tensor) -> Tensor:
        """ln A of events of the kinds (B,) in contexts (B, C), (B,).

        Raises
        ------
        NotFittedError
            If it was not counted since the weights have changed, or no event passed.
        ValueError
            If a context is none of those of the training events; names the event.
        """
        if not len(kind):
            return torch.zeros_like(kind, dtype=torch.float64)
        known = self.known_contexts
        same = torch.isclose(context.to(known).unsqueeze(1), known, rtol=1e-6, atol=1e-12).all(-1)
        if not bool(same.any(-1).all()):
            first = int((~same.any(-1)).nonzero()[0, 0])
            raise ValueError(
                f"event {first} has a context that no training event had, for which the acceptance of the cuts was not "
                "measured"
            )
        place = same.long().argmax(-1)
        accepted, drawn = self.accepted[kind, place], self.drawn[kind, place]
        if bool((drawn == 0).any()):
            raise NotFittedError(
                "the acceptance of the cuts was not measured since the weights have changed: call complete() once the "
                "generator is trained, as lorentzoo.train does by itself"
            )
        if bool((accepted == 0).any()):
            raise NotFittedError(
                f"none of {int(drawn[accepted == 0].min())} drawn events of some multiplicity passes the cuts, so that "
                "their density is not known: train longer, and call complete() again"
            )
        return (accepted / drawn).log()
