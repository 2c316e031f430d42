"""Figures as files: legends inside, numbers beside, texts of one's own."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lorentzoo.core.errors import ParameterError
from lorentzoo.output.figure import ReportFigure, with_texts
from lorentzoo.output.figure_files import legend_inside, write_figures
from lorentzoo.output.figure_numbers import read_numbers
from lorentzoo.output.metric import Metric
from lorentzoo.output.report_texts import FigureTexts, ReportTexts, read_texts
from lorentzoo.output.row_plots import find_front
from lorentzoo.output.style import COLOURS, legend_beside, style


def make_axes() -> Axes:
    return Figure(layout="constrained").subplots()


def draw_curves(names: list[str], size: int = 20, seed: int = 0) -> tuple[Axes, np.ndarray, np.ndarray]:
    """Curves with bands, two of a colour, as rows of a study are drawn."""
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.random(size)), rng.random((len(names), size))
    with style():
        ax = make_axes()
        for number, name in enumerate(names):
            colour = COLOURS[number // 2 % len(COLOURS)]
            ax.plot(x, y[number], label=name, color=colour, linestyle=("-", "--")[number % 2])
            ax.fill_between(x, y[number] - 0.1, y[number] + 0.2, color=colour, alpha=0.2)
        ax.axhline(0.5, color=COLOURS[0])
    return ax, x, y


@settings(max_examples=5, deadline=None)
@given(
    names=st.lists(
        st.text("abcdε_$ ", min_size=1, max_size=8).map(lambda text: f"n{text}"),
        min_size=1,
        max_size=4,
        unique=True,
    ),
    seed=st.integers(0, 99),
)
def test_numbers_of_curves_are_those_that_were_drawn(names: list[str], seed: int) -> None:
    ax, x, y = draw_curves([name.replace("$", r"\$") for name in names], seed=seed)
    lines = read_numbers(ax)
    for number, name in enumerate(names):
        mine = [line for line in lines if line["series"] == name]
        assert [line["x"] for line in mine] == pytest.approx(list(x))
        assert [line["y"] for line in mine] == pytest.approx(list(y[number]))
        assert [line["y_low"] for line in mine] == pytest.approx(list(y[number] - 0.1))
        assert [line["y_high"] for line in mine] == pytest.approx(list(y[number] + 0.2))
    # A line across the axes is there for orientation.
    assert len(lines) == len(names) * len(x)


def draw_points(ax: Axes) -> list[dict[str, float]]:
    ax.errorbar([1.0, 2.0], [3.0, 4.0], xerr=[0.5, 0.25], yerr=[[1.0, 2.0], [3.0, 4.0]], label="p")
    return [
        {"x": 1.0, "y": 3.0, "x_low": 0.5, "x_high": 1.5, "y_low": 2.0, "y_high": 6.0},
        {"x": 2.0, "y": 4.0, "x_low": 1.75, "x_high": 2.25, "y_low": 2.0, "y_high": 8.0},
    ]


def draw_steps(ax: Axes) -> list[dict[str, float]]:
    ax.stairs([1.0, 2.0], [0.0, 1.0, 3.0], label="p", color="C3")
    ax.errorbar([0.5, 2.0], [1.0, 2.0], yerr=[0.5, 0.5], color="C3", fmt="none")
    return [{"x_low": 0.0, "x_high": 1.0, "y": 1.0}, {"x_low": 1.0, "x_high": 3.0, "y": 2.0}]


def draw_matrix(ax: Axes) -> list[dict[str, object]]:
    ax.imshow([[1.0, 2.0], [3.0, 4.0]])
    ax.set_xticks([0, 1], ["a", "b"])
    ax.set_yticks([0, 1], ["c", "d"])
    cells = [("a", "c", 1.0), ("b", "c", 2.0), ("a", "d", 3.0), ("b", "d", 4.0)]
    return [{"x": x, "y": y, "value": value} for x, y, value in cells]


def draw_mesh(ax: Axes) -> list[dict[str, float]]:
    ax.pcolormesh([0.0, 1.0, 3.0], [0.0, 2.0], np.array([[5.0, np.nan]]))
    return [{"x_low": 0.0, "x_high": 1.0, "y_low": 0.0, "y_high": 2.0, "value": 5.0}]


@pytest.mark.parametrize("draw", [draw_points, draw_steps, draw_matrix, draw_mesh])
def test_numbers_of_points_bins_and_cells(draw: Callable[[Axes], list[dict[str, object]]]) -> None:
    ax = make_axes()
    expected = draw(ax)
    ax.set_xlabel(r"$p_T$ [GeV]")
    lines = read_numbers(ax)
    assert len(lines) == len(expected)
    for line, wanted in zip(lines, expected, strict=True):
        assert {key: line[key] for key in wanted} == wanted
        assert line["x_axis"] == "p_T [GeV]"


def test_panels_are_counted_and_share_the_label_of_the_lowest() -> None:
    upper, lower = Figure().subplots(2, 1, sharex=True)
    for ax in (upper, lower):
        ax.plot([0.0, 1.0], [1.0, 2.0], color=COLOURS[3], label="a" if ax is upper else None)
    lower.set_xlabel("Mass")
    found = {(line["panel"], line["x_axis"], line["series"]) for line in read_numbers(upper)}
    assert found == {(1, "Mass", "a"), (2, "Mass", "a")}


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("beside", [False, True])
def test_a_legend_inside_covers_no_curve_and_leaves_the_figure_as_it_was(scale: str, beside: bool) -> None:
    ax, *_ = draw_curves(["first name", "second name", "third name"])
    ax.set_yscale(scale)
    ax.set_ylim(0.05, 1.4)
    if beside:
        legend_beside(ax)
    with legend_inside(ax):
        legend = ax.get_legend()
        assert [text.get_text() for text in legend.get_texts()] == ["first name", "second name", "third name"]
        figure = ax.get_figure(root=True)
        figure.draw_without_rendering()
        box, frame = legend.get_window_extent(), ax.get_window_extent()
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1 + 1
        assert box.y1 <= frame.y1 + 1
        highest = ax.transData.transform([(0.5, 1.4)])[0, 1]
        assert highest <= box.y0
    assert ax.get_ylim() == (0.05, 1.4)
    after = ax.get_legend()
    assert (after is not None) == beside
    assert not beside or after.get_window_extent().x0 >= ax.get_window_extent().x1


def test_a_legend_of_many_names_stands_beside() -> None:
    ax, *_ = draw_curves([f"a rather long name of a row in a study, number {number}" for number in range(24)])
    with legend_inside(ax):
        assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1
    assert ax.get_legend() is None


def test_files_of_a_figure(tmp_path) -> None:
    ax, x, _ = draw_curves(["a", "b"])
    paths = write_figures([ReportFigure("../odd name", ax, "")], tmp_path)
    assert [path.name for path in paths] == ["odd-name.pdf", "odd-name.png", "odd-name.csv"]
    assert all(path.parent == tmp_path for path in paths)
    assert paths[0].read_bytes().startswith(b"%PDF")
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    lines = list(csv.DictReader(io.StringIO(paths[2].read_text())))
    assert len(lines) == 2 * len(x)
    assert b"CreationDate" not in paths[0].read_bytes()


# ---- texts --------------------------------------------------------------------------------------


def test_texts_are_set_where_they_are_given() -> None:
    ax, *_ = draw_curves(["a"])
    ax.set_xlabel("x")
    ax.set_ylabel("y")
    texts = read_texts(
        {"r*.title": "Title", "roc.xlabel": "Cost", "other.title": "no", "roc.caption": "Said."}
    )
    figure = with_texts(ReportFigure("roc", ax, "usual"), texts.of_figure("roc"))
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("Title", "Cost", "y")
    assert figure.caption == "Said."
    assert with_texts(figure, FigureTexts()) == figure


def test_texts_of_the_command_line_win_over_those_of_the_study() -> None:
    study = ReportTexts(
        title="study", figures={"roc": FigureTexts(title="study", xlabel="study")}, tables={"costs": "study"}
    )
    both = read_texts({"roc.title": "mine", "title": "mine"}).over(study)
    assert (both.title, both.tables["costs"]) == ("mine", "study")
    assert both.of_figure("roc") == FigureTexts(title="mine", xlabel="study")
    pattern = read_texts({"*.title": "all"}).over(study)
    assert pattern.of_figure("roc").title == "all"
    assert ReportTexts().over(study) == study


@pytest.mark.parametrize("key", ["roc", "roc.colour", ".title", "Title"])
def test_a_text_of_nothing_is_refused(key: str) -> None:
    with pytest.raises(
        ParameterError, match=r"is not a text of a report: write title, table\.NAME, or FIGURE\.FIELD"
    ):
        read_texts({key: "x"})


def test_a_figure_that_is_not_there_is_named() -> None:
    with pytest.raises(ParameterError, match="no figure 'rok' to give texts to; there are roc, loss"):
        read_texts({"rok.title": "x"}).check_names(["roc", "loss"])
    with pytest.raises(ParameterError, match="no table 'x' to give a caption to; there are results"):
        read_texts({"table.x": "x"}).check_names([], ["results"])
    read_texts({"r*.title": "x", "table.results": "y"}).check_names(["roc"], ["results"])


@given(
    points=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=9),
    better=st.sampled_from(["high", "low"]),
)
def test_the_front_is_what_no_point_beats(points: list[tuple[int, int]], better: str) -> None:
    metric = Metric("m", better=better)  # type: ignore[arg-type]

    def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
        no_worse = one[0] <= other[0] and (one[1] == other[1] or metric.is_better(one[1], than=other[1]))
        return no_worse and one != other

    front = {points[place] for place in find_front(points, metric)}
    assert front == {point for point in points if not any(beats(other, point) for other in points)}
    assert find_front(points, Metric("m")) == []
