"""What are the particles of an event of each multiplicity?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from lorentzoo import Batch, Packed, ParticleCloud
from lorentzoo.nn import NotFittedError

__all__ = ["ParticleKinds"]

_SAME: Final = 1e-6


class ParticleKinds(nn.Module):
    """Scalars of the particles by place, and the context, as far as training events agree on them.

    Parameters
    ----------
    numbers
        Numbers of particles K, rising.
    in_scalars, in_context
        Numbers of each particle and of each event.
    """

    scalars: Tensor
    agreed: Tensor
    context: Tensor
    one_context: Tensor

    def __init__(self, numbers: Sequence[int], in_scalars: int, in_context: int) -> None:
        super().__init__()
        self.numbers = tuple(numbers)
        self.register_buffer("scalars", torch.zeros(len(numbers), max(numbers), in_scalars))
        self.register_buffer("agreed", torch.zeros(len(numbers), dtype=torch.bool))
        self.register_buffer("context", torch.zeros(in_context, dtype=torch.float64))
        self.register_buffer("one_context", torch.tensor(in_context == 0))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Take scalars and context from packed training batches."""
        clouds = [batch.cloud for batch in batches]
        context = torch.cat([cloud.context for cloud in clouds]).to(self.context)
        self.one_context.fill_(bool((context == context[:1]).all()))
        self.context.copy_(context[0])
        for kind, number in enumerate(self.numbers):
            rows = torch.cat(
                [cloud.scalars[cloud.layout.spread(cloud.multiplicity() == number)] for cloud in clouds]
            ).to(self.scalars)
            events = rows.unflatten(0, (-1, number))
            self.agreed[kind] = bool((events == events[:1]).all())
            self.scalars[kind, :number] = events[0]

    def require_agreement(self, what: str) -> None:
        """Refuse where training events of one multiplicity have different scalars.

        Raises
        ------
        ValueError
            Naming the first such multiplicity.
        """
        for kind, number in enumerate(self.numbers):
            if not bool(self.agreed[kind]):
                raise ValueError(
                    f"{what} needs events of one multiplicity with the same scalars, but those of {number} particles "
                    "differ"
                )

    def require_known(self, cloud: ParticleCloud, kind: Tensor) -> None:
        """Refuse events whose particles are others than those of the training events, in any order.

        Raises
        ------
        ValueError
            Naming the first such event.
        """
        given = cloud.layout.pool(cloud.scalars.to(self.scalars), "sum")
        wanted = self.scalars.sum(1)[kind]
        wrong = ((given - wanted).abs() > _SAME * (1 + wanted.abs())).any(-1)
        if bool(wrong.any()):
            raise ValueError(
                f"event {int(wrong.nonzero()[0, 0])} has particles with other scalars than the training events of its "
                "multiplicity, for which the acceptance of the cuts was not measured"
            )

    def read_context(self, context: Tensor | None, n: int, device: torch.device) -> Tensor:
        """Contexts (n, C) of events to be drawn, of one for all, of each, or that of all training events.

        Raises
        ------
        ValueError
            If the shape is neither (C,) nor (n, C).
        NotFittedError
            If there is none, and training events had several.
        """
        width = len(self.context)
        if context is None:
            if not bool(self.one_context):
                raise NotFittedError(
                    "training events have different contexts: give `context`, of shape (C,) or (n, C), or a `condition`"
                )
            return self.context.to(device).expand(n, -1)
        if context.shape not in ((width,), (n, width)):
            raise ValueError(
                f"context must be of shape ({width},) or ({n}, {width}), not {tuple(context.shape)}"
            )
        return context.to(device, torch.float64).expand(n, -1)

    def cloud(self, counts: Tensor, kind: Tensor, context: Tensor) -> ParticleCloud:
        """Events with so many particles (B,), by their places in the numbers (B,), in contexts (B, C), at rest.

        Raises
        ------
        NotFittedError
            If training events of such a multiplicity did not agree on their scalars.
        """
        unknown = ~self.agreed[kind]
        if bool(unknown.any()):
            raise NotFittedError(
                f"training events of {int(counts[unknown][0])} particles have different scalars: give `condition`, a "
                "cloud whose multiplicities, scalars and context are used"
            )
        there = torch.arange(self.scalars.shape[1], device=counts.device) < counts.unsqueeze(-1)
        scalars = self.scalars[kind][there]
        rest = torch.zeros(len(scalars), 4, dtype=torch.float64, device=counts.device)
        rest[:, 0] = 1.0
        layout = Packed.from_lengths(counts.tolist(), device=counts.device)
        return ParticleCloud.from_packed(rest, layout.ptr, scalars, context, validate=False)
