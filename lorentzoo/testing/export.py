"""Does a model export as its parts declare?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from lorentzoo.core.errors import ExportError
from lorentzoo.core.exportable import find_refusal
from lorentzoo.exporting.export import export
from lorentzoo.testing.report import ConformanceError, require
from lorentzoo.testing.subject import ModelSubject

__all__ = ["LONG_CHECKS"]


def _exports(s: ModelSubject) -> None:
    """An ONNX file in float32 whose numbers are the model's, or a refusal that gives the declared reason."""
    reason = find_refusal(s.model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            export(s.model, path, dtype=torch.float32)
        except ExportError as error:
            left = sorted(file.name for file in path.parent.iterdir())
            require(not left, f"an export that failed leaves {left}")
            if reason is None:
                raise ConformanceError(f"all parts declare exportable = True, but: {error}") from error
            require(str(error) == reason, f"the export fails for another reason than declared: {error}")
        else:
            require(reason is None, f"it exports, although declared that it cannot: {reason}")


LONG_CHECKS: Final[dict[str, Callable[[ModelSubject], None]]] = {"exports": _exports}
"""Checks of a model that take long, by name: they run where they are asked for. They need the extra ``onnx``."""
