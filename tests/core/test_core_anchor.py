"""The float64 frame of an event: in the residual group, moderate numbers, capped."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

import lorentzoo as lz
from lorentzoo.core.anchor import anchor_for, anchor_matrices
from lorentzoo.core.minkowski import boost, inverse, mass, metric, rapidity
from lorentzoo.core.symmetry import Symmetry
from lorentzoo.testing import random_cloud

GROUPS = {
    "rest": Symmetry.full(),
    "beam-rest": Symmetry.spanned_by("Kz", "Jz"),
    "transverse-rest": Symmetry.stabiliser([[0, 0, 0, 1]]),
    "light-cone": Symmetry.stabiliser([[1, 0, 0, 1]]),
}


def test_which_anchor_belongs_to_which_group() -> None:
    for anchor, group in GROUPS.items():
        assert anchor_for(group) == anchor
    assert anchor_for(Symmetry.spanned_by("Kz")) == "beam-rest"
    for compact in (Symmetry.trivial(), Symmetry.spanned_by("Jz"), Symmetry.spanned_by("Jx", "Jy", "Jz")):
        assert anchor_for(compact) == "none"
    # A subgroup that is only conjugate to a standard one is not served by the standard anchor.
    assert anchor_for(Symmetry.stabiliser([[1, 0, 1, 0]])) == "none"
    assert anchor_for(Symmetry.spanned_by("Kx", "Jx")) == "none"


@pytest.mark.parametrize("anchor", GROUPS)
@given(seed=st.integers(0, 10_000))
def test_an_anchor_lies_in_its_group_and_follows_the_event(anchor: str, seed: int) -> None:
    group = GROUPS[anchor]
    cloud = random_cloud([6, 0, 1, 9], seed=seed)
    before = anchor_matrices(cloud, anchor)  # type: ignore[arg-type]
    assert before is not None
    g = metric()
    for vectors in (np.eye(4)[3:], np.array([[1.0, 0, 0, 1]])):
        # Whatever the group leaves alone, so does the anchor.
        if group <= Symmetry.stabiliser(vectors):
            fixed = torch.from_numpy(vectors[0])
            torch.testing.assert_close(before @ fixed, fixed.expand(4, 4), rtol=0, atol=1e-9)
    if anchor == "beam-rest":
        plane = torch.diag(torch.tensor([1.0, 0, 0, 1], dtype=torch.float64))
        torch.testing.assert_close(before @ plane, plane @ before)
    scale = before.abs().amax((-1, -2)) ** 2
    assert ((before.transpose(-1, -2) @ g @ before - g).abs().amax((-1, -2)) / scale).max() < 1e-13
    assert torch.equal(before[1], torch.eye(4, dtype=torch.float64))

    element = torch.from_numpy(group.random_element(np.random.default_rng(seed), 1.5))
    after = anchor_matrices(cloud.transform(element), anchor)  # type: ignore[arg-type]
    assert after is not None
    wigner = (after @ element @ inverse(before))[0]
    total = (after @ element @ cloud.total().unsqueeze(-1)).squeeze(-1)[0]
    at_rest = (before @ cloud.total().unsqueeze(-1)).squeeze(-1)[0]
    # W takes one anchored event to the other; numbers are moderate, so it is a moderate matrix.
    torch.testing.assert_close(wigner @ at_rest, total, rtol=1e-7, atol=1e-7)
    if anchor == "rest":
        assert (wigner[0, 1:].abs() + wigner[1:, 0].abs()).max() < 1e-7
        assert total[1:].abs().max() < 1e-6 * total[0]
    elif anchor == "beam-rest":
        assert abs(float(rapidity(total))) < 1e-7
    else:
        assert total[1:3].abs().max() < 1e-6 * total[0]


@pytest.mark.parametrize("anchor", GROUPS)
def test_light_like_events_get_a_capped_boost(anchor: str) -> None:
    directions = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 0, -1], [0.6, 0, 0.8]], dtype=torch.float64)
    energy = torch.tensor([1e-3, 1.0, 50.0, 1e4], dtype=torch.float64).unsqueeze(1)
    momenta = torch.cat([energy, energy * directions], dim=1)
    cloud = lz.ParticleCloud.from_packed(momenta, [0, 1, 2, 3, 4])
    matrices = anchor_matrices(cloud, anchor)  # type: ignore[arg-type]
    assert matrices is not None
    assert torch.isfinite(matrices).all()
    assert matrices.abs().max() < 1e13
    assert torch.isfinite(cloud.transform(matrices).momenta).all()
    # Relative to the event's own scale: the same frame in any units.
    again = anchor_matrices(cloud.to_units("MeV"), anchor)  # type: ignore[arg-type]
    # At γ = 10⁶ the mass is known to γ² last digits.
    torch.testing.assert_close(again, matrices, rtol=1e-3, atol=1e-3)


@given(st.floats(0, 11.0), st.integers(0, 1000))
def test_boosted_events_come_to_rest(eta: float, seed: int) -> None:
    cloud = random_cloud([8], seed=seed)
    direction = np.random.default_rng(seed).normal(size=3)
    moved = cloud.transform(boost(direction, eta))
    matrices = anchor_matrices(moved, "rest")
    assert matrices is not None
    total = moved.transform(matrices).total()[0]
    gamma = float(moved.total()[0, 0] / mass(cloud.total())[0])
    assert total[1:].abs().max() / total[0] < 1e-14 * gamma**2 + 1e-12


def test_no_anchor() -> None:
    assert anchor_matrices(random_cloud([2]), "none") is None
