"""Fixed frames and augmentation."""

from __future__ import annotations

import pytest
import torch

from lorentzoo.core.minkowski import metric
from lorentzoo.core.symmetry import Symmetry
from lorentzoo.plugins.frames.fixed import Identity, RandomBeam, RandomLorentz, RandomRotation
from lorentzoo.testing import random_cloud

CLOUD = random_cloud([3, 0, 4])


def test_the_laboratory() -> None:
    frames = Identity()(CLOUD)
    assert frames.is_identity
    assert Identity().group(Symmetry.full()).is_trivial
    assert Identity().matrices_in.is_trivial


@pytest.mark.parametrize(
    "net", [RandomLorentz(2.0), RandomRotation(), RandomBeam(2.0)], ids=lambda n: type(n).__name__
)
def test_augmentation(net: torch.nn.Module) -> None:
    assert net.eval()(CLOUD).is_identity
    net.train()
    first, second = net(CLOUD), net(CLOUD)
    assert first.is_global
    assert first.matrices.shape == (3, 4, 4)
    assert first.matrices.dtype == torch.float64
    assert not torch.equal(first.matrices, second.matrices)
    g = metric()
    error = first.matrices.transpose(-1, -2) @ g @ first.matrices - g
    assert error.abs().max() < 1e-12


def test_rotations_keep_time_and_beam_frames_keep_the_beam_plane() -> None:
    rotation = RandomRotation().train()(CLOUD).matrices
    time = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(rotation @ time, time.expand(3, 4))
    plane = torch.diag(torch.tensor([1.0, 0, 0, 1], dtype=torch.float64))
    beam = RandomBeam(2.0).train()(CLOUD).matrices
    torch.testing.assert_close(beam @ plane, plane @ beam)
    turned = RandomBeam(0.0).train()(CLOUD).matrices
    torch.testing.assert_close(turned @ time, time.expand(3, 4))
