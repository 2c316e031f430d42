"""Rows of a study can be told apart in its figures, whatever its grid."""

from __future__ import annotations

from itertools import product

import matplotlib.pyplot as plt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorentzoo.output.metric import Metric
from lorentzoo.output.row_plots import plot_costs, plot_history
from lorentzoo.output.rows import Look, Row
from lorentzoo.studies.report.rows import choose_looks
from lorentzoo.studies.results import RowResult

ERROR = Metric("error", better="low")


@given(st.lists(st.integers(1, 7), min_size=1, max_size=3), st.integers(1, 2))
def test_no_two_rows_look_alike(sizes: list[int], train_sizes: int) -> None:
    axes = [f"axis{number}" for number in range(len(sizes))]
    rows = [
        RowResult("", dict(zip(axes, map(str, places), strict=True)), size, "", "", (), ())
        for *places, size in product(*map(range, sizes), range(train_sizes))
    ][:120]
    looks = choose_looks([axis for axis, size in zip(axes, sizes, strict=True) if size > 1], rows)
    assert len(set(looks)) == len(rows)


def make_row(values: list[float]) -> Row:
    history = [{"step": float(step), "val_loss": value} for step, value in enumerate(values)]
    costs = {"flops": 1e6}
    return Row(
        "a", Look("C0", "-", "o"), (0,), ({"error": values[-1]},), (costs,), (history,), lambda _: None
    )  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("values", "scale"),
    [([3.0, 1e-3, 2e-4], "log"), ([0.6, 0.5, 0.4], "linear"), ([5.0, 0.1, -1.0], "linear")],
)
def test_values_of_different_orders_are_all_seen(values: list[float], scale: str) -> None:
    history = plot_history([make_row(values)])
    assert history.get_yscale() == scale
    low, high = history.get_ylim()
    assert low < min(values)
    assert high > max(values)
    costs = plot_costs([make_row([value]) for value in values], "flops", ERROR)
    assert costs.get_yscale() == scale
    plt.close("all")
