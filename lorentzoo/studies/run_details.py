"""What does a run tell of the model that it trained?"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lorentzoo.data.events import EventData
from lorentzoo.output.metric import value_of
from lorentzoo.registry.details import CostDetails, DataDetails, Details, MetricDetails
from lorentzoo.registry.hub import HubAddress, is_address
from lorentzoo.registry.specs import write_value
from lorentzoo.studies.plan import RunSpec, test_settings
from lorentzoo.training.costs import Costs
from lorentzoo.training.fitting import read_recipe
from lorentzoo.training.transfer import pretrained_name

__all__ = ["describe_command", "describe_cost", "describe_data", "describe_metrics", "describe_run"]

_ERROR = "_error"


def describe_run(
    run: RunSpec,
    data: EventData,
    metrics: Mapping[str, Any],
    costs: Costs,
    cpu_seconds: float,
    machine: Mapping[str, Any],
    source: Path | None = None,
) -> Details:
    """Everything that a run tells of its model.

    Parameters
    ----------
    run
        Full specification.
    data
        All events, of which it was trained on one split and tested on another.
    metrics, costs, cpu_seconds, machine
        What was measured, and where, as `lorentzoo.studies.runs.RunRecord` has it.
    source
        As for `describe_command`.
    """
    training, test = data.split("train"), data.split("test")
    if run.train_size is not None:
        training = training.subset(torch.arange(run.train_size))
    return Details(
        data=describe_data(run, training),
        metrics=describe_metrics(metrics, f"test split, {len(test):,} events"),
        command=describe_command(run, source),
        cost=describe_cost(costs, cpu_seconds, machine),
        versions={"python": machine["python"], **machine["versions"]},
    )


def describe_data(run: RunSpec, training: EventData) -> DataDetails:
    """The data set of a run, with what its metadata say of choice, licence and origin."""
    stated = training.metadata
    described = [str(stated[name]).rstrip(".") for name in ("selection", "notes") if stated.get(name)]
    references = [*_as_list(stated.get("reference")), *_as_list(stated.get("cite"))]
    return DataDetails(
        name=run.dataset.to_inline(),
        fingerprint=run.data_hash,
        events=len(training),
        licence=str(stated.get("licence") or ""),
        description=". ".join(described),
        references=tuple(dict.fromkeys(references)),
    )


def describe_metrics(metrics: Mapping[str, Any], note: str) -> dict[str, MetricDetails]:
    """Recorded metrics with their errors, which are in the same mapping or recorded as ``NAME_error``."""
    found = {}
    for name, recorded in metrics.items():
        value = value_of(recorded)
        is_error = name.endswith(_ERROR) and name.removesuffix(_ERROR) in metrics
        if value is None or math.isnan(value) or is_error:
            continue
        inner = recorded if isinstance(recorded, Mapping) else {}
        error = value_of(inner.get("error", metrics.get(name + _ERROR)))
        limit = bool(inner.get("is_limit"))
        found[name] = MetricDetails(
            value=value,
            error=None if error is None or limit or not math.isfinite(error) else error,
            note=f"{note}; lower limit" if limit else note,
        )
    return found


def describe_cost(costs: Costs, cpu_seconds: float, machine: Mapping[str, Any]) -> CostDetails:
    """What a run spent, on which kind of machine."""
    return CostDetails(
        parameters=costs.parameters,
        flops=costs.flops,
        multiplicity=costs.multiplicity,
        seconds=cpu_seconds,
        machine=f"{machine['device']}, {machine['system']}, threads: {machine['threads']}, "
        f"processes: {machine['processes']}",
    )


def describe_command(run: RunSpec, source: Path | None) -> str:
    """The command that does the run again, in the folder where its ``spec.json`` lies.

    Parameters
    ----------
    run
        Full specification.
    source
        What its weights start from, where that is not a run beside it; told by its address on the Hub, or by the name of
        its folder alone.
    """
    usual = read_recipe(None, run.spec).to_data()
    recipe = {key: value for key, value in run.config.to_data().items() if usual.get(key) != value}
    default = test_settings(run.task.read_settings(None))
    test = {key: value for key, value in run.test.items() if default.get(key) != value}
    words = ["lorentzoo", "train", "spec.json", "--dataset", run.dataset.to_inline()]
    words += [] if run.train_size is None else ["--train-size", str(run.train_size)]
    words += [] if run.judge is None else ["--task", run.judge]
    if run.start_from is not None:
        beside = f"../{run.start_from}" if source is None else _name_source(source)
        words += ["--init-from", pretrained_name(run.start_from) or beside]
    for option, pairs in (("--set", recipe), ("--test", test)):
        for key, value in pairs.items():
            words += [option, f"{key}={write_value(value)}"]
    return shlex.join(words)


def _name_source(source: Path) -> str:
    return str(HubAddress.parse(source)) if is_address(source) else source.name


def _as_list(stated: Any) -> list[str]:
    if not stated:
        return []
    return [str(stated)] if isinstance(stated, str) else [str(one) for one in stated]
