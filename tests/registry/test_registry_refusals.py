"""Compositions that run but could learn nothing are refused."""

from __future__ import annotations

import pytest

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError


def test_a_global_token_needs_a_backbone_that_mixes_particles():
    with pytest.raises(CompositionError, match="a global token would see none of them"):
        lz.compose(backbone="deep-sets", head="classify:pooling=global-token")


@pytest.mark.parametrize(
    "backbone",
    [
        "transformer:num_heads=0",
        "deep-sets:hidden=[0]",
        "mlp:num_particles=0",
        "part:mlp_ratio=0",
        "particlenet:neighbours=0",
        "part:pair_dims=[0]",
    ],
)
def test_empty_networks_are_refused(backbone):
    with pytest.raises(CompositionError, match=r"at least (one|1)"):
        lz.compose(
            backbone=backbone, embedding=["kinematics", "momenta"] if "part:" in backbone else "kinematics"
        )


@pytest.mark.parametrize(
    "slots",
    [{"head": "classify:hidden=[0]"}, {"frames": "lloca-polar:hidden=0"}, {"head": "regress:num_targets=0"}],
)
def test_empty_layers_are_refused(slots):
    with pytest.raises(CompositionError, match=r"at least (one|1)"):
        lz.compose(backbone="deep-sets", **slots)
