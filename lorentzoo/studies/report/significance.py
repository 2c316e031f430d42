"""Is the best row of a study better than the others by more than its seeds differ?"""

from __future__ import annotations

import math

from lorentzoo.output.table import Cell, Table, difference_cell, spread_cell, text_cell
from lorentzoo.output.uncertainty import compare_rows, correct_for_many
from lorentzoo.studies.report.rows import TaskRows
from lorentzoo.studies.results import StudyResult

__all__ = ["significance_table"]


def significance_table(result: StudyResult, group: TaskRows) -> Table | None:
    """Every row of a task against its best one; None where nothing is ranked, or no two rows have two seeds.

    Parameters
    ----------
    result
        Of the study.
    group
        Rows of one task.
    """
    metric, best = group.ranking, group.best
    if metric is None or best is None:
        return None
    labels = {row.label for row in group.rows}
    rows = [row for row in result.finished if row.label in labels and row.values(metric.name)]
    reference = next(row.values(metric.name) for row in rows if row.label == best.label)
    others = [row for row in rows if row.label != best.label]
    found = [compare_rows(row.values(metric.name), reference) for row in others]
    if not any(found):
        return None
    corrected = correct_for_many([math.nan if each is None else each.p_value for each in found])
    lines = []
    for row, each, p in zip(others, found, corrected, strict=True):
        values = row.values(metric.name)
        wins = sum(
            metric.is_better(reference[seed], than=value)
            for seed, value in values.items()
            if seed in reference
        )
        both = len(set(values) & set(reference))
        lines.append(
            (
                text_cell(row.label),
                spread_cell(list(values.values())),
                difference_cell(None if each is None else each.difference),
                _p_cell(math.nan if each is None else each.p_value),
                _p_cell(p),
                Cell(f"{wins} of {both}" if both else "unpaired", wins if both else None),
            )
        )
    name = metric.label or metric.name
    return Table(
        f"Significance: {best.label} against the others",
        ("Model", metric.heading, f"Δ {metric.heading}", "p", "p (all)", "Seeds won"),
        tuple(lines),
        (),
        (
            f"{best.label} has the best mean {name}; Δ is the other row minus it, with the 95 % interval by Student's t. "
            "Paired by seed (same data, initial seed and order of batches) where two are common, else Welch's test.",
            "p: chance of a difference as large if there were none. p (all): the same with regard to the number of rows "
            "(Holm). Seeds won: in how many of the common seeds the best row is ahead. The best row was chosen after the "
            "fact, and the finite test sample, common to all rows, is not in it.",
        ),
    )


def _p_cell(p: float) -> Cell:
    if math.isnan(p):
        return Cell("–")
    return Cell("< 0.0001" if p < 1e-4 else f"{p:.2g}", p)
