"""How is an ONNX file run, and what do its metadata say?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorentzoo.core.errors import ExportError
from lorentzoo.exporting.compare import Runner

__all__ = ["mark_onnx", "open_session", "run_onnx"]


def mark_onnx(model: Any, entries: Mapping[str, str]) -> None:
    """Add entries to the metadata of an ONNX model."""
    for key, value in entries.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value


def open_session(payload: bytes, threads: int = 0) -> Any:
    """A session of onnxruntime on one CPU.

    Parameters
    ----------
    payload
        The file.
    threads
        For one operator; as many as there are cores with 0.

    Raises
    ------
    ExportError
        If onnxruntime refuses the model: it is too old for the file, or has no kernel for an operator in float64.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(payload, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        old = "IR version" in str(error) or "opset" in str(error).lower()
        what = (
            "is too old for this file; install a newer one, or export with a lower ir_version and opset"
            if old
            else "does not take this model"
        )
        raise ExportError(f"onnxruntime {onnxruntime.__version__} {what}: {error}") from error


def run_onnx(payload: bytes) -> Runner:
    """A function that runs an ONNX model in onnxruntime.

    Raises
    ------
    ExportError
        As `open_session`.
    """
    session = open_session(payload)
    return lambda inputs: session.run(None, dict(inputs))
