"""Are jet observables beside the features of every particle the right numbers, of the right symmetry?"""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from torch import Tensor

import lorentzoo as lz
from lorentzoo.core.anchor import anchor_matrices
from lorentzoo.core.errors import NotFittedError, ParameterError
from lorentzoo.plugins.substructure.embedding import SubstructureScalars
from lorentzoo.testing import random_cloud
from lorentzoo.verification import fit_if_needed

BEAM = "SO⁺(1,1)_beam × SO(2)_beam"
DEEP = "deep-sets:hidden=[8]"
LENGTHS = [9, 4, 12, 1, 6]


def fitted(cloud: lz.ParticleCloud, **slots: object) -> lz.Model:
    model = lz.compose(**{"backbone": DEEP, "embedding": "substructure", **slots}).double().eval()  # type: ignore[arg-type]
    fit_if_needed(model, cloud)
    return model


def channels(model: lz.Model, cloud: lz.ParticleCloud) -> Tensor:
    """What the embedding gives of a cloud with its spurions, in the coordinates in which the network sees both."""
    matrices = anchor_matrices(cloud, model.anchor)
    cloud = cloud if matrices is None else cloud.transform(matrices)
    seen = model.spurions(cloud)
    return model.embedding(seen, model.frames_net(seen)).scalars


@pytest.mark.parametrize(
    ("slots", "name"),
    [
        ({"frames": "lloca-polar", "embedding": ["momenta", "substructure"]}, BEAM),
        (
            {"frames": "lloca-polar", "embedding": ["momenta", "substructure"], "spurions": "time"},
            "SO(2)_beam",
        ),
        ({"frames": {"name": "lloca-polar", "lab_scalars": "substructure"}, "embedding": "momenta"}, BEAM),
        ({"embedding": ["kinematics-beam", "substructure"]}, BEAM),
        ({"embedding": ["kinematics-rotation", "substructure"]}, "SO(2)_beam"),
    ],
)
def test_symmetry_computed_and_measured(slots: dict, name: str) -> None:
    model = lz.compose(**{"backbone": DEEP, **slots})
    assert model.symmetry.name == name
    result = lz.verify(model, random_cloud([9, 7, 12, 5]), rapidities=(1.0,))
    assert result.passed, str(result)
    assert result.measured.name == name
    assert result.predicted.discrete <= result.measured.discrete


def test_the_description_and_the_summary_state_it() -> None:
    assert lz.describe("embedding", "substructure").symmetry.startswith(BEAM)
    model = lz.compose(backbone=DEEP, frames="lloca-polar", embedding=["momenta", "substructure"])
    assert model.symmetry_paths["fixed scalars"] == model.embedding.fixed_symmetry
    assert f"fixed scalars  {BEAM}" in model.summary()


def test_every_particle_of_a_jet_has_those_of_the_backbone() -> None:
    cloud = random_cloud(LENGTHS)
    ours = channels(fitted(cloud), cloud)
    per_jet = fitted(cloud, backbone="substructure", embedding="momenta").features(cloud).scalars
    torch.testing.assert_close(ours, cloud.layout.spread(per_jet), rtol=1e-12, atol=1e-12)
    assert float(ours.std()) > 0.5


@pytest.mark.parametrize("spurions", ["time", ["beam-lightlike", "time"]])
def test_spurions_are_no_particles_of_the_jet(spurions: object) -> None:
    cloud = random_cloud(LENGTHS)
    without, seen = fitted(cloud), fitted(cloud, spurions=spurions, frames="lloca-polar")
    extended = seen.spurions(cloud)
    assert extended.tokens > 0
    rows = channels(seen, cloud)
    particles = cloud.layout.append(extended.tokens).split(rows)[1]
    torch.testing.assert_close(particles, channels(without, cloud), rtol=0, atol=0)


@settings(max_examples=5, phases=[Phase.generate])
@given(st.integers(0, 1000), st.sampled_from([(), "time"]))
def test_packed_and_padded_agree(seed: int, spurions: object) -> None:
    cloud = random_cloud(LENGTHS, seed=seed)
    model = fitted(cloud, frames="lloca-polar", spurions=spurions, embedding=["invariants", "substructure"])
    padded = cloud.to_padded()
    torch.testing.assert_close(model(padded), model(cloud), rtol=1e-9, atol=1e-9)
    real = model.spurions(padded).layout.mask
    torch.testing.assert_close(channels(model, padded)[real], channels(model, cloud), rtol=1e-9, atol=1e-9)


def test_training_events_have_mean_zero_and_width_one() -> None:
    cloud = random_cloud(LENGTHS)
    rows = channels(fitted(cloud, embedding="substructure:observables=[mass,multiplicity]"), cloud)
    first = torch.tensor([0, *np.cumsum(LENGTHS)[:-1]])
    torch.testing.assert_close(rows[first].mean(0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        rows[first].std(0, correction=0), torch.ones(2, dtype=torch.float64), rtol=1e-6, atol=0
    )
    one = random_cloud([5])
    assert bool((channels(fitted(one), one) == 0).all())


def test_statistics_live_with_the_weights(tmp_path: Path) -> None:
    cloud = random_cloud(LENGTHS)
    model = fitted(
        cloud, frames="lloca-polar:lab_scalars=substructure", embedding=["momenta", "substructure"]
    )
    lz.save(model, tmp_path / "run")
    again = lz.load(tmp_path / "run").double().eval()
    assert again.spec == model.spec
    torch.testing.assert_close(again(cloud), model(cloud), rtol=0, atol=0)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"observables needs at least one, none twice, not \[\]"):
        SubstructureScalars([])
    with pytest.raises(ValueError, match=r"none twice, not \['mass', 'mass'\]"):
        SubstructureScalars(["mass", "mass"])
    with pytest.raises(ValueError, match=r"give the channels \['jet_mass'\] twice"):
        lz.compose(backbone=DEEP, embedding=["substructure:observables=[mass]"] * 2)
    with pytest.raises(ParameterError, match=r"observables=\['girth'\] does not fit"):
        lz.compose(backbone=DEEP, embedding="substructure:observables=[girth]")
    model = lz.compose(backbone=DEEP, embedding="substructure")
    with pytest.raises(NotFittedError, match="SubstructureScalars has statistics that were not fitted"):
        model(random_cloud([3]))
