"""Tables, figures and the report, from runs whose numbers are made up."""

from __future__ import annotations

import csv
import io
import math
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from lorentzoo.core.errors import StudyError
from lorentzoo.core.numbers import format_uncertain
from lorentzoo.output import row_plots
from lorentzoo.output.style import to_svg
from lorentzoo.output.uncertainty import paired_difference, summarise
from lorentzoo.registry.specs import PartSpec, Spec
from lorentzoo.studies import study_csv, study_numbers, study_tables, study_text, write_report
from lorentzoo.studies.grid import load_study
from lorentzoo.studies.plan import RunSpec
from lorentzoo.studies.report.details import describe_rows
from lorentzoo.studies.report.figures import study_figures
from lorentzoo.studies.report.page import report_html
from lorentzoo.studies.report.rows import group_by_task, view_rows
from lorentzoo.studies.report.sizes import plot_train_sizes
from lorentzoo.studies.results import RowResult, StudyResult
from lorentzoo.studies.run_details import describe_command
from lorentzoo.studies.runs import RunRecord
from lorentzoo.tasks.classification.plots import plot_roc
from lorentzoo.tasks.classification.predictions import ClassPredictions
from lorentzoo.tasks.classification.task import Classification
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.costs import Costs

STUDY = load_study(
    {
        "name": "made up",
        "description": "Nothing was trained: <b>numbers</b> & names only.",
        "dataset": "toptag",
        "axes": {"backbone": ["net", "other"], "frames": ["identity", "random-beam"]},
        "seeds": 2,
        "budget": {"cpu_seconds": 10},
    }
)
SPEC = Spec(backbone=PartSpec("net"))
AUC = next(metric for metric in Classification.metrics if metric.name == "auc")
ENVIRONMENT = {
    "python": "3.11",
    "system": "Linux",
    "cores": 2,
    "threads": 1,
    "device": "CPU",
    "finished": "2026-01-01",
    "versions": {"torch": "2.6"},
}
DATA = {
    "dataset": {"name": "toptag"},
    "sizes": {"train": 10, "validation": 4, "test": 400},
    "classes": {"test": {"qcd": 200, "top": 200}},
    "weighted": False,
    "mean_multiplicity": 60.0,
    "metadata": {
        "class_names": ["qcd", "top"],
        "selection": "550 < pT < 650 GeV",
        "plan": {
            "settings": {"pthat_min": 400.0, "pthat_max": 1000.0},
            "pythia": {"qcd": ["HardQCD:all=on"]},
        },
    },
}


def make_run(folder: Path, seed: int, strength: float, steps: int) -> RunRecord:
    rng = np.random.default_rng(seed)
    target = np.repeat([0, 1], 200)
    score = 1 / (1 + np.exp(-rng.normal(strength * (2 * target - 1), 1.0)))
    predictions = ClassPredictions(
        np.stack([1 - score, score], 1), target, np.ones(400), np.arange(400), class_names=("qcd", "top")
    )
    folder.mkdir(parents=True)
    predictions.save(folder / "predictions.npz")
    history = [
        {
            "epoch": epoch,
            "step": steps * epoch / 4,
            "cpu_seconds": 2.5 * epoch,
            "learning_rate": 1e-3,
            "loss": 1 / epoch,
            "val_loss": 1.1 / epoch,
            "val_auc": 0.8 + 0.02 * epoch + 0.001 * seed,
        }
        for epoch in range(1, 5)
    ]
    run = RunSpec(SPEC, PartSpec("toptag"), "hash", None, TrainConfig(max_steps=steps, seed=seed))
    costs = Costs(1234, 2.5e6 * steps, 60, 0.1, 0.3, 12.0, 64)
    training = {
        "steps": steps,
        "epochs": 4,
        "cpu_seconds": 10.0,
        "events": 64 * steps,
        "stopped_early": False,
    }
    return RunRecord(folder, run, predictions.metrics(), costs, training, history, ENVIRONMENT)


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> StudyResult:
    folder = tmp_path_factory.mktemp("made-up")
    rows = []
    for backbone, strength, steps in (("net", 1.5, 100), ("other", 1.0, 400)):
        for frames in ("identity", "random-beam"):
            label = f"{backbone} · {frames}"
            choices = {"backbone": backbone, "frames": frames}
            if label == "other · random-beam":
                rows.append(RowResult(label, choices, None, "", "it makes no sense", (), ()))
                continue
            shift = 0.1 if frames == "random-beam" else 0.0
            runs = tuple(
                make_run(folder / f"{label}{seed}", seed, strength + shift, steps) for seed in (0, 1)
            )
            rows.append(RowResult(label, choices, None, "SO⁺(1,1)_beam × SO(2)_beam", "", runs, ()))
    return StudyResult(STUDY, folder, tuple(rows), DATA)


