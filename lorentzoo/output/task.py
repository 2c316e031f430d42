"""What is a task: what a network is trained for, and judged by?

A task is a component like any other, found by name. Training, studies and the command line hold one and ask it; none of
them knows which it is. A third party brings a whole one (data set, head, metrics, tables, figures) by its own plugin.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from lorentzoo.core.errors import CompositionError, TrainingError
from lorentzoo.output.evaluation import Evaluation
from lorentzoo.output.figure import ReportFigure
from lorentzoo.output.metric import Metric
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.rows import Row
from lorentzoo.output.table import Table
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.meaning import find_part
from lorentzoo.registry.settings import read_settings

if TYPE_CHECKING:
    from lorentzoo.core.cloud import Batch
    from lorentzoo.core.trainable import Trainable
    from lorentzoo.data.events import EventData
    from lorentzoo.registry.specs import PartSpec, Spec

__all__ = [
    "Settings",
    "Task",
    "TrainFunction",
    "judging_task",
    "load_task",
    "task_name",
]

TrainFunction = Callable[..., Any]
"""``train(model, train_set, validation_set, config, *, progress)``, as `lorentzoo.studies.train`."""
_MOST_SHOWN = 2


class Settings(BaseModel):
    """How thoroughly a network is tested: an immutable value that goes through JSON and YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(ABC):
    """What a network is trained for, and judged by.

    A subclass states its metrics and how a trained network is evaluated; everything else has a default. It holds no
    state: one instance serves any number of networks.

    Attributes
    ----------
    name
        Under which it was found.
    metrics
        Columns, in order. Tables, plots, best row, CSV and progress line follow from them; what an evaluation records
        beyond them becomes a column too.
    ranking
        Names of the metrics by which rows are ranked: the first that was recorded counts.
    settings
        The ``test:`` block of a study.
    settings_key
        Under which the specification of a run keeps the settings.
    file
        Name of the file that keeps the evaluation.
    judges
        Names of further tasks whose heads and generators can be judged by this one, where that is asked for.
    """

    name: str = ""
    metrics: ClassVar[tuple[Metric, ...]] = ()
    ranking: ClassVar[tuple[str, ...]] = ()
    settings: ClassVar[type[Settings]] = Settings
    settings_key: ClassVar[str] = "test"
    file: ClassVar[str] = "evaluation.npz"
    judges: ClassVar[tuple[str, ...]] = ()

    # ---- before training ---------------------------------------------------------------------

    def default_head(self, data: EventData) -> Mapping[str, Any] | None:
        """Name and parameters of a head that fits the data; None where these do not ask for this task by themselves."""
        return None

    def fit_head(self, head: PartSpec, data: EventData, *, override: bool) -> PartSpec:
        """The same head with the parameters that follow from the data.

        Parameters
        ----------
        head
            As it was asked for.
        data
            Events.
        override
            Whether parameters that are stated give way, as those of a model of the zoo do.
        """
        return head

    def check_data(self, data: EventData) -> None:
        """Refuse data that this task can do nothing with; by default event weights that are not finite, and equal names.

        Raises
        ------
        TrainingError
            Saying what the data have, and what the task needs.
        """
        for what, names in (("class_names", data.class_names), ("target_names", data.target_names)):
            # Numbers are recorded by name: of two that are equal one would be lost.
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise TrainingError(
                    f"{what} of the data {list(names)} has {', '.join(map(repr, repeated))} twice"
                )
        finite = torch.isfinite(data.weight)
        if not bool(finite.all()):
            first = int((~finite).nonzero()[0, 0])
            raise TrainingError(
                f"{int((~finite).sum())} of {len(data)} event weights are not finite, first of event "
                f"{int(data.event_id[first])}"
            )

    def check(self, model: Trainable, data: EventData) -> None:
        """Run a few events, before any training time is lost; the model's statistics are fitted.

        Raises
        ------
        TrainingError
            If network and data do not fit.
        """
        few = data.batch(torch.arange(min(2, len(data))))
        with torch.no_grad():
            loss = self.loss(model, few, torch.Generator().manual_seed(0))
        if not bool(torch.isfinite(loss)):
            raise TrainingError(f"the loss of two training events is {float(loss)} before any training")

    def example_targets(self, model: Trainable, count: int) -> Tensor | None:
        """Targets that any events might have, (count, ...), for tests of a head; None where the task has none."""
        return None

    # ---- training ----------------------------------------------------------------------------

    @abstractmethod
    def loss(self, model: Trainable, batch: Batch, rng: torch.Generator | None = None) -> Tensor:
        """The training loss of a batch, weighted by event."""

    def observe(self, model: Trainable, batch: Batch, rng: torch.Generator) -> Any:
        """What is to be remembered of a validation batch; by default its loss and its weight."""
        return float(self.loss(model, batch, rng)), float(batch.weight.abs().sum())

    def summarise(self, model: Trainable, seen: Sequence[Any]) -> dict[str, float]:
        """``val_loss``, and what else the observed batches showed, as ``val_NAME``."""
        total, weight = 0.0, 0.0
        for loss, share in seen:
            total += loss * share
            weight += share
        return {"val_loss": total / weight if weight > 0 else float("nan")}

    def complete(  # noqa: B027 - most have nothing to fit
        self, model: Trainable, train_set: EventData, validation_set: EventData | None
    ) -> None:
        """Fit what is left to be fitted once a model is trained; by default nothing.

        Parameters
        ----------
        model
            Trained, changed in place.
        train_set, validation_set
            Events on which it was trained, and on which it was observed, if there were any.
        """

    # ---- test --------------------------------------------------------------------------------

    @abstractmethod
    def evaluate(
        self,
        model: Trainable,
        test: EventData,
        settings: Settings,
        *,
        train: TrainFunction,
        progress: ProgressLine,
    ) -> Evaluation:
        """Test a trained network.

        Parameters
        ----------
        model
            Trained.
        test
            Events that it has not seen.
        settings
            Of class `settings`.
        train
            Trains a network, for tasks that need one of their own to test with.
        progress
            Shows how it goes.
        """

    @abstractmethod
    def load(self, path: Path) -> Evaluation:
        """Read what the evaluation's ``save`` wrote.

        Raises
        ------
        RunError
            If the file is missing, truncated or corrupt.
        """

    def combine(self, evaluations: Sequence[Evaluation]) -> Evaluation:
        """The evaluation of several networks together, e.g. of their mean prediction.

        Raises
        ------
        TrainingError
            If networks of this task cannot be put together.
        """
        if len(evaluations) == 1:
            return evaluations[0]
        raise TrainingError(
            f"networks for {self.name!r} are evaluated one at a time; name one directory, not {len(evaluations)}"
        )

    # ---- what is shown -----------------------------------------------------------------------

    def columns(self, recorded: Iterable[str], data: Mapping[str, Any]) -> list[Metric]:
        """A metric for each recorded name, in the order of tables.

        Parameters
        ----------
        recorded
            Names that evaluations recorded.
        data
            What the study says of its events, e.g. ``metadata``.
        """
        names = list(dict.fromkeys(recorded))
        found: dict[str, Metric] = {}
        for metric in self.metrics:
            for name in names:
                if name not in found and metric.stands_for(name):
                    found[name] = _member(metric, name)
        return [*found.values(), *(Metric(name) for name in names if name not in found)]

    def rank_by(self, recorded: Collection[str]) -> Metric | None:
        """The metric by which rows are ranked, of those recorded; None where there is none."""
        names = self.ranking or tuple(metric.name for metric in self.metrics if metric.better != "none")
        chosen = next((name for name in names if name in recorded), None)
        return next((metric for metric in self.metrics if metric.name == chosen), None)

    def show_progress(self, row: Mapping[str, float]) -> str:
        """What the progress line says of an epoch: the losses, and the first metrics that judge."""
        names = ["loss", "val_loss"]
        judged = [f"val_{metric.name}" for metric in self.metrics if metric.better != "none"]
        names += [name for name in judged if name in row][:_MOST_SHOWN]
        return " ".join(f"{name} {row[name]:.4g}" for name in names if name in row)

    def figures(self, rows: Sequence[Row]) -> list[ReportFigure]:
        """Figures of all rows together."""
        return []

    def details(self, evaluations: Sequence[Evaluation]) -> list[ReportFigure]:
        """Figures of one row, or of one network: an evaluation a seed."""
        return []

    def tables(self, rows: Sequence[Row]) -> dict[str, Table]:
        """Further tables, by name."""
        return {}

    def notes(self, settings: Settings) -> list[str]:
        """What stands below the table of results whatever columns it has."""
        return []

    def read_settings(self, values: Mapping[str, Any] | Settings | None) -> Settings:
        """Settings from plain data.

        Raises
        ------
        TrainingError
            Naming every key that is unknown or has a value that does not fit.
        """
        settings: Settings = read_settings(
            self.settings, values, f"test of {self.name or type(self).__name__}"
        )
        return settings


