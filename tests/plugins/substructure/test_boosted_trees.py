"""The forest as a head: scikit-learn's own numbers, kept as plain arrays; what is refused; a row of a study."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor

import lorentzoo as lz
from lorentzoo.core.cloud import Batch
from lorentzoo.core.errors import CompositionError, MissingExtraError, NotFittedError
from lorentzoo.plugins.substructure.forest import Forest, ForestError
from lorentzoo.studies import run_study, study_tables, train_model
from lorentzoo.testing import random_cloud
from lorentzoo.training.costs import measure_costs

ensemble = pytest.importorskip("sklearn.ensemble")


def events(count: int, classes: int, seed: int = 0, in_scalars: int = 0) -> Batch:
    target = torch.arange(count) % classes
    cloud = random_cloud((3 + 2 * target).tolist(), in_scalars=in_scalars, seed=seed)
    weight = torch.from_numpy(np.random.default_rng(seed).uniform(0.2, 2.0, count))
    return Batch(cloud, target, weight, torch.arange(count))


def features(model: lz.Model, batch: Batch) -> np.ndarray:
    with torch.no_grad():
        return model.features(batch.cloud).scalars.numpy()


@pytest.mark.parametrize(("classes", "outputs"), [(1, 1), (2, 2), (4, 4)])
def test_the_forest_is_that_of_scikit_learn(classes: int, outputs: int) -> None:
    batch = events(160, max(classes, 2), in_scalars=2)
    model = lz.compose(
        backbone="substructure",
        embedding="momenta",
        head={"name": "boosted-trees", "num_classes": classes, "num_trees": 15, "max_features": 1.0},
        in_scalars=2,
    ).double()
    with pytest.raises(NotFittedError, match="fit_statistics"):
        model(batch.cloud)
    model.fit_statistics([batch])
    x = features(model, batch)
    grower = ensemble.HistGradientBoostingClassifier(
        max_iter=15,
        learning_rate=0.05,
        max_leaf_nodes=6,
        min_samples_leaf=20,
        l2_regularization=3.0,
        early_stopping=False,
        max_features=1.0,
    ).fit(x, batch.target.numpy(), batch.weight.numpy())
    np.testing.assert_allclose(model.predict(batch.cloud), grower.predict_proba(x), rtol=1e-9)
    assert model(batch.cloud).shape == (160, outputs)
    assert model.head.loss(model(batch.cloud), batch.target).ndim == 0


def test_a_model_of_one_learns_and_is_saved_without_pickle(tmp_path) -> None:
    train = lz.load_dataset("toptag", split="train", num_jets=400, max_constituents=25)
    test = lz.load_dataset("toptag", split="test", num_jets=200, max_constituents=25)
    model = lz.create_model("substructure-bdt:num_trees=40")
    torch.manual_seed(3)
    model.fit_statistics([train.batch(range(400))])
    probability = model.predict(test)
    area = float((probability[test.target == 1, 1][:, None] > probability[test.target == 0, 1][None]).mean())
    assert area > 0.93
    files = {path.name for path in lz.save(model, tmp_path).iterdir()}
    assert files == {"spec.json", "weights.safetensors", "details.json", "README.md"}
    np.testing.assert_array_equal(lz.load(tmp_path).predict(test), probability)


def test_growing_follows_the_seed() -> None:
    batch = events(200, 2)
    thresholds = []
    for seed in (1, 1, 2):
        model = lz.create_model("substructure-bdt:num_trees=10")
        torch.manual_seed(seed)
        model.fit_statistics([batch])
        thresholds.append(model.head.threshold)
    assert torch.equal(thresholds[0], thresholds[1])
    assert not torch.equal(thresholds[0], thresholds[2])


def test_training_is_the_growing_alone(tmp_path) -> None:
    record = train_model(
        "substructure-bdt:num_trees=20",
        dataset="toptag:num_jets=400,max_constituents=12",
        config={"epochs": 3, "ema": 0.9},
        out=tmp_path / "run",
        progress=False,
    )
    assert record.training["steps"] == record.training["epochs"] == 0
    assert record.training["cpu_seconds"] > 0
    assert record.training["events"] > 200
    assert record.metrics["auc"] > 0.8
    assert record.costs.parameters == 0
    assert record.costs.training_ms > 0


def test_the_head_follows_the_classes_of_the_data(tmp_path) -> None:
    from lorentzoo.registry.composition import model_spec
    from lorentzoo.training.fitting import fit_spec

    ten = lz.load_dataset("jets10", num_jets=20)
    assert fit_spec(model_spec("substructure-bdt"), ten).head.parameters["num_classes"] == 10


def test_standardised_observables_feed_a_perceptron() -> None:
    jets = lz.load_dataset("toptag", split="train", num_jets=100, max_constituents=40)
    model = lz.create_model("substructure-mlp")
    with pytest.raises(NotFittedError, match="Substructure"):
        model(jets.batch([0]).cloud)
    model.fit_statistics([jets.batch(range(50)), jets.batch(range(50, 100))])
    values = torch.from_numpy(features(model, jets.batch(range(100)))).double()
    torch.testing.assert_close(values.mean(0), torch.zeros(11).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(values.std(0, correction=0), torch.ones(11).double(), atol=1e-5, rtol=0)
    assert measure_costs(model, jets, batch_size=20).parameters == model.num_parameters > 0


def test_scalars_enter_as_means_weighted_by_transverse_momentum() -> None:
    batch = events(6, 2, in_scalars=2)
    model = lz.compose(
        backbone="substructure:observables=[mass],standardise=false", embedding="momenta", in_scalars=2
    ).double()
    cloud = batch.cloud.to_padded()
    pt = torch.where(cloud.layout.mask, cloud.momenta[..., 1:3].norm(dim=-1), 0.0)
    wanted = (pt.unsqueeze(-1) * cloud.scalars).sum(1) / pt.sum(1, keepdim=True)
    np.testing.assert_allclose(features(model, batch)[:, 1:], wanted.numpy(), rtol=1e-6)
    assert lz.verify(model).passed
    assert model.symmetry == lz.Symmetry.spanned_by("Kz", "Jz", discrete=("P", "z-flip"))


@pytest.mark.parametrize(
    ("slots", "reason"),
    [
        ({"backbone": "deep-sets", "head": "boosted-trees"}, "passes no gradients"),
        ({"backbone": "substructure", "embedding": "kinematics"}, "observables need the momenta"),
        (
            {"backbone": "substructure", "embedding": "momenta", "frames": "lloca-polar"},
            "would have no effect",
        ),
        ({"backbone": "substructure:observables=[]", "embedding": "momenta"}, "at least one"),
        ({"backbone": "substructure:observables=[mass,mass]", "embedding": "momenta"}, "none twice"),
        (
            {
                "backbone": "substructure",
                "embedding": "momenta",
                "spurions": "time",
                "spurion_mode": "tokens",
            },
            r"takes spurions as \['drop'\]",
        ),
        ({"backbone": "lgatr", "embedding": "momenta", "head": "boosted-trees"}, "not one that projects"),
        (
            {"backbone": "substructure", "embedding": "momenta", "head": "boosted-trees:max_features=0"},
            "max_features must be in",
        ),
        (
            {"backbone": "substructure", "embedding": "momenta", "head": "boosted-trees:num_trees=0"},
            "must be at least 1",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(slots: dict, reason: str) -> None:
    with pytest.raises(CompositionError, match=reason):
        lz.compose(**slots)


@pytest.mark.parametrize(("head", "data"), [(3, 2), (2, 3)])
def test_classes_must_be_those_of_the_events(head: int, data: int) -> None:
    given, wanted = list(range(data)), list(range(head))
    with pytest.raises(
        ForestError, match=re.escape(f"are of the classes {given}, but the head has {wanted}")
    ):
        lz.create_model(f"substructure-bdt:num_classes={head}").fit_statistics([events(60, data)])


def test_its_symmetry_is_measured_before_the_head() -> None:
    with pytest.raises(
        ValueError, match=r"BoostedTrees are piecewise constant.* verify the same composition"
    ):
        lz.verify(lz.create_model("substructure-bdt"))


def test_without_scikit_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingExtraError, match=r"pip install .lorentzoo\[substructure\]"):
        lz.create_model("substructure-bdt").fit_statistics([events(60, 2)])


def test_another_layout_of_trees_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = events(80, 2)
    fit = ensemble.HistGradientBoostingClassifier.fit

    def changed(self, *args):
        fit(self, *args)
        self._baseline_prediction = self._baseline_prediction + 1.0
        self.decision_function = lambda x: np.zeros(len(x))
        return self

    monkeypatch.setattr(ensemble.HistGradientBoostingClassifier, "fit", changed)
    with pytest.raises(ForestError, match="lays out its trees in another way"):
        lz.create_model("substructure-bdt").fit_statistics([batch])


def test_it_is_a_row_beside_networks(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawing figures takes seconds, and has tests of its own.
    monkeypatch.setattr("lorentzoo.studies.runner.write_report", lambda result: result.directory)
    result = run_study(
        {
            "name": "baseline",
            "dataset": {"name": "toptag", "num_jets": 200, "max_constituents": 8},
            "axes": {
                "model": [
                    {"label": "forest", "name": "substructure-bdt", "num_trees": 20},
                    {"label": "sets", "name": "deep-sets", "backbone": {"hidden": [16]}},
                ]
            },
            "seeds": 2,
            "budget": {"steps": 6},
            "training": {"batch_size": 50},
        },
        tmp_path / "study",
        workers=1,
        progress=False,
    )
    assert result.is_complete
    forest, sets = result.rows
    assert forest.symmetry == "SO⁺(1,1)_beam × SO(2)_beam"
    assert [run.training["steps"] for run in forest.runs] == [0, 0]
    assert [run.training["steps"] for run in sets.runs] == [6, 6]
    # The seed reaches the forest, so that its spread over seeds means something.
    assert len(set(forest.values("auc").values())) == 2
    # A forest has no course: where runs are compared at equal CPU time, its place is empty.
    matched = [row[-1].text for row in study_tables(result)["results"].rows]
    assert matched[0] == "–"
    assert matched[1] != "–"


def test_events_are_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(700, 3)), rng.normal(size=700)
    grown = HistGradientBoostingRegressor(max_iter=7, max_leaf_nodes=15).fit(x, y)
    forest = Forest.read(grown, x, grown._raw_predict(x), 29)
    whole = forest.evaluate(torch.from_numpy(x), 29)
    np.testing.assert_allclose(whole.squeeze(1).numpy(), grown.predict(x), rtol=1e-9)
    # No tree is deeper than it has inner nodes, and none of these as deep.
    assert torch.equal(forest.evaluate(torch.from_numpy(x), 14), whole)
    monkeypatch.setattr("lorentzoo.plugins.substructure.forest._AT_ONCE", 100)
    assert torch.equal(forest.evaluate(torch.from_numpy(x), 29), whole)
    assert forest.evaluate(torch.zeros(0, 3, dtype=torch.float64), 29).shape == (0, 1)
