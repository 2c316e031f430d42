"""How does a composition get the widths, the head and the task that follow from data?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from lorentzoo.core.errors import StudyError
from lorentzoo.data.events import EventData
from lorentzoo.output.files import canonical_json
from lorentzoo.output.task import load_task, task_name
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.composition import load_dataset
from lorentzoo.registry.creation import read_model_name
from lorentzoo.registry.specs import PartSpec, Spec, parse_part
from lorentzoo.training.config import TrainConfig

__all__ = ["complete_spec", "default_head", "fit_spec", "open_dataset", "read_recipe", "spec_for"]


def complete_spec(
    spec: Spec | Mapping[str, Any], data: EventData, task: str | None = None, *, head_follows: bool = False
) -> Spec:
    """The composition of slots to names, or of a `Spec`, fitted to data as `spec_for` does.

    With `head_follows` the head of a `Spec` gets as many classes or targets as the data have, whoever stated others.
    """
    if isinstance(spec, Spec):
        return fit_spec(spec, data, head_follows=head_follows)
    known = {"in_scalars", "in_context", "format", "lorentzoo", "plugins"}
    given = {key: value for key, value in spec.items() if key not in known and value is not None}
    return spec_for(given, data, task=task)


def spec_for(values: Mapping[str, Any], data: EventData, *, task: str | None = None) -> Spec:
    """The composition of some choices, with the widths, and if need be the head, that follow from data.

    Parameters
    ----------
    values
        Slots to names, or ``model`` to a model's name beside slots that it is given instead.
    data
        Events.
    task
        Whose default head is taken where no head is named; by default the first that the data ask for.

    Raises
    ------
    StudyError
        If no head is named, and no task has one for such data.
    """
    if "model" in values:
        model = parse_part(values["model"], "model")
        overrides = {axis: value for axis, value in values.items() if axis != "model"}
        # Parameters of the model's own parts first, so that a whole slot given by an axis wins.
        return fit_spec(read_model_name(model.name, **{**model.parameters, **overrides}).spec, data)
    if "head" not in values and "generator" not in values:
        values = {**values, "head": default_head(data, task)}
    return fit_spec(Spec.from_data(values), data)


def default_head(data: EventData, task: str | None = None) -> Mapping[str, Any]:
    """The head that a task takes for data; without a name the first task that the data ask for by themselves.

    Raises
    ------
    StudyError
        If there is none.
    """
    for name in [task] if task is not None else data.tasks or _tasks_in_order():
        head = load_task(name).default_head(data.at_hand)
        if head is not None:
            return head
    wanted = f"task {task!r} has" if task is not None else "no task has"
    raise StudyError(
        f"{wanted} a head for {data!r} by itself: name a head, e.g. fixed: {{head: regress}} for numbers of events"
    )


def _tasks_in_order() -> list[str]:
    """Names of all tasks, those that come with the package first: a third party's is taken where it is asked for."""
    components = catalogue().components("task")
    order = [record.name for record in catalogue().plugins]
    known = [component for component in components if component.plugin in order]
    return [component.full_name for component in sorted(known, key=lambda c: order.index(c.plugin))]


def fit_spec(spec: Spec, data: EventData, *, head_follows: bool = False) -> Spec:
    """The same composition with the widths of a data set, and the parameters of the head that follow from its targets."""
    spec = replace(spec, in_scalars=data.num_scalars, in_context=data.num_context)
    if spec.generator is not None:
        return spec  # it brings its own head
    task = load_task(task_name(spec))
    # What a model of the zoo states is its published form, which gives way to the data; what a user states does not.
    override = head_follows or spec.model is not None
    return replace(spec, head=task.fit_head(spec.head, data.at_hand, override=override))


def read_recipe(config: TrainConfig | Mapping[str, Any] | None, spec: Spec) -> TrainConfig:
    """The given options over the published recipe of the model, where it came by a name that has one."""
    if isinstance(config, TrainConfig):
        return config
    recipe = (
        {}
        if spec.model is None
        else catalogue().find("model", spec.model, catalogue().own_plugins, saved=True).recipe
    )
    return TrainConfig.of({**recipe, **(config or {})})


def open_dataset(part: PartSpec) -> EventData:
    """A data set by name; the same one is read once a process."""
    return _open_dataset(canonical_json(part.to_data()))


@lru_cache(maxsize=4)
def _open_dataset(text: str) -> EventData:
    data = json.loads(text)
    name = data.pop("name")
    dataset = load_dataset(name, **data)
    if not isinstance(dataset, EventData):
        raise StudyError(f"dataset {name!r} is a {type(dataset).__name__}, not a lorentzoo.EventData")
    return dataset
