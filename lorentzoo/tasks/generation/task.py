"""Generation as a task: densities of events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from lorentzoo.core.cloud import Batch
from lorentzoo.core.errors import TrainingError
from lorentzoo.core.generator import Generator
from lorentzoo.core.trainable import Trainable
from lorentzoo.output.evaluation import Evaluation
from lorentzoo.output.figure import ReportFigure
from lorentzoo.output.metric import Metric
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.rows import Row
from lorentzoo.output.table import Table
from lorentzoo.output.task import Settings, Task, TrainFunction
from lorentzoo.registry.specs import parse_part
from lorentzoo.tasks.generation.evaluation import GeneratorEvaluation, evaluate_generator
from lorentzoo.tasks.generation.metrics import BY_MULTIPLICITY, C2ST, METRICS, SECONDS
from lorentzoo.tasks.generation.multiplicities import list_multiplicities, multiplicity_table
from lorentzoo.tasks.generation.settings import GenerationSettings

if TYPE_CHECKING:
    from lorentzoo.data.events import EventData

__all__ = ["Generation"]


class Generation(Task):
    """Events drawn from a density, and how they differ from true ones."""

    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    ranking: ClassVar[tuple[str, ...]] = ("c2st_auc", "nll")
    settings: ClassVar[type[Settings]] = GenerationSettings
    settings_key: ClassVar[str] = "generation"
    file: ClassVar[str] = "generation.npz"

    def check(self, model: Trainable, data: EventData) -> None:
        """The loss of two events."""
        try:
            super().check(model, data)
        except TrainingError as error:
            raise TrainingError(
                f"{error}: do they pass the cuts and coordinates of the generator?"
            ) from error

    def loss(self, model: Trainable, batch: Batch, rng: torch.Generator | None = None) -> Tensor:
        """That of the generator."""
        return model.batch_loss(batch, rng)

    def complete(self, model: Trainable, train_set: EventData, validation_set: EventData | None) -> None:
        """What the density needs of trained weights, e.g. the acceptance of cuts."""
        if isinstance(model, Generator):
            model.complete()

    def evaluate(
        self,
        model: Any,
        test: EventData,
        settings: Settings,
        *,
        train: TrainFunction,
        progress: ProgressLine,
    ) -> GeneratorEvaluation:
        """Samples beside true events, see `lorentzoo.tasks.generation.evaluation`."""
        assert isinstance(settings, GenerationSettings)
        return evaluate_generator(
            model,
            test,
            num_samples=settings.num_samples,
            num_log_prob=settings.num_log_prob,
            classifier=settings.classifier,
            config=settings.recipe,
            seed=settings.seed,
            train=train,
            progress=progress,
        )

    def load(self, path: Path) -> GeneratorEvaluation:
        """Read what `GeneratorEvaluation.save` wrote."""
        return GeneratorEvaluation.load(path)

    def notes(self, settings: Settings) -> list[str]:
        """What the tests are, and how many events they had."""
        assert isinstance(settings, GenerationSettings)
        classifier = settings.classifier
        known = isinstance(classifier, str) or "name" in classifier
        named = f" ({parse_part(classifier, 'model').name})" if known else ""
        return [
            f"C2ST: AUC of a classifier{named} between true and generated events; 0.5 is perfect. FPD: Fréchet physics "
            "distance, extrapolated to infinitely many events; 0 is perfect.",
            f"{settings.num_samples:,} events are drawn from each generator.",
        ]

    def figures(self, rows: Sequence[Row]) -> list[ReportFigure]:
        """Quality against the time of drawing, and marginals of all generators beside the truth, of the first seed."""
        from lorentzoo.output.row_plots import plot_costs
        from lorentzoo.tasks.generation.figures import shower_figures
        from lorentzoo.tasks.generation.plots import plot_marginals, plot_multiplicities

        caption = "A classifier's AUC between true and generated events against the processor time of drawing an event."
        drawn = ReportFigure("drawing", plot_costs(rows, SECONDS, C2ST, legend=False), caption)
        first = {
            row.label: evaluation
            for row in rows
            if isinstance(evaluation := row.evaluations[0], GeneratorEvaluation)
        }
        if not first:
            return [drawn]
        by_number = [
            ReportFigure(
                f"{name.replace('_', '-')}-by-number",
                plot_multiplicities(rows, BY_MULTIPLICITY[name], legend=False),
                f"{BY_MULTIPLICITY[name].label} of events by their number of particles; error bars: spread over seeds.",
            )
            for name in ("nll", "c2st_auc", "generated_share")
            if list_multiplicities(rows)
        ]
        one = next(iter(first.values()))
        samples = {label: evaluation.samples for label, evaluation in first.items()}
        page = plot_marginals(list(one.observables), one.true, samples, true_weight=one.true_weight)
        caption = (
            f"Generated against true events, seed {rows[0].seeds[0]}, with the ratio below; bars and bands are "
            "statistical errors."
        )
        marginals = ReportFigure("marginals", page.axes[0], caption, wide=True)
        return [drawn, *by_number, marginals, *shower_figures(one, samples)]

    def tables(self, rows: Sequence[Row]) -> dict[str, Table]:
        """Numbers by the number of particles, where that varies."""
        table = multiplicity_table(rows)
        return {} if table is None else {"multiplicities": table}

    def details(self, evaluations: Sequence[Evaluation]) -> list[ReportFigure]:
        """Marginals, reweighted ones, weights and the calibration of the classifier, of the first seed."""
        from lorentzoo.tasks.generation.figures import generator_figures

        first = next(each for each in evaluations if isinstance(each, GeneratorEvaluation))
        return generator_figures(first)
