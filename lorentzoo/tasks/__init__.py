"""The tasks that come with the package: what networks are trained for, and judged by.

This module is the plugin that offers them, through the same entry points as anybody else's.
"""

from __future__ import annotations

from lorentzoo import Component, hookimpl

_EXTRA = "lorentzoo[train]"


@hookimpl
def lorentzoo_components() -> list[Component]:
    """Built-in tasks."""
    return [
        Component(
            "task",
            "classification",
            target="lorentzoo.tasks.classification.task:Classification",
            summary="Classes of events: accuracy, AUC, background rejections, calibration",
            extra=_EXTRA,
        ),
        Component(
            "task",
            "regression",
            target="lorentzoo.tasks.regression.task:Regression",
            summary="Numbers of events: errors, relative errors, pulls, negative log-likelihood",
            extra=_EXTRA,
        ),
        Component(
            "task",
            "generation",
            target="lorentzoo.tasks.generation.task:Generation",
            summary="Densities of events: likelihood, two-sample test, Fréchet distance, marginals",
            extra=_EXTRA,
        ),
        Component(
            "task",
            "likelihood-ratio",
            target="lorentzoo.tasks.likelihood_ratio.task:LikelihoodRatio",
            summary="Ratio p/q of two samples: calibration, weights, closure of reweighting",
            reference="arXiv:1506.02169",
            extra=_EXTRA,
        ),
    ]
