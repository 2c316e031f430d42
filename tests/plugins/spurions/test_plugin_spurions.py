"""Reference vectors and maps by name, and what they leave."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.spurions import Spurions
from lorentzoo.plugins.spurions import reference
from lorentzoo.testing import random_cloud

TABLE = [
    (reference.nothing(), 0, 0, "SO⁺(1,3)"),
    (reference.time(), 1, 0, "SO(3)"),
    (reference.time(2.5), 1, 0, "SO(3)"),
    (reference.beam(), 1, 0, "SO⁺(1,2)"),
    (reference.beam_lightlike(), 2, 0, "SO(2)_beam"),
    (reference.beam_lightlike(both=False), 1, 0, "ISO(2)"),
    (reference.beam_timelike(), 2, 0, "SO(2)_beam"),
    (reference.beam_plane(), 0, 2, "SO⁺(1,1)_beam × SO(2)_beam"),
    (reference.everything(), 4, 0, "trivial"),
    (reference.given_vectors([[0, 1, 0, 0]]), 1, 0, "SO⁺(1,2)_(0,1,0,0)"),
    (reference.given_matrices([np.diag([1, 0, 0, 0])]), 0, 1, "SO(3)"),
]


@pytest.mark.parametrize(("spurions", "vectors", "matrices", "name"), TABLE, ids=lambda v: str(v)[:20])
def test_what_each_leaves(spurions: Spurions, vectors: int, matrices: int, name: str) -> None:
    assert (spurions.num_vectors, spurions.num_matrices) == (vectors, matrices)
    assert spurions.symmetry.name == name
    assert len(spurions.names) == vectors + matrices


def test_one_time_like_beam_leaves_a_boosted_rotation_group() -> None:
    symmetry = reference.beam_timelike(both=False).symmetry
    assert symmetry.dimension == 3
    assert symmetry.name.startswith("SO(3)_(")


def test_tokens_stand_in_front_and_maps_give_vectors() -> None:
    cloud = random_cloud([2, 0, 3])
    seen = Spurions.merge([reference.beam_lightlike(3.0), reference.beam_plane()])(cloud)
    assert seen.tokens == 2
    assert seen.layout.counts().tolist() == [4, 2, 5]
    assert seen.momenta[0].tolist() == [3, 0, 0, 3]
    assert seen.momenta[1].tolist() == [3, 0, 0, -3]
    assert seen.vector_names == ("longitudinal", "transverse")
    particles = cloud.layout.append(2).split(seen.vectors)[1]
    torch.testing.assert_close(particles.sum(1), cloud.momenta)
    assert particles[:, 0, 1:3].abs().max() == 0
    assert particles[:, 1, [0, 3]].abs().max() == 0
    assert cloud.layout.append(2).split(seen.vectors)[0].abs().max() == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "vectors", "values": [[1, 2, 3]]}, "values must be a list of four-vectors"),
        ({"name": "vectors", "values": [[1, 2, 3, float("inf")]]}, "spurions must be finite"),
        ({"name": "vectors", "values": [[1, 2, 3, 1e11]]}, r"components of spurions are at most 1e\+10"),
        ({"name": "vectors", "values": [[1, 0, 0, 0]], "names": ["a", "b"]}, r"1 spurions but 2 names"),
        ({"name": "matrices", "values": [[1, 0, 0, 0]]}, "does not fit"),
        ({"name": "matrices", "values": [[[1, 0], [0, 1]]]}, "values must be a list of 4x4 matrices"),
    ],
)
def test_what_is_refused(given: dict, message: str) -> None:
    with pytest.raises(ValueError if "does not fit" not in message else TypeError, match=message):
        lz.compose(backbone="deep-sets", embedding="momenta", spurion_mode="channels", spurions=given)
