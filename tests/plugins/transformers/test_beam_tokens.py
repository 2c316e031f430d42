"""A beam has no azimuth: what a pair with it is must not depend on the laboratory's x axis."""

from __future__ import annotations

import pytest
import torch

import lorentzoo as lz
from lorentzoo.plugins.transformers.pairs import pair_features
from lorentzoo.testing import random_cloud


@pytest.mark.parametrize("pair_frames", ["own", "centre"])
@pytest.mark.parametrize("frames", ["identity", "lloca-so2", "lloca-beam"])
@pytest.mark.parametrize("beam", ["beam-timelike", "beam-lightlike", "time"])
def test_tokens_on_the_beam_keep_what_is_computed(beam: str, frames: str, pair_frames: str) -> None:
    model = lz.compose(
        spurions=beam,
        spurion_mode="tokens",
        frames=frames,
        embedding=["kinematics", "momenta"],
        backbone={
            "name": "part",
            "num_blocks": 1,
            "num_class_blocks": 1,
            "embed_dims": [8, 8],
            "pair_dims": [8],
            "num_heads": 2,
            "head_reps": "4x0n",
            "pair_frames": pair_frames,
        },
    )
    result = lz.verify(model, random_cloud([7, 9, 5, 8, 6, 7]), rapidities=(1.0,))
    assert result.passed, str(result)
    assert float(result.curve.kept["float64"].max()) < 1e-9


def test_pairs_with_a_beam_turn_with_the_other_particle() -> None:
    beam = torch.tensor([[2.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    particle = random_cloud([1]).momenta
    turned = torch.cat([particle[:, :1], particle[:, 2:3], -particle[:, 1:2], particle[:, 3:]], dim=1)
    torch.testing.assert_close(pair_features(beam, turned), pair_features(beam, particle))
