"""Does the perceptron of particles write to the particle that it read?"""

from __future__ import annotations

import pytest
import torch

import lorentzoo as lz
from lorentzoo import Features, Frames
from lorentzoo.core.errors import CompositionError
from lorentzoo.plugins.sets.particle_mlp import ParticleMLP
from lorentzoo.verification.events import random_cloud


def test_places_are_kept_packed_padded_and_beyond_the_end() -> None:
    torch.manual_seed(0)
    net = ParticleMLP(3, [8], in_scalars=2, in_vectors=1, in_context=1, out_scalars=2, out_vectors=1).double()
    cloud = random_cloud([2, 5, 0, 3], in_scalars=2, in_context=1)

    def run(cloud):  # type: ignore[no-untyped-def]
        features = Features(cloud.scalars, cloud.momenta.unsqueeze(-2))
        return net(features, Frames.identity(cloud.layout), cloud.layout, cloud.context)

    out = run(cloud)
    # Event 1 by hand: its first three particles and its context; the other two get nothing.
    first = torch.cat([cloud.scalars[2:5], cloud.momenta[2:5]], dim=-1).flatten()
    wanted = net.layers(torch.cat([first, cloud.context[1]])).unflatten(0, (3, 6))
    torch.testing.assert_close(out.scalars[2:5], wanted[:, :2])
    torch.testing.assert_close(out.vectors[2:5, 0], wanted[:, 2:])
    assert not bool(out.scalars[5:7].any())
    assert not bool(out.vectors[5:7].any())
    padded = cloud.to_padded(6)
    other = run(padded)
    torch.testing.assert_close(other.scalars[padded.layout.mask], out.scalars)
    torch.testing.assert_close(other.vectors[padded.layout.mask], out.vectors)


def test_scalars_may_be_left_out() -> None:
    net = ParticleMLP(
        6,
        [336] * 6,
        read_scalars=False,
        in_scalars=6,
        in_vectors=1,
        in_context=8,
        out_scalars=2,
        out_vectors=1,
    )
    assert net.layers[0].in_features == 32
    with pytest.raises(ValueError, match="at least one layer"):
        ParticleMLP(6, [], in_scalars=1)


def test_a_network_that_would_read_nothing_is_refused() -> None:
    with pytest.raises(CompositionError, match="nothing of the particles would be read: add 'momenta'"):
        lz.compose(backbone="mlp-particles:read_scalars=false", embedding="invariants")
