"""What did the networks of a study learn of the Lorentz group?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes

from lorentzoo.output.rows import Look
from lorentzoo.output.style import axes_or_new, legend_beside, plain_text, style
from lorentzoo.output.table import Table, spread_cell, text_cell
from lorentzoo.studies.results import RowResult, StudyResult
from lorentzoo.verification.spectrum import SUBGROUPS

__all__ = ["plot_symmetries", "symmetry_table"]

_NONE: Final = 6**-0.5
"""What every generator would have, did particles not know of each other."""
_SMALLEST: Final = 1e-8
"""Below, a symmetry is kept to rounding, and values say nothing."""


def symmetry_table(result: StudyResult) -> Table | None:
    """How far the trained networks of each row break each subgroup; None where no run was asked."""
    rows = [row for row in result.finished if any(run.symmetry for run in row.runs)]
    if not rows:
        return None
    lines = [
        (
            text_cell(row.label),
            text_cell(row.symmetry),
            *(spread_cell(_values(row, name), _errors(row, name)) for name in SUBGROUPS),
        )
        for row in rows
        if _values(row, next(iter(SUBGROUPS)))
    ]
    refused = [
        (row.label, f"no spectrum: {run.symmetry['refused']}")
        for row in rows
        for run in row.runs[:1]
        if run.symmetry and "refused" in run.symmetry
    ]
    notes = (
        "Derivatives of the outputs along the generators of each subgroup, relative to those when every particle moves "
        f"on its own, with trained weights on {result.study.symmetry_events} test events: 0 is kept, {_NONE:.2f} is no "
        "symmetry at all. The second column is what the composition keeps with any weights.",
    )
    return Table("Learned symmetry", ("Model", "Computed", *SUBGROUPS), tuple(lines), tuple(refused), notes)


def plot_symmetries(
    rows: Sequence[RowResult], looks: Mapping[str, Look], *, legend: bool = True, ax: Axes | None = None
) -> Axes:
    """Breaking of each subgroup by the trained networks of some rows; error bars are the spread over seeds.

    Parameters
    ----------
    rows
        Rows of a study, of which those are drawn that have spectra.
    looks
        Colour and marker by label.
    legend
        Whether to name the rows beside the axes.
    ax
        Where to draw.
    """
    with style():
        ax = axes_or_new(ax)
        shown = [row for row in rows if _values(row, next(iter(SUBGROUPS)))]
        for number, row in enumerate(shown):
            values = [_values(row, name) for name in SUBGROUPS]
            ax.errorbar(
                np.arange(len(SUBGROUPS)) + 0.6 * (number + 0.5) / len(shown) - 0.3,
                np.maximum([np.mean(each) for each in values], _SMALLEST),
                yerr=[float(np.std(each, ddof=1)) if len(each) > 1 else 0.0 for each in values],
                label=plain_text(row.label),
                color=looks[row.label].colour,
                marker=looks[row.label].marker,
                markerfacecolor=looks[row.label].colour if looks[row.label].is_filled else "white",
                linestyle="none",
                capsize=3,
            )
        ax.axhline(_NONE, color="0.6", linestyle=":")
        ax.set_yscale("log")
        names = [name.replace("⁺", "$^+$").replace("_beam", r"$_\mathrm{beam}$") for name in SUBGROUPS]
        ax.set_xticks(range(len(SUBGROUPS)), names, rotation=25, ha="right")
        ax.set_ylabel("Relative derivative")
        if legend:
            legend_beside(ax)
    return ax


def _values(row: RowResult, subgroup: str) -> list[float]:
    return [value for value, _ in _pairs(row, subgroup)]


def _errors(row: RowResult, subgroup: str) -> list[float]:
    return [error for _, error in _pairs(row, subgroup)]


def _pairs(row: RowResult, subgroup: str) -> list[tuple[float, float]]:
    found = [
        run.symmetry["subgroups"][subgroup]
        for run in row.runs
        if run.symmetry and "subgroups" in run.symmetry
    ]
    return [(float(value), float(error)) for value, error in found]
