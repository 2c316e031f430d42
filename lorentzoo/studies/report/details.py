"""What is there to say of one row of a study: composition, numbers of each seed, and what runs it again?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from lorentzoo.core.numbers import format_count, format_number
from lorentzoo.output.metric import value_of
from lorentzoo.output.table import Cell, Table, text_cell
from lorentzoo.registry.specs import Spec
from lorentzoo.studies.report.rows import TaskRows
from lorentzoo.studies.results import RowResult
from lorentzoo.studies.run_details import describe_command
from lorentzoo.studies.runs import RunRecord

__all__ = ["RowDetails", "describe_rows", "write_composition"]

_AGAIN: Final = "../../again"
"""Where the commands put what they make, from the folder of a run."""


@dataclass(frozen=True)
class RowDetails:
    """What a row of the page shows when it is opened.

    Attributes
    ----------
    anchor
        Its name in links to it.
    choices
        Label by axis, by which rows are filtered.
    facts
        In few words, by name.
    composition
        YAML of the network.
    seeds
        Numbers of each seed.
    commands
        What trains and tests it again, one a seed.
    """

    anchor: str
    choices: Mapping[str, str]
    facts: Mapping[str, str]
    composition: str
    seeds: Table
    commands: tuple[str, ...]


def describe_rows(groups: list[TaskRows], rows: tuple[RowResult, ...]) -> dict[str, RowDetails]:
    """Details of each row with a finished run, by label."""
    by_task = {group.task.name: group for group in groups}
    anchors: dict[str, str] = {}
    for row in rows:
        # Labels may differ in signs alone.
        anchor = "row-" + (re.sub(r"[^a-z0-9]+", "-", row.label.lower()).strip("-") or "0")
        anchors[row.label] = anchor if anchor not in anchors.values() else f"{anchor}-{len(anchors)}"
    return {row.label: _describe(row, by_task[row.task], anchors[row.label]) for row in rows}


def _describe(row: RowResult, group: TaskRows, anchor: str) -> RowDetails:
    first = row.runs[0]
    costs = first.costs
    facts = {
        "Symmetry": row.symmetry,
        "Task": first.run.task.name,
        "Parameters": f"{costs.parameters:,}",
        "FLOPs": f"{costs.flops:,.0f} for an event of {costs.multiplicity} particles",
        "Training events": "all" if row.train_size is None else f"{row.train_size:,}",
    }
    columns = [metric for metric in group.columns if metric.shown == "always"]
    lines = []
    for run in row.runs:
        values = [value_of(run.metrics.get(metric.name)) for metric in columns]
        lines.append(
            (
                Cell(str(run.run.config.seed), run.run.config.seed),
                *(Cell("–" if value is None else format_number(value), value) for value in values),
                Cell(f"{run.training['cpu_seconds']:,.1f}", run.training["cpu_seconds"]),
                Cell(format_count(run.training["steps"]), run.training["steps"]),
                text_cell(run.directory.name),
            )
        )
    headings = ("Seed", *(metric.heading for metric in columns), "Training CPU-s", "Steps", "Run")
    return RowDetails(
        anchor,
        dict(row.choices),
        {name: text for name, text in facts.items() if text},
        write_composition(first.run.spec),
        Table("Seeds", headings, tuple(lines)),
        tuple(_write_command(run) for run in row.runs),
    )


def write_composition(spec: Spec) -> str:
    """YAML of a composition without what stands there for information alone, and without what it does not have."""
    data = {
        key: value
        for key, value in spec.to_data().items()
        if key not in ("plugins", "format", "lorentzoo") and value not in (None, [], {}, 0)
    }
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None, width=90)


def _write_command(run: RunRecord) -> str:
    """What makes the same run again, in a folder of its own beside those of the study."""
    command = describe_command(run.run, None)
    return f"cd {shlex.quote(str(run.directory))} && {command} --out {_AGAIN}/{run.run.key}"
