"""``lorentzoo verify``, ``train``, ``evaluate`` and ``import``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import typer

from lorentzoo.cli.completion import complete_parts
from lorentzoo.cli.output import numbers_with_errors, print_json
from lorentzoo.cli.plots import TEXT, read_report_texts, write_plots

__all__ = ["evaluate_command", "import_command", "make_model", "train_command", "verify_command"]


class Split(str, Enum):
    """Splits of a data set."""

    train = "train"
    validation = "validation"
    test = "test"


_TEST: list[str] = typer.Option(
    [], "--test", "-t", help="One setting of the task's test, e.g. -t num_samples=5000; may be repeated."
)
_TASK: str | None = typer.Option(
    None,
    "--task",
    help="Another task that judges such networks, e.g. amplitudes for a regression of |M|².",
    autocompletion=complete_parts("task"),
)
_NUM_SAMPLES: int | None = typer.Option(
    None, "--num-samples", min=1, help="The same as --test num_samples=..."
)
_NUM_LOG_PROB: int | None = typer.Option(
    None, "--num-log-prob", min=1, help="The same as --test num_log_prob=..."
)


def verify_command(
    model: str = typer.Argument(
        ...,
        help="Model name ('transformer:num_blocks=2'), a YAML or JSON specification, or a saved run.",
        autocompletion=complete_parts("model"),
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    plot: Path | None = typer.Option(None, help="Write the error-against-boost figure here (PNG, PDF, SVG)."),
    keep_weights: bool = typer.Option(
        False, help="Measure with the weights as they are instead of newly drawn ones."
    ),
    seed: int = typer.Option(0, help="Seed of weights and transformations."),
) -> None:
    """Measure a model's symmetry and compare it with the computed one. Exit code 1 if they differ.

    Example: lorentzoo verify transformer --plot symmetry.png
    """
    from lorentzoo.verification.verify import verify

    result = verify(make_model(model), redraw=not keep_weights, seed=seed)
    if as_json:
        print_json(result.to_data())
    else:
        typer.echo(str(result))
    if plot is not None:
        result.plot().figure.savefig(plot, dpi=150)  # type: ignore[union-attr]
        typer.echo(f"wrote {plot}", err=True)
    if not result.passed:
        raise typer.Exit(1)


def train_command(
    model: str | None = typer.Argument(
        None,
        help="Model name, or a YAML or JSON specification; that of --init-from by default.",
        autocompletion=complete_parts("model"),
    ),
    out: Path = typer.Option(
        Path("runs/model"), "--out", "-o", help="Directory of the run; resumed if it exists."
    ),
    dataset: str = typer.Option(
        "toptag",
        "--dataset",
        "-d",
        help="Data set, e.g. 'toptag:num_jets=2000'.",
        autocompletion=complete_parts("dataset"),
    ),
    config: Path | None = typer.Option(None, "--config", "-c", help="YAML file of training options."),
    set_: list[str] = typer.Option(
        [], "--set", "-s", help="One training option, e.g. -s epochs=5 -s learning_rate=1e-3."
    ),
    init_from: str | None = typer.Option(
        None,
        "--init-from",
        help="Directory of a run, or of a saved model, or name of a model with trained weights, to start from; its head "
        "follows the data.",
    ),
    head: str | None = typer.Option(
        None,
        "--head",
        help="Another head, e.g. classify:num_classes=2.",
        autocompletion=complete_parts("head"),
    ),
    train_size: int | None = typer.Option(None, "--train-size", min=1, help="Number of training events."),
    task: str | None = _TASK,
    test: list[str] = _TEST,
    num_samples: int | None = _NUM_SAMPLES,
    num_log_prob: int | None = _NUM_LOG_PROB,
    devices: int | None = typer.Option(
        None,
        "--devices",
        min=1,
        help="Processes that train together, each on a GPU where there are any; by default those of torchrun, or one. "
        "The batch size is that of all.",
    ),
    num_workers: int = typer.Option(0, "--num-workers", min=0, help="Processes of each that gather batches."),
    as_json: bool = typer.Option(False, "--json", help="Print the metrics as JSON."),
) -> None:
    """Train a model and evaluate it on the test split.

    Example: lorentzoo train transformer:num_blocks=4 --dataset toptag -s epochs=3 --out runs/a

    Example: lorentzoo train --init-from runs/a --head classify:num_classes=2 -s 'rates={backbone: 0.1}' --out runs/b

    Example: lorentzoo train particlenet-observables:pretrained=jets10-v1 --dataset toptag --train-size 1000

    Example: lorentzoo train --init-from runs/a --dataset jets10 -s adapters=low-rank:rank=4 -s freeze=[frames] -o runs/d

    Example: lorentzoo train transformer-eventgen --dataset ttbar -s max_steps=1000 --test num_samples=5000

    Example: lorentzoo train lloca-transformer --dataset toptag --devices 2 --out runs/c
    """
    from lorentzoo.studies import train_model

    options = _options(config, set_)
    result = train_model(
        None if model is None else _spec(model),
        dataset=dataset,
        config=options,
        out=out,
        train_size=train_size,
        init_from=init_from,
        head=head,
        task=task,
        test=_read_test(test, num_samples=num_samples, num_log_prob=num_log_prob),
        devices=devices,
        num_workers=num_workers,
    )
    # One of several processes speaks for all.
    if result is not None:
        _report(result, as_json)


def evaluate_command(
    runs: list[Path] = typer.Argument(
        ..., help="Directory of a run, or of a saved model; several predict together."
    ),
    dataset: str | None = typer.Option(
        None,
        "--dataset",
        "-d",
        help="Data set; the run's own by default.",
        autocompletion=complete_parts("dataset"),
    ),
    split: Split = typer.Option(Split.test, help="Its split."),
    plots: Path | None = typer.Option(
        None,
        help="Write the figures of the task (rejections, scores, calibration, ...) into this folder: PDF, PNG, and "
        "CSV with their numbers.",
    ),
    text: list[str] = TEXT,
    task: str | None = _TASK,
    test: list[str] = _TEST,
    num_samples: int | None = _NUM_SAMPLES,
    num_log_prob: int | None = _NUM_LOG_PROB,
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Test a trained run or a saved model on a data set, as its task does; or several together (their mean prediction).

    Example: lorentzoo evaluate runs/a --split test --plots figures

    Example: lorentzoo evaluate runs/seed0 runs/seed1 runs/seed2

    Example: lorentzoo evaluate runs/a --plots figures --text 'rejection.title=Top tagging'

    Example: lorentzoo evaluate runs/flow --dataset ttbar --test num_samples=5000 --plots figures
    """
    from lorentzoo.studies import evaluate_runs
    from lorentzoo.studies.single import run_task

    settings = _read_test(test, num_samples=num_samples, num_log_prob=num_log_prob)
    texts = read_report_texts(text)
    evaluation = evaluate_runs(runs, dataset=dataset, split=split.value, test=settings, task=task)
    _report(evaluation, as_json)
    if plots is not None:
        write_plots(run_task(runs[0], task).details([evaluation]), plots, texts)


