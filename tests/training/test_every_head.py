"""Can every head be trained, by `train` and as a row of a study, on targets of the kind that it wants?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import TrainingError
from lorentzoo.data.dataset import JetDataset
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.parameters import parameters_of
from lorentzoo.registry.specs import Spec
from lorentzoo.studies import evaluate, run_study, runner, study_numbers, train, train_model
from lorentzoo.training.fitting import fit_spec, spec_for

EVENTS = 120
HEADS = catalogue().names("head")
WITH_DATA_OF_THEIR_OWN = dict.fromkeys(
    ("amplitude-ratio", "amplitude-density"), "amplitudes:num_events=400,cache=false"
)
"""Heads that make sense on certain events only, and such events."""
BY_GENERATORS = [
    name for name in HEADS if catalogue().target(catalogue().find("head", name)).task == "generation"
]


def events(width: int = 0, weighted: bool = True, scale: float = 1.0, seed: int = 0) -> JetDataset:
    """Massless particles; classes where `width` is 0, or so many positive numbers that follow from the mass."""
    rng = np.random.default_rng(seed)
    momenta = rng.normal(size=(EVENTS, 5, 3)) * rng.exponential(size=(EVENTS, 1, 1)) * 30
    vectors = np.concatenate([np.linalg.norm(momenta, axis=-1, keepdims=True), momenta], -1)
    total = vectors.sum(1)
    mass = np.sqrt(np.maximum(total[:, 0] ** 2 - np.square(total[:, 1:]).sum(-1), 1e-3))
    columns = [scale * mass, total[:, 0], mass**2][: max(width, 1)]
    target = (mass > np.median(mass)).astype(np.int64) if width == 0 else np.stack(columns, 1)
    return JetDataset(
        vectors.reshape(-1, 4),
        np.arange(EVENTS + 1) * 5,
        target,
        rng.uniform(0.5, 2.0, EVENTS) if weighted else None,
        splits=np.arange(EVENTS) % 3,
        class_names=("light", "heavy") if width == 0 else (),
        target_names=("mass", "energy", "mass2")[:width],
        target_units=("GeV", "GeV", "GeV²")[:width],
    )


def compose_for(head: Mapping[str, Any], data: JetDataset) -> Spec:
    target = catalogue().target(catalogue().find("head", head["name"]))
    # Trees pass no gradients, and grow on numbers that are computed.
    parts = ("deep-sets:hidden=[8]", "kinematics") if target.passes_gradients else ("substructure", "momenta")
    backbone, embedding = parts
    return fit_spec(Spec.from_data({"backbone": backbone, "embedding": embedding, "head": dict(head)}), data)


def cases() -> list[Any]:
    found = []
    for name in HEADS:
        if name in BY_GENERATORS or name in WITH_DATA_OF_THEIR_OWN:
            continue
        target = catalogue().target(catalogue().find("head", name))
        widths = (1, 3) if "num_targets" in parameters_of(target) else (int(target.task == "regression"),)
        found += [pytest.param(name, width, id=f"{name}-{width}") for width in widths]
    return found


@pytest.mark.parametrize(("name", "width"), cases())
def test_every_head_trains(name: str, width: int) -> None:
    data = events(width)
    spec = compose_for({"name": name}, data)
    if width:
        assert spec.head.parameters.get("num_targets", 1) == width
    torch.manual_seed(0)
    model = _build(spec)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    result = train(
        model,
        data.split("train"),
        data.split("validation"),
        {"max_steps": 4, "batch_size": 16},
        progress=False,
    )
    assert all(np.isfinite(row["loss"]) and np.isfinite(row["val_loss"]) for row in result.course.history)
    if before:
        assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    metrics = evaluate(model, data.split("test"), progress=False).metrics()
    assert all(np.isfinite(value) for value in metrics.values() if isinstance(value, float))


@pytest.mark.parametrize(("name", "width"), cases())
def test_every_head_is_a_row_of_a_study(name: str, width: int, tmp_path, monkeypatch, own_catalogue) -> None:
    monkeypatch.setattr(runner, "write_report", lambda result: result.directory)
    lz.register("dataset", "toy-events")(events)
    spec = compose_for({"name": name}, events(width))
    study = {
        "name": "heads",
        "dataset": f"toy-events:width={width}",
        "axes": {"backbone": [spec.backbone.to_data()]},
        "fixed": {"embedding": spec.embedding[0].to_data(), "head": spec.head.to_data()},
        "seeds": 1,
        "training": {"batch_size": 16},
        "budget": {"steps": 3},
    }
    result = run_study(study, tmp_path, workers=1, progress=False)
    assert result.is_complete, [row.problems for row in result.rows]
    [line] = study_numbers(result)
    judged = {metric.name for metric in _task_of(name).metrics if metric.better != "none"}
    assert judged & set(line)


def _build(spec: Spec) -> Any:
    from lorentzoo.registry.composition import build

    return build(spec)


def _task_of(head: str) -> lz.Task:
    from lorentzoo.output.task import load_task

    return load_task(catalogue().target(catalogue().find("head", head)).task)


@pytest.mark.parametrize(("name", "data"), WITH_DATA_OF_THEIR_OWN.items())
def test_heads_with_data_of_their_own_train(name: str, data: str, tmp_path) -> None:
    record = train_model(
        {"backbone": "deep-sets:hidden=[8]", "embedding": "invariants", "head": name},
        dataset=data,
        config={"max_steps": 4, "batch_size": 32},
        out=tmp_path,
        progress=False,
    )
    assert all(np.isfinite(row["loss"]) for row in record.history)
    judge = _task_of(name).rank_by(record.metrics)
    assert judge is not None
    assert np.isfinite(record.metrics[judge.name])


@pytest.mark.parametrize("shape", [(EVENTS,), (EVENTS, 1)])
def test_one_target_may_have_an_axis_of_its_own_or_none(shape: tuple[int, ...]) -> None:
    data = events(1)
    data.target = data.target.reshape(shape)
    torch.manual_seed(0)
    model = _build(compose_for({"name": "regress"}, data))
    train(model, data, None, {"max_steps": 2, "batch_size": 32}, progress=False)
    predicted = evaluate(model, data, progress=False)
    assert predicted.values.shape == predicted.target.shape == (EVENTS, 1)


def test_weights_count_in_training_and_metrics() -> None:
    """An event of weight zero is not there, whatever its target."""
    data, spoiled = events(1), events(1)
    data.weight[::4] = 0.0
    spoiled.weight[::4] = 0.0
    spoiled.target[::4] *= 1e3
    losses = []
    for one in (data, spoiled):
        torch.manual_seed(0)
        model = _build(compose_for({"name": "regress"}, one))
        result = train(model, one, one, {"max_steps": 6, "batch_size": 40, "num_threads": 1}, progress=False)
        metrics = evaluate(model, one, progress=False).metrics()
        losses.append([*(row["val_loss"] for row in result.course.history), metrics["mse"], metrics["r2"]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_regression_learns_the_mass() -> None:
    data = events(1, weighted=False)
    torch.manual_seed(0)
    spec = spec_for(
        {"backbone": "lgatr-slim:num_blocks=1,hidden_vectors=4,hidden_scalars=8", "embedding": "momenta"},
        data,
    )
    assert spec.head.name == "regress"
    model = _build(spec)
    train(model, data, None, {"max_steps": 150, "batch_size": 40, "learning_rate": 5e-3}, progress=False)
    assert evaluate(model, data, progress=False).metrics()["r2"] > 0.8


def test_numbers_of_targets_that_do_not_fit_are_named() -> None:
    data = events(2)
    model = _build(Spec.from_data({"backbone": "deep-sets", "head": "regress:num_targets=3"}))
    with pytest.raises(TrainingError, match=r"for 3 targets an event .* the data has 2"):
        train(model, data, None, {"max_steps": 1}, progress=False)
    with pytest.raises(TrainingError, match="classes are whole numbers"):
        train(_build(Spec.from_data({"backbone": "deep-sets"})), data, None, {"max_steps": 1}, progress=False)
    with pytest.raises(TrainingError, match="the targets are classes"):
        train(
            _build(Spec.from_data({"backbone": "deep-sets", "head": "regress"})),
            events(0),
            None,
            {"max_steps": 1},
            progress=False,
        )
    data.target[7, 1] = float("nan")
    with pytest.raises(TrainingError, match="1 of 120 targets are not finite, first of event 7"):
        train(
            _build(Spec.from_data({"backbone": "deep-sets", "head": "regress:num_targets=2"})),
            data,
            None,
            {"max_steps": 1},
            progress=False,
        )
