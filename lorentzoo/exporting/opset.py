"""How is an ONNX model written in operators of an older version?

Torch writes version 18. What changed from 17 are axes of reductions, which were attributes, and the number of parts of a
split, which was not stated; everything else that differs is refused by name.
"""

from __future__ import annotations

from typing import Any, Final

from lorentzoo.core.errors import ExportError

__all__ = ["OLDEST", "WRITTEN", "lower_opset"]

OLDEST: Final = 17
WRITTEN: Final = 18
"""The version that torch writes, and the oldest that it can be brought to."""

_REDUCTIONS: Final = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
)


def lower_opset(model: Any) -> None:
    """Bring an ONNX model from version 18 of the operators to 17, in place.

    Raises
    ------
    ExportError
        Naming an operator that has no such form in version 17.
    """
    from onnx import defs, helper, numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            for item in node.attribute:
                if item.name == "value":
                    constants[node.output[0]] = item.t
    for node in model.graph.node:
        if node.op_type in _REDUCTIONS:
            if len(node.input) > 1:
                axes = constants.get(node.input[1])
                if axes is None:
                    raise ExportError(
                        f"{node.op_type} over axes that are computed has no form in opset {OLDEST}"
                    )
                node.attribute.append(helper.make_attribute("axes", numpy_helper.to_array(axes).tolist()))
                del node.input[1:]
            _drop(node, "noop_with_empty_axes")
        elif node.op_type == "Split":
            _drop(node, "num_outputs")
        elif _differs(defs, node):
            raise ExportError(
                f"the operator {node.op_type} has no such form in opset {OLDEST}; give opset={WRITTEN}"
            )
    for entry in model.opset_import:
        if not entry.domain:
            entry.version = OLDEST


def _drop(node: Any, attribute: str) -> None:
    kept = [item for item in node.attribute if item.name != attribute]
    del node.attribute[:]
    node.attribute.extend(kept)


def _differs(defs: Any, node: Any) -> bool:
    """Whether an operator is not the same in both versions, beyond what `Pad` and its like may leave out."""
    if node.domain:
        return True
    new = defs.get_schema(node.op_type, WRITTEN)
    try:
        old = defs.get_schema(node.op_type, OLDEST)
    except defs.SchemaError:
        return True
    if new.since_version == old.since_version:
        return False
    # The same form where nothing is used that only the new version has.
    known = set(old.attributes)
    values = {item.name: item.s for item in node.attribute}
    news = {b"max", b"min"} if node.op_type.startswith("Scatter") else set()
    return len(node.input) > len(old.inputs) or not set(values) <= known or values.get("reduction") in news
