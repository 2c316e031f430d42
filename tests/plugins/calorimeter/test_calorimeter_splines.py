"""Showers by splines: energy is conserved, in batches of any size, and training lowers the loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError
from lorentzoo.data.showers.dataset import ShowerData
from lorentzoo.data.showers.detectors import find_detector
from lorentzoo.data.showers.patches import voxels_of

SMALL = {
    "backbone": "vit:num_blocks=1,width=16,num_heads=2,mlp_ratio=1",
    "layers": "vit:num_blocks=1,width=16,num_heads=2,mlp_ratio=1",
    "num_transforms": 3,
    "num_layer_transforms": 2,
    "bins": 4,
}


@pytest.fixture(scope="module")
def data() -> ShowerData:
    return lz.load_dataset("showers", detector="lead-argon", num_showers=150, energy_max=20.0)


@pytest.fixture(scope="module")
def trained(data: ShowerData) -> lz.Generator:
    torch.manual_seed(1)
    model = lz.create_model("vit-showers-rqs-flow", generator=SMALL)
    result = lz.train(model, data, max_steps=12, batch_size=32, learning_rate=3e-3, progress=False)
    losses = [point["val_loss"] for point in result.course.history]
    assert losses[-1] < losses[0]
    made = result.model
    assert isinstance(made, lz.Generator)
    return made


def test_energy_is_conserved(trained: lz.Generator, data: ShowerData) -> None:
    condition = data.batch(range(20)).cloud
    drawn = trained.sample(20, condition, rng=torch.Generator().manual_seed(0))
    detector = find_detector("lead-argon")
    voxels = voxels_of(drawn, detector)
    assert np.isfinite(voxels).all()
    assert ((voxels == 0) | (voxels >= detector.threshold * (1 - 1e-9))).all()
    total = voxels.reshape(20, -1).sum(1)
    column = dict(zip(drawn.context_names, drawn.context.T, strict=True))
    assert (total <= (column["log_energy"] + column["log_max_ratio"]).exp().numpy()).all()
    assert total.min() > 0


def test_batches_seeds_and_files(trained: lz.Generator, data: ShowerData, tmp_path: Path) -> None:
    condition = data.batch([0, 50, 100, 1, 51]).cloud
    first = trained.sample(5, condition, rng=torch.Generator().manual_seed(3))
    again = trained.sample(5, condition, rng=torch.Generator().manual_seed(3), batch_size=2)
    assert torch.allclose(first.scalars, again.scalars, rtol=1e-4, atol=1e-6)
    other = trained.sample(5, condition, rng=torch.Generator().manual_seed(4))
    assert not torch.allclose(first.scalars, other.scalars)
    lz.save(trained, tmp_path / "splines")
    loaded = lz.load(tmp_path / "splines")
    assert isinstance(loaded, lz.Generator)
    same = loaded.sample(5, condition, rng=torch.Generator().manual_seed(3))
    assert torch.equal(same.scalars, first.scalars)


def test_what_the_loss_states_is_a_density(trained: lz.Generator, data: ShowerData) -> None:
    """Of drawn numbers, E q/p is one: that of the network with other weights over that of these."""
    from lorentzoo.plugins.calorimeter.splines import CalorimeterSplines

    assert isinstance(trained, CalorimeterSplines)
    flow = trained.cell_flow
    torch.manual_seed(5)
    other = lz.create_model("vit-showers-rqs-flow", generator=SMALL)
    assert isinstance(other, CalorimeterSplines)
    rows, layout = 800, lz.Packed.from_lengths([2] * 400)
    given = torch.zeros(rows, 9 + trained.further_scalars), torch.zeros(400, 9)
    real = torch.zeros(rows, 24, dtype=torch.bool)
    real[:, :3] = True
    with torch.no_grad():
        x = flow.transported(flow.base(rows, torch.Generator().manual_seed(1)), *given, layout, real)
        ratio = other.cell_flow.log_prob(x, *given, layout, real) - flow.log_prob(x, *given, layout, real)
    weight = ratio.exp()
    assert float(weight.mean()) == pytest.approx(1, abs=5 * float(weight.std()) / 20)


def test_layers_without_a_network_are_refused() -> None:
    with pytest.raises(CompositionError, match="has no use for a network"):
        lz.create_model("vit-showers-rqs-flow", backbone="vit")
