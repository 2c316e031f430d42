"""Are inputs those on which a model was fitted: columns by name, events by kind?"""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core import minkowski
from lorentzoo.core.errors import InputsWarning
from lorentzoo.core.fitted_inputs import FittedInputs
from lorentzoo.tasks.predictions import predict_events
from lorentzoo.testing import random_cloud

SCALARS, CONTEXT = ("charge", "is_muon", "d0"), ("energy", "angle")


def cloud(
    scalar_names: tuple[str, ...] = SCALARS, context_names: tuple[str, ...] = CONTEXT
) -> lz.ParticleCloud:
    """The same events, with columns in the order of the names."""
    rng = torch.Generator().manual_seed(0)
    three = torch.randn(12, 3, generator=rng) * 20 + torch.tensor([60.0, 5.0, 10.0])
    momenta = torch.cat([three.norm(dim=1, keepdim=True), three], 1)
    scalars, context = torch.randn(12, 3, generator=rng), torch.randn(3, 2, generator=rng)
    columns = [SCALARS.index(name) if name in SCALARS else 0 for name in scalar_names]
    numbers = [CONTEXT.index(name) if name in CONTEXT else 0 for name in context_names]
    return lz.ParticleCloud.from_packed(
        momenta,
        [0, 4, 8, 12],
        scalars[:, columns] if columns else scalars,
        context[:, numbers] if numbers else context,
        scalar_names=scalar_names,
        context_names=context_names,
    )


@pytest.fixture(scope="module")
def model() -> lz.Model:
    torch.manual_seed(0)
    made = lz.compose(
        backbone={"name": "deep-sets", "hidden": [8]}, head="classify", in_scalars=3, in_context=2
    )
    weight = torch.ones(3, dtype=torch.float64)
    made.fit_statistics([lz.Batch(cloud(), torch.tensor([0, 1, 0]), weight, torch.arange(3))])
    return made.eval()


@pytest.mark.parametrize("scalar_names", [SCALARS[::-1], ("d0", "charge", "is_muon"), ()])
@pytest.mark.parametrize("context_names", [CONTEXT, CONTEXT[::-1], ()])
def test_another_order_is_put_in_order(
    model: lz.Model, scalar_names: tuple[str, ...], context_names: tuple[str, ...]
) -> None:
    expected = model(cloud())
    for twin in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(cloud(scalar_names, context_names)), expected)


def test_other_names_are_refused(model: lz.Model) -> None:
    with pytest.raises(
        ValueError, match=r"fitted on the scalars \['charge', 'is_muon', 'd0'\], but .* 'is_pion', 'd0'"
    ):
        model(cloud(("charge", "is_pion", "d0")))
    with pytest.raises(ValueError, match=r"fitted on the context \['energy', 'angle'\]"):
        model(cloud(context_names=("energy", "mass")))


# ---- events unlike those of the fit -----------------------------------------------------------


@pytest.fixture(scope="module")
def tagger(jets: lz.JetDataset) -> lz.Model:
    torch.manual_seed(0)
    made = lz.compose(backbone="deep-sets:hidden=[8]", embedding="kinematics")
    made.fit_statistics([jets.batch(slice(0, 200)), jets.batch(slice(200, 400))])
    return made.eval()


def scaled(cloud: lz.ParticleCloud, factor: float) -> lz.ParticleCloud:
    return lz.ParticleCloud.from_packed(cloud.momenta * factor, cloud.layout.ptr, validate=False)


@pytest.mark.parametrize(("factor", "question"), [(1e3, True), (1e-3, True), (5.0, False), (0.2, False)])
def test_other_units_and_other_momenta_are_said(
    tagger: lz.Model, jets: lz.JetDataset, factor: float, question: bool
) -> None:
    cloud = scaled(jets.batch(slice(0, 50)).cloud, factor)
    with pytest.warns(InputsWarning, match="events unlike those that the model knows: 50 of 50") as caught:
        tagger.predict(cloud)
    assert len(caught) == 1
    assert ("are the units right?" in str(caught[0].message)) is question


def test_more_particles_are_said(tagger: lz.Model) -> None:
    cloud = random_cloud([45] * 10, seed=1)
    with pytest.warns(InputsWarning, match="up to 45 particles, and it was fitted on"):
        tagger.predict(cloud)


def test_events_of_the_same_kind_pass_without_a_word(
    tagger: lz.Model, jets: lz.JetDataset, tmp_path: Path
) -> None:
    boost = minkowski.boost([0.0, 0.0, 1.0], 1.5)
    again = lz.load(lz.save(tagger, tmp_path))
    assert again.fitted_inputs == tagger.fitted_inputs
    # Warnings are errors.
    for model in (tagger, again):
        model.predict(jets)
        model.predict(jets.batch(slice(0, 1)).cloud.transform(boost))
        model.predict(jets.batch(slice(0, 0)).cloud)


def test_a_tenth_of_outliers_is_no_matter(tagger: lz.Model, jets: lz.JetDataset) -> None:
    cloud = jets.batch(slice(0, 100)).cloud
    momenta = cloud.momenta.clone()
    momenta[: int(cloud.layout.ptr[9])] *= 1000.0
    tagger.predict(lz.ParticleCloud.from_packed(momenta, cloud.layout.ptr, validate=False))


def test_events_of_weight_zero_are_not_part_of_the_fit(jets: lz.JetDataset) -> None:
    batch = jets.batch(slice(0, 100))
    other = scaled(batch.cloud, 100.0)
    weightless = replace(batch, cloud=other, weight=torch.zeros_like(batch.weight))
    assert FittedInputs.read([batch, weightless]) == FittedInputs.read([batch])
    assert FittedInputs.read([weightless]).activity is None


def test_evaluations_say_it_too(tagger: lz.Model, jets: lz.JetDataset) -> None:
    batch = jets.batch(slice(0, 400))
    far = lz.JetDataset(
        batch.cloud.momenta * 30,
        batch.cloud.layout.ptr,
        batch.target,
        batch.weight,
        batch.event_id,
        validate=False,
    )
    with pytest.warns(InputsWarning, match="transverse momenta that sum up to"):
        predict_events(tagger, far)
