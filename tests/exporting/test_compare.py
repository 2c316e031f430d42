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


def run_with_noise(plain: PlainModel, noise: float) -> Callable[[Mapping[str, Any]], list[np.ndarray]]:
    def run(inputs: Mapping[str, Any]) -> list[np.ndarray]:
        with torch.no_grad():
            outputs = plain(*(torch.from_numpy(x) for x in inputs.values()))
        return [x.numpy() * np.float32(1 + noise) for x in outputs]

    return run


def test_differences_are_measured_against_the_models_own_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = make_plain()
    assert max(check_numbers(plain, run_with_noise(plain, 1e-6))[0].values()) < 1e-5
    with pytest.raises(ExportError, match=r"more than 1e-05 and than the rounding of the model itself, \d"):
        check_numbers(plain, run_with_noise(plain, 1e-4))
    head = type(plain.model.head)
    forward = head.forward

    def lose_digits(self: Any, *given: Any) -> torch.Tensor:
        out = forward(self, *given)
        return (out + 1e5) - 1e5

    monkeypatch.setattr(head, "forward", lose_digits)
    errors, _ = check_numbers(plain, run_with_noise(plain, 1e-4))
    assert max(errors.values()) > 1e-5
    # Three times its rounding is above 1e-2 here, behind which a fault could hide.
    with pytest.raises(
        ExportError, match=r"more than 1e-05 and than the rounding of the model itself, \d\.\de-0[12]"
    ):
        check_numbers(plain, run_with_noise(plain, 3e-3))


def test_a_file_that_is_not_finite_is_refused() -> None:
    plain = make_plain()
    with pytest.raises(ExportError, match="differs by nan"):
        check_numbers(plain, run_with_noise(plain, float("nan")))
