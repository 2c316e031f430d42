"""Points that madspace draws: conserved, on shell, of RAMBO's volume, and of chunks of their own."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import lorentzoo as lz
from lorentzoo.densities import Cuts
from lorentzoo.nn import MissingExtraError, mass_squared
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.phase_space import fast_rambo as module
from lorentzoo.plugins.amplitudes.phase_space.fast_rambo import fast_rambo
from lorentzoo.plugins.amplitudes.phase_space.points import draw_points
from lorentzoo.plugins.amplitudes.phase_space.rambo import beam_momenta, rambo

needs_madspace = pytest.mark.skipif(
    find_spec("madspace") is None, reason='pip install "lorentzoo[generators]"'
)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@needs_madspace
@given(
    masses=st.lists(st.just(0.0) | st.floats(1, 100), min_size=2, max_size=6),
    seed=st.integers(0, 10_000),
    excess=st.floats(0.1, 10),
)
@settings(max_examples=30, deadline=None)
def test_points_conserve_and_are_on_shell(masses: list[float], seed: int, excess: float) -> None:
    energy = torch.full((50,), sum(masses) + excess * (10 + sum(masses)), dtype=torch.float64)
    momenta, weight = fast_rambo(uniform(50, 3 * len(masses) - 4, seed=seed), energy, masses)
    scale = float(energy[0])
    torch.testing.assert_close(beam_momenta(energy).sum(1), momenta.sum(1), rtol=0, atol=1e-9 * scale)
    shells = torch.tensor(masses, dtype=torch.float64).square().expand(50, -1)
    torch.testing.assert_close(mass_squared(momenta), shells, rtol=0, atol=1e-9 * scale**2)
    assert bool((momenta[..., 0] >= 0).all())
    assert bool((weight > 0).all())


@needs_madspace
@pytest.mark.parametrize(
    "masses",
    [
        (91.188, 0.0),
        (0.0, 0.0, 0.0),
        (91.188, 0.0, 0.0),
        (91.0, 50.0, 30.0),
        (91.188, 0.0, 0.0, 0.0),
        (0.0, 20.0, 0.0, 91.0, 5.0),
    ],
)
def test_weights_have_the_volume_of_rambo(masses: tuple[float, ...]) -> None:
    count, n = 40_000, len(masses)
    energy = 200 + 300 * uniform(count, seed=1)
    _, weight = fast_rambo(uniform(count, 3 * n - 4), energy, masses)
    _, expected = rambo(uniform(count, n, 4, seed=2), energy, masses)
    difference = weight - expected
    assert abs(float(difference.mean())) <= 4 * float(difference.std()) / count**0.5 + 1e-12 * float(
        expected.mean()
    )


@needs_madspace
def test_a_mean_over_points_is_that_of_rambo() -> None:
    cuts = Cuts(pt_min=20, eta_max=5, delta_r_min=0.4)
    found = []
    for sampler in ("rambo", "madspace"):
        points = draw_points(
            (91.188, 0.0, 0.0), 20_000, torch.Generator().manual_seed(0), cuts=cuts, sampler=sampler
        )
        # The smallest transverse momentum: a number that other densities than that of phase space miss.
        value = points.weight * points.momenta[:, 2:, 1:3].norm(dim=-1).amin(1)
        # Points that the cuts left out count as zeros.
        mean = float(value.sum()) / points.tried
        found.append((mean, float(value.square().sum()) / points.tried - mean**2, points.tried))
    (one, *_), (two, *_) = found
    error = sum(variance / tried for _, variance, tried in found) ** 0.5
    assert error < 0.02 * one
    assert abs(one - two) < 4 * error


@needs_madspace
def test_the_data_set_by_either_sampler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORENTZOO_CACHE", str(tmp_path))
    usual = lz.load_dataset("amplitudes", multiplicity=[1, 2], num_events=400)
    other = lz.load_dataset("amplitudes", multiplicity=[1, 2], num_events=400, sampler="madspace")
    assert len(list(tmp_path.rglob("*.npz"))) == 4
    assert usual.fingerprint() != other.fingerprint()
    assert "madspace" in str(other.metadata["source"])
    assert "madspace" not in str(usual.metadata)
    volumes = [
        [channel["volume"] for channel in data.metadata["channels"]]  # type: ignore[attr-defined]
        for data in (usual, other)
    ]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.1)
    again = lz.load_dataset(
        "amplitudes", multiplicity=[1, 2], num_events=400, sampler="madspace", cache=False, workers=2
    )
    assert again.fingerprint() == other.fingerprint()


def test_without_madspace_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    module._mapping.cache_clear()
    monkeypatch.setitem(sys.modules, "madspace", None)
    with pytest.raises(
        MissingExtraError, match=r"needs 'madspace'; run: pip install \"lorentzoo\[generators\]"
    ):
        lz.load_dataset("amplitudes", num_events=10, sampler="madspace", cache=False)


def test_bad_use_is_named() -> None:
    rng = torch.Generator()
    with pytest.raises(AmplitudeError, match="there is no sampler 'vegas'; known are rambo, madspace"):
        draw_points((0.0, 0.0), 5, rng, sampler="vegas")  # type: ignore[arg-type]
    with pytest.raises(AmplitudeError, match=r"2 to 12 particles .* not 13 from \(5, 35\)"):
        fast_rambo(uniform(5, 35), uniform(5) + 100, [0.0] * 13)
    with pytest.raises(AmplitudeError, match=r"not 3 from \(5, 12\)"):
        fast_rambo(uniform(5, 12), uniform(5) + 100, [0.0] * 3)
