"""Costs against counts by hand."""

from __future__ import annotations

import pytest
import torch

import lorentzoo as lz
from lorentzoo.studies.costs import count_flops, measure_costs, peak_memory

HIDDEN = 16


@pytest.fixture(scope="module")
def sets() -> lz.Model:
    torch.manual_seed(0)
    return lz.compose(
        backbone={"name": "deep-sets", "hidden": [HIDDEN, HIDDEN]}, head="classify:num_classes=1"
    )


@pytest.mark.parametrize("multiplicity", [1, 7, 30])
def test_flops_of_a_deep_set_are_those_of_its_matrices(sets, jets, multiplicity) -> None:
    each = 2 * (7 * HIDDEN + HIDDEN * HIDDEN)
    assert count_flops(sets, jets, multiplicity) == multiplicity * each + 2 * HIDDEN


def test_flops_count_every_attention_product(jets) -> None:
    torch.manual_seed(0)
    flops = {}
    for heads in (1, 2):
        model = lz.compose(
            backbone={"name": "transformer", "num_blocks": 1, "num_heads": heads, "head_reps": "8x0n"},
            head="classify:num_classes=1",
        )
        for n in (10, 20):
            flops[heads, n] = count_flops(model, jets, n)
    # What is not linear in the multiplicity is attention: 2 products of n² pairs, 8 wide, 2 operations each.
    for heads in (1, 2):
        width = 8 * heads
        excess = flops[heads, 20] - 2 * flops[heads, 10] + 2 * width  # the head's map, once an event
        assert excess == 2 * 2 * width * (20**2 - 2 * 10**2)


def test_memory_grows_with_the_batch_and_is_repeatable(sets, jets) -> None:
    large = jets.batch(range(100))
    first = peak_memory(sets, jets.batch(range(10)))
    assert first == peak_memory(sets, jets.batch(range(10)))
    particles = large.cloud.momenta.shape[0]
    # At least the activations that backward needs: two hidden layers in float32.
    assert peak_memory(sets, large) > first + 0.8 * particles * 2 * HIDDEN * 4
    assert all(p.grad is None for p in sets.parameters())


def test_costs_leave_the_model_alone(sets, jets) -> None:
    before = {name: value.clone() for name, value in sets.state_dict().items()}
    costs = measure_costs(sets.eval(), jets, batch_size=50)
    assert costs.parameters == sets.num_parameters
    assert costs.batch_size == 50
    assert costs.multiplicity == 20
    assert 0 < costs.forward_ms < costs.training_ms
    assert costs.memory_mb > 0
    assert not sets.training
    assert all(torch.equal(before[name], value) for name, value in sets.state_dict().items())
