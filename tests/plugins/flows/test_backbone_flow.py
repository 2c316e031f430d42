"""The spline flow of events whose knots come from a backbone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError

SMALL = "vit:num_blocks=1,width=16,num_heads=2,mlp_ratio=2"


@pytest.fixture(scope="module")
def data() -> lz.JetDataset:
    return lz.load_dataset("ttbar", num_events=400)


def make(data: lz.JetDataset, **options: object) -> lz.Generator:
    torch.manual_seed(0)
    generator = {"name": "rqs-flow", "num_particles": 6, "backbone": SMALL, "num_transforms": 2}
    model = lz.create_model(
        "rqs-flow-eventgen", generator={**generator, **options}, in_scalars=data.num_scalars
    )
    result = lz.train(model, data, max_steps=6, learning_rate=3e-3, progress=False)
    made = result.model
    assert isinstance(made, lz.Generator)
    return made


def take(data: lz.JetDataset, count: int) -> lz.ParticleCloud:
    cloud: lz.ParticleCloud = data.batch(range(count)).cloud
    return cloud


def test_training_saving_and_drawing(data: lz.JetDataset, tmp_path: Path) -> None:
    model = make(data, momentum_layers=True, relative_azimuths=True, pt_min=22.0, mass_min=1.0, eta_max=5.0)
    cloud = take(data, 8)
    assert torch.isfinite(model.log_prob(cloud)).all()
    turned = cloud.transform(rotation(0.7))
    assert torch.allclose(model.log_prob(turned), model.log_prob(cloud), rtol=1e-4)
    drawn = model.sample(50, rng=torch.Generator().manual_seed(1))
    assert torch.isfinite(model.log_prob(drawn)).all()
    assert bool((drawn.momenta[:, 1:3].square().sum(-1).sqrt() > 22).all())
    lz.save(model, tmp_path / "flow")
    loaded = lz.load(tmp_path / "flow")
    assert isinstance(loaded, lz.Generator)
    assert torch.equal(loaded.log_prob(cloud), model.log_prob(cloud))


def rotation(angle: float) -> torch.Tensor:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[1, 1] = matrix[2, 2] = math.cos(angle)
    matrix[1, 2], matrix[2, 1] = -math.sin(angle), math.sin(angle)
    return matrix


def test_particles_in_another_order(data: lz.JetDataset) -> None:
    """With a backbone that knows no order, particles and their scalars may stand anywhere."""
    model = make(data)
    assert model.permutation_symmetric
    cloud = take(data, 4)
    order = torch.cat(
        [torch.randperm(6, generator=torch.Generator().manual_seed(n)) + 6 * n for n in range(4)]
    )
    other = lz.ParticleCloud.from_packed(
        cloud.momenta[order],
        torch.arange(0, 25, 6),
        scalars=cloud.scalars[order],
        scalar_names=cloud.scalar_names,
        units=cloud.units,
    )
    assert torch.allclose(model.log_prob(other), model.log_prob(cloud), rtol=1e-5)
    assert not make(data, relative_azimuths=True).permutation_symmetric
    assert not make(data, momentum_layers=True).permutation_symmetric


def test_density_falls_under_the_marginals(data: lz.JetDataset) -> None:
    """Drawn events have the density that the flow states: E over draws of q/p is one for any normalised q."""
    model, other = make(data), make(data, num_transforms=3, bound=4.0)
    drawn = model.sample(1500, take(data, 1), rng=torch.Generator().manual_seed(2))
    ratio = (other.log_prob(drawn) - model.log_prob(drawn)).exp()
    assert float(ratio.mean()) == pytest.approx(1, abs=5 * float(ratio.std()) / math.sqrt(len(ratio)))


def test_costs_are_measured(data: lz.JetDataset) -> None:
    """A vision transformer without context hears a learned vector, whose gradient torch's counter looks for."""
    from lorentzoo.training.costs import measure_costs

    assert measure_costs(make(data), data, batch_size=16).flops > 0


def test_refusals(data: lz.JetDataset) -> None:
    with pytest.raises(CompositionError, match="takes its backbone as a parameter"):
        lz.create_model("rqs-flow-eventgen", backbone="vit")
    with pytest.raises(ValueError, match="coupling layers, not of transform='autoregressive'"):
        make(data, transform="autoregressive")
