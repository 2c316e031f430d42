"""Which tables does a study give, and how are their numbers put?"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from lorentzoo.output.render import to_latex, to_markdown, to_text
from lorentzoo.output.uncertainty import Difference, paired_difference, summarise
from lorentzoo.registry.specs import parse_part
from lorentzoo.studies.results import RowResult, StudyResult
from lorentzoo.tasks.classification.metrics import SIGNAL_EFFICIENCIES
from lorentzoo.tasks.ensembles import ensemble

__all__ = [
    "Cell",
    "Table",
    "format_uncertain",
    "rejection_cell",
    "study_csv",
    "study_numbers",
    "study_tables",
    "with_prefix",
]

_REJECTIONS: Final = tuple(f"rejection_{efficiency}" for efficiency in reversed(SIGNAL_EFFICIENCIES))
_NAMES: Final = {
    "accuracy": "Accuracy",
    "auc": "AUC",
    "log_loss": "Log-loss",
    "mse": "MSE",
    "mae": "MAE",
    "r2": "R²",
    "nll": "NLL",
    "c2st_auc": "C2ST AUC",
    "fpd": "FPD",
    "nll_infinite": "No density",
    "nll_failed": "Density failed",
    "samples_failed": "Samples failed",
    "cut_violations": "Cuts violated",
    "evaluations_per_sample": "Evaluations/sample",
    "seconds_per_sample": "CPU-s/sample",
} | {key: f"1/ε_B (ε_S = {key.rpartition('_')[2]})" for key in _REJECTIONS}
_FACTS: Final = (
    "nll_infinite",
    "nll_failed",
    "samples_failed",
    "cut_violations",
    "evaluations_per_sample",
    "seconds_per_sample",
)
"""What is told of generators, but says nothing of how good they are."""
_RARE: Final = ("nll_failed", "samples_failed")
"""What is told only where it happens."""


@dataclass(frozen=True)
class Cell:
    """A text and the number behind it, by which a table is sorted."""

    text: str
    value: float | str | None = None


@dataclass(frozen=True)
class Table:
    """A table with notes, in every format.

    Attributes
    ----------
    title, columns
        What it is; the first column names the row.
    rows
        One cell a column.
    messages
        Rows without numbers: a label, and why there are none.
    notes
        What a reader must know.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    messages: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def texts(self) -> list[list[str]]:
        """The texts alone."""
        return [[cell.text for cell in row] for row in self.rows]

    def to_text(self, width: int = 160) -> str:
        """For a terminal."""
        return to_text(self.title, self.columns, self.texts, self.messages, self.notes, width)

    def to_markdown(self) -> str:
        """For a README."""
        return to_markdown(self.title, self.columns, self.texts, self.messages, self.notes)

    def to_latex(self) -> str:
        """For a paper; needs booktabs."""
        return to_latex(self.title, self.columns, self.texts, self.messages, self.notes)


def study_tables(result: StudyResult) -> dict[str, Table]:
    """Tables by name: ``results``, ``costs``; with several rows ``differences`` and ``effects``; with several seeds of a
    classifier ``ensembles``.
    """
    tables = {"results": results_table(result), "costs": costs_table(result)}
    if len(result.finished) > 1:
        tables["differences"] = differences_table(result)
        if result.study.varying:
            tables["effects"] = effects_table(result)
    ensembles = ensembles_table(result)
    return tables if ensembles is None else tables | {"ensembles": ensembles}


def results_table(result: StudyResult) -> Table:
    """Metrics of the test split with their errors, symmetry, and what was spent."""
    metrics = [name for name in _metrics(result) if name not in _RARE or _occurs(result, name)]
    matched = _Matched.of(result)
    # A column only where rows differ: what all have stands in the notes.
    uneven = len({len(row.runs) for row in result.finished}) > 1
    columns = ["Model", "Symmetry", *(["Seeds"] if uneven else []), *(_NAMES[name] for name in metrics)]
    columns += ["Training CPU-s", "Steps"] + ([matched.title] if matched else [])
    rows = []
    for row in result.finished:
        cells = [Cell(row.label, row.label), Cell(row.symmetry, row.symmetry)]
        cells += [Cell(str(len(row.runs)), len(row.runs))] if uneven else []
        cells += [_metric_cell(row, name) for name in metrics]
        cells += [_spread_cell([run.training["cpu_seconds"] for run in row.runs], _tenths)]
        cells += [_spread_cell([run.training["steps"] for run in row.runs], _whole)]
        rows.append((*cells, matched.cell(row)) if matched else tuple(cells))
    several = len(result.study.seeds) > 1
    spread = (
        f"mean over {len(result.study.seeds)} seeds ± spread of one seed (standard deviation)"
        if several
        else "one seed"
    )
    notes = [
        f"Numbers are of the test split: {spread}.",
        f"Every run had the same budget: {result.study.budget.text}; rows share splits, seeds and order of batches.",
    ]
    notes += [
        f"Pre-training {label!r} comes before this budget: {pretraining.budget.text} on {pretraining.dataset['name']}."
        for label, pretraining in result.study.pretrainings.items()
    ]
    if any(name in metrics for name in _REJECTIONS):
        notes.append(
            f"Background rejections: {'± spread over seeds ' if several else ''}± binomial error of the finite number of "
            "background events; '>' is a lower limit at 95 % confidence, where in some seed no background "
            "event passes."
        )
    if "nll" in metrics:
        notes += _generation_notes(result)
    if matched:
        notes.append(matched.note)
    return Table("Results", tuple(columns), tuple(rows), _messages(result), tuple(notes))


