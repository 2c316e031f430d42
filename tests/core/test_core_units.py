"""Clouds and files doubt units by one check."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lorentzoo as lz
from lorentzoo.core.units import IN_GEV, doubt_units

UNITS = ("MeV", "GeV", "TeV")


@given(
    median=st.floats(2.0, 13_000.0),
    units=st.sampled_from(UNITS),
    taken=st.sampled_from(UNITS),
    width=st.floats(1.0, 3.0),
)
def test_a_wrong_unit_is_doubted_where_the_median_is_impossible(
    median: float, units: str, taken: str, width: float
) -> None:
    activities = median / IN_GEV[units] * torch.tensor([1 / width, 1.0, width, 0.0, math.nan]).double()
    doubt = doubt_units(activities, taken, smallest=1.0)  # type: ignore[arg-type]
    as_taken = median / IN_GEV[units] * IN_GEV[taken]
    if 1.0 <= as_taken <= 14_000.0:
        assert doubt is None
        return
    smaller, larger = {"MeV": (None, "GeV"), "GeV": ("MeV", "TeV"), "TeV": ("GeV", None)}[taken]
    expected = smaller if as_taken > 14_000.0 else larger
    assert (None if doubt is None else doubt[1]) == expected
    if doubt is not None:
        assert f"read as {taken}" in doubt[0]
        assert f"{as_taken:.3g} GeV" in doubt[0]


def test_small_sums_are_doubted_only_where_jets_are_expected() -> None:
    activities = torch.tensor([0.5, 0.4])
    assert doubt_units(activities, "GeV") is None
    assert doubt_units(activities, "GeV", smallest=1.0) is not None
    assert doubt_units(torch.zeros(3), "GeV", smallest=1.0) is None
    assert doubt_units(torch.zeros(0), "GeV", smallest=1.0) is None


@pytest.mark.parametrize("places", [0, 3])
def test_clouds_without_particles_have_nothing_to_doubt(places: int) -> None:
    cloud = lz.ParticleCloud.from_padded(torch.ones(2, places, 4), torch.zeros(2, places, dtype=torch.bool))
    assert int(cloud.multiplicity().sum()) == 0
