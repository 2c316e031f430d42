"""Which figures say how good generators are?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.output.figure import ReportFigure
from lorentzoo.tasks.classification.plots import plot_calibration
from lorentzoo.tasks.generation.evaluation import GeneratorEvaluation
from lorentzoo.tasks.generation.observables import Observable
from lorentzoo.tasks.generation.plots import plot_marginals, plot_weights
from lorentzoo.tasks.generation.shower_plots import plot_showers

__all__ = ["generator_figures", "shower_figures"]


def generator_figures(
    evaluations: GeneratorEvaluation | Mapping[str, GeneratorEvaluation],
    observables: Sequence[Observable] | None = None,
    *,
    clip: float | None = 20.0,
) -> list[ReportFigure]:
    """Everything that can be drawn of one generator, or of several by name on the same true events.

    Parameters
    ----------
    evaluations
        As `evaluate_generator` makes them.
    observables
        Whose marginals are shown; by default those of the data set.
    clip
        Largest weight of the reweighted events over the mean, see `ratio_weights`.

    Returns
    -------
    Marginals with ratio panels, the same after reweighting, weights, and the calibration of each classifier.
    """
    every = {"generated": evaluations} if isinstance(evaluations, GeneratorEvaluation) else dict(evaluations)
    if not every:
        raise ValueError("give the evaluation of at least one generator")
    first = next(iter(every.values()))
    shown = list(observables or first.observables)
    page = plot_marginals(
        shown, first.true, {name: one.samples for name, one in every.items()}, true_weight=first.true_weight
    )
    # The classifier must not have seen the events that it weights.
    held = {name: one.samples.select(torch.from_numpy(one.test.generated)) for name, one in every.items()}
    weights = {name: one.test.weights(clip=clip) for name, one in every.items()}
    closure = plot_marginals(shown, first.true, held, true_weight=first.true_weight, weights=weights)
    figures = [
        ReportFigure(
            "marginals",
            page.axes[0],
            "Generated against true events, with the ratio below; bars and bands are statistical errors.",
        ),
        ReportFigure(
            "reweighted",
            closure.axes[0],
            "The same for events that the classifier has not seen, weighted by its p/q"
            + (f", clipped at {clip:g} times the mean." if clip is not None else "."),
        ),
        ReportFigure(
            "weights",
            plot_weights({name: one.test for name, one in every.items()}),
            "Weights p/q that the classifier gives generated and true events.",
        ),
        *shower_figures(first, {name: one.samples for name, one in every.items()}),
    ]
    for name, one in every.items():
        suffix = f"-{name}" if len(every) > 1 else ""
        figures.append(
            ReportFigure(
                f"calibration{suffix}",
                plot_calibration(one.test.predictions),
                f"Calibration of the classifier{'' if len(every) == 1 else f' of {name}'}: how often an event is true "
                "that is predicted to be.",
            )
        )
    return figures


def shower_figures(
    evaluation: GeneratorEvaluation, samples: Mapping[str, ParticleCloud]
) -> list[ReportFigure]:
    """Showers of generators by name, cell by cell, in each detector of the evaluation; none of other events."""
    return [
        ReportFigure(
            f"showers-{detector.name}",
            plot_showers(detector, evaluation.true, samples).axes[0],
            f"Energy of the cells of {detector.name}: one shower in three layers, and the mean of all; true ones and "
            "those of each generator for the same incident particle.",
            wide=True,
        )
        for detector in evaluation.detectors
    ]
