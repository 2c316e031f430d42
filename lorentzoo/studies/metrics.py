"""Metrics by themselves: functions of predictions, targets and event weights of either sign."""

from __future__ import annotations

from lorentzoo.output.weights import effective_fraction, effective_number, ratio_weights, weighted_quantile
from lorentzoo.tasks.classification.metrics import (
    auc,
    background_rejection,
    classification_metrics,
    rejection_curve,
    roc_points,
    signal_threshold,
)
from lorentzoo.tasks.likelihood_ratio.metrics import closure, ratio_metrics
from lorentzoo.tasks.regression.metrics import regression_metrics

__all__ = [
    "auc",
    "background_rejection",
    "classification_metrics",
    "closure",
    "effective_fraction",
    "effective_number",
    "ratio_metrics",
    "ratio_weights",
    "regression_metrics",
    "rejection_curve",
    "roc_points",
    "signal_threshold",
    "weighted_quantile",
]
