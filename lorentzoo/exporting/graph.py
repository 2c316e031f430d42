"""How is a network of plain tensors written as a graph?"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from lorentzoo.core.errors import ExportError
from lorentzoo.core.extras import explain_missing
from lorentzoo.exporting.constants import with_exact_constants
from lorentzoo.exporting.kernels import with_written_functions
from lorentzoo.exporting.opset import WRITTEN, lower_opset
from lorentzoo.exporting.plain import PlainModel

__all__ = [
    "compile_program",
    "control_flow",
    "load_package",
    "make_onnx",
    "require_modules",
    "save_program",
    "trace",
]

_CONTROL_FLOW: Final = ("If", "Loop", "Scan")
"""Operators of ONNX that the runtimes of experiments run slowly or not at all."""


def require_modules(modules: Sequence[str]) -> None:
    """Refuse before anything is computed where packages are missing.

    Raises
    ------
    MissingExtraError
        Naming the package and the extra.
    """
    try:
        for module in modules:
            import_module(module)
    except ImportError as error:
        raise (explain_missing(error) or error) from error


def trace(plain: PlainModel) -> Any:
    """The graph of a network by `torch.export`, for any number of events.

    Parameters
    ----------
    plain
        The network.

    Raises
    ------
    ExportError
        If operations of the network depend on values, or on the number of particles where it is free.
    """
    # With two events and two places at least: an axis of length one would be taken for fixed.
    inputs = plain.example
    try:
        with _quiet(), torch.no_grad():
            return _trace(plain, plain, inputs)
    except Exception as error:
        raise ExportError(
            f"torch.export cannot write this model as a graph: {_first_line(error)}. If its number of particles may be "
            "fixed, give max_particles"
        ) from error


def _trace(module: nn.Module, plain: PlainModel, inputs: tuple[Tensor, ...]) -> Any:
    return torch.export.export(module, inputs, dynamic_shapes=(plain.free_axes,), strict=False)


class _Again(nn.Module):
    """A traced graph with the signature of `PlainModel`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Any:
        return self.network(*inputs)


def save_program(program: Any) -> tuple[bytes, Any]:
    """A traced graph as a file, and what is read from it."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue(), torch.export.load(io.BytesIO(buffer.getvalue()))


def compile_program(program: Any) -> bytes:
    """A traced graph as a shared library in a package, by AOTInductor.

    Raises
    ------
    ExportError
        If there is no C++ compiler, or an operation has no kernel.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "network.pt2")
        try:
            with _quiet(), torch.no_grad():
                torch._inductor.aoti_compile_and_package(program, package_path=path)
        except Exception as error:
            raise ExportError(
                f"AOTInductor cannot compile this model: {_first_line(_root(error))}. It needs a C++ compiler (g++)"
            ) from error
        return Path(path).read_bytes()


def load_package(payload: bytes) -> tuple[Any, dict[str, str]]:
    """A package of AOTInductor, and the machine for which it is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.pt2"
        path.write_bytes(payload)
        module = torch._inductor.aoti_load_package(str(path))
    target = {
        key.removeprefix("AOTI_").lower(): value for key, value in module.get_metadata().items() if value
    }
    return module, target


def make_onnx(
    program: Any,
    plain: PlainModel,
    *,
    opset: int,
    ir_version: int,
    also: Mapping[Any, Callable[..., Any]] | None = None,
) -> Any:
    """The graph as an ONNX model.

    Parameters
    ----------
    program
        From `trace`.
    plain
        The network, for names and axes of inputs.
    opset
        Version of the operators.
    ir_version
        Version of the file format.
    also
        Operations that are written in others, beside those that lack kernels in float64.

    Raises
    ------
    ExportError
        If an operation has no form in ONNX of that version, or the graph needs control flow.
    """
    try:
        with _quiet(), torch.no_grad():
            inputs = plain.example
            written = with_written_functions(program, also)
            if written is not None:
                program = _trace(_Again(written), plain, inputs)
            exact = _trace(_Again(with_exact_constants(program)), plain, inputs)
            made = torch.onnx.export(
                exact,
                dynamo=True,
                input_names=list(plain.input_names),
                output_names=list(plain.output_names),
                opset_version=max(opset, WRITTEN),
                verbose=False,
                optimize=False,
            )
            assert made is not None
            _simplify(made.model)
            model = made.model_proto
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


def _simplify(model: Any) -> None:
    """Inline functions and compute what is constant, in place, with no change of numbers.

    The exporter's own optimizer compares with a tolerance: it takes x + 1e-9 and 0.999999 x for x.
    """
    from onnx_ir.passes import common
    from onnxscript import optimizer

    optimizer.inline(model)
    optimizer.fold_constants(model, onnx_shape_inference=True)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common.DeduplicateInitializersPass()(model)
    common.CommonSubexpressionEliminationPass()(model)
    optimizer.remove_unused_nodes(model)


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
