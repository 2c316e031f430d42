"""When are the numbers of a file those of its model?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import ExportError
from lorentzoo.exporting.compare import check_numbers
from lorentzoo.exporting.plain import PlainModel


def make_plain() -> PlainModel:
    torch.manual_seed(0)
    backbone = {"name": "deep-sets", "hidden": [8]}
    return PlainModel(lz.compose(backbone=backbone, embedding="momenta", head="classify:num_classes=2"))


def run_with_noise(plain: PlainModel, *noise: float) -> Callable[[Mapping[str, Any]], list[np.ndarray]]:
    """The model with every output, or each by a number of its own, larger by so much."""

    def run(inputs: Mapping[str, Any]) -> list[np.ndarray]:
        with torch.no_grad():
            outputs = plain(*(torch.from_numpy(x) for x in inputs.values()))
        factors = noise if len(noise) > 1 else noise * len(outputs)
        return [x.numpy() * np.float32(1 + part) for x, part in zip(outputs, factors, strict=True)]

    return run


def test_differences_are_measured_against_the_largest_value() -> None:
    plain = make_plain()
    assert max(check_numbers(plain, run_with_noise(plain, 1e-6))[0].values()) < 1e-5
    for noise in ((1e-4,), (1e-4, 0.0), (0.0, 1e-4)):
        with pytest.raises(
            ExportError, match=r"differs by \d\.\de-0[45] of the largest value, more than 1e-05"
        ):
            check_numbers(plain, run_with_noise(plain, *noise))


def test_predictions_are_those_of_the_output_of_the_file() -> None:
    """An exponential enlarges the rounding of the output, and excuses nothing else."""
    torch.manual_seed(0)
    backbone = {"name": "deep-sets", "hidden": [8]}
    model = lz.compose(backbone=backbone, embedding="momenta", head="regress:transform=log")
    model.head.mark_fitted()
    plain = PlainModel(model)
    with torch.no_grad():
        largest = max(float(plain(*plain.draw(size))[0].abs().max()) for size in plain.sizes)
    model.head.std.fill_(60.0 / largest)
    plain = PlainModel(model)

    def run(wrong: float) -> Callable[[Mapping[str, Any]], list[np.ndarray]]:
        def go(inputs: Mapping[str, Any]) -> list[np.ndarray]:
            with torch.no_grad():
                output = plain(*(torch.from_numpy(x) for x in inputs.values()))[0] * (1 + 1e-6)
                prediction = model.head.predict(output.double()) * (1 + wrong)
            return [output.numpy(), prediction.float().numpy()]

        return go

    errors, _ = check_numbers(plain, run(0.0))
    assert max(errors.values()) > 1e-5
    with pytest.raises(ExportError, match="its 'prediction' differs by"):
        check_numbers(plain, run(3e-5))


def test_a_file_that_is_not_finite_is_refused() -> None:
    plain = make_plain()
    with pytest.raises(ExportError, match="differs by nan"):
        check_numbers(plain, run_with_noise(plain, float("nan")))
