"""Do numbers in float64 keep their digits on the way to ONNX?

Torch's exporter writes Python numbers in float32 wherever it does not know better, so that π loses half of its digits and
1e-154 becomes zero. Here such numbers become tensors of the graph before it is written.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import nn

__all__ = ["with_exact_constants"]

_aten = torch.ops.aten

_TENSOR_FORMS: Final = {
    _aten.add.Tensor: _aten.add.Tensor,
    _aten.clamp.default: _aten.clamp.Tensor,
    _aten.clamp_max.default: _aten.clamp_max.Tensor,
    _aten.clamp_min.default: _aten.clamp_min.Tensor,
    _aten.div.Tensor: _aten.div.Tensor,
    _aten.ge.Scalar: _aten.ge.Tensor,
    _aten.gt.Scalar: _aten.gt.Tensor,
    _aten.le.Scalar: _aten.le.Tensor,
    _aten.lt.Scalar: _aten.lt.Tensor,
    _aten.masked_fill.Scalar: _aten.masked_fill.Tensor,
    _aten.mul.Tensor: _aten.mul.Tensor,
    _aten.remainder.Scalar: _aten.remainder.Tensor,
    _aten.rsub.Scalar: _aten.rsub.Tensor,
    _aten.sub.Tensor: _aten.sub.Tensor,
    _aten.where.ScalarOther: _aten.where.self,
    _aten.where.ScalarSelf: _aten.where.self,
}
"""The form that takes a tensor of each operation that takes a number."""


def with_exact_constants(program: Any) -> nn.Module:
    """The graph of a program with its numbers in float64 as tensors.

    Parameters
    ----------
    program
        From `torch.export`.

    Returns
    -------
    A module with the program's inputs and outputs, to be traced again.
    """
    module = program.module()
    graph = module.graph
    known: dict[float, str] = {}

    def constant(value: float) -> torch.fx.Node:
        if value not in known:
            known[value] = f"number_{len(known)}"
            module.register_buffer(known[value], torch.tensor(value, dtype=torch.float64), persistent=False)
        return graph.get_attr(known[value])

    for node in list(graph.nodes):
        if node.op != "call_function" or not _in_float64(node):
            continue
        with graph.inserting_before(node):
            if node.target in _TENSOR_FORMS and any(_loses(value) for value in node.args):
                # A bound that is left out, or has few digits, must be a tensor, too, beside one that is.
                node.args = tuple(constant(v) if isinstance(v, float | int) else v for v in node.args)
                node.target = _TENSOR_FORMS[node.target]
            elif node.target is _aten.full.default and _loses(node.args[1]):
                _replace(
                    node, graph.call_function(_aten.expand.default, (constant(node.args[1]), node.args[0]))
                )
            elif node.target is _aten.full_like.default and _loses(node.args[1]):
                _replace(
                    node, graph.call_function(_aten.expand_as.default, (constant(node.args[1]), node.args[0]))
                )
            elif node.target is _aten.scalar_tensor.default and _loses(node.args[0]):
                _replace(node, constant(node.args[0]))
    module.recompile()
    return module


def _replace(node: torch.fx.Node, by: torch.fx.Node) -> None:
    node.replace_all_uses_with(by)
    node.graph.erase_node(node)


def _loses(value: Any) -> bool:
    """Whether a number is another one in float32."""
    return isinstance(value, float) and float(torch.tensor(value, dtype=torch.float32)) != value


def _in_float64(node: torch.fx.Node) -> bool:
    """Whether an operation computes in float64: gives it, or compares it."""
    values = [node.meta.get("val"), *(x.meta.get("val") for x in node.all_input_nodes)]
    return any(isinstance(value, torch.Tensor) and value.dtype == torch.float64 for value in values)