def load_task(name: str) -> Task:
    """The task of a name.

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        If the name means nothing, or several things.
    CompositionError
        If what stands behind it is not a `Task`.
    """
    component = catalogue().find("task", name, catalogue().own_plugins)
    target = catalogue().target(component)
    if not (isinstance(target, type) and issubclass(target, Task)):
        raise CompositionError(f"task {name!r} is not a subclass of lorentzoo.Task but {target!r}")
    task = target()
    task.name = component.name
    return task


def judging_task(stated: str, wanted: str | None = None) -> Task:
    """The task by which a network is judged: the one that its head or generator states, or another that is asked for.

    Parameters
    ----------
    stated
        Name of the task for which it is trained.
    wanted
        Name of another task that judges such networks; None for the stated one.

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        If a name means nothing, or several things.
    CompositionError
        If the wanted task judges no networks of the stated one.
    """
    task = load_task(stated if wanted is None else wanted)
    if wanted is not None and task.name != stated and stated not in task.judges:
        known = ", ".join(repr(name) for name in (task.name, *task.judges))
        raise CompositionError(
            f"task {wanted!r} judges networks for {known}, not for {stated!r}: take a head that states one of these, "
            "or leave the task out"
        )
    return task


def task_name(spec: Spec) -> str:
    """The task for which a composition is trained, as its head or its generator states it.

    Raises
    ------
    CompositionError
        If that states none.
    UnknownNameError
        If there is no such part, naming the plugin that it came from.
    """
    kind, part = ("head", spec.head) if spec.generator is None else ("generator", spec.generator)
    target = catalogue().target(find_part(spec, kind, part.name))
    name = getattr(target, "task", None)
    if not isinstance(name, str):
        raise CompositionError(
            f"{kind} {part.name!r} states no task: give its class an attribute `task`, the name of one of "
            f"{catalogue().names('task')}"
        )
    return name


def _member(metric: Metric, name: str) -> Metric:
    """A metric of a family, under the recorded name."""
    if name == metric.name:
        return metric
    end = name.removeprefix(f"{metric.name}_")
    return replace(metric, name=name, label=f"{metric.label or metric.name} {end}", family=False)
