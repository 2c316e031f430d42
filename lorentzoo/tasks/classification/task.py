"""Classification as a task: classes of events."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core.errors import ClassesWarning, TrainingError
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
from lorentzoo.tasks.classification.metrics import METRICS, classification_metrics
from lorentzoo.tasks.classification.predictions import ClassPredictions
from lorentzoo.tasks.classification.tables import (
    class_table,
    ensemble_table,
)
from lorentzoo.tasks.predictions import average_predictions, predict_events
from lorentzoo.tasks.predictive import PredictiveTask

if TYPE_CHECKING:
    from lorentzoo.data.events import EventData

__all__ = ["Classification"]

_FEW: Final = 10
"""Events among which there may be one class by chance."""


class Classification(PredictiveTask):
    """Classes of events, by the head's probabilities."""

    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    ranking: ClassVar[tuple[str, ...]] = ("auc", "accuracy")

    # ---- before training ---------------------------------------------------------------------

    def default_head(self, data: EventData) -> Mapping[str, Any] | None:
        """One logit a class, where the data have classes."""
        classes = len(data.class_names)
        return {"name": "classify", "num_classes": classes} if classes else None

    def fit_head(self, head: PartSpec, data: EventData, *, override: bool) -> PartSpec:
        """As many classes as the data have; two may share one logit."""
        classes, stated = len(data.class_names), head.parameters.get("num_classes", 2)
        fits = stated == classes or (classes == 2 and stated == 1)
        if not classes or fits or not (override or "num_classes" not in head.parameters):
            return head
        return head.merged({"num_classes": classes})

    def check_data(self, data: EventData) -> None:
        """Targets must be class indices, 0 up to the number of classes."""
        super().check_data(data)
        target = data.target
        if target.is_floating_point() or target.ndim != 1:
            raise TrainingError(
                f"classes are whole numbers, one an event, but the targets are {target.dtype} of shape "
                f"{tuple(target.shape)}; for numbers of events take a head of regression, e.g. 'regress'"
            )
        wrong = (target < 0) | (target >= len(data.class_names) if data.class_names else target < 0)
        if bool(wrong.any()):
            first = int(wrong.nonzero()[0, 0])
            names = f", {', '.join(data.class_names)}" if data.class_names else ""
            raise TrainingError(
                f"event {int(data.event_id[first])} has class {int(target[first])}, but classes are numbered from 0"
                f"{f' to {len(data.class_names) - 1}' if data.class_names else ''}{names}: "
                "map labels such as -1 and +1 to 0 and 1"
            )

    def check(self, model: Trainable, data: EventData) -> None:
        """Predict two events and compare the number of classes with all of the data, of which there should be two."""
        _warn_of_one_class(data)
        few = data.subset(torch.arange(min(2, len(data))))
        _check_classes(predict_events(model, few).arrays["values"], data)

    def example_targets(self, model: Any, count: int) -> Tensor:
        """Classes in turn."""
        return torch.arange(count) % max(getattr(model.head, "num_classes", 2), 2)

    def measure_validation(
        self, head: Head, outputs: Tensor, target: NDArray[Any], weight: NDArray[np.float64]
    ) -> dict[str, Any]:
        """Those of `classification_metrics`."""
        values, logs = (read(outputs).cpu().numpy() for read in (head.predict, head.log_predict))
        return classification_metrics(values, target.astype(np.int64), weight, log_probabilities=logs)

    # ---- test --------------------------------------------------------------------------------

    def evaluate(
        self,
        model: Any,
        test: EventData,
        settings: Settings,
        *,
        train: TrainFunction,
        progress: ProgressLine,
    ) -> ClassPredictions:
        """Probabilities of all events."""
        head = model.head

        def read_logs(output: Tensor, target: Tensor) -> dict[str, Tensor]:
            return {"log_values": head.log_predict(output)}

        found = predict_events(model, test, columns=read_logs)
        _check_classes(found.arrays["values"], test)
        return ClassPredictions(**found.arrays, class_names=test.class_names, **found.columns)

    def load(self, path: Path) -> ClassPredictions:
        """Read what `ClassPredictions.save` wrote."""
        return ClassPredictions.load(path)

    def combine(self, evaluations: Sequence[Evaluation]) -> ClassPredictions:
        """The mean of the probabilities."""
        return average_predictions([each for each in evaluations if isinstance(each, ClassPredictions)])

    # ---- what is shown -----------------------------------------------------------------------

    def figures(self, rows: Sequence[Row]) -> list[ReportFigure]:
        """Background rejection of all rows."""
        from lorentzoo.tasks.classification.plots import plot_roc

        caption = (
            "Background rejection against signal efficiency on the test split. Lines: mean over seeds; bands: their "
            "spread. Curves begin where at least three background events pass."
        )
        return [ReportFigure("roc", plot_roc(rows, legend=False), caption)]

    def details(self, evaluations: Sequence[Evaluation]) -> list[ReportFigure]:
        """Rejections, scores, confusion, calibration and efficiencies."""
        from lorentzoo.tasks.classification.figures import classification_figures

        return classification_figures([each for each in evaluations if isinstance(each, ClassPredictions)])

    def tables(self, rows: Sequence[Row]) -> dict[str, Table]:
        """Seeds together, and rejections by class."""
        recorded = {name for row in rows for each in row.metrics for name in each}
        judged = [
            metric
            for metric in self.columns(recorded, {})
            if metric.better != "none" and metric.shown == "always"
        ]
        found = {"ensembles": ensemble_table(rows, judged), "classes": class_table(rows)}
        return {name: table for name, table in found.items() if table is not None}


def _warn_of_one_class(data: EventData) -> None:
    found = torch.unique(data.target)
    if len(data) < _FEW or len(found) != 1:
        return
    only = int(found)
    name = data.class_names[only] if data.class_names else str(only)
    warnings.warn(
        f"all {len(data)} training events at hand are of class {name!r}: a network learns to say that of every event; "
        "are files of the other classes missing?",
        ClassesWarning,
        stacklevel=2,
    )


def _check_classes(values: NDArray[np.float64], data: EventData) -> None:
    """Refuse predictions that do not have the classes of the data."""
    target = data.target
    classes = max(len(data.class_names), int(target.max()) + 1 if len(target) else 0)
    given = values.shape[1] if values.ndim == 2 else None
    if given is None or given < classes or target.is_floating_point():
        raise TrainingError(
            f"the head predicts {given or 'no'} classes, but the data has {classes} "
            f"({', '.join(data.class_names) or 'unnamed'}); set num_classes of the head"
        )
