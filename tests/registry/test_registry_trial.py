"""What a backbone gives back is looked at once, when it is composed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError
from lorentzoo.registry.catalogue import catalogue


class Plain(lz.Backbone):
    """Keeps its promises; the variants below do not."""

    def __init__(self, *, in_scalars: int, out_vectors: int = 0) -> None:
        super().__init__()
        self.width = 8
        self.layer = nn.Linear(in_scalars, 8)

    def forward(self, features: Any, frames: Any, layout: Any, context: Any) -> Any:
        return lz.Features.of_scalars(self.layer(features.scalars))


class UndeclaredPool(Plain):
    def forward(self, features: Any, frames: Any, layout: Any, context: Any) -> Any:
        return lz.Features.of_scalars(layout.pool(self.layer(features.scalars)))


class DeclaredPool(UndeclaredPool):
    pools = True


class NoPool(Plain):
    pools = True


class OtherWidth(Plain):
    def __init__(self, *, in_scalars: int) -> None:
        super().__init__(in_scalars=in_scalars)
        self.width = 9


class BareTensor(Plain):
    def forward(self, features: Any, frames: Any, layout: Any, context: Any) -> Any:
        return self.layer(features.scalars)


@pytest.fixture(autouse=True)
def _own_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalogue()._components, "backbone", dict(catalogue()._components["backbone"]))


def compose(backbone: type[lz.Backbone]) -> lz.Model:
    lz.register("backbone", "tried")(backbone)
    return lz.compose(backbone="tried", embedding="kinematics")


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (
            UndeclaredPool,
            r"backbone 'tried' was given 2 events of 5 particles.*\(2, 8\).*declares `pools = True`",
        ),
        (NoPool, r"scalars of shape \(5, 8\).*where \(2, 8\).*is to give one row an event"),
        (OtherWidth, r"scalars of shape \(5, 8\).*where \(5, 9\)"),
        (BareTensor, "backbone 'tried' returns Tensor, not lorentzoo.Features"),
    ],
)
def test_promises_that_are_not_kept(backbone: type[lz.Backbone], message: str) -> None:
    with pytest.raises(CompositionError, match=message):
        compose(backbone)


@pytest.mark.parametrize("backbone", [Plain, DeclaredPool])
def test_a_trial_leaves_no_trace(backbone: type[lz.Backbone]) -> None:
    torch.manual_seed(3)
    model = compose(backbone)
    drawn = torch.rand(3)
    torch.manual_seed(3)
    layer = nn.Linear(7, 8)
    nn.Linear(8, 2)
    assert torch.equal(model.backbone.layer.weight, layer.weight)  # type: ignore[arg-type, union-attr]
    assert torch.equal(torch.rand(3), drawn)
    assert model.backbone.training
