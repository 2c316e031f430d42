"""Regression as a task: numbers of events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core.density_head import DensityHead
from lorentzoo.core.errors import TrainingError
from lorentzoo.core.interfaces import Head
from lorentzoo.core.trainable import Trainable
from lorentzoo.output.evaluation import Evaluation
from lorentzoo.output.figure import ReportFigure
from lorentzoo.output.metric import Metric
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.rows import Row
from lorentzoo.output.table import Table
from lorentzoo.output.task import Settings, TrainFunction
from lorentzoo.registry.specs import PartSpec
from lorentzoo.tasks.predictions import average_predictions, predict_events
from lorentzoo.tasks.predictive import PredictiveTask
from lorentzoo.tasks.regression.metrics import METRICS, regression_metrics
from lorentzoo.tasks.regression.predictions import ValuePredictions
from lorentzoo.tasks.regression.tables import LINEAR, SQUARES, square_unit, target_table

if TYPE_CHECKING:
    from lorentzoo.data.events import EventData

__all__ = ["Regression"]


class Regression(PredictiveTask):
    """Numbers of events, by the mean squared error or by the density of the head."""

    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    ranking: ClassVar[tuple[str, ...]] = ("mse", "nmse")

    # ---- before training ---------------------------------------------------------------------

    def default_head(self, data: EventData) -> Mapping[str, Any] | None:
        """One output a target, where targets are floating-point numbers."""
        if not data.target.is_floating_point() or data.class_names:
            return None
        width = _width(data.target)
        return {"name": "regress"} if width == 1 else {"name": "regress", "num_targets": width}

    def fit_head(self, head: PartSpec, data: EventData, *, override: bool) -> PartSpec:
        """As many targets as the data have."""
        width, stated = _width(data.target), head.parameters.get("num_targets", 1)
        if stated == width or not (override or "num_targets" not in head.parameters):
            return head
        return head.merged({"num_targets": width})

    def check_data(self, data: EventData) -> None:
        """Targets must be finite numbers."""
        super().check_data(data)
        if data.class_names and not data.target.is_floating_point():
            raise TrainingError(
                f"the targets are classes ({', '.join(data.class_names)}), and a regression needs numbers: choose a head "
                "of classification, e.g. 'classify', or other targets of the data"
            )
        finite = torch.isfinite(data.target.double()).reshape(len(data), -1).all(1)
        if not bool(finite.all()):
            first = int((~finite).nonzero()[0, 0])
            raise TrainingError(
                f"{int((~finite).sum())} of {len(data)} targets are not finite, first of event "
                f"{int(data.event_id[first])}"
            )

    def check(self, model: Trainable, data: EventData) -> None:
        """Predict a few events and compare with their targets."""
        few = data.subset(torch.arange(min(2, len(data))))
        _check_width(predict_events(model, few).arrays["values"], few.target)
        super().check(model, data)

    def example_targets(self, model: Any, count: int) -> Tensor:
        """Positive numbers, which every transform takes."""
        return torch.full((count, getattr(model.head, "num_targets", 1)), 1.5, dtype=torch.float64)

    def measure_validation(
        self, head: Head, outputs: Tensor, target: NDArray[Any], weight: NDArray[np.float64]
    ) -> dict[str, Any]:
        """Those of `regression_metrics`."""
        values = head.predict(outputs).cpu().numpy()
        return regression_metrics(values, target.reshape(len(target), -1), weight)

    # ---- test --------------------------------------------------------------------------------

    def evaluate(
        self,
        model: Trainable,
        test: EventData,
        settings: Settings,
        *,
        train: TrainFunction,
        progress: ProgressLine,
    ) -> ValuePredictions:
        """Values of all events, and where the head is a density their deviations and the density at the truth."""
        head = getattr(model, "head", None)
        columns = _Columns(head) if isinstance(head, DensityHead) else None
        found = predict_events(model, test, columns=columns)
        arrays = dict(found.arrays)
        _check_width(arrays["values"], test.target)
        arrays["values"] = arrays["values"].reshape(len(test), -1)
        arrays["target"] = _columns(test.target).double().numpy()
        return ValuePredictions(
            **arrays,
            target_names=test.target_names,
            target_units=test.target_units,
            **found.columns,
        )

    def load(self, path: Path) -> ValuePredictions:
        """Read what `ValuePredictions.save` wrote."""
        return ValuePredictions.load(path)

    def combine(self, evaluations: Sequence[Evaluation]) -> ValuePredictions:
        """The mean of the values; with deviations σ_i, its own is (⟨σ² + v²⟩ - ⟨v⟩²)^½, that of the mixture."""
        members = [each for each in evaluations if isinstance(each, ValuePredictions)]
        joined = average_predictions(members)
        if len(members) == 1:
            return joined
        deviation, log_prob = None, None
        if all(member.deviation is not None for member in members):
            second = np.mean([np.square(m.deviation) + np.square(m.values) for m in members], axis=0)  # type: ignore[arg-type]
            deviation = np.sqrt(np.maximum(second - np.square(joined.values), 0.0))
        if all(member.log_prob is not None for member in members):
            each = np.stack([np.asarray(member.log_prob) for member in members])
            log_prob = np.logaddexp.reduce(each) - np.log(len(members))
        return replace(joined, deviation=deviation, log_prob=log_prob)

    # ---- what is shown -----------------------------------------------------------------------

    def columns(self, recorded: Iterable[str], data: Mapping[str, Any]) -> list[Metric]:
        """Metrics with the units of the targets; those of each of several targets stand in a table of their own."""
        units = data.get("target_units") or []
        unit = units[0] if len(units) == 1 else ""
        stated = {metric.name for metric in self.metrics}
        found = []
        for metric in super().columns(recorded, data):
            if unit and metric.name in SQUARES:
                metric = replace(metric, unit=square_unit(unit))
            elif unit and metric.name in LINEAR:
                metric = replace(metric, unit=unit)
            # Those of several targets have a table of their own.
            found.append(metric if metric.name in stated else replace(metric, shown="file"))
        return found

    def tables(self, rows: Sequence[Row]) -> dict[str, Table]:
        """One line a row and target, where there are several targets."""
        table = target_table(rows, self.metrics)
        return {} if table is None else {"targets": table}

    def figures(self, rows: Sequence[Row]) -> list[ReportFigure]:
        """Distribution of the relative error, or of the residual, of all rows."""
        from lorentzoo.tasks.regression.plots import plot_errors

        runs = {row: [each for each in row.evaluations if isinstance(each, ValuePredictions)] for row in rows}
        if not runs:
            return []
        caption = (
            "Part of the events whose prediction is off by more, on the test split. Lines: mean over seeds; bands: "
            "their spread."
        )
        return [
            ReportFigure(f"errors-{place}" if count > 1 else "errors", ax, caption)
            for count in [next(iter(runs.values()))[0].target.shape[1]]
            for place in range(count)
            for ax in [plot_errors(runs, place, legend=False)]
        ]

    def details(self, evaluations: Sequence[Evaluation]) -> list[ReportFigure]:
        """Predicted against true, residuals in bins of the truth, and pulls."""
        from lorentzoo.tasks.regression.plots import regression_figures

        return regression_figures([each for each in evaluations if isinstance(each, ValuePredictions)])


class _Columns:
    """Deviations and densities, from the raw outputs of a density head."""

    def __init__(self, head: DensityHead) -> None:
        self.head = head

    def __call__(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        distribution = self.head.distribution(output)
        found = {"log_prob": distribution.log_prob(_columns(target).double())}
        try:
            found["deviation"] = distribution.variance.sqrt()
        except NotImplementedError:
            # A distribution without a variance of its own has no pulls.
            return found
        return found


def _width(target: Tensor) -> int:
    return int(np.prod(target.shape[1:], dtype=np.int64)) if target.ndim > 1 else 1


def _columns(target: Tensor) -> Tensor:
    return target.reshape(len(target), -1)


def _check_width(values: NDArray[np.float64], target: Tensor) -> None:
    """Refuse predictions with another number of values an event than there are targets, event by event."""
    given, wanted = int(np.prod(values.shape[1:], dtype=np.int64)), _width(target)
    if given != wanted:
        raise TrainingError(
            f"the head predicts {given} numbers an event, but the data has {wanted} targets an event "
            f"(shape {tuple(target.shape[1:]) or '(1,)'}); set num_targets of the head"
        )
