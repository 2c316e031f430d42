"""Which tables does a study give?"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lorentzoo.core.numbers import format_count, with_prefix
from lorentzoo.output.metric import Metric
from lorentzoo.output.table import Cell, Table, difference_cell, range_cell, spread_cell, text_cell
from lorentzoo.studies.report.matched import MatchedColumn
from lorentzoo.studies.report.pairs import compare_partners, find_partners, paired_values
from lorentzoo.studies.report.rows import TaskRows, group_by_task
from lorentzoo.studies.report.significance import significance_table
from lorentzoo.studies.report.symmetries import symmetry_table
from lorentzoo.studies.results import RowResult, StudyResult

__all__ = ["study_tables"]

_INTERVALS: Final = (
    "Differences are paired over seeds (same data, initial seed and order of batches); in brackets the 95 % interval by "
    "Student's t over seeds, * where it leaves zero out. The finite test sample, common to all rows, is not in it."
)


def study_tables(result: StudyResult) -> dict[str, Table]:
    """Tables by name: ``results``, ``costs``, ``differences``, ``effects``, ``symmetry``, ``significance``, others."""
    groups = group_by_task(result)
    tables = {"results": results_table(result, groups), "costs": costs_table(result)}
    if len(result.finished) > 1:
        tables["differences"] = differences_table(result, groups)
        if result.study.varying:
            tables["effects"] = effects_table(result, groups)
    learned = symmetry_table(result)
    if learned is not None:
        tables["symmetry"] = learned
    for group in groups:
        significance = significance_table(result, group)
        if significance is not None:
            name = "significance"
            tables[name if name not in tables else f"{group.task.name} {name}"] = significance
        for name, table in group.task.tables(group.rows).items():
            tables[name if name not in tables else f"{group.task.name} {name}"] = table
    captions = result.study.report.tables
    return {
        name: replace(table, caption=captions.get(name, f"{table.title} ({result.study.name})"))
        for name, table in tables.items()
    }


def results_table(result: StudyResult, groups: list[TaskRows]) -> Table:
    """Metrics of the test split with their errors, symmetry, and what was spent."""
    metrics = _columns(groups)
    views = {row.label: row for group in groups for row in group.rows}
    matched = MatchedColumn.of(result, groups)
    # A column only where rows differ: what all have stands in the notes.
    uneven = len({len(row.runs) for row in result.finished}) > 1
    columns = ["Model", "Symmetry", *(["Seeds"] if uneven else []), *(metric.heading for metric in metrics)]
    columns += ["Training CPU-s", "Steps"] + ([matched.title] if matched else [])
    rows = []
    for row in result.finished:
        cells = [text_cell(row.label), text_cell(row.symmetry)]
        cells += [Cell(str(len(row.runs)), len(row.runs))] if uneven else []
        cells += [_metric_cell(row, metric) for metric in metrics]
        cells += [range_cell([run.training["cpu_seconds"] for run in row.runs], _format_tenths)]
        cells += [range_cell([run.training["steps"] for run in row.runs], format_count)]
        rows.append((*cells, matched.cell(views[row.label])) if matched else tuple(cells))
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
    notes += [metric.note for metric in metrics if metric.note]
    for group in groups:
        notes += group.task.notes(result.study.test_of(group.task))
    if matched:
        notes.append(matched.note)
    return Table("Results", tuple(columns), tuple(rows), _messages(result), tuple(dict.fromkeys(notes)))


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
                text_cell(row.label),
                Cell(f"{costs[0].parameters:,}", costs[0].parameters),
                Cell(with_prefix(costs[0].flops), costs[0].flops),
                spread_cell([cost.forward_ms for cost in costs]),
                spread_cell([cost.training_ms for cost in costs]),
                Cell(f"{costs[0].memory_mb:.1f}", costs[0].memory_mb),
                range_cell([run.training["events"] for run in row.runs], format_count),
            )
        )
    generators = any(run.run.spec.generator is not None for row in result.finished for run in row.runs)
    of_loss = ", for a generator that of its loss" if generators else ""
    notes = (
        f"FLOPs: forward pass of an event with {_join(multiplicities)} particles{of_loss}; a multiply-add "
        "counts two; matrix products, convolutions and attention only.",
        f"Times and memory: batches of {_join(batches)} test events; processor time of all threads; training is "
        "forward, loss and backward. Peak memory of tensors in a training step, without the optimiser's state.",
    )
    return Table("Costs", columns, tuple(rows), (), notes)


def differences_table(result: StudyResult, groups: list[TaskRows]) -> Table:
    """Every row against the first, paired over seeds."""
    metrics = [metric for metric in _columns(groups) if metric.better != "none"]
    reference = result.finished[0]
    rows = []
    for row in result.finished[1:]:
        cells = [difference_cell(paired_values(row, reference, metric.name)) for metric in metrics]
        rows.append((text_cell(row.label), *cells))
    return Table(
        f"Differences to {reference.label}",
        ("Model", *(f"Δ {metric.heading}" for metric in metrics)),
        tuple(rows),
        (),
        (_INTERVALS,),
    )


def effects_table(result: StudyResult, groups: list[TaskRows]) -> Table:
    """What one name instead of another brings, everything else equal.

    For each seed the difference is averaged over the combinations of all other axes in which both were
    trained; the averages are then compared over the seeds.
    """
    metrics = [metric for metric in _columns(groups) if metric.better != "none"]
    rows = []
    for axis in result.study.varying:
        labels = list(dict.fromkeys(row.choices[axis] for row in result.finished))
        for label in labels[1:]:
            pairs = find_partners(result, axis, label, labels[0])
            if not pairs:
                continue
            cells = [difference_cell(compare_partners(pairs, metric.name)) for metric in metrics]
            text = f"{axis}: {label} instead of {labels[0]}"
            rows.append((text_cell(text), Cell(str(len(pairs)), len(pairs)), *cells))
    return Table(
        "One name instead of another",
        ("Change", "Pairs of rows", *(f"Δ {metric.heading}" for metric in metrics)),
        tuple(rows),
        (),
        ("Everything else equal, averaged over the pairs of rows. " + _INTERVALS,),
    )


def _columns(groups: list[TaskRows]) -> list[Metric]:
    """Metrics that stand in tables, those of all tasks one after another; each name once."""
    found: dict[str, Metric] = {}
    for group in groups:
        for metric in group.columns:
            values = [value for row in group.rows for value in row.values(metric.name)]
            shown = metric.shown == "always" or (metric.shown == "nonzero" and any(values))
            if values and shown:
                found.setdefault(metric.name, metric)
    return list(found.values())


def _metric_cell(row: RowResult, metric: Metric) -> Cell:
    recorded = [run.metrics[metric.name] for run in row.runs if metric.name in run.metrics]
    return metric.cell(recorded) if recorded else Cell("–")


def _messages(result: StudyResult) -> tuple[tuple[str, str], ...]:
    refused = [(row.label, f"refused: {row.refusal}") for row in result.refused]
    return (*refused, *((row.label, problem) for row in result.rows for problem in row.problems))


def _format_tenths(value: float) -> str:
    return f"{value:,.1f}"


def _join(values: set[int]) -> str:
    return " or ".join(str(value) for value in sorted(values)) or "no"