def costs_table(result: StudyResult) -> Table:
    """Parameters, arithmetic, times and memory."""
    columns = (
        "Model",
        "Parameters",
        "FLOPs/event",
        "Forward [CPU-ms/event]",
        "Training [CPU-ms/event]",
        "Peak memory [MB]",
        "Events seen",
    )
    rows, multiplicities, batches = [], set(), set()
    for row in result.finished:
        costs = [run.costs for run in row.runs]
        multiplicities |= {cost.multiplicity for cost in costs}
        batches |= {cost.batch_size for cost in costs}
        rows.append(
            (
                Cell(row.label, row.label),
                Cell(f"{costs[0].parameters:,}", costs[0].parameters),
                Cell(with_prefix(costs[0].flops), costs[0].flops),
                _spread_cell([cost.forward_ms for cost in costs]),
                _spread_cell([cost.training_ms for cost in costs]),
                Cell(f"{costs[0].memory_mb:.1f}", costs[0].memory_mb),
                _spread_cell([run.training["events"] for run in row.runs], _whole),
            )
        )
    notes = (
        f"FLOPs: forward pass of an event with {_listed(multiplicities)} particles{_of_loss(result)}; a multiply-add "
        "counts two; matrix products, convolutions and attention only.",
        f"Times and memory: batches of {_listed(batches)} test events; processor time of all threads; training is "
        "forward, loss and backward. Peak memory of tensors in a training step, without the optimiser's state.",
    )
    return Table("Costs", columns, tuple(rows), (), notes)


def _of_loss(result: StudyResult) -> str:
    generates = any("nll" in run.metrics for row in result.finished for run in row.runs)
    return ", for a generator that of its loss" if generates else ""


def differences_table(result: StudyResult) -> Table:
    """Every row against the first, paired over seeds."""
    metrics = [name for name in _metrics(result) if name not in _FACTS]
    reference = result.finished[0]
    rows = []
    for row in result.finished[1:]:
        differences = [paired_difference(row.values(name), reference.values(name)) for name in metrics]
        rows.append(
            (Cell(row.label, row.label), *(_difference_cell(difference) for difference in differences))
        )
    return Table(
        f"Differences to {reference.label}",
        ("Model", *(f"Δ {_NAMES[name]}" for name in metrics)),
        tuple(rows),
        (),
        (_INTERVALS,),
    )


def effects_table(result: StudyResult) -> Table:
    """What one name instead of another brings, everything else equal.

    For each seed the difference is averaged over the combinations of all other axes in which both were
    trained; the averages are then compared over the seeds.
    """
    metrics = [name for name in _metrics(result) if name not in _FACTS]
    rows = []
    for axis in result.study.varying:
        labels = list(dict.fromkeys(row.choices[axis] for row in result.finished))
        for label in labels[1:]:
            pairs = _partners(result, axis, label, labels[0])
            if not pairs:
                continue
            cells = [_difference_cell(_mean_effect(pairs, name)) for name in metrics]
            text = f"{axis}: {label} instead of {labels[0]}"
            rows.append((Cell(text, text), Cell(str(len(pairs)), len(pairs)), *cells))
    return Table(
        "One name instead of another",
        ("Change", "Pairs of rows", *(f"Δ {_NAMES[name]}" for name in metrics)),
        tuple(rows),
        (),
        ("Everything else equal, averaged over the pairs of rows. " + _INTERVALS,),
    )


def ensembles_table(result: StudyResult) -> Table | None:
    """Mean probabilities of the seeds of each row, and of all rows; None where nothing is classified."""
    rows = [
        row for row in result.finished if len(row.runs) > 1 and all("auc" in run.metrics for run in row.runs)
    ]
    metrics = [name for name in _metrics(result) if name in ("accuracy", "auc", *_REJECTIONS)]
    if not rows:
        return None
    members = {row.label: [run.predictions for run in row.runs] for row in rows}
    if len(rows) > 1:
        members["all rows"] = [prediction for each in members.values() for prediction in each]
    lines = []
    for label, each in members.items():
        found = ensemble(each).metrics()
        cells = [_single_cell(found.get(name)) for name in metrics]
        lines.append((Cell(label, label), Cell(str(len(each)), len(each)), *cells))
    note = (
        "Probabilities of all seeds of a row are averaged: training and evaluation cost as many times more."
    )
    columns = ("Model", "Members", *(_NAMES[name] for name in metrics))
    return Table("Seeds together", columns, tuple(lines), (), (note,))


