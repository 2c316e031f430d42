"""Which functions are written out for runtimes that have no kernels for them?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import nn

from lorentzoo.core.elementary import (
    written_elu,
    written_erf,
    written_expm1,
    written_gather,
    written_gelu,
    written_leaky_relu,
    written_log1p,
    written_sign,
    written_softplus,
)

__all__ = ["LACKING_IN_SOFIE", "with_written_functions"]

_aten = torch.ops.aten

_LACKING_IN_FLOAT64: Final[Mapping[Any, Callable[..., Any]]] = {
    _aten.elu.default: written_elu,
    _aten.erf.default: written_erf,
    _aten.gelu.default: written_gelu,
    _aten.leaky_relu.default: written_leaky_relu,
    _aten.softplus.default: written_softplus,
}
"""What onnxruntime computes in float32 alone, in sums, products, roots, exponentials and logarithms."""

_LOSING_DIGITS: Final[Mapping[Any, Callable[..., Any]]] = {
    _aten.expm1.default: written_expm1,
    _aten.log1p.default: written_log1p,
}
"""What ONNX has as a sum beside an exponential or a logarithm alone, in which small numbers vanish."""

LACKING_IN_SOFIE: Final[Mapping[Any, Callable[..., Any]]] = {
    _aten.gather.default: written_gather,
    _aten.sign.default: written_sign,
}
"""What SOFIE has no operator for, in others."""


def with_written_functions(
    program: Any, also: Mapping[Any, Callable[..., Any]] | None = None
) -> nn.Module | None:
    """The graph of a program with functions written out, to be traced again; None where there are none.

    Parameters
    ----------
    program
        From `torch.export`.
    also
        Further operations and their forms, of all types, beside those that lack kernels in float64.
    """
    module = program.module()
    found = False
    for node in module.graph.nodes:
        value = node.meta.get("val")
        in_float64 = isinstance(value, torch.Tensor) and value.dtype == torch.float64
        forms = {**_LOSING_DIGITS, **(_LACKING_IN_FLOAT64 if in_float64 else {}), **(also or {})}
        written = forms.get(node.target)
        if written is not None:
            node.target = written
            found = True
    if not found:
        return None
    module.recompile()
    return module
