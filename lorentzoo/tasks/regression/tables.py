"""How well is each of several targets predicted?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from lorentzoo.output.metric import Metric
from lorentzoo.output.rows import Row
from lorentzoo.output.table import Cell, Table, text_cell
from lorentzoo.tasks.regression.predictions import ValuePredictions

__all__ = ["LINEAR", "SQUARES", "square_unit", "target_table"]

SQUARES: Final = ("mse",)
"""Metrics in the unit of the target, squared."""
LINEAR: Final = ("rmse", "mae", "bias")
"""Metrics in the unit of the target."""


def square_unit(unit: str) -> str:
    """The square of a unit.

    >>> square_unit("GeV"), square_unit("GeV/c")
    ('GeV²', '(GeV/c)²')
    """
    return f"{unit}²" if unit.isalpha() else f"({unit})²"


def target_table(rows: Sequence[Row], metrics: Sequence[Metric]) -> Table | None:
    """One line for each row and target; None for a single target.

    Parameters
    ----------
    rows
        Rows of regressions on the same data.
    metrics
        Of one target; those that are recorded become columns.
    """
    first = next(
        (each for row in rows for each in row.evaluations if isinstance(each, ValuePredictions)), None
    )
    if first is None or first.target.shape[1] < 2:
        return None
    names = first.all_names
    shown = [
        metric
        for metric in metrics
        if metric.family
        and metric.shown == "always"
        and metric.name != "mse"
        and any(row.values(f"{metric.name}_{name}") for row in rows for name in names)
    ]
    units = set(first.target_units)
    common = units.pop() if len(units) == 1 and len(first.target_units) == len(names) else ""
    columns = [replace(metric, unit=common if metric.name in LINEAR else "").heading for metric in shown]
    lines = []
    for name, heading in zip(names, first.headings, strict=True):
        for row in rows:
            cells = [_cell(row, metric, f"{metric.name}_{name}") for metric in shown]
            lines.append((text_cell(row.label), text_cell(heading), *cells))
    note = "Numbers are in the units of the targets." if any(first.target_units) and not common else ""
    return Table(
        "Targets", ("Model", "Target", *columns), tuple(lines), (), tuple(text for text in (note,) if text)
    )


def _cell(row: Row, metric: Metric, name: str) -> Cell:
    values = row.values(name)
    return metric.cell(values) if values else Cell("–")
