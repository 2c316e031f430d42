"""Networks on pairs keep for their backward pass what particles cost, not what all pairs of a batch cost.

CGENN keeps what is made of pairs up to a bound in bytes, and beyond it what particles cost.
"""

from __future__ import annotations

import pytest
import torch

import lorentzoo as lz
from lorentzoo.plugins.cgenn import passes
from lorentzoo.testing import random_cloud
from lorentzoo.verification import fit_if_needed

EVENTS, PARTICLES = 4, 64
"""Events of this length stand in a block of their own."""
COMPOSITIONS = {
    "lorentznet": ({"backbone": "lorentznet:num_blocks=1"}, 72),
    "pelican": ({"backbone": "pelican:num_blocks=2,hidden_channels=40"}, 40),
    "pelican-official": ({"backbone": "pelican-official:num_blocks=2,hidden_channels=40"}, 40),
    "cgenn": ({"backbone": "cgenn:num_blocks=1"}, 72),
    "pelican frames": (
        {"frames": "lloca-polar:equivectors=pelican", "backbone": "deep-sets", "embedding": "kinematics"},
        32,
    ),
}


def kept_numbers(model: lz.Model, cloud: lz.ParticleCloud) -> int:
    """Numbers that the graph of a training step holds on to, each storage once."""
    storages: dict[int, int] = {}

    def pack(x: torch.Tensor) -> torch.Tensor:
        storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes() // x.element_size()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        output = model(cloud)
    assert output.requires_grad
    return sum(storages.values())


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_a_training_step_never_holds_a_layer_on_all_pairs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "SAVED_BYTES", 0)
    parts, width = COMPOSITIONS[name]
    if not {parts["backbone"].split(":")[0]} <= set(lz.list_components("backbone")):
        pytest.skip("its plugin is switched off")
    model = lz.compose(**{"embedding": "momenta", **parts}).train()
    cloud = random_cloud([PARTICLES] * EVENTS)
    fit_if_needed(model, cloud)
    # One hidden layer on all pairs is more than all that is kept.
    assert kept_numbers(model, cloud) < EVENTS * PARTICLES**2 * width


def test_pairs_are_kept_up_to_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    if "cgenn" not in lz.list_components("backbone"):
        pytest.skip("its plugin is switched off")
    model = lz.compose(embedding="momenta", backbone="cgenn:num_blocks=1").train()
    cloud = random_cloud([PARTICLES] * EVENTS)
    fit_if_needed(model, cloud)
    kept = {}
    for bound in (0, 2**23, 2**24, 2**28):
        monkeypatch.setattr(passes, "SAVED_BYTES", bound)
        kept[bound] = kept_numbers(model, cloud) * 4
    assert kept[0] < kept[2**23] < kept[2**24] < kept[2**28]
    assert all(size - kept[0] <= bound for bound, size in kept.items())
