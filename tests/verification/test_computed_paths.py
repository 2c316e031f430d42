"""Which spurions constrain a composition: those that are seen."""

from __future__ import annotations

from typing import Any

import pytest

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError
from lorentzoo.testing import random_cloud

CLOUD = random_cloud([7, 9, 5, 8, 6, 7])


@pytest.mark.parametrize(
    ("spurion_mode", "embedding", "frames", "wanted"),
    [
        ("channels", "kinematics-beam", "identity", "SO⁺(1,1)_beam × SO(2)_beam"),
        ("channels", "substructure", "random-rotation", "SO⁺(1,1)_beam × SO(2)_beam"),
        ("channels", "kinematics-beam", "lloca-beam", "SO(2)_beam"),
        ("channels", ["kinematics-beam", "momenta"], "identity", "trivial"),
    ],
)
def test_reference_vectors_count_where_they_are_seen(
    spurion_mode: str, embedding: object, frames: str, wanted: str
) -> None:
    """In fixed frames, a vector that is the same in every event tells nothing."""
    model = lz.compose(
        spurions="beam-lightlike",
        spurion_mode=spurion_mode,
        frames=frames,
        embedding=embedding,
        backbone="mlp:num_particles=8,hidden=[8]",
    )
    result = lz.verify(model, CLOUD, rapidities=())
    assert result.passed, str(result)
    assert result.predicted.name == wanted


@pytest.mark.parametrize("backbone", ["lorentznet", "pelican", "pelican-official"])
def test_channels_of_which_pairs_would_see_nothing_are_refused(backbone: str) -> None:
    with pytest.raises(CompositionError, match=r"takes spurions as \['tokens', 'drop'\], not as 'channels'"):
        lz.compose(spurions="beam", spurion_mode="channels", embedding="momenta", backbone=backbone)


@pytest.mark.parametrize("backbone", ["lgatr:num_blocks=1", "lgatr:num_blocks=2"])
def test_a_shallow_network_may_be_more_symmetric(backbone: str) -> None:
    model = lz.compose(spurions="beam-plane", embedding="momenta", backbone=backbone)
    result = lz.verify(model, CLOUD, rapidities=())
    assert result.passed, str(result)
    assert model.exact == backbone.endswith("2")


def test_rotations_in_another_order_of_axes_are_rotations() -> None:
    model = lz.compose(
        spurions="beam-lightlike",
        frames="lloca-so2:axes=published",
        embedding="kinematics-rotation",
        backbone="mlp:num_particles=8,hidden=[8]",
    )
    result = lz.verify(model, CLOUD, rapidities=())
    assert result.passed, str(result)
    assert result.predicted.name == "SO(3)"


@pytest.mark.parametrize(("is_global", "wanted"), [(True, "ISO(2)"), (False, "SO(2)_beam")])
def test_messages_within_one_frame_cost_no_symmetry(is_global: bool, wanted: str) -> None:
    model = lz.compose(
        spurions="beam-lightlike:both=false",
        frames=f"lloca-so3:is_global={str(is_global).lower()}",
        embedding="invariants",
        backbone="transformer:num_blocks=1,num_heads=2,head_reps=2x0n+1x1n",
    )
    result = lz.verify(model, CLOUD, rapidities=())
    assert result.passed, str(result)
    assert result.predicted.name == wanted


SPACE_LIKE = [{"name": "vectors", "values": [[1.0, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, 0.0]]}]


@pytest.mark.parametrize(
    ("slots", "exact", "wanted"),
    [
        ({"embedding": "substructure:observables=[mass]"}, True, "SO⁺(1,3)"),
        ({"embedding": "substructure:observables=[mass,width]"}, True, "SO⁺(1,1)_beam × SO(2)_beam"),
        ({"embedding": "momenta", "backbone": "substructure:observables=[mass]"}, True, "SO⁺(1,3)"),
        # Small transformations change no clustering.
        (
            {"embedding": ["substructure:observables=[smallest_pair_mass]"]},
            False,
            "SO⁺(1,1)_beam × SO(2)_beam",
        ),
        # Energies in local frames see boosts alone, and no space-like vector takes part in those.
        (
            {"embedding": "kinematics-rotation", "frames": "lloca-gramschmidt", "spurions": SPACE_LIKE},
            False,
            "SO(2)_<Ky + 2 Jx>",
        ),
        (
            {"embedding": "momentum-components", "frames": "lloca-gramschmidt", "spurions": SPACE_LIKE},
            True,
            "SO(2)_<Ky + 2 Jx>",
        ),
        (
            {"embedding": "kinematics-rotation", "frames": "lloca-polar", "spurions": "time"},
            True,
            "SO(3)",
        ),
    ],
)
def test_what_keeps_more_is_computed_or_called_accidental(
    slots: dict[str, Any], exact: bool, wanted: str
) -> None:
    model = lz.compose(**{"backbone": "deep-sets:hidden=[8]", **slots})
    assert model.exact is exact
    assert model.symmetry.name == wanted
    lz.verify(model, random_cloud([7, 9, 5, 8, 6, 7, 9, 8]), rapidities=()).raise_if_failed()
