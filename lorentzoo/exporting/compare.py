"""Does an exported file give the numbers of the model?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.core.errors import ExportError
from lorentzoo.exporting.plain import PlainModel

__all__ = ["TOLERANCES", "Runner", "check_numbers", "run_program"]

Runner = Callable[[Mapping[str, NDArray[Any]]], Sequence[NDArray[Any]]]
"""From inputs by name to outputs in order."""

TOLERANCES: Final = {torch.float32: 1e-5, torch.float64: 1e-9}
"""Largest difference allowed, relative to the largest value of an output."""


def run_program(module: Any) -> Runner:
    """A function that runs a module of torch."""

    def run(inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        with torch.no_grad():
            return [output.numpy() for output in module(*map(torch.from_numpy, inputs.values()))]

    return run


def check_numbers(plain: PlainModel, run: Runner) -> tuple[dict[str, float], dict[str, NDArray[Any]]]:
    """Compare a file with the model on samples of events of several sizes.

    Parameters
    ----------
    plain
        The model.
    run
        Runs the file.

    Returns
    -------
    Largest difference of each sample, relative to the largest value of the output; and the golden inputs and outputs.

    Raises
    ------
    ExportError
        Naming the sample, the output and the difference, if one is above the tolerance, not finite, or of another shape.

    Notes
    -----
    Predictions are held to what the model's head makes of the file's own output: an exponential enlarges the rounding of
    what it is taken of.
    """
    names = plain.output_names
    labels, wanted, found, given = [], [], [], []
    for label, tensors in plain.samples():
        inputs = {name: x.numpy() for name, x in zip(plain.input_names, tensors, strict=True)}
        try:
            with torch.no_grad():
                wanted.append([output.numpy() for output in plain(*tensors)])
        except ValueError as error:
            raise ExportError(
                f"the model does not take {label}: {error}. Where its number of places is bounded, give max_particles"
            ) from error
        try:
            found.append(run(inputs))
        except Exception as error:
            raise ExportError(f"the exported form does not run on {label}: {error}") from error
        given.append(inputs)
        labels.append(label)
    scales = [
        max(float(np.abs(outputs[o]).max(initial=0.0)) for outputs in wanted) for o in range(len(names))
    ]
    tolerance, errors = TOLERANCES[plain.dtype], {}
    for label, expected, got in zip(labels, wanted, found, strict=True):
        each = [
            _difference(name, label, a, b, scale)
            for name, a, b, scale in zip(names, expected, got, scales, strict=True)
        ]
        errors[label] = max(each)
        for name, a, b, scale in zip(names, plain.expect(expected, got), got, scales, strict=True):
            difference = _difference(name, label, a, b, scale)
            if not difference <= tolerance:
                raise ExportError(
                    f"the exported form gives other numbers than the model on {label}: its {name!r} differs by "
                    f"{difference:.1e} of the largest value, more than {tolerance:g}"
                )
    golden = {f"input_{name}": x for name, x in given[0].items()}
    return errors, golden | {f"output_{name}": x for name, x in zip(names, wanted[0], strict=True)}


def _difference(name: str, label: str, wanted: NDArray[Any], found: NDArray[Any], scale: float) -> float:
    if wanted.shape != found.shape:
        raise ExportError(
            f"the exported form gives {name!r} of shape {found.shape} instead of {wanted.shape} on {label}"
        )
    if not wanted.size:
        return 0.0
    # A difference with NaN or infinity is NaN, which is above every tolerance.
    with np.errstate(invalid="ignore"):
        return float(np.abs(found.astype(np.float64) - wanted).max() / max(scale, np.finfo(np.float64).tiny))
