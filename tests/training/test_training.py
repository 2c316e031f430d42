"""Training: budgets, determinism, weights, checkpoints."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

import lorentzoo as lz
from lorentzoo.core.errors import ClassesWarning, RunError, TrainingError
from lorentzoo.core.model import Model
from lorentzoo.data.dataset import JetDataset
from lorentzoo.output.progress import ProgressLine
from lorentzoo.registry.composition import build
from lorentzoo.registry.specs import Spec
from lorentzoo.studies import evaluate
from lorentzoo.training.averaging import WeightAverage
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.course import history_from_csv, history_to_csv
from lorentzoo.training.optimisers import Ranger, make_optimiser, parameter_groups
from lorentzoo.training.resume import CHECKPOINT, PREVIOUS
from lorentzoo.training.schedules import learning_rate_factor
from lorentzoo.training.train import TrainResult, train

SEED = 3


def fresh(spec: Spec) -> Model:
    torch.manual_seed(SEED)
    return build(spec)


def run(spec: Spec, jets: JetDataset, recipe: dict[str, Any], directory=None, **options: Any) -> TrainResult:
    options.setdefault("progress", False)
    return train(fresh(spec), jets.split("train"), jets.split("validation"), recipe, directory, **options)


def weights(result: TrainResult) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in result.model.parameters()])


def test_training_learns_and_writes_history(small_spec, jets, recipe) -> None:
    result = run(small_spec, jets, recipe | {"epochs": 6})
    losses = [row["loss"] for row in result.course.history]
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert result.course.history[-1]["val_auc"] > 0.7
    assert result.course.cpu_seconds > 0
    assert result.course.events == 6 * len(jets.split("train"))
    assert not result.model.training


def test_equal_seeds_give_equal_weights_and_other_seeds_do_not(small_spec, jets, recipe) -> None:
    spec = Spec.from_data(small_spec.to_data() | {"frames": "random-beam"})
    first, second = run(spec, jets, recipe), run(spec, jets, recipe)
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(run(spec, jets, recipe | {"seed": 1})))


@pytest.mark.parametrize(
    ("budget", "steps"), [({"epochs": 2}, 10), ({"max_steps": 7}, 7), ({"epochs": 5, "max_steps": 3}, 3)]
)
def test_budget_of_epochs_and_steps_is_exact(small_spec, jets, recipe, budget, steps) -> None:
    del recipe["epochs"]
    result = run(small_spec, jets, recipe | budget)
    assert result.course.steps == steps
    assert result.course.history[-1]["step"] == steps
    assert "val_loss" in result.course.history[-1]


def test_budget_of_cpu_seconds_is_used_up_and_hardly_overdrawn(small_spec, jets, recipe) -> None:
    del recipe["epochs"]
    result = run(small_spec, jets, recipe | {"cpu_seconds": 0.3})
    longest = 0.3 / result.course.steps * 20 + 0.1
    assert 0.3 <= result.course.cpu_seconds <= 0.3 + longest


def test_validations_may_be_further_apart_than_epochs(small_spec, jets, recipe, tmp_path) -> None:
    """Of five steps an epoch; what is trained does not depend on it, interrupted or not, and the end is validated."""
    del recipe["epochs"]
    budget = {"max_steps": 33}
    each = run(small_spec, jets, recipe | budget)
    apart = run(small_spec, jets, recipe | budget | {"validation_steps": 11})
    assert torch.equal(weights(each), weights(apart))
    assert [row["step"] for row in each.course.history] == [5, 10, 15, 20, 25, 30, 33]
    assert [row["step"] for row in apart.course.history] == [15, 30, 33]
    assert apart.course.history[-1]["val_loss"] == each.course.history[-1]["val_loss"]
    # A recipe without it has the hash that it had before there was such a key.
    assert "validation_steps" not in TrainConfig().to_data()
    kept = {**budget, "validation_steps": 11, "keep": "best"}
    through = run(small_spec, jets, recipe | kept)
    with pytest.raises(KeyboardInterrupt):
        run(small_spec, jets, recipe | kept, tmp_path, progress=Stopping(22))
    again = run(small_spec, jets, recipe | kept, tmp_path)
    assert again.resumed_at == 3
    assert torch.equal(weights(through), weights(again))
    assert [row["step"] for row in again.course.history] == [15, 30, 33]


class Stopping(ProgressLine):
    """Interrupts a training after so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__("stopping", show=False)
        self.left = steps

    @property
    def live(self) -> bool:
        return True

    def move(self, fraction: float, text: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_event_weights_enter_the_loss(small_spec, jets, recipe) -> None:
    train_set = jets.split("train")
    weighted = train_set.subset(torch.arange(len(train_set)))
    weighted.weight = torch.where(train_set.target == 1, 50.0, 1.0).double()
    longer = recipe | {"epochs": 8, "learning_rate": 1e-2}
    plain = train(fresh(small_spec), train_set, None, longer, progress=False)
    pulled = train(fresh(small_spec), weighted, None, longer, progress=False)
    test_set = jets.split("test")
    assert pulled.model.predict(test_set)[:, 1].mean() > plain.model.predict(test_set)[:, 1].mean() + 0.1


def test_zero_weight_events_teach_nothing(small_spec, jets, recipe) -> None:
    train_set = jets.split("train").subset(torch.arange(40))
    silent = train_set.subset(torch.arange(40))
    silent.target = silent.target.clone()
    silent.target[:20] = 1 - silent.target[:20]
    for part in (train_set, silent):
        part.weight = torch.cat([torch.zeros(20), torch.ones(20)]).double()
    results = [train(fresh(small_spec), part, None, recipe, progress=False) for part in (train_set, silent)]
    assert torch.equal(weights(results[0]), weights(results[1]))


def test_events_of_weight_zero_are_not_there(jets, recipe) -> None:
    """Neither for normalisations over batches, nor with targets of which no loss is finite."""
    part = {"name": "part", "num_blocks": 1}
    pairs = lz.compose(backbone=part, embedding=["kinematics", "momenta"], head="regress:transform=log")
    found = []
    for odd in (0, 20):
        train_set = jets.split("train").subset(torch.arange(40 + odd))
        train_set.target = train_set.lengths.double()
        train_set.weight = torch.ones(40 + odd).double()
        train_set.class_names = ()
        train_set.target[40:] = 0.0
        train_set.weight[40:] = 0.0
        result = train(fresh(pairs.spec), train_set, train_set, recipe, progress=False)
        found.append((weights(result), [b.clone() for b in result.model.buffers()], result.course.history))
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1], strict=True))
    assert [row["val_loss"] for row in found[0][2]] == [row["val_loss"] for row in found[1][2]]


