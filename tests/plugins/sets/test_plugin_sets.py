"""Deep sets and the perceptron against plain layers."""

from __future__ import annotations

import pytest
import torch

import lorentzoo as lz
from lorentzoo.testing import random_cloud

CLOUD = random_cloud([4, 0, 6])


def test_a_deep_set_sees_every_particle_alone() -> None:
    model = lz.compose(
        backbone="deep-sets:hidden=[8,8]", embedding=["kinematics", "momenta"], head="classify:pooling=sum"
    )
    features = model.features(CLOUD).scalars
    assert features.shape == (10, 8)
    embedded = model.embedding(CLOUD, model.frames_net(CLOUD))
    x = torch.cat([embedded.scalars, embedded.vectors.flatten(-2)], dim=-1).float()
    torch.testing.assert_close(features, model.backbone.layers(x))


def test_a_perceptron_takes_the_first_particles() -> None:
    model = lz.compose(backbone="mlp:num_particles=5,hidden=[8]").eval()
    assert model.backbone.pools
    assert not model.permutation_symmetric
    output = model(CLOUD)
    assert output.shape == (3, 2)
    torch.testing.assert_close(model(CLOUD.to_padded()), output)
    # A network for another number of particles is another network.
    assert model.backbone.layers[0].in_features == 5 * 7


@pytest.mark.parametrize("backbone", ["mlp:num_particles=0", "mlp:hidden=[]", "deep-sets:hidden=[]"])
def test_what_is_refused(backbone: str) -> None:
    with pytest.raises(ValueError, match="at least"):
        lz.compose(backbone=backbone)
