"""Surrogates of amplitudes as a task: trained like a regression, judged by what event generators need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from lorentzoo import (
    Evaluation,
    EventData,
    Head,
    Metric,
    Regression,
    ReportFigure,
    Row,
    Settings,
    Table,
    Trainable,
)
from lorentzoo.nn import ProgressLine, TrainingError
from lorentzoo.plugins.amplitudes.data.channels import find_channels
from lorentzoo.plugins.amplitudes.data.dataset import TARGET
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.targets.calibration import calibrate
from lorentzoo.plugins.amplitudes.targets.density import AmplitudeDensity
from lorentzoo.plugins.amplitudes.targets.head import AmplitudeRatio
from lorentzoo.plugins.amplitudes.targets.normalisation import normalise
from lorentzoo.plugins.amplitudes.targets.region import TrainingRegion
from lorentzoo.plugins.amplitudes.task.ensembles import combine_members
from lorentzoo.plugins.amplitudes.task.kinematics import OBSERVABLES, check_events, observe_events
from lorentzoo.plugins.amplitudes.task.metrics import METRICS, error_metrics
from lorentzoo.plugins.amplitudes.task.predictions import AmplitudePredictions
from lorentzoo.plugins.amplitudes.task.tables import amplitude_tables
from lorentzoo.plugins.amplitudes.task.times import TIMES, measure_times

if TYPE_CHECKING:
    from lorentzoo import Model, ValuePredictions

__all__ = ["AmplitudeSettings", "Amplitudes"]

_AT_ONCE = 4096


class AmplitudeSettings(Settings):
    """How a surrogate is tested.

    Attributes
    ----------
    quantiles
        Of the accepted weight, below each maximum of the unweighting; the first is that of the columns, all stand in the
        table of unweighting.
    seed
        Of the unweighted events in figures. All numbers are expectation values, which need none.
    times
        Whether the times of surrogate and truth are measured.
    timed_batch
        Points at a time for that.
    """

    quantiles: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = (
        0.999,
        0.9999,
        1.0,
    )
    seed: Annotated[int, Field(ge=0)] = 0
    times: bool = True
    timed_batch: Annotated[int, Field(ge=2)] = 256


class Amplitudes(Regression):
    """|M|² of events, judged by errors of its logarithm, the cross-section, and two-stage unweighting.

    It judges heads of the task `regression` too, where it is asked for by name.
    """

    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    ranking: ClassVar[tuple[str, ...]] = ("log_mse", "delta_50")
    settings: ClassVar[type[Settings]] = AmplitudeSettings
    judges: ClassVar[tuple[str, ...]] = ("regression",)

    # ---- before training ---------------------------------------------------------------------

    def default_head(self, data: EventData) -> Mapping[str, Any] | None:
        """The logarithm of |M|² where all are positive, else a signed one, for data that say what they are.

        They do so by their tasks, or by the name of the target.
        """
        asked = self.name in data.tasks or data.target_names == (TARGET,)
        if not asked or data.num_targets != 1 or not data.target.is_floating_point():
            return None
        positive = bool((data.target[data.weight != 0] > 0).all())
        return {"name": "amplitude-ratio", "transform": "log" if positive else "signed-log"}

    def check_data(self, data: EventData) -> None:
        """One finite number an event, and momenta that are those of a scattering.

        Raises
        ------
        TrainingError
            Naming the first event that is none.
        """
        super().check_data(data)
        if data.num_targets != 1:
            raise TrainingError(
                f"an amplitude is one number an event, but the data have {data.num_targets} targets "
                f"({', '.join(data.target_names) or 'without names'}); judge them by the task 'regression'"
            )
        check_events(data)

    def measure_validation(
        self, head: Head, outputs: Tensor, target: NDArray[Any], weight: NDArray[np.float64]
    ) -> dict[str, Any]:
        """Those of `error_metrics`."""
        values = head.predict(outputs).cpu().numpy().reshape(len(target))
        there = weight != 0
        return dict(
            error_metrics(values[there], target.reshape(len(target)).astype(np.float64)[there], weight[there])
        )

    def complete(self, model: Trainable, train_set: EventData, validation_set: EventData | None) -> None:
        """Normalise the total and calibrate widths, where the head asks for it.

        Raises
        ------
        AmplitudeError
            If widths are to be calibrated and there is no validation set.
        """
        head = getattr(model, "head", None)
        if isinstance(head, AmplitudeRatio) and head.normalised:
            normalise(cast("Model", model), train_set)
        if isinstance(head, AmplitudeDensity) and head.calibrated:
            if validation_set is None:
                raise AmplitudeError(
                    "calibrated=True needs a validation set: widths of training events are too small"
                )
            calibrate(cast("Model", model), validation_set)

    # ---- test --------------------------------------------------------------------------------

    def evaluate(  # type: ignore[override]
        self,
        model: Trainable,
        test: EventData,
        settings: AmplitudeSettings,
        *,
        train: Any,
        progress: ProgressLine,
    ) -> AmplitudePredictions:
        """Values of all events, where they are in phase space, and times."""
        found = super().evaluate(model, test, settings, train=train, progress=progress)
        channels, place = find_channels(test)
        times = measure_times(model, test, channels, place, settings.timed_batch) if settings.times else None
        observed: dict[str, Any] = dict(observe_events(test))
        return AmplitudePredictions(
            **_fields_of(found),
            channel=place.numpy(),
            channel_names=np.array([channel.label for channel in channels]),
            **observed,
            outside=_find_outside(model, test),
            quantiles=np.array(settings.quantiles),
            seed=np.array(settings.seed),
            times=times,
        )

    def load(self, path: Path) -> AmplitudePredictions:
        """Read what `AmplitudePredictions.save` wrote."""
        return AmplitudePredictions.load(path)

    def combine(self, evaluations: Sequence[Evaluation]) -> ValuePredictions:
        """The mean of the logarithms with its uncertainty, see `combine_members`; times of the members add."""
        joined = super().combine(evaluations)
        members = [each for each in evaluations if isinstance(each, AmplitudePredictions)]
        if len(members) < 2:
            return joined
        values, deviation = combine_members(members)
        joined = replace(joined, values=values, deviation=deviation)
        if any(member.times is None for member in members):
            return joined
        times = np.array([member.times for member in members])
        of_truth = np.array([name.startswith("truth") for name in TIMES])
        return replace(joined, times=np.where(of_truth, times.mean(0), times.sum(0)))  # type: ignore[call-arg]

    # ---- what is shown -----------------------------------------------------------------------

    def columns(self, recorded: Iterable[str], data: Mapping[str, Any]) -> list[Metric]:
        """Metrics as they are stated: none is in the unit of the target."""
        return super().columns(recorded, {})

    def notes(self, settings: Settings) -> list[str]:
        """At which quantile the maxima of the unweighting are."""
        assert isinstance(settings, AmplitudeSettings)
        return [
            f"Maxima of the unweighting leave {1 - settings.quantiles[0]:.3g} of the accepted weight above them."
        ]

    def tables(self, rows: Sequence[Row]) -> dict[str, Table]:
        """Unweighting by quantile, errors by size, channels, region and times."""
        return amplitude_tables(rows)

    def figures(self, rows: Sequence[Row]) -> list[ReportFigure]:
        """Errors of all rows, and what the second step has to do."""
        from lorentzoo.plugins.amplitudes.task.plots import plot_second_step

        firsts = {row: each for row in rows if isinstance(each := row.evaluations[0], AmplitudePredictions)}
        runs = {row: each for row, each in firsts.items() if each.keeps_events}
        if not runs:
            return []
        caption = (
            "Two-stage unweighting: part of the accepted weight at points where truth/surrogate is larger, first seed. "
            "Where a line reaches 1 - quantile is the maximum of the second step."
        )
        return [
            *super().figures(rows),
            ReportFigure("second-step", plot_second_step(runs, legend=False), caption),
        ]

    def details(self, evaluations: Sequence[Evaluation]) -> list[ReportFigure]:
        """Those of any regression, relative errors with their tails, both steps of the unweighting, of the first seed."""
        from lorentzoo.plugins.amplitudes.task.plots import (
            plot_coverage,
            plot_second_weights,
            plot_signed_errors,
            plot_unweighted,
        )

        first = next((each for each in evaluations if isinstance(each, AmplitudePredictions)), None)
        if first is None or not first.weight.any():
            return []
        usual = super().details(evaluations)
        if first.deviation is not None:
            caption = "Part of the events whose truth lies within so many deviations of the prediction."
            usual.append(ReportFigure("coverage", plot_coverage(first), caption))
        if not first.keeps_events:
            return usual
        return [
            *usual,
            ReportFigure(
                "signed-errors",
                plot_signed_errors(first),
                "Relative errors in bins of equal width in ln|δ|; those beyond ± 10 are in the outermost bins.",
            ),
            ReportFigure(
                "second-weights",
                plot_second_weights(first),
                "Truth over surrogate at the points that the first step of the unweighting keeps.",
            ),
            *(
                ReportFigure(
                    f"unweighted-{name.replace('_', '-')}",
                    plot_unweighted(first, name),
                    f"Events of two-stage unweighting beside the truth: {label}.",
                )
                for name, label in OBSERVABLES.items()
            ),
        ]


def _fields_of(predictions: ValuePredictions) -> dict[str, Any]:
    return {field.name: getattr(predictions, field.name) for field in fields(predictions)}


def _find_outside(model: Any, data: EventData) -> NDArray[np.bool_] | None:
    """Which events lie outside of the region that the head has seen in training; None where it does not know."""
    region = getattr(model.head, "region", None)
    if not isinstance(region, TrainingRegion):
        return None
    parts = [
        region.outside(data.batch(events).cloud.to(model.device)).cpu()
        for events in torch.arange(len(data)).split(_AT_ONCE)
    ]
    return torch.cat(parts).numpy() if parts else np.zeros(0, dtype=bool)