@pytest.mark.parametrize(
    "extra", [{}, {"ema": 0.9, "optimiser": "ranger"}, {"keep": "best", "optimiser": "lion"}]
)
def test_interrupted_training_equals_one_that_ran_through(
    small_spec, jets, recipe, tmp_path, monkeypatch, extra
) -> None:
    spec = Spec.from_data(small_spec.to_data() | {"frames": "random-beam"})
    config = recipe | {"epochs": 4, "schedule": "warmup-cosine"} | extra
    through = run(spec, jets, config)
    loss, calls = Model.loss, []

    def dies_in_third_epoch(self: Model, batch: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 12:
            raise OSError("power cut")
        return loss(self, batch)

    monkeypatch.setattr(Model, "loss", dies_in_third_epoch)
    with pytest.raises(OSError, match="power cut"):
        run(spec, jets, config, tmp_path)
    monkeypatch.setattr(Model, "loss", loss)
    continued = run(spec, jets, config, tmp_path)
    assert continued.resumed_at == 2
    assert torch.equal(weights(through), weights(continued))
    kept = ("step", "epoch", "learning_rate", "loss", "val_loss", "val_auc")
    for a, b in zip(through.course.history, continued.course.history, strict=True):
        assert [a[name] for name in kept] == [b[name] for name in kept]


def test_killed_after_the_last_epoch_needs_no_step(small_spec, jets, recipe, tmp_path) -> None:
    first = run(small_spec, jets, recipe, tmp_path)
    again = run(small_spec, jets, recipe, tmp_path)
    assert again.resumed_at == 2
    assert again.course.steps == first.course.steps
    assert torch.equal(weights(first), weights(again))


def test_one_live_line_on_a_terminal(small_spec, jets, recipe) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with ProgressLine("one line", console=console) as line:
        run(small_spec, jets, recipe, progress=line)
    shown = console.file.getvalue()
    assert "epoch" in shown
    # Redrawing one line moves the cursor to its start; it goes up once, to clear the line at the end.
    assert shown.count("\x1b[1A") == 1


def test_damaged_checkpoint_starts_again(small_spec, jets, recipe, tmp_path, capsys) -> None:
    first = run(small_spec, jets, recipe, tmp_path)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:500])
    # The epoch before is still there: training goes on from it, to the same end.
    again = run(small_spec, jets, recipe, tmp_path, progress=True)
    assert again.resumed_at == 1
    assert torch.equal(weights(first), weights(again))
    # What was damaged has not become the epoch before, which is kept for the next accident.
    path.write_bytes(path.read_bytes()[:500])
    assert run(small_spec, jets, recipe, tmp_path, progress=True).resumed_at == 1
    for name in (CHECKPOINT, PREVIOUS):
        spoiled = bytearray((tmp_path / name).read_bytes())
        spoiled[len(spoiled) // 2] ^= 1
        (tmp_path / name).write_bytes(spoiled)
    once_more = run(small_spec, jets, recipe, tmp_path, progress=True)
    assert once_more.resumed_at == 0
    assert torch.equal(weights(first), weights(once_more))
    shown = capsys.readouterr().err
    assert "damaged" in shown
    assert "training starts again" in shown
    assert "val_auc" in shown


def test_histories_are_what_was_written_or_refused() -> None:
    rows = [{"epoch": 1.0, "loss": 0.5}, {"epoch": 2.0, "loss": 0.25, "val_loss": float("inf")}]
    text = history_to_csv(rows)
    assert history_from_csv(text) == rows
    for damaged, line in (
        (text.replace("0.25", "0.2x"), 2),
        (text.replace("0.5", "0.5,1,2,3"), 1),
        (text.replace("0.5", '"0.5'), 1),
    ):
        with pytest.raises(RunError, match=f"the history is damaged after line {line}"):
            history_from_csv(damaged)


def test_checkpoint_of_another_training_is_refused(small_spec, jets, recipe, tmp_path) -> None:
    run(small_spec, jets, recipe, tmp_path)
    with pytest.raises(TrainingError, match="another training"):
        run(small_spec, jets, recipe | {"learning_rate": 1e-4}, tmp_path)


def test_early_stopping_and_best_weights(small_spec, jets, recipe) -> None:
    # A huge rate makes the loss jump, so that it stops improving soon.
    config = recipe | {
        "epochs": 40,
        "learning_rate": 1.0,
        "patience": 2,
        "keep": "best",
        "schedule": "constant",
    }
    result = run(small_spec, jets, config)
    history = [row["val_loss"] for row in result.course.history]
    assert result.course.stopped_early
    assert len(history) < 40
    predictions = evaluate(result.model, jets.split("validation"))
    assert predictions.metrics()["log_loss"] == pytest.approx(min(history), rel=1e-4)


def test_average_of_weights_is_kept(small_spec, jets, recipe) -> None:
    result = run(small_spec, jets, recipe | {"ema": 0.5})
    metrics = evaluate(result.model, jets.split("validation")).metrics()
    assert metrics["log_loss"] == pytest.approx(result.course.history[-1]["val_loss"], rel=1e-5)
    assert not torch.equal(weights(result), weights(run(small_spec, jets, recipe)))


def test_bf16_trains(small_spec, jets, recipe) -> None:
    result = run(small_spec, jets, recipe | {"precision": "bf16"})
    assert result.model.dtype == torch.float32
    assert np.isfinite(result.course.history[-1]["val_loss"])


def test_diverging_loss_is_an_error(small_spec, jets, recipe, monkeypatch) -> None:
    loss = Model.loss
    monkeypatch.setattr(Model, "loss", lambda self, batch: loss(self, batch) * float("nan"))
    with pytest.raises(TrainingError, match=r"loss became nan.*learning_rate"):
        run(small_spec, jets, recipe)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.subset([]), "no events"),
        (lambda d: _with(d, weight=torch.zeros(len(d)).double()), "weights .* zero"),
        (lambda d: _with(d, class_names=("a", "b", "c")), "predicts 2 classes, but the data has 3"),
    ],
)
def test_unfit_data_is_refused_before_training(small_spec, jets, recipe, change, message) -> None:
    with pytest.raises(TrainingError, match=message):
        train(fresh(small_spec), change(jets.split("train")), None, recipe, progress=False)


