"""How well is each of several classes told from each other one, and how good are several networks together?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lorentzoo.core.numbers import format_number
from lorentzoo.output.metric import Metric
from lorentzoo.output.rows import Row
from lorentzoo.output.table import Cell, Table, text_cell
from lorentzoo.tasks.classification.diagnostics import pair_rejection, qcd_class, working_point
from lorentzoo.tasks.classification.metrics import rejection_cell
from lorentzoo.tasks.classification.predictions import ClassPredictions
from lorentzoo.tasks.predictions import average_predictions

__all__ = [
    "check_comparable",
    "class_table",
    "ensemble_table",
    "percent",
    "rejection_table",
]

_SCORE = "The score between two classes is p_S/(p_S + p_B)"


def rejection_table(runs: Sequence[ClassPredictions]) -> Table:
    """Rejection 1/ε_B of each class where another one is signal, at the efficiency that results on JetClass use.

    Parameters
    ----------
    runs
        Predictions for the same events, one a seed.

    Returns
    -------
    One row a signal class, one column a background class.
    """
    check_comparable(runs)
    names = runs[0].predicted_classes
    rows = []
    for signal, name in enumerate(names):
        efficiency = working_point(name) if len(names) > 2 else 0.5
        cells = [text_cell(name), Cell(percent(efficiency), efficiency)]
        cells += [_pair_cell(runs, signal, background, efficiency) for background in range(len(names))]
        rows.append(tuple(cells))
    notes = (
        f"{_SCORE}; ± is the binomial error of the finite number of background events"
        f"{' and the spread of one seed in quadrature' if len(runs) > 1 else ''}; '>' is a lower limit at 95 % "
        "confidence.",
    )
    return Table("Rejection of each class", ("Signal", "ε_S", *names), tuple(rows), (), notes)


def class_table(rows: Sequence[Row]) -> Table | None:
    """Rejection of QCD jets by each signal class, one row a model.

    None unless the rows tell more than two classes apart, one of which is named QCD.
    """
    rows = [row for row in rows if all("classes" in recorded for recorded in row.metrics)]
    if not rows:
        return None
    members = {row.label: _predictions(row) for row in rows}
    names = next(iter(members.values()))[0].class_names
    background = qcd_class(names)
    if len(names) < 3 or background is None:
        return None
    signals = [label for label in range(len(names)) if label != background]
    columns = ["Model"] + [f"{names[label]} ({percent(working_point(names[label]))})" for label in signals]
    cells = tuple(
        (
            text_cell(label),
            *(_pair_cell(runs, signal, background, working_point(names[signal])) for signal in signals),
        )
        for label, runs in members.items()
    )
    notes = (
        f"Columns name the signal and its efficiency ε_S, as results on JetClass quote them. {_SCORE}.",
        "Rejections are means over seeds ± spread of one seed and binomial error in quadrature; '>' is a lower limit at "
        "95 % confidence.",
    )
    return Table(f"Rejection of {names[background]} by class", tuple(columns), cells, (), notes)


def ensemble_table(rows: Sequence[Row], metrics: Sequence[Metric]) -> Table | None:
    """Mean probabilities of the seeds of each row, and of all rows; None where no row has several seeds.

    Parameters
    ----------
    rows
        Rows of classifiers on the same events.
    metrics
        Columns.
    """
    rows = [row for row in rows if len(row.seeds) > 1]
    if not rows:
        return None
    members = {row.label: _predictions(row) for row in rows}
    if len(rows) > 1:
        members["all rows"] = [prediction for each in members.values() for prediction in each]
    lines = []
    for label, each in members.items():
        found = average_predictions(each).metrics()
        cells = [_single_cell(found.get(metric.name)) for metric in metrics]
        lines.append((text_cell(label), Cell(str(len(each)), len(each)), *cells))
    note = (
        "Probabilities of all seeds of a row are averaged: training and evaluation cost as many times more."
    )
    columns = ("Model", "Members", *(metric.heading for metric in metrics))
    return Table("Seeds together", columns, tuple(lines), (), (note,))


def percent(fraction: float) -> str:
    """A fraction as text.

    >>> percent(0.995)
    '99.5 %'
    """
    return f"{100 * fraction:g} %"


def check_comparable(runs: Sequence[ClassPredictions]) -> None:
    """Refuse runs that do not predict the same classes.

    Raises
    ------
    ValueError
        If there is no run, one predicts no classes, or they predict different ones.
    """
    if not runs or not all(isinstance(run, ClassPredictions) for run in runs):
        raise ValueError("this compares predicted classes; give predictions of at least one classifier")
    if len({(run.values.shape[1], run.class_names) for run in runs}) > 1:
        raise ValueError("the runs predict different classes; compare runs on one data set")


def _predictions(row: Row) -> list[ClassPredictions]:
    return [evaluation for evaluation in row.evaluations if isinstance(evaluation, ClassPredictions)]


def _pair_cell(runs: Sequence[ClassPredictions], signal: int, background: int, efficiency: float) -> Cell:
    if signal == background:
        return Cell("–")
    found = [
        pair_rejection(
            run.values, run.target.astype(np.int64), run.weight, signal, background, efficiency, run.logs
        )
        for run in runs
    ]
    known = [rejection.to_data() for rejection in found if rejection is not None]
    return rejection_cell(known) if len(known) == len(found) else Cell("–")


def _single_cell(value: Any) -> Cell:
    if value is None:
        return Cell("–")
    if isinstance(value, Mapping):
        return rejection_cell([value])
    return Cell(f"{value:.4f}" if abs(value) >= 0.001 else format_number(value), value)