# ---- tables -------------------------------------------------------------------------------------


def test_numbers_are_rounded_to_their_errors() -> None:
    assert format_uncertain(0.93127, 0.00118) == "0.9313 ± 0.0012"
    assert format_uncertain(123.4, 11.0) == "123 ± 11"
    assert format_uncertain(0.5, math.nan) == "0.5"


def test_paired_differences_have_students_interval() -> None:
    values, reference = {0: 1.0, 1: 2.0, 2: 4.0, 9: 0.0}, {0: 0.5, 1: 1.0, 2: 2.5}
    difference = paired_difference(values, reference)
    assert difference is not None
    assert difference.mean == pytest.approx(1.0)
    # Three pairs 0.5, 1.0, 1.5: t(0.975, 2) = 4.302653, standard error 0.5/√3.
    assert difference.high - 1.0 == pytest.approx(4.302653 * 0.5 / math.sqrt(3), rel=1e-6)
    assert not difference.is_significant
    equal = paired_difference({0: 0.3, 1: 0.2}, {0: 0.2, 1: 0.1})
    assert equal is not None
    assert not equal.is_significant
    assert paired_difference({0: 1.0}, {1: 1.0}) is None
    assert math.isnan(summarise([1.0]).spread)


def test_results_hold_means_spreads_and_refusals(result) -> None:
    table = study_tables(result)["results"]
    auc = table.columns.index("AUC")
    values = list(result.rows[0].values("auc").values())
    assert table.rows[0][auc].value == pytest.approx(np.mean(values))
    assert table.rows[0][auc].text == format_uncertain(float(np.mean(values)), float(np.std(values, ddof=1)))
    rejection = table.rows[0][table.columns.index("1/ε_B (ε_S = 0.5)")].text
    assert re.fullmatch(r"[\d.]+ ± [\d.]+|> \d+", rejection)
    assert table.messages == (("other · random-beam", "refused: it makes no sense"),)
    # Equal CPU-seconds: the comparison at equal steps is where the slowest ended.
    assert table.columns[-1] == "AUC (val.) at 100 steps"
    assert table.rows[0][-1].value == pytest.approx(0.88 + 0.0005)
    assert table.rows[-1][-1].value == pytest.approx(0.82 + 0.0005)


def test_effects_pair_rows_that_differ_in_one_name(result) -> None:
    table = study_tables(result)["effects"]
    assert [row[0].text for row in table.rows] == [
        "backbone: other instead of net",
        "frames: random-beam instead of identity",
    ]
    # The refused row leaves one pair each.
    assert [row[1].value for row in table.rows] == [1, 1]
    net, other = (result.rows[index].values("auc") for index in (0, 2))
    expected = np.mean([other[seed] - net[seed] for seed in (0, 1)])
    assert table.rows[0][table.columns.index("Δ AUC")].value == pytest.approx(expected)


def test_four_formats(result) -> None:
    text = study_text(result)
    assert "net · identity" in text
    assert "refused: it makes no sense" in text
    assert "2,000,000" not in text
    markdown = study_tables(result)["results"].to_markdown().splitlines()
    widths = {line.count("|") for line in markdown if line.startswith("|")}
    assert len(widths) == 1
    assert any("refused: it makes no sense" in line for line in markdown)
    latex = study_tables(result)["results"].to_latex()
    assert r"SO$^+$(1,1)$_\mathrm{beam}$ $\times$" in latex
    assert r"1/$\varepsilon_B$" in latex
    assert all(ord(character) < 128 for character in latex)
    rows = list(csv.DictReader(io.StringIO(study_csv(result))))
    assert [row["label"] for row in rows] == [row.label for row in result.rows]
    assert float(rows[0]["auc"]) == pytest.approx(np.mean(list(result.rows[0].values("auc").values())))
    assert rows[0]["steps"] == "100.0"
    assert study_numbers(result)[0]["auc"] == float(rows[0]["auc"])
    assert rows[3]["status"] == "refused: it makes no sense"