def test_one_class_alone_is_warned_of(small_spec, jets, recipe) -> None:
    train_set = jets.split("train")
    qcd = train_set.subset((train_set.target == 0).nonzero().squeeze(1))
    with pytest.warns(ClassesWarning, match=f"all {len(qcd)} training events at hand are of class 'qcd'"):
        train(fresh(small_spec), qcd, None, recipe, progress=False)


def _with(dataset: JetDataset, **changes: Any) -> JetDataset:
    part = dataset.subset(torch.arange(len(dataset)))
    for name, value in changes.items():
        setattr(part, name, value)
    return part


# ---- the pieces ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "names"),
    [
        ("classify", {"class_names": ("qcd", "qcd")}),
        ("regress:num_targets=2", {"class_names": (), "target_names": ("m", "m")}),
    ],
)
def test_equal_names_are_refused(jets, recipe, head: str, names: dict[str, Any]) -> None:
    """Numbers are recorded by name."""
    data = jets.split("train")
    if head != "classify":
        data.target = torch.ones(len(data), 2, dtype=torch.float64)
    for name, value in names.items():
        setattr(data, name, value)
    model = lz.compose(backbone="deep-sets:hidden=[4]", head=head)
    with pytest.raises(TrainingError, match="twice"):
        train(model, data, None, recipe, progress=False)


