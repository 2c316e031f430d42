"""Steps of parts: numbers that are the same for all events disappear, and what has no form is named."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lorentzoo.core.errors import ExportError
from lorentzoo.core.steps import Column, Columns, EventSteps


def start(particles: int = 3) -> EventSteps:
    return EventSteps.start(torch.zeros(particles, 2), ("a", "b"), 1)


def test_columns_are_taken_joined_and_replaced() -> None:
    columns = Columns((Column(0, 0), Column(0, 1), 2.0, Column(0, 2)))
    assert columns.count_adjacent(0) == 2
    assert columns.count_adjacent(2) == 1
    assert (columns + Columns((1.0,))).take([4, 0]).items == (1.0, Column(0, 0))
    assert columns.replace([2], Columns((Column(1, 5),))).items[2] == Column(1, 5)


def test_numbers_become_part_of_the_bias() -> None:
    event = start()
    layer = nn.Linear(4, 5)
    columns = Columns((3.0, *event.momenta.items[:2], -1.0))
    event.affine(columns, layer.weight, layer.bias)
    step = event.steps[-1]
    assert step.numbers["weight"].shape == (5, 2)
    x = torch.randn(2, dtype=torch.float64)
    whole = torch.cat([x.new_tensor([3.0]), x, x.new_tensor([-1.0])])
    wanted = layer.double()(whole)
    assert torch.allclose(step.numbers["weight"] @ x + step.numbers["bias"], wanted, atol=1e-12, rtol=0)
    before = len(event.steps)
    fixed = event.run_layers(Columns((1.0, 2.0, 3.0, 4.0)), [layer, nn.GELU(), nn.Dropout(0.5)])
    assert len(event.steps) == before
    assert torch.allclose(
        torch.tensor(fixed.items).double(), nn.GELU()(layer(torch.arange(1.0, 5.0).double()))
    )


def test_an_order_of_single_particles_needs_no_step() -> None:
    event = start()
    before = len(event.steps)
    assert event.order(event.momenta, [[2], [0], [1]]).items[0] == Column(0, 8)
    assert len(event.steps) == before
    event.order(event.momenta, [[2], [0, 1]])
    assert event.steps[-1].settings["sizes"] == [1, 2]


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.GELU(approximate="tanh")])
def test_an_activation_without_a_form_is_named(activation: nn.Module) -> None:
    event = start()
    with pytest.raises(ExportError, match=f"no form of the activation {type(activation).__name__}"):
        event.run_layers(event.context, [activation])
