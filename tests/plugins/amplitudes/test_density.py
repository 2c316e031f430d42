"""Log-normal distributions of amplitudes: what they say, and whether it is so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import lorentzoo as lz
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.training.train import train


def load(n: int | list[int], count: int = 400, **settings: object) -> lz.JetDataset:
    return lz.load_dataset("amplitudes", multiplicity=n, num_events=count, **settings)


def make(data: lz.JetDataset, **head: object) -> lz.Model:
    model = lz.compose(
        backbone="invariant-mlp:hidden=[16]",
        embedding="momenta",
        head={"name": "amplitude-density", **head},
        in_scalars=data.num_scalars,
    )
    model.fit_statistics([data[:]])
    return model


@pytest.mark.parametrize("reference", ["none", "factorised", ["factorised", "log-polynomial"]])
def test_the_density_is_log_normal_around_the_reference(reference: object, tmp_path: Path) -> None:
    data = load([1, 2])
    model = make(data, reference=reference, degree=1)
    batch = data[:20]
    output = model(batch.cloud).detach()
    distribution = model.head.distribution(output)
    centre, width = distribution.base_dist.loc, distribution.base_dist.scale
    x = batch.target.unsqueeze(1)
    pull = (x.log() - centre) / width
    wanted = (-0.5 * pull.square() - (width * x * (2 * torch.pi) ** 0.5).log()).squeeze(1)
    torch.testing.assert_close(distribution.log_prob(x), wanted)
    torch.testing.assert_close(
        model.head.loss(output, batch.target).double(), -wanted.mean(), rtol=1e-6, atol=0
    )
    reference_logs = model.head.references.evaluate(batch.cloud)
    left = (centre.squeeze(1) - reference_logs - model.head.mean) / model.head.std
    torch.testing.assert_close(left, output[:, 0].double(), rtol=1e-5, atol=1e-5)
    lz.save(model, tmp_path / "model")
    torch.testing.assert_close(
        torch.from_numpy(lz.load(tmp_path / "model").predict(batch.cloud)),
        distribution.mean,
        rtol=1e-5,
        atol=0,
    )


def test_widths_are_learned_where_there_is_noise() -> None:
    """Targets with a known relative error, which depends on the energy: pulls are of unit width on both sides."""
    rng = torch.Generator().manual_seed(0)

    def noise(momenta: torch.Tensor) -> torch.Tensor:
        wide = momenta[:, :2, 0].sum(1) > 800
        draw = torch.randn(len(momenta), generator=rng, dtype=torch.float64)
        return torch.exp(torch.where(wide, 0.4, 0.05) * draw)

    data = load(1, 2000, factor=noise)
    known, fresh = data.subset(range(1500)), data.subset(range(1500, 2000))
    model = make(known, reference="tree", process="qq-Zng")
    recipe = {"epochs": 25, "batch_size": 100, "learning_rate": 1e-2}
    train(model, known, None, recipe, progress=False)
    batch = fresh[:]
    distribution = model.head.distribution(model(batch.cloud).detach())
    pull = (
        batch.target.log() - distribution.base_dist.loc.squeeze(1)
    ) / distribution.base_dist.scale.squeeze(1)
    energy = batch.cloud.momenta.unflatten(0, (500, 4))[:, :2, 0].sum(1)
    sides = [pull[energy > 900], pull[energy < 700]]
    assert all(0.8 < float(side.std()) < 1.3 for side in sides)
    widths = distribution.base_dist.scale.squeeze(1)
    assert float(widths[energy > 900].mean()) > 3 * float(widths[energy < 700].mean())


def test_bad_use_is_named() -> None:
    data = load(2, 100, factor=lambda p: torch.cos(p[:, 2, 1] / 100))
    with pytest.raises(AmplitudeError, match="needs positive targets, but event"):
        make(data)
    with pytest.raises(AmplitudeError, match="go together"):
        make(load(2, 100), reference="tree")