def test_limits_are_marked(result) -> None:
    row = result.rows[0]
    limit = {"value": 66.0, "error": 0.0, "passing": 0, "is_limit": True}
    runs = (replace(row.runs[0], metrics=row.runs[0].metrics | {"rejection_0.3": limit}), row.runs[1])
    table = study_tables(replace(result, rows=(replace(row, runs=runs),)))["results"]
    assert table.rows[0][table.columns.index("1/ε_B (ε_S = 0.3)")].text.startswith("> ")


# ---- figures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "draw",
    [
        plot_roc,
        row_plots.plot_history,
        lambda rows, **options: row_plots.plot_history(rows, "val_auc", "cpu_seconds", **options),
        lambda rows, **options: row_plots.plot_costs(rows, "flops", AUC, **options),
        lambda rows, **options: row_plots.plot_costs(rows, "training_ms", AUC, **options),
    ],
)
def test_figures_draw_every_row_on_given_axes(result, draw) -> None:
    ax = Figure().subplots()
    assert draw(view_rows(result), ax=ax) is ax
    labels = ax.get_legend_handles_labels()[1]
    assert labels == [row.label for row in result.finished]
    svg = to_svg(ax)
    assert svg.lstrip().startswith("<?xml")


def test_roc_shows_the_rejection(result) -> None:
    ax = plot_roc(view_rows(result))
    assert ax.get_yscale() == "log"
    efficiency, rejection = ax.get_lines()[2].get_data()
    at_half = np.interp(0.5, efficiency, rejection)
    expected = np.exp(np.mean(np.log(list(result.rows[2].values("rejection_0.5").values()))))
    assert at_half == pytest.approx(expected, rel=0.15)


# ---- report -------------------------------------------------------------------------------------


def test_report_is_one_page_on_its_own(result) -> None:
    page = report_html(result)
    best = max(result.finished, key=lambda row: np.mean([run.metrics["auc"] for run in row.runs]))
    assert f"In detail: {best.label}, the row" in page
    # Six of all rows, four of the best: the made-up events have no momenta.
    assert page.count("<figure>") == 6 + 4
    assert page.count("data:image/svg+xml;base64,") == 6 + 4
    assert page.count("data:text/csv;charset=utf-8;base64,") == 6 + 4
    # Nothing is fetched from anywhere.
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "@import" not in page
    assert "url(" not in page
    assert "&lt;b&gt;numbers&lt;/b&gt; &amp; names" in page
    for text in (
        "400 – 1000 GeV",
        "550 &lt; pT",
        "it makes no sense",
        "torch 2.6",
        "10 CPU-seconds",
        "How to reproduce",
    ):
        assert text in page, text
    assert 'class="sortable"' in page


def test_training_sizes_make_a_figure_with_a_line_for_each_composition(result) -> None:
    study = result.study.model_copy(update={"train_sizes": (5, None)})
    small = [replace(row, train_size=5, label=f"{row.label} · 5 events") for row in result.rows]
    sized = replace(result, study=study, rows=(*small, *result.rows))
    ax = plot_train_sizes(sized, AUC)
    lines = {text.get_text() for text in ax.figure.legends[0].get_texts()} if ax.figure.legends else set()
    lines = lines or {text.get_text() for text in ax.get_legend().get_texts()}
    assert lines == {"net · identity", "net · random-beam", "other · identity"}
    for line in ax.containers:
        assert list(line[0].get_xdata()) == [5, 10], "no size stands for all events of the training split"
        assert line[0].get_ydata()[0] == line[0].get_ydata()[1]
    assert "against the number of training events" in report_html(sized)
    assert "against the number of training events" not in report_html(result)


