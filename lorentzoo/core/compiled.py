"""How is a model compiled so that batches of any lengths run in the same code?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.layout import Packed, Padded
from lorentzoo.core.model import Model

__all__ = ["compile_model"]


def compile_model(model: Model) -> None:
    """Let a model run as one compiled graph of padded tensors from now on, by `torch.compile` with free lengths.

    The first call compiles; a further one does so only for another number of columns. Clouds may be packed or padded;
    they are brought to rows as long as the longest event, of two places and two events at least, since an axis of length
    one would be taken for fixed. Models that attend to a second cloud run as before.

    Parameters
    ----------
    model
        In evaluation mode; changed in place. Its weights may change, but it is not to be trained in this form.
    """
    network = torch.compile(_Padded(model).forward, fullgraph=True, dynamic=True)

    def run(cloud: ParticleCloud, condition: ParticleCloud | None = None) -> Any:
        if condition is not None:
            return model.forward(cloud, condition)
        model.check_inputs(cloud)
        cloud = model.fitted_inputs.arrange(cloud).to_units("GeV")
        events, per_particle = cloud.num_events, model.head.pooling is None and not model.backbone.pools
        longest = int(cloud.layout.counts().max()) if events else 0
        padded = cloud if isinstance(cloud.layout, Padded) else cloud.to_padded(max(longest, 2))
        assert isinstance(padded.layout, Padded)
        more = max(2 - events, 0)
        rows = [padded.momenta, padded.layout.mask, padded.scalars, padded.context]
        output = network(*(torch.cat([x, x.new_zeros(more, *x.shape[1:])]) for x in rows))[:events]
        if per_particle and isinstance(cloud.layout, Packed):
            output = output[padded.layout.mask]
        return output

    model._compiled_call_impl = run


class _Padded:
    """A model of tensors in rows."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def forward(self, momenta: Tensor, mask: Tensor, scalars: Tensor, context: Tensor) -> Tensor:
        cloud = ParticleCloud.from_padded(momenta, mask, scalars, context, validate=False)
        return self.model.forward(cloud)