def test_recipes_name_unknown_keys() -> None:
    with pytest.raises(TrainingError, match="unknown key 'learning_rat'; did you mean 'learning_rate'"):
        TrainConfig.of({"learning_rat": 1})
    with pytest.raises(TrainingError, match=r"batch_size: .*greater than 0, not 0"):
        TrainConfig.of({"batch_size": 0})
    assert TrainConfig.of(None).epochs == 20
    assert TrainConfig.of({"max_steps": 5}).epochs is None
    config = TrainConfig.of({"cpu_seconds": 3, "betas": [0.9, 0.95]})
    assert TrainConfig.of(config.to_data()) == config


def test_only_matrices_decay() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2, bias=False))
    groups = parameter_groups(model, 0.1)
    assert {p.shape for p in groups[0]["params"]} == {(4, 3), (2, 4)}
    assert {p.shape for p in groups[1]["params"]} == {(4,)}
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]


@pytest.mark.parametrize("name", ["adamw", "lion", "ranger"])
def test_optimisers_find_a_minimum(name) -> None:
    model = nn.Linear(2, 1)
    optimiser = make_optimiser(name, model, 0.1 if name == "ranger" else 0.03)
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    y = x @ torch.tensor([[1.0], [-2.0]])
    for _ in range(400):
        optimiser.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimiser.step()
    assert loss < 0.02


def test_lookahead_goes_half_way_back() -> None:
    p = nn.Parameter(torch.zeros(1))
    plain, ranger = torch.zeros(1), Ranger([p], lr=0.1, lookahead_steps=2, lookahead_rate=0.5)
    q = nn.Parameter(plain.clone())
    radam = torch.optim.RAdam([q], lr=0.1, betas=(0.95, 0.999), eps=1e-5)
    for step in range(2):
        p.grad = torch.ones(1)
        q.grad = torch.ones(1)
        ranger.step()
        radam.step()
        assert (p == q).all() if step == 0 else torch.allclose(p, q / 2)


def test_schedules() -> None:
    assert learning_rate_factor("constant", 0.7) == 1
    assert learning_rate_factor("cosine", 1.0, final=0.1) == pytest.approx(0.1)
    assert learning_rate_factor("warmup-cosine", 0.05, warmup=0.1) == pytest.approx(0.5)
    assert learning_rate_factor("warmup-cosine", 0.1, warmup=0.1) == pytest.approx(1.0)
    assert learning_rate_factor("flat-decay", 0.7) == 1
    assert learning_rate_factor("flat-decay", 1.0) == pytest.approx(0.01)
    assert learning_rate_factor("flat-decay", 0.85) == pytest.approx(0.1)


def test_average_follows_the_weights() -> None:
    model = nn.Linear(1, 1)
    average = WeightAverage(model, 0.5)
    with torch.no_grad():
        model.weight.fill_(8.0)
    before = average.weights["weight"].clone()
    average.update(model)
    # The first step trusts the past by a tenth only.
    assert average.weights["weight"].item() == pytest.approx(0.1 * before.item() + 0.9 * 8.0)


def test_config_is_a_value() -> None:
    config = TrainConfig.of({"seed": 4})
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 5
