"""What points that are none, or that lie elsewhere, get: one line that says which and by how much."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import lorentzoo as lz
from lorentzoo.densities import Cuts
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.phase_space.points import draw_points, pass_cuts
from lorentzoo.plugins.amplitudes.processes import PROCESSES, find_process


def points(n: int = 2, count: int = 20, cuts: Cuts | None = None) -> Tensor:
    masses = find_process("qq-Zng").outgoing_masses(n)
    return draw_points(masses, count, torch.Generator().manual_seed(n), cuts=cuts).momenta


@pytest.mark.parametrize("shift", [1e-3, 10.0])
def test_violations_are_measured_and_the_tolerance_is_settable(shift: float) -> None:
    process, momenta = find_process("qq-Zng"), points()
    momenta[7, 3, 1] += shift
    size = shift / float(momenta[7, :2, 0].sum())
    with pytest.raises(AmplitudeError, match=r"point 7 .* violates conservation .* by") as caught:
        process.squared(momenta)
    assert f"by {size:.1e} of its energy" in str(caught.value)
    with pytest.raises(AmplitudeError, match="point 7") as caught:
        process.squared(momenta, tolerance=0.9 * size, shell_tolerance=None)
    assert bool(process.squared(momenta, tolerance=1.1 * size, shell_tolerance=None).isfinite().all())


@pytest.mark.parametrize("limit", [0.0, -1e-3, float("nan")])
@pytest.mark.parametrize("name", ["tolerance", "shell_tolerance"])
def test_tolerances_are_positive(name: str, limit: float) -> None:
    with pytest.raises(AmplitudeError, match=f"^{name} must be positive, or None"):
        find_process("qq-Zng").squared(points(), **{name: limit})


def test_identical_particles_of_unequal_masses() -> None:
    momenta = points()
    momenta[4, 3, 0] = (momenta[4, 3, 1:].square().sum() + 100).sqrt()
    with pytest.raises(
        AmplitudeError,
        match=r"point 4 .*: particles 3, 4 \(g\) must have equal masses, but their mass² are 100, ",
    ):
        find_process("qq-Zng").squared(momenta, tolerance=None)
    pair = draw_points((10.0, 0.0), 5, torch.Generator().manual_seed(0)).momenta
    with pytest.raises(AmplitudeError, match=r"particles 2, 3 \(a\) must have equal masses"):
        find_process("qq-aa").squared(pair)
    # One particle of its kind has none to be compared with.
    pair = draw_points((10.0, 0.0), 5, torch.Generator().manual_seed(0)).momenta
    with pytest.raises(AmplitudeError, match=r"particle 2 \(mu-\) has mass² 100 GeV², expected 0"):
        PROCESSES["ee-mumu"].squared(pair)


def test_points_outside_of_the_cuts() -> None:
    process, cuts = find_process("qq-Zng"), Cuts(pt_min=40.0, eta_max=3.0, delta_r_min=0.4)
    inside, anywhere = points(cuts=cuts), points(count=200)
    assert process.squared(inside, cuts=cuts).shape == (20,)
    outside = (~pass_cuts(anywhere, cuts)).nonzero()
    with pytest.raises(
        AmplitudeError,
        match=rf"{len(outside)} of 200 points of 'qq-Zng' lie outside of Cuts\(.*\), first point {int(outside[0])};",
    ):
        process.squared(anywhere, cuts=cuts)


def test_a_truth_without_a_value_is_named_in_one_line() -> None:
    def truth(momenta: Tensor) -> Tensor:
        return torch.where(momenta[:, 2, 1] > 0, momenta[:, 2, 0], torch.nan)

    with pytest.raises(
        AmplitudeError, match=r"the truth of qq-Zng n=2 is nan at \d+ of \d+ points"
    ) as caught:
        lz.load_dataset("amplitudes", num_events=20, truth=truth)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
