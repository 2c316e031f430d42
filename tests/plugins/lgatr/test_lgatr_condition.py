"""A conditional network inside a model: the second cloud moves with the first."""

from __future__ import annotations

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.minkowski import random_lorentz
from lorentzoo.testing import check_model


def _clouds() -> tuple[lz.ParticleCloud, lz.ParticleCloud]:
    torch.manual_seed(0)

    def draw(lengths: list[int]) -> lz.ParticleCloud:
        p3 = torch.randn(sum(lengths), 3, dtype=torch.float64)
        energy = (p3.square().sum(-1, keepdim=True) + 0.04).sqrt()
        ptr = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()])
        return lz.ParticleCloud.from_packed(torch.cat([energy, p3], -1), ptr)

    return draw([5, 3]), draw([2, 6])


@pytest.mark.parametrize("name", ["lgatr-conditional", "lgatr-slim-conditional"])
def test_both_clouds_turn_together(name):
    backbone = f"{name}:num_blocks=2,condition_scalars=3"
    model = lz.compose(backbone=backbone, embedding=["invariants", "momenta:scale=1"]).double().eval()
    cloud, condition = _clouds()
    element = random_lorentz(max_rapidity=2.0)
    before = model(cloud, condition)
    after = model(cloud.transform(element), condition.transform(element))
    assert torch.allclose(before, after, atol=1e-8)
    assert not torch.allclose(before, model(cloud.transform(element), condition), atol=1e-6)
    assert torch.allclose(before, model(cloud.to_padded(), condition.to_padded()), atol=1e-10)


def test_a_missing_and_an_unwanted_condition():
    cloud, condition = _clouds()
    with pytest.raises(ValueError, match="needs a condition"):
        lz.compose(backbone="lgatr-conditional:num_blocks=1", embedding="momenta").double()(cloud)
    with pytest.raises(ValueError, match="attends to no second cloud"):
        lz.compose(backbone="deep-sets").double()(cloud, condition)


@pytest.mark.parametrize(
    "further",
    [
        "",
        ",cross_norm=false",
        ",geometric_product=false",
        ",mlp_layers=1",
        ",norm_gains=true",
        ",bivectors=false",
    ],
)
def test_which_weights_learn_nothing_is_known(further: str) -> None:
    spec = {
        "backbone": f"lgatr-conditional:num_blocks=2,condition_scalars=3{further}",
        "embedding": ["invariants", "momenta"],
    }
    check_model(spec, checks=["gradients finite"]).raise_if_failed()