def _single_cell(value: Any) -> Cell:
    if value is None:
        return Cell("–")
    return rejection_cell([value]) if isinstance(value, Mapping) else Cell(f"{value:.4f}", value)


_INTERVALS: Final = (
    "Differences are paired over seeds (same data, initial seed and order of batches); in brackets the 95 % interval by "
    "Student's t over seeds, * where it leaves zero out. The finite test sample, common to all rows, is not in it."
)


def study_numbers(result: StudyResult) -> list[dict[str, Any]]:
    """Every number of every row, in full precision."""
    lines = []
    for row in result.rows:
        line: dict[str, Any] = {"label": row.label, **row.choices}
        line |= {"train_size": "all" if row.train_size is None else row.train_size}
        line |= {"status": _status(row), "symmetry": row.symmetry}
        line |= {"seeds": " ".join(map(str, row.seeds))}
        lines.append(line | (_numbers(row) if row.runs else {}))
    return lines


def study_csv(result: StudyResult) -> str:
    """`study_numbers` as CSV, one line a row."""
    lines = study_numbers(result)
    columns = list(dict.fromkeys(key for line in lines for key in line))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def format_uncertain(mean: float, error: float) -> str:
    """A number and its error, rounded to two digits of the error but to four places at most.

    >>> format_uncertain(0.93127, 0.00118)
    '0.9313 ± 0.0012'
    """
    if not math.isfinite(error) or error <= 0:
        return f"{mean:.4g}"
    places = min(max(1 - math.floor(math.log10(error)), 0), 4)
    return f"{mean:.{places}f} ± {error:.{places}f}"


# ---- cells --------------------------------------------------------------------------------------


def _metrics(result: StudyResult) -> list[str]:
    known = {name for row in result.finished for run in row.runs for name in run.metrics}
    return [name for name in _NAMES if name in known and name != "log_loss"]


def _occurs(result: StudyResult, name: str) -> bool:
    return any(value > 0 for row in result.finished for value in row.values(name).values())


def _generation_notes(result: StudyResult) -> list[str]:
    tested = result.study.generation
    return [
        "NLL: mean of -ln p over held-out events, relative to Π d⁴p or Π d³p/2E in powers of GeV; 'No density' counts "
        "those that the generator cannot draw, which the mean leaves out.",
        f"C2ST: AUC of a classifier{_named(tested.classifier)} between true and generated events; 0.5 is perfect. "
        "FPD: Fréchet physics distance, extrapolated to infinitely many events; 0 is perfect.",
        f"{tested.num_samples:,} events are drawn from each generator.",
    ]


def _named(classifier: str | Mapping[str, Any]) -> str:
    known = isinstance(classifier, str) or "name" in classifier
    return f" ({parse_part(classifier, 'model').name})" if known else ""


def _metric_cell(row: RowResult, name: str) -> Cell:
    values = list(row.values(name).values())
    if not values:
        return Cell("–")
    if name in _FACTS and name != "seconds_per_sample":
        return _spread_cell(values, _whole)
    summary = summarise(values)
    if name not in _REJECTIONS:
        return Cell(format_uncertain(summary.mean, summary.spread), summary.mean)
    return rejection_cell([run.metrics[name] for run in row.runs])


def rejection_cell(each: Sequence[Mapping[str, Any]]) -> Cell:
    """Mean, spread over seeds and binomial error of rejections (as `Rejection.to_data` has them), one a seed."""
    values = [float(one["value"]) for one in each]
    if any(one["is_limit"] for one in each):
        return Cell(f"> {min(values):.0f}", min(values))
    summary = summarise(values)
    statistical = float(np.mean([one["error"] for one in each]))
    places = max(1 - math.floor(math.log10(max(statistical, 1e-3))), 0)
    texts = [f"{summary.mean:.{places}f}"]
    if summary.count > 1:
        texts.append(f"{summary.spread:.{places}f}")
    return Cell(" ± ".join([*texts, f"{statistical:.{places}f}"]), summary.mean)


def _spread_cell(values: list[float], form: Callable[[float], str] | None = None) -> Cell:
    summary = summarise(values)
    if form is None:
        return Cell(format_uncertain(summary.mean, summary.spread), summary.mean)
    low, high = form(min(values)), form(max(values))
    return Cell(low if low == high else f"{low} – {high}", summary.mean)


