"""How is a network of plain tensors written as a graph?"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Final

import torch
from torch import Tensor, nn

from lorentzoo.core.errors import ExportError
from lorentzoo.core.extras import EXTRAS, explain_missing
from lorentzoo.exporting.constants import with_exact_constants
from lorentzoo.exporting.opset import WRITTEN, lower_opset
from lorentzoo.exporting.plain import OUTPUTS, PlainModel

__all__ = ["control_flow", "make_onnx", "require_onnx", "trace"]

_CONTROL_FLOW: Final = ("If", "Loop", "Scan")
"""Operators of ONNX that the runtimes of experiments run slowly or not at all."""


def require_onnx() -> None:
    """Refuse before anything is computed where packages for ONNX are missing.

    Raises
    ------
    MissingExtraError
        Naming the package and the extra.
    """
    try:
        for module in EXTRAS["onnx"]:
            import_module(module)
    except ImportError as error:
        raise (explain_missing(error) or error) from error


def trace(plain: PlainModel, inputs: tuple[Tensor, ...], max_particles: int | None) -> Any:
    """The graph of a network by `torch.export`, for any number of events.

    Parameters
    ----------
    plain
        The network.
    inputs
        With two events and two places at least: an axis of length one would be taken for fixed.
    max_particles
        The only number of places; any number with None.

    Raises
    ------
    ExportError
        If operations of the network depend on values, or on the number of particles where it is free.
    """
    try:
        with _quiet(), torch.no_grad():
            return _trace(plain, plain.input_names, inputs, max_particles)
    except Exception as error:
        raise ExportError(
            f"torch.export cannot write this model as a graph: {_first_line(error)}. If its number of particles may be "
            "fixed, give max_particles"
        ) from error


def _trace(
    module: nn.Module, names: Sequence[str], inputs: tuple[Tensor, ...], max_particles: int | None
) -> Any:
    free = torch.export.Dim.DYNAMIC
    rows: dict[int, Any] = {0: free} if max_particles is not None else {0: free, 1: free}
    axes = {"momenta": rows, "mask": rows, "scalars": rows, "context": {0: free}}
    momenta, mask, *columns = (axes[name] for name in names)
    shapes = (momenta, mask, tuple(columns)) if columns else (momenta, mask)
    return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)


class _Again(nn.Module):
    """A traced graph with the signature of `PlainModel`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, momenta: Tensor, mask: Tensor, *columns: Tensor) -> Any:
        return self.network(momenta, mask, *columns)


def make_onnx(
    program: Any,
    plain: PlainModel,
    inputs: tuple[Tensor, ...],
    max_particles: int | None,
    *,
    opset: int,
    ir_version: int,
) -> Any:
    """The graph as an ONNX model.

    Parameters
    ----------
    program
        From `trace`.
    plain
        The network, for the names of inputs.
    inputs, max_particles
        As for `trace`.
    opset
        Version of the operators.
    ir_version
        Version of the file format.

    Raises
    ------
    ExportError
        If an operation has no form in ONNX of that version, or the graph needs control flow.
    """
    try:
        with _quiet(), torch.no_grad():
            exact = _trace(_Again(with_exact_constants(program)), plain.input_names, inputs, max_particles)
            written = torch.onnx.export(
                exact,
                dynamo=True,
                input_names=list(plain.input_names),
                output_names=list(OUTPUTS),
                opset_version=max(opset, WRITTEN),
                verbose=False,
            )
            assert written is not None
            model = written.model_proto
    except Exception as error:
        raise ExportError(f"ONNX has no form for this model: {_first_line(_root(error))}") from error
    if opset < WRITTEN:
        lower_opset(model)
    found = next(entry.version for entry in model.opset_import if not entry.domain)
    if found != opset:
        raise ExportError(
            f"this model could not be written in opset {opset}, only in {found}; give opset={found}, "
            "which onnxruntime 1.14 and later can run"
        )
    flow = control_flow(model.graph)
    if flow:
        raise ExportError(f"the graph of this model needs the control flow of {flow}, which is not exported")
    # Shapes that the exporter noted on the way are not needed, and some hold for the traced events alone.
    del model.graph.value_info[:]
    model.ir_version = ir_version
    return model


def control_flow(graph: Any) -> list[str]:
    """Operators of an ONNX graph that branch or repeat."""
    return sorted({node.op_type for node in graph.node if node.op_type in _CONTROL_FLOW})


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _root(error: BaseException) -> BaseException:
    """The error that began a chain: exporters wrap them in reports."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters print of their own progress and of their own deprecations."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
