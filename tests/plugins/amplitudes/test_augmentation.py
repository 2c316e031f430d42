"""Random frames as augmentation of networks that are not invariant, and what they are in evaluation."""

from __future__ import annotations

import pytest
import torch

import lorentzoo as lz
from lorentzoo.nn import random_lorentz
from lorentzoo.training.train import train

NETWORKS = ["amplitude-mlp", "amplitude-transformer", "amplitude-graphnet", "dsi"]
SMALL = {
    "amplitude-transformer": {"num_blocks": 2},
    "dsi": {"hidden": [32]},
    "amplitude-mlp": {"hidden": [32]},
}


def make(name: str, data: lz.JetDataset, frames: str | None = None) -> lz.Model:
    torch.manual_seed(0)
    changed = {"backbone": SMALL[name]} if name in SMALL else {}
    model = lz.create_model(name, **changed, **({} if frames is None else {"frames": frames}))
    model.fit_statistics([data[:]])
    return model


@pytest.fixture(scope="module")
def data() -> lz.JetDataset:
    return lz.load_dataset("amplitudes", multiplicity=2, num_events=300)


@pytest.mark.parametrize("frames", ["random-lorentz", "random-rotation"])
@pytest.mark.parametrize("name", NETWORKS)
def test_frames_are_drawn_in_training_and_fixed_in_evaluation(
    name: str, frames: str, data: lz.JetDataset
) -> None:
    model, plain = make(name, data, frames), make(name, data)
    batch = data[:20]
    model.train()
    first, second = (model(batch.cloud).detach() for _ in range(2))
    assert float((first - second).abs().max()) > 1e-7
    # The network is the same one, with as many parameters, and sees the laboratory in evaluation.
    model.eval()
    plain.eval()
    torch.testing.assert_close(model(batch.cloud), plain(batch.cloud), rtol=0, atol=0)
    assert model.num_parameters == plain.num_parameters
    assert model.symmetry.dimension == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_augmentation_is_that_of_the_data(name: str, data: lz.JetDataset) -> None:
    """A drawn frame is a transformed event: invariants beside momenta do not notice."""
    model, plain = make(name, data, "random-lorentz"), make(name, data)
    cloud = data[:20].cloud
    model.train()
    plain.eval()
    torch.manual_seed(5)
    found = model(cloud).detach()
    torch.manual_seed(5)
    matrices = random_lorentz(20).repeat_interleave(5, 0)
    moved = (matrices @ cloud.momenta.unsqueeze(-1)).squeeze(-1)
    turned = lz.ParticleCloud.from_packed(
        moved, cloud.layout.ptr, cloud.scalars, scalar_names=cloud.scalar_names
    )
    torch.testing.assert_close(found, plain(turned).detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["mlp-i", "lgatr-slim-amplitudes"])
def test_invariant_networks_do_not_see_frames(name: str, data: lz.JetDataset) -> None:
    model = make(name, data, "random-lorentz").train()
    first, second = (model(data[:20].cloud).detach() for _ in range(2))
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5)
    assert model.symmetry.dimension == 6


def test_deep_sets_with_invariants_in_learned_frames(data: lz.JetDataset) -> None:
    """Momenta in learned frames are invariants too, and products are of momenta in one frame."""
    model = lz.create_model("dsi", frames="lloca-polar", backbone={"hidden": [16]})
    model.fit_statistics([data[:]])
    assert model.symmetry.dimension == 6
    report = lz.verify(model, data[:8].cloud)
    assert report.passed, str(report)


def test_augmentation_makes_a_network_nearly_invariant() -> None:
    data = lz.load_dataset("amplitudes", multiplicity=1, num_events=1200)
    batch = data.subset(range(1000, 1200))[:]
    matrix = random_lorentz(200, rng=torch.Generator().manual_seed(1)).repeat_interleave(4, 0)
    moved = (matrix @ batch.cloud.momenta.unsqueeze(-1)).squeeze(-1)
    turned = lz.ParticleCloud.from_packed(
        moved, batch.cloud.layout.ptr, batch.cloud.scalars, scalar_names=batch.cloud.scalar_names
    )
    errors = {}
    for frames in ("identity", "random-lorentz"):
        torch.manual_seed(0)
        model = lz.create_model(
            "amplitude-mlp", num_particles=4, frames=frames, backbone={"hidden": [64, 64]}
        )
        recipe = {"epochs": 20, "batch_size": 100, "learning_rate": 3e-3}
        train(model, data.subset(range(1000)), None, recipe, progress=False)
        found = torch.from_numpy(model.predict(turned)).squeeze(1).log() - batch.target.log()
        errors[frames] = float(found.square().mean())
    assert errors["random-lorentz"] < 0.5 * errors["identity"]
