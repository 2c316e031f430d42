"""Do paths join base and data, at the velocity that they state?"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from lorentzoo import Packed
from lorentzoo.plugins.flow_matching.manifolds import Flat, Hyperboloid, Manifold, Sphere
from lorentzoo.plugins.flow_matching.paths import Path

MANIFOLDS = [Flat([math.inf, 2 * math.pi, math.inf]), Sphere(), Hyperboloid(1.5)]


def ends(manifold: Manifold, count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    draws = torch.randn(2, count, manifold.ambient, generator=rng, dtype=torch.float64)
    return manifold.project(draws[0]), manifold.project(draws[1])


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("manifold", MANIFOLDS, ids=["flat", "sphere", "shell"])
def test_paths_begin_and_end_there_and_move_as_they_say(manifold: Manifold, schedule: Any) -> None:
    start, end = ends(manifold)
    path = Path(schedule)

    def at(t: float) -> tuple[torch.Tensor, torch.Tensor]:
        return path.at(manifold, start, end, torch.full((len(start), 1), t, dtype=torch.float64))

    for t, wanted in ((0.0, start), (1.0, end)):
        distance = manifold.log(at(t)[0], wanted)
        torch.testing.assert_close(distance, torch.zeros_like(distance), rtol=0, atol=1e-7)
    h = 1e-5
    (before, _), (after, _), (_, velocity) = at(0.3 - h), at(0.3 + h), at(0.3)
    torch.testing.assert_close(manifold.log(before, after) / (2 * h), velocity, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("manifold", MANIFOLDS, ids=["flat", "sphere", "shell"])
def test_noise_has_the_stated_width_and_keeps_velocities_tangent(manifold: Manifold) -> None:
    start, end = (x[:1].expand(4000, -1) for x in ends(manifold))
    time = torch.full((4000, 1), 0.5, dtype=torch.float64)
    clean, _ = Path().at(manifold, start, end, time)
    path, layout = Path(noise=0.05), Packed.from_lengths([len(start)])
    noise = path.draw(manifold, layout, torch.Generator().manual_seed(1))
    noisy, velocity = path.at(manifold, start, end, time, noise)
    mean_square = float(manifold.distance(clean, noisy).square().mean())
    assert mean_square == pytest.approx(manifold.dim * 0.05**2, rel=0.1)
    torch.testing.assert_close(manifold.project(noisy), noisy, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(manifold.tangent(noisy, velocity), velocity, rtol=1e-9, atol=1e-9)


def test_negative_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="noise must not be negative"):
        Path(noise=-0.1)