def import_command(
    model: str = typer.Argument(
        ...,
        help="Model name with the published hyperparameters, or a specification.",
        autocompletion=complete_parts("model"),
    ),
    weights: Path = typer.Argument(..., help="State dict: .safetensors, or torch's format (tensors only)."),
    package: str = typer.Option(
        ..., "--package", help="Package and version, e.g. lgatr-2.0, lloca-1.3 or weaver-0.5."
    ),
    out: Path = typer.Option(..., "--out", "-o", help="Where to save the model."),
    frames: Path | None = typer.Option(None, help="State dict of the network that predicts frames."),
    prefix: str = typer.Option("", help="Beginning of the keys to read, which is taken off."),
    option: list[str] = typer.Option(
        [], help="key=value: how the published network was made, where its state dict does not say it."
    ),
) -> None:
    """Read the weights of a published network into a model of the zoo and save it.

    Example: lorentzoo import part part_kin.pt --package weaver-0.5 --option use_pre_activation_pair=false --out runs/part
    """
    from lorentzoo.registry.checkpoints import save
    from lorentzoo.registry.imports import import_weights

    made = make_model(model)
    if frames is not None:
        import_weights(made, frames, package, part="frames")
    options = _read_pairs("--option", option) or None
    save(import_weights(made, weights, package, prefix=prefix, options=options), out)
    typer.echo(str(out))


def _report(metrics: Any, as_json: bool) -> None:
    data = metrics.to_data() if hasattr(metrics, "to_data") else dict(metrics)
    if as_json:
        print_json(data)
        return
    for key, text in numbers_with_errors(data).items():
        typer.echo(f"{key:<44} {text}")


def _spec(model: str) -> Any:
    """The specification of a file; or the name, which may say whose weights are meant, as it is."""
    from lorentzoo.registry.plain_data import read_text
    from lorentzoo.registry.specs import Spec

    path = Path(model)
    if path.suffix in (".yaml", ".yml"):
        return Spec.from_yaml(read_text(path, f"the specification {path}"))
    if path.suffix == ".json":
        return Spec.from_json(read_text(path, f"the specification {path}"))
    return model


def make_model(model: str) -> Any:
    """The model of a directory, a specification or a name."""
    from lorentzoo.registry.checkpoints import load
    from lorentzoo.registry.composition import build
    from lorentzoo.registry.creation import create_model
    from lorentzoo.registry.hub import is_address

    if is_address(model) or Path(model).is_dir():
        return load(model)
    spec = _spec(model)
    return create_model(spec) if isinstance(spec, str) else build(spec)


def _options(config: Path | None, pairs: list[str]) -> dict[str, Any]:
    from lorentzoo.core.errors import TrainingError
    from lorentzoo.registry.yaml_text import read_yaml_file

    options: dict[str, Any] = {}
    if config is not None:
        loaded = read_yaml_file(config, f"the training options {config}", TrainingError)
        if not isinstance(loaded, dict):
            raise TrainingError(f"{config} does not hold a mapping of training options")
        options |= loaded
    return options | _read_pairs("--set", pairs)


def _read_test(pairs: list[str], **aliases: int | None) -> dict[str, Any]:
    """Settings of a test; those with an option of their own may come by it."""
    return {key: value for key, value in aliases.items() if value is not None} | _read_pairs("--test", pairs)


def _read_pairs(option: str, pairs: list[str]) -> dict[str, Any]:
    """Values of ``key=value``, as YAML."""
    from lorentzoo.core.errors import TrainingError
    from lorentzoo.registry.yaml_text import read_yaml

    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise TrainingError(f"{option} takes key=value, not {pair!r}")
        number = read_yaml(value, f"{option} {key}", TrainingError)
        try:
            # YAML reads 1e-3 as text.
            found[key] = float(number) if isinstance(number, str) else number
        except ValueError:
            found[key] = number
    return found
