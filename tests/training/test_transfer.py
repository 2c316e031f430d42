"""Do weights go from one training to the next, and is what must not move left alone?"""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import lorentzoo as lz
from lorentzoo.cli.main import app
from lorentzoo.core.errors import RunError, StudyError, TrainingError
from lorentzoo.studies import run_study, study_tables, train_model
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.optimisers import make_optimiser
from lorentzoo.training.transfer import initial_weights

TEN = {"name": "jets10", "num_jets": 300, "max_constituents": 15, "scalars": []}
TWO = {"name": "toptag", "num_jets": 300, "max_constituents": 15}
MODEL = {
    "frames": "lloca-polar:hidden=8",
    "backbone": "transformer:num_blocks=1,num_heads=2,head_reps=4x0n+1x1n",
    "head": "classify:num_classes=10",
}
RECIPE = {"max_steps": 3, "batch_size": 32}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "ten"
    train_model(MODEL, dataset=TEN, config=RECIPE, out=directory, progress=False)
    return directory


def weights(directory):
    return load_file(directory / "weights.safetensors")


def test_frozen_parts_keep_weights_and_statistics(pretrained, tmp_path):
    record = train_model(
        init_from=pretrained,
        head="classify:num_classes=2,hidden=[8]",
        dataset=TWO,
        config={**RECIPE, "freeze": ["frames", "backbone"]},
        out=tmp_path / "two",
        progress=False,
    )
    before, after = weights(pretrained), weights(tmp_path / "two")
    body = [name for name in after if not name.startswith("head.")]
    assert body
    assert all(torch.equal(before[name], after[name]) for name in body)
    assert record.run.start_from
    assert record.training["steps"] == 3
    assert [tuple(after[name].shape) for name in after if name.startswith("head.") and "weight" in name] == [
        (8, 16),
        (2, 8),
    ]


def test_edge_statistics_come_with_the_weights_and_the_rest_moves(pretrained, tmp_path):
    train_model(
        init_from=pretrained,
        head="classify:num_classes=2",
        dataset=TWO,
        config=RECIPE,
        out=tmp_path / "two",
        progress=False,
    )
    before, after = weights(pretrained), weights(tmp_path / "two")
    statistics = [name for name in after if "edge_mean" in name or "edge_std" in name]
    assert statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    assert not torch.equal(before["backbone.in_layer.weight"], after["backbone.in_layer.weight"])


def test_an_equal_head_is_taken_too(pretrained):
    model = lz.load(pretrained)
    assert set(initial_weights(model, pretrained)) == set(model.state_dict())
    other = lz.compose(**{**MODEL, "head": "classify:num_classes=3"})
    assert not any(name.startswith("head.") for name in initial_weights(other, pretrained))


def test_weights_of_another_network_are_refused(pretrained, tmp_path):
    with pytest.raises(
        RunError,
        match=r"of another network: .*backbone\.in_layer\.weight has shape \(16, 7\), needed \(16, 15\)",
    ):
        train_model(
            init_from=pretrained,
            dataset="jets10:num_jets=50",
            config=RECIPE,
            out=tmp_path / "a",
            progress=False,
        )
    with pytest.raises(RunError, match="holds no weights to start from"):
        train_model("transformer", init_from=tmp_path, dataset=TWO, config=RECIPE, progress=False)
    with pytest.raises(RunError, match=r"name a model, or what its weights start from"):
        train_model(dataset=TWO, config=RECIPE, progress=False)


def test_parts_have_learning_rates_of_their_own(small_spec):
    from lorentzoo.registry.composition import build

    model = build(small_spec)
    groups = make_optimiser("adamw", model, 1e-3, weight_decay=0.1, rates={"backbone": 0.1}).param_groups
    by_parameter = {id(p): group for group in groups for p in group["params"]}
    assert len(by_parameter) == len(list(model.parameters()))
    assert {by_parameter[id(p)]["factor"] for p in model.backbone.parameters()} == {0.1}
    assert {by_parameter[id(p)]["factor"] for p in model.head.parameters()} == {1.0}
    with pytest.raises(TrainingError, match=r"rates\.backbon"):
        TrainConfig.of({"rates": {"backbon": 0.1}})
    with pytest.raises(TrainingError, match="freeze"):
        TrainConfig.of({"freeze": ["everything"]})


