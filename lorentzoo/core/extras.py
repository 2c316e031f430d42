"""Which extra of the package brings a module that is not there?"""

from __future__ import annotations

from typing import Final

from lorentzoo.core.errors import MissingExtraError

__all__ = ["EXTRAS", "explain_missing"]

EXTRAS: Final[dict[str, tuple[str, ...]]] = {
    "train": (
        "pytorch_lightning",
        "lightning_fabric",
        "torchmetrics",
        "scipy",
        "sklearn",
        "matplotlib",
        "mplhep",
        "hist",
        "jinja2",
        "lion_pytorch",
    ),
    "generative": ("torchdiffeq",),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "sofie": ("sofie",),
    "generators": ("madspace",),
    "scale": ("submitit", "ray", "distributed", "dask"),
    "nflows": ("nflows",),
    "hub": ("huggingface_hub",),
    "readers": ("uproot", "awkward", "h5py", "pyarrow", "pylhe"),
    "simulate": ("pythia8", "fastjet", "vector"),
}
"""Modules that each extra brings, without those that come anyway."""


def explain_missing(error: ImportError) -> MissingExtraError | None:
    """What to install for a module that is not there; None where it is not of an extra of this package."""
    module = (error.name or "").partition(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if module in modules), None)
    if extra is None:
        return None
    return MissingExtraError(
        f'this needs {module!r}, which is not installed; run: pip install "lorentzoo[{extra}]"'
    )