def _difference_cell(difference: Difference | None) -> Cell:
    if difference is None:
        return Cell("–")
    mean, low, high = difference.mean, difference.low, difference.high
    if difference.has_spread:
        places = min(max(1 - math.floor(math.log10(high - mean)), 0), 4)
        text = f"{mean:+.{places}f} [{low:+.{places}f}, {high:+.{places}f}]" + "*" * difference.is_significant
    else:
        text = f"{mean:+.3g} ({'one seed' if difference.count == 1 else 'equal in all seeds'})"
    return Cell(text.replace("-", "−"), mean)


def _messages(result: StudyResult) -> tuple[tuple[str, str], ...]:
    refused = [(row.label, f"refused: {row.refusal}") for row in result.refused]
    return (*refused, *((row.label, problem) for row in result.rows for problem in row.problems))


def _status(row: RowResult) -> str:
    if row.refusal:
        return f"refused: {row.refusal}"
    return "; ".join(row.problems) or "finished"


def _numbers(row: RowResult) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    for name in _NAMES:
        values = list(row.values(name).values())
        if not values:
            continue
        summary = summarise(values)
        numbers |= {name: summary.mean, f"{name}_spread": summary.spread if summary.count > 1 else ""}
        if name in _REJECTIONS:
            each = [run.metrics[name] for run in row.runs]
            numbers[f"{name}_statistical"] = float(np.mean([one["error"] for one in each]))
            numbers[f"{name}_is_limit"] = any(one["is_limit"] for one in each)
    for name in ("cpu_seconds", "steps", "epochs", "events"):
        numbers[name] = float(np.mean([run.training[name] for run in row.runs]))
    for name in (
        "parameters",
        "flops",
        "multiplicity",
        "forward_ms",
        "training_ms",
        "memory_mb",
        "batch_size",
    ):
        numbers[name] = float(np.mean([getattr(run.costs, name) for run in row.runs]))
    return numbers


def _partners(
    result: StudyResult, axis: str, label: str, reference: str
) -> list[tuple[RowResult, RowResult]]:
    def others(row: RowResult) -> tuple[Any, ...]:
        return (row.train_size, *((name, choice) for name, choice in row.choices.items() if name != axis))

    references = {others(row): row for row in result.finished if row.choices[axis] == reference}
    chosen = [row for row in result.finished if row.choices[axis] == label]
    return [(row, references[others(row)]) for row in chosen if others(row) in references]


def _mean_effect(pairs: list[tuple[RowResult, RowResult]], metric: str) -> Difference | None:
    """Averages over the pairs, seed by seed, and then compared over the seeds that all pairs have."""
    both = [(row.values(metric), reference.values(metric)) for row, reference in pairs]
    seeds = set.intersection(*(set(values) & set(base) for values, base in both))
    mean = {seed: float(np.mean([values[seed] for values, _ in both])) for seed in seeds}
    base = {seed: float(np.mean([reference[seed] for _, reference in both])) for seed in seeds}
    return paired_difference(mean, base)


@dataclass(frozen=True)
class _Matched:
    """Validation AUC where all runs had got equally much of what the budget does not fix."""

    axis: str
    at: float

    @classmethod
    def of(cls, result: StudyResult) -> _Matched | None:
        # What learns without gradients has no course along which it could be compared.
        runs = [run for row in result.finished for run in row.runs if run.training["steps"]]
        if len(runs) < 2 or not all(run.history and "val_auc" in run.history[-1] for run in runs):
            return None
        axis = "step" if result.study.budget.cpu_seconds is not None else "cpu_seconds"
        return cls(axis, min(run.history[-1][axis] for run in runs))

    @property
    def title(self) -> str:
        amount = f"{self.at:.0f} steps" if self.axis == "step" else f"{self.at:.1f} CPU-s"
        return f"AUC (val.) at {amount}"

    @property
    def note(self) -> str:
        other = "optimiser steps" if self.axis == "step" else "CPU-seconds"
        return (
            f"The last column compares at equal {other}: the validation AUC along the same trainings where the run with "
            "the fewest of them ended (interpolated between epochs; the learning rate has not come down there yet)."
        )

    def cell(self, row: RowResult) -> Cell:
        values = []
        for run in row.runs:
            validated = [point for point in run.history if "val_auc" in point]
            axis = [point[self.axis] for point in validated]
            if axis and axis[0] <= self.at:
                values.append(float(np.interp(self.at, axis, [point["val_auc"] for point in validated])))
        if len(values) < len(row.runs):
            return Cell("–")
        summary = summarise(values)
        return Cell(format_uncertain(summary.mean, summary.spread), summary.mean)


def _tenths(value: float) -> str:
    return f"{value:,.1f}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def with_prefix(value: float) -> str:
    """Three digits and a prefix of a thousand: 301 M."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.0f}"


def _listed(values: set[int]) -> str:
    return " or ".join(str(value) for value in sorted(values)) or "no"
