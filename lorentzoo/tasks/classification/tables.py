"""How well is each of several classes told from each other one?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lorentzoo.studies.report.tables import Cell, Table, rejection_cell
from lorentzoo.studies.results import RowResult, StudyResult
from lorentzoo.tasks.classification.diagnostics import pair_rejection, qcd_class, working_point
from lorentzoo.tasks.predictions import Predictions

__all__ = ["check_comparable", "percent", "rejection_table", "study_class_tables"]

_SCORE = "The score between two classes is p_S/(p_S + p_B)"


def rejection_table(runs: Sequence[Predictions]) -> Table:
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
        cells = [Cell(name, name), Cell(percent(efficiency), efficiency)]
        cells += [_cell(runs, signal, background, efficiency) for background in range(len(names))]
        rows.append(tuple(cells))
    notes = (
        f"{_SCORE}; rejections {'± spread over seeds ' if len(runs) > 1 else ''}± binomial error of the finite number of "
        "background events; '>' is a lower limit at 95 % confidence.",
    )
    return Table("Rejection of each class", ("Signal", "ε_S", *names), tuple(rows), (), notes)


def study_class_tables(result: StudyResult) -> dict[str, Table]:
    """The table ``classes``: rejection of QCD jets by each signal class, one row a model.

    Empty unless the rows tell more than two classes apart, one of which is named QCD.
    """
    names = tuple(result.data.get("metadata", {}).get("class_names", ()))
    background = qcd_class(names)
    rows = [row for row in result.finished if all("classes" in run.metrics for run in row.runs)]
    if len(names) < 3 or background is None or not rows:
        return {}
    signals = [label for label in range(len(names)) if label != background]
    columns = ["Model"] + [f"{names[label]} ({percent(working_point(names[label]))})" for label in signals]
    cells = tuple((Cell(row.label, row.label), *_row_cells(row, names, signals, background)) for row in rows)
    notes = (
        f"Columns name the signal and its efficiency ε_S, as results on JetClass quote them. {_SCORE}.",
        "Rejections are means over seeds, with their spread and the binomial error; '>' is a lower limit at 95 % "
        "confidence.",
    )
    title = f"Rejection of {names[background]} by class"
    return {"classes": Table(title, tuple(columns), cells, (), notes)}


def percent(fraction: float) -> str:
    """A fraction as text.

    >>> percent(0.995)
    '99.5 %'
    """
    return f"{100 * fraction:g} %"


def _row_cells(row: RowResult, names: tuple[str, ...], signals: list[int], background: int) -> list[Cell]:
    runs = [run.predictions for run in row.runs]
    return [_cell(runs, signal, background, working_point(names[signal])) for signal in signals]


def _cell(runs: Sequence[Predictions], signal: int, background: int, efficiency: float) -> Cell:
    if signal == background:
        return Cell("–")
    found = [
        pair_rejection(run.values, run.target.astype(np.int64), run.weight, signal, background, efficiency)
        for run in runs
    ]
    known = [rejection.to_data() for rejection in found if rejection is not None]
    return rejection_cell(known) if len(known) == len(found) else Cell("–")


def check_comparable(runs: Sequence[Predictions]) -> None:
    """Refuse runs that do not predict the same classes.

    Raises
    ------
    ValueError
        If there is no run, one predicts no classes, or they predict different ones.
    """
    if not runs or any(run.task != "classification" for run in runs):
        raise ValueError(
            "this compares predicted classes; give predictions of at least one run with task='classification'"
        )
    if len({(run.values.shape[1], run.class_names) for run in runs}) > 1:
        raise ValueError("the runs predict different classes; compare runs on one data set")
