"""Which figures say what a classifier does?"""

from __future__ import annotations

from collections.abc import Sequence

from lorentzoo.output.figure import ReportFigure
from lorentzoo.tasks.classification.plots import (
    plot_calibration,
    plot_confusion,
    plot_efficiency,
    plot_rejections,
    plot_scores,
)
from lorentzoo.tasks.classification.predictions import ClassPredictions

__all__ = ["classification_figures"]


def classification_figures(runs: Sequence[ClassPredictions]) -> list[ReportFigure]:
    """Everything that can be drawn of a classifier's predictions.

    Parameters
    ----------
    runs
        ClassPredictions for the same events, one a seed; figures of a single training show the first.

    Returns
    -------
    Rejections, scores, confusion and calibration; and the efficiency against pT and mass where these are known.
    """
    first = runs[0]
    several = "; bands: spread over seeds" if len(runs) > 1 else ""
    figures = [
        ReportFigure(
            "rejection", plot_rejections(runs), f"Background rejection against signal efficiency{several}."
        ),
        ReportFigure("scores", plot_scores(first), "Distribution of the score for each true class."),
        ReportFigure(
            "confusion", plot_confusion(first), "What events of each true class are taken for, in percent."
        ),
        ReportFigure(
            "calibration",
            plot_calibration(first),
            "How often that comes true which is predicted; Clopper-Pearson intervals of 68 %.",
        ),
    ]
    for observable, name in (("pt", "transverse momentum"), ("mass", "mass")):
        if getattr(first, observable) is not None:
            caption = f"Efficiency of each class against the jet's {name}; Clopper-Pearson intervals of 68 %."
            figures.append(
                ReportFigure(f"efficiency-{observable}", plot_efficiency(first, observable), caption)  # type: ignore[arg-type]
            )
    return figures
