"""How is a model compiled so that batches of any lengths run in the same code?"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import ExportError
from lorentzoo.core.exportable import find_refusal
from lorentzoo.core.layout import Packed, Padded
from lorentzoo.core.model import Model

__all__ = ["compile_model"]


def compile_model(model: Model) -> None:
    """Let a model run as one compiled graph of padded tensors from now on, by `torch.compile` with free lengths.

    The first call traces and compiles, none of the others does. Clouds may be packed or padded; they are brought to rows
    as long as the longest event, of two places and two events at least, since an axis of length one would be taken for
    fixed. Calls with a second cloud run as before.

    Parameters
    ----------
    model
        In evaluation mode; changed in place. It has no gradients in this form.

    Raises
    ------
    ExportError
        If a part says why the model has no graph (`exportable`); at the first call, if an operation depends on values.
    """
    reason = find_refusal(model)
    if reason is not None:
        raise ExportError(f"this model cannot be compiled: {reason}. Load it without compile=True")
    compiled: list[Any] = []

    def run(cloud: ParticleCloud, condition: ParticleCloud | None = None) -> Any:
        if condition is not None:
            return model.forward(cloud, condition)
        model.check_inputs(cloud)
        cloud = model.fitted_inputs.arrange(cloud).to_units("GeV")
        events, per_particle = cloud.num_events, model.head.pooling is None and not model.backbone.pools
        longest = int(cloud.layout.counts().max()) if events else 0
        padded = cloud.to_padded(max(longest, 2)) if isinstance(cloud.layout, Packed) else cloud
        assert isinstance(padded.layout, Padded)
        more = max(2 - events, 0)
        columns = (padded.momenta, padded.layout.mask, padded.scalars, padded.context)
        rows = tuple(torch.cat([x, x.new_zeros(more, *x.shape[1:])]) for x in columns)
        if not compiled:
            compiled.append(torch.compile(_trace(model, rows), fullgraph=True, dynamic=True))
            with warnings.catch_warnings(), torch.no_grad():
                # Of torch's compiler about itself.
                warnings.simplefilter("ignore")
                compiled[0](*rows)
        # Whether gradients are wanted is part of what is compiled.
        with torch.no_grad():
            output = compiled[0](*rows)[:events]
        if per_particle and isinstance(cloud.layout, Packed):
            output = output[padded.layout.mask]
        return output

    model._compiled_call_impl = run


class _Rows(nn.Module):
    """A model of tensors in rows."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        # As it is, not as it is called: that is what is being made.
        self.model = model

    def forward(self, momenta: Tensor, mask: Tensor, scalars: Tensor, context: Tensor) -> Tensor:
        fitted = self.model.fitted_inputs
        cloud = ParticleCloud.from_padded(
            momenta,
            mask,
            scalars,
            context,
            scalar_names=fitted.scalars,
            context_names=fitted.context,
            validate=False,
        )
        return self.model.forward(cloud)


def _trace(model: Model, rows: tuple[Tensor, ...]) -> nn.Module:
    """The graph of a model for any numbers of events and places."""
    free = torch.export.Dim.DYNAMIC
    shapes = ({0: free, 1: free},) * 3 + ({0: free},)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(_Rows(model), rows, dynamic_shapes=shapes, strict=False)
    except Exception as error:
        raise ExportError(
            f"this model cannot be compiled: {str(error).splitlines()[0]}. Load it without compile=True"
        ) from error
    finally:
        logging.disable(before)
    module: nn.Module = program.module()
    return module
