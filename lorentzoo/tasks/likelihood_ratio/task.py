"""Likelihood ratios as a task: by which weights do events of one sample become those of another?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core.errors import TrainingError
from lorentzoo.core.interfaces import Head
from lorentzoo.core.trainable import Trainable
from lorentzoo.output.evaluation import Evaluation
from lorentzoo.output.figure import ReportFigure
from lorentzoo.output.metric import Metric
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.rows import Row
from lorentzoo.output.task import Settings, TrainFunction
from lorentzoo.tasks.likelihood_ratio.metrics import METRICS, ratio_metrics
from lorentzoo.tasks.likelihood_ratio.predictions import RatioPredictions
from lorentzoo.tasks.predictions import average_predictions, predict_events
from lorentzoo.tasks.predictive import PredictiveTask

if TYPE_CHECKING:
    from lorentzoo.data.events import EventData

__all__ = ["LikelihoodRatio"]


class LikelihoodRatio(PredictiveTask):
    """The ratio p/q of events labelled 1 (p) and 0 (q), Cranmer, Pavez and Louppe (arXiv:1506.02169)."""

    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    ranking: ClassVar[tuple[str, ...]] = ("cross_entropy",)

    def check_data(self, data: EventData) -> None:
        """Samples must be numbered 0 and 1."""
        super().check_data(data)
        target = data.target
        if target.is_floating_point() or target.ndim != 1 or not set(target.unique().tolist()) <= {0, 1}:
            raise TrainingError(
                "a likelihood ratio p/q needs two samples: targets 1 for events of p and 0 for those of q, not "
                f"{target.dtype} of shape {tuple(target.shape)} with {len(target.unique())} different values"
            )

    def check(self, model: Trainable, data: EventData) -> None:
        """Both samples must have events of positive weight; then predict two events."""
        target = data.target
        for label, name in ((1, "p"), (0, "q")):
            if not float(data.weight[target == label].sum()) > 0:
                raise TrainingError(
                    f"the sample {name} (target {label}) has no events of positive weight in all"
                )
        few = data.subset(torch.arange(min(2, len(data))))
        values = predict_events(model, few).arrays["values"]
        if values.ndim != 2 or values.shape[1] != 2:
            raise TrainingError(
                f"the head predicts shape {values.shape[1:]} an event, not probabilities of two samples"
            )

    def example_targets(self, model: Trainable, count: int) -> Tensor:
        """Events of q and p in turn."""
        return torch.arange(count) % 2

    def measure_validation(
        self, head: Head, outputs: Tensor, target: NDArray[Any], weight: NDArray[np.float64]
    ) -> dict[str, Any]:
        """Metrics without those of closure."""
        q, p = head.log_predict(outputs).cpu().numpy().T
        return dict(ratio_metrics(p - q, target.astype(np.int64), weight))

    def evaluate(
        self,
        model: Any,
        test: EventData,
        settings: Settings,
        *,
        train: TrainFunction,
        progress: ProgressLine,
    ) -> RatioPredictions:
        """Ratios of all events."""
        head = model.head

        def read_log_ratio(output: Tensor, target: Tensor) -> dict[str, Tensor]:
            return {"log_ratio": head.ratio(output).log()} if hasattr(head, "ratio") else {}

        found = predict_events(model, test, columns=read_log_ratio)
        return RatioPredictions(**found.arrays, class_names=test.class_names, **found.columns)

    def load(self, path: Path) -> RatioPredictions:
        """Read what `RatioPredictions.save` wrote."""
        return RatioPredictions.load(path)

    def combine(self, evaluations: Sequence[Evaluation]) -> RatioPredictions:
        """The mean of the probabilities, and the ratio that belongs to it."""
        members = [each for each in evaluations if isinstance(each, RatioPredictions)]
        joined = average_predictions(members)
        return joined if len(members) == 1 else replace(joined, log_ratio=None)

    def figures(self, rows: Sequence[Row]) -> list[ReportFigure]:
        """Weights of all rows, of the first seed."""
        from lorentzoo.tasks.likelihood_ratio.plots import plot_ratios

        runs = {row: each for row in rows if isinstance(each := row.evaluations[0], RatioPredictions)}
        caption = "Ratios p/q of events of q (lines) and of p (dotted), first seed."
        return [ReportFigure("ratios", plot_ratios(runs, legend=False), caption)]

    def details(self, evaluations: Sequence[Evaluation]) -> list[ReportFigure]:
        """Calibration, and closure of the reweighting, of the first seed."""
        from lorentzoo.tasks.likelihood_ratio.plots import ratio_figures

        return ratio_figures(next(each for each in evaluations if isinstance(each, RatioPredictions)))