def test_titles_labels_and_captions_are_those_of_the_study(result) -> None:
    texts = {
        "title": "Mine & yours",
        "figures": {"roc": {"title": "Top tagging", "caption": "Said of it."}, "costs-*": {"xlabel": "Cost"}},
        "tables": {"results": "Short."},
    }
    study = load_study({**STUDY.model_dump(mode="json"), "report": texts})
    mine = replace(result, study=study)
    figures = {figure.name: figure for figure in study_figures(mine).all}
    assert figures["roc"].axes.get_title() == "Top tagging"
    assert figures["costs-flops"].axes.get_xlabel() == "Cost"
    page = report_html(mine)
    assert "<h1>Mine &amp; yours</h1>" in page
    assert "Said of it." in page
    assert "xlabel: Cost" in page, "the study on the page has its texts"
    assert r"\caption{Short.}" in study_tables(mine)["results"].to_latex()
    assert r"\caption{Costs (made up).}" in study_tables(mine)["costs"].to_latex()
    with pytest.raises(StudyError, match="report"):
        load_study({**STUDY.model_dump(mode="json"), "report": {"figures": {"roc": {"colour": "red"}}}})


def test_rows_of_two_tasks_have_figures_of_their_own_names(result) -> None:
    names = [figure.name for figure in study_figures(result).all]
    assert len(set(names)) == len(names)


def test_the_best_row_is_compared_with_all_others(result) -> None:
    table = study_tables(result)["significance"]
    labels = [row.label for row in result.finished]
    best = max(labels, key=lambda label: np.mean(list(_row(result, label).values("auc").values())))
    assert table.title.startswith(f"Significance: {best} ")
    assert sorted(row[0].text for row in table.rows) == sorted(set(labels) - {best})
    for row in table.rows:
        mine, reference = (_row(result, label).values("auc") for label in (row[0].text, best))
        expected = stats.ttest_rel([mine[0], mine[1]], [reference[0], reference[1]])
        assert row[3].value == pytest.approx(expected.pvalue)
        assert row[4].value >= row[3].value
        assert row[2].value == pytest.approx(np.mean([mine[seed] - reference[seed] for seed in (0, 1)]))
        assert row[5].text == f"{sum(reference[seed] > mine[seed] for seed in (0, 1))} of 2"


def _row(result: StudyResult, label: str) -> RowResult:
    return next(row for row in result.rows if row.label == label)


def test_details_of_a_row_hold_what_runs_it_again(result) -> None:
    rows = describe_rows(group_by_task(result), result.finished)
    assert list(rows) == [row.label for row in result.finished]
    assert len({about.anchor for about in rows.values()}) == len(rows)
    for row in result.finished:
        about = rows[row.label]
        assert [line[0].value for line in about.seeds.rows] == [0, 1]
        for command, run in zip(about.commands, row.runs, strict=True):
            folder, _, words = command.partition(" && ")
            assert folder == f"cd {shlex.quote(str(run.directory))}"
            # That this makes a run of the same hash is tested where it is written.
            assert words == f"{describe_command(run.run, None)} --out ../../again/{run.run.key}"


def test_everything_is_written(result) -> None:
    report = write_report(result)
    names = {path.name for path in report.parent.iterdir() if path.is_file()}
    assert {"report.html", "tables.txt", "tables.md", "tables.tex", "results.csv"} <= names


def test_a_study_without_finished_runs_has_a_report(result) -> None:
    rows = tuple(replace(row, runs=(), problems=("run abc failed: no luck",)) for row in result.rows)
    empty = replace(result, rows=rows)
    page = report_html(empty)
    assert "No run has finished yet" in page
    assert "no luck" in page
    assert "failed: no luck" in study_text(empty)


def test_one_seed_and_one_row_are_enough(result) -> None:
    row = result.rows[0]
    study = STUDY.model_copy(update={"seeds": (0,)})
    one: Any = replace(result, study=study, rows=(replace(row, runs=row.runs[:1]),))
    assert "differences" not in study_tables(one)
    assert "±" not in study_tables(one)["results"].rows[0][3].text
    assert report_html(one)