def test_the_rate_of_a_part_scales_its_steps(jets, small_spec):
    from lorentzoo.registry.composition import build
    from lorentzoo.training.train import train

    def moved(factor):
        torch.manual_seed(0)
        model = build(small_spec)
        before = [p.detach().clone() for p in model.backbone.parameters()]
        recipe = {"max_steps": 1, "batch_size": 50, "schedule": "constant", "rates": {"backbone": factor}}
        train(model, jets.split("train"), config={**recipe, "weight_decay": 0.0}, progress=False)
        return max(
            float((a - b).detach().abs().max())
            for a, b in zip(before, model.backbone.parameters(), strict=True)
        )

    assert moved(0.01) == pytest.approx(0.01 * moved(1.0), rel=0.05)


def test_command_line(pretrained, tmp_path):
    data = "toptag:num_jets=200,max_constituents=10"
    out = str(tmp_path / "two")
    arguments = [
        "train",
        "--init-from",
        str(pretrained),
        "--head",
        "classify:num_classes=2",
        "--dataset",
        data,
    ]
    options = ["-s", "max_steps=2", "-s", "rates={backbone: 0.1}", "--train-size", "64", "--out", out]
    result = CliRunner().invoke(app, [*arguments, *options])
    assert result.exit_code == 0, result.output
    assert "auc" in result.output


# ---- studies ------------------------------------------------------------------------------

STUDY = {
    "name": "transfer",
    "dataset": TWO,
    "axes": {
        "pretraining": [
            None,
            {
                "label": "ten classes",
                "dataset": TEN,
                "budget": {"steps": 3},
                "training": {"learning_rate": 2e-3},
                "finetuning": {"rates": {"backbone": 0.3}},
            },
        ],
        "training": [{"label": "plain"}, {"weight_decay": 0.0}],
    },
    "fixed": {"backbone": MODEL["backbone"], "frames": MODEL["frames"]},
    "seeds": 2,
    "training": {"batch_size": 32},
    "budget": {"steps": 2},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    directory = tmp_path_factory.mktemp("study")
    return run_study(STUDY, directory, workers=1, progress=False), directory


def test_pretraining_is_an_axis(study):
    result, directory = study
    labels = [row.label for row in result.finished]
    assert labels == [
        "none · plain",
        "none · weight_decay=0.0",
        "ten classes · plain",
        "ten classes · weight_decay=0.0",
    ]
    # Two pre-training runs, shared by both recipes.
    assert len(list((directory / "runs").iterdir())) == 4 * 2 + 2
    rows = {row.label: row for row in result.finished}
    started = rows["ten classes · plain"].runs[0].run
    assert started.start_from
    assert started.config.rates == {"backbone": 0.3}
    assert rows["none · plain"].runs[0].run.start_from is None
    assert rows["none · weight_decay=0.0"].runs[0].run.config.weight_decay == 0.0
    text = study_tables(result)["results"].to_markdown()
    assert "Pre-training 'ten classes' comes before this budget: 3 optimiser steps on jets10" in text


def test_it_resumes_without_repeating(study):
    _, directory = study
    stamps = {path: path.stat().st_mtime_ns for path in directory.glob("runs/*/finished.json")}
    run_study(STUDY, directory, workers=1, progress=False)
    assert stamps == {path: path.stat().st_mtime_ns for path in directory.glob("runs/*/finished.json")}
    assert len(stamps) == 10


def test_pretraining_on_other_features_is_refused(tmp_path):
    other = {**STUDY["axes"]["pretraining"][1], "dataset": {**TEN, "scalars": ["charge"]}}
    result = run_study(
        {**STUDY, "axes": {"pretraining": [None, other]}, "seeds": 1}, tmp_path, workers=1, progress=False
    )
    refused = [row for row in result.rows if row.refusal]
    assert len(refused) == 1
    assert "pre-training data bring 1 scalars a particle" in refused[0].refusal


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pretraining": ["jets10"]}, "pretraining: expected a mapping, not 'jets10'"),
        ({"pretraining": [{"dataset": "jets10"}]}, "budget"),
        ({"training": [{"learning_rat": 1}]}, "did you mean 'learning_rate'"),
        ({"training": [{"epochs": 3}]}, "epochs cannot be set here"),
    ],
)
def test_wrong_recipes_are_named(tmp_path, change, message):
    with pytest.raises(StudyError, match=message):
        run_study({**STUDY, "axes": change}, tmp_path, progress=False)
