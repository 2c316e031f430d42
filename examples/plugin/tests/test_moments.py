"""The conformance kit does the work: one test for the plugin, one for each component, and one of our own."""

import pytest
import torch

import lorentzoo as lz
from lorentzoo.testing import Case, check_plugin, conformance_cases, random_cloud


def test_plugin() -> None:
    check_plugin("moments").raise_if_failed()


@pytest.mark.parametrize("case", conformance_cases(plugin="moments"))
def test_conformance(case: Case) -> None:
    case.run().raise_if_failed()


def test_symmetry() -> None:
    model = lz.create_model("moments")
    assert model.symmetry.name == "SO⁺(1,1)_beam × SO(2)_beam"


def test_it_trains() -> None:
    torch.manual_seed(0)
    model = lz.create_model("moments", backbone={"width": 16})
    cloud = random_cloud([5, 9, 3, 7])
    batch = lz.Batch(cloud, torch.tensor([0, 1, 0, 1]), torch.ones(4), torch.arange(4))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        optimiser.zero_grad()
        loss = model.loss(batch)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
