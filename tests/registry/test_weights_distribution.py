"""Does the distribution of weights hold what it says: sizes, cards, and the numbers of its own tests?"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sites import Site

import lorentzoo as lz
from lorentzoo.registry.pretrained import Pretrained
from lorentzoo.registry.specs import parse_part
from lorentzoo.tasks.classification.metrics import auc

SOURCE = Path(__file__).parents[2] / "weights"
OURS = [item for item in lz.list_pretrained() if item.weights.plugin == "lorentzoo-weights"]
TAGGERS = [item for item in OURS if item.tag.startswith("toptag")]
pytestmark = pytest.mark.skipif(not OURS, reason="lorentzoo-weights is not installed: pip install ./weights")


def test_every_folder_is_listed_and_readable() -> None:
    folders = {path.parent.relative_to(SOURCE / "lorentzoo_weights") for path in SOURCE.rglob("spec.json")}
    assert {Path(item.model) / item.tag for item in OURS} == folders


def test_the_page_names_all_of_them() -> None:
    page = (SOURCE.parent / "docs" / "pretrained.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+:pretrained=[\w-]+)`", page, re.MULTILINE)) == {
        item.name for item in OURS
    }


def test_files_are_small() -> None:
    assert max(item.bytes for item in OURS) <= 2_000_000
    assert sum(path.stat().st_size for path in SOURCE.rglob("*.*") if path.is_file()) <= 12_000_000


@pytest.mark.parametrize("item", OURS, ids=lambda item: item.name)
def test_everything_is_told(item: Pretrained) -> None:
    details = item.details
    assert details.data is not None
    assert details.data.name
    assert details.data.fingerprint
    assert details.data.events
    assert details.command.startswith("lorentzoo train ")
    assert details.licence == "MIT"
    assert details.version
    assert details.limits
    assert details.cost is not None
    assert details.cost.seconds
    assert details.metrics
    assert "jetclass" not in item.name
    card = (item.weights.path / "README.md").read_text()
    assert all(limit.split(":")[0] in card for limit in details.limits)


@pytest.mark.parametrize("item", OURS, ids=lambda item: item.name)
def test_it_loads_by_name_as_the_model_that_it_tells_of(item: Pretrained) -> None:
    model = lz.create_model(item.model, pretrained=item.tag)
    assert (model.task, model.symmetry.name) == (item.task, item.symmetry)
    assert model.num_parameters == item.parameters
    assert not model.training
    assert "GeV" in model.fitted_inputs.describe()


@pytest.mark.parametrize("item", TAGGERS, ids=lambda item: item.name)
def test_a_tagger_is_as_good_as_it_says_on_jets_of_another_seed(item: Pretrained) -> None:
    model = lz.create_model(item.name)
    assert item.details.data is not None
    trained_on = parse_part(item.details.data.name, "dataset").parameters
    jets = lz.load_dataset(
        "toptag", split="test", num_jets=1500, max_constituents=trained_on.get("max_constituents")
    )
    is_top, scores = jets.target.numpy() == 1, model.predict(jets)[:, 1]
    values = []
    rng = np.random.default_rng(0)
    for _ in range(20):
        chosen = rng.integers(0, len(scores), len(scores))
        values.append(auc(scores[chosen], is_top[chosen], np.ones(len(scores))))
    assert abs(np.mean(values) - item.details.metrics["auc"].value) < 5 * np.std(values)


def test_two_symmetries_of_top_taggers_are_to_be_had() -> None:
    symmetries = {item.symmetry for item in TAGGERS}
    assert "SO⁺(1,3)" in symmetries
    assert len(symmetries) > 1
    (invariant,) = lz.list_pretrained(symmetry="SO⁺(1,3)", task="classification")
    assert lz.verify(lz.create_model(invariant.name)).passed


def test_the_surrogate_knows_amplitudes_of_fresh_points() -> None:
    model = lz.create_model("amplitude-recipe", pretrained="zgluons-v1")
    for gluons in (2, 3):
        points = lz.load_dataset(
            "amplitudes", process="qq-Zng", multiplicity=gluons, num_events=2000, seed=77
        )
        ratio = model.predict(points)[:, 0] / points.target.double().numpy().reshape(-1)
        assert np.median(np.abs(ratio - 1)) < 0.02, gluons


def test_the_densities_draw_what_they_were_trained_on() -> None:
    flow = lz.create_model("rqs-flow-eventgen", pretrained="ttbar-v1")
    events = lz.load_dataset("ttbar", split="test", num_events=1000)
    torch.manual_seed(0)
    drawn = flow.sample(500).momenta[:, 0].double()
    truth = events[:].cloud.momenta[:, 0].double()
    for level in (0.25, 0.5, 0.75):
        assert float(drawn.quantile(level)) == pytest.approx(float(truth.quantile(level)), rel=0.08)


def test_it_builds_installs_and_is_found(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    copied = tmp_path / "weights"
    shutil.copytree(SOURCE, copied, ignore=shutil.ignore_patterns("__pycache__", "build", "dist"))
    place = Site(tmp_path / "site")
    place.install(copied)
    ran = place.run(
        "-c",
        "import lorentzoo as lz; item = lz.list_pretrained('particlenet-observables')[0];"
        "print(item.weights.path); print(type(lz.create_model(item.name)).__name__)",
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    where, kind = ran.stdout.split()
    assert Path(where).is_relative_to(tmp_path / "site")
    assert kind == "Model"
