"""What is there to say of one row of a study: composition, numbers of each seed, and what runs it again?"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from lorentzoo.core.numbers import format_count, format_number
from lorentzoo.output.metric import value_of
from lorentzoo.output.table import Cell, Table, text_cell
from lorentzoo.registry.specs import PartSpec, Spec
from lorentzoo.studies.report.rows import TaskRows
from lorentzoo.studies.results import RowResult
from lorentzoo.studies.runs import RunRecord

__all__ = ["RowDetails", "describe_rows", "rerun_command", "write_inline"]

_AGAIN: Final = "again"
"""Where the commands put what they make."""


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


def rerun_command(run: RunRecord) -> str:
    """The command that trains and tests the same run again, as a directory of its own.

    It reads composition and recipe (with the seed) from the run's directory, and makes a run of the same hash, unless the
    weights start from another run.
    """
    spec, folder = run.run, run.directory
    words = ["lorentzoo", "train", str(folder / "spec.json"), "--config", str(folder / "config.json")]
    words += ["--dataset", write_inline(spec.dataset)]
    if spec.train_size is not None:
        words += ["--train-size", str(spec.train_size)]
    if spec.start_from is not None:
        words += ["--init-from", str(folder.parent / spec.start_from)]
    if spec.judge is not None:
        words += ["--task", spec.judge]
    for key, value in spec.test.items():
        words += ["--test", f"{key}={_write_value(value)}"]
    return shlex.join([*words, "--out", f"{_AGAIN}/{spec.key}"])


def write_inline(part: PartSpec) -> str:
    """A part as text that `lorentzoo.registry.specs.parse_inline` reads back.

    >>> write_inline(PartSpec("toptag", {"max_constituents": 40, "path": "a,b.npz"}))
    'toptag:max_constituents=40,path="a,b.npz"'
    """
    pieces = [f"{key}={_write_value(value)}" for key, value in part.to_data().items() if key != "name"]
    return part.name + (":" + ",".join(pieces) if pieces else "")


def _write_value(value: Any) -> str:
    """A value as YAML in one line, which takes JSON except for floats without a point."""
    if isinstance(value, float):
        text = repr(value)
        return text if "." in text or "e" not in text else text.replace("e", ".0e")
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{json.dumps(key)}: {_write_value(item)}" for key, item in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_write_value(item) for item in value) + "]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_./][\w./-]*", value) and _means_itself(value):
        return value
    # Commas and brackets of a text are not those between values.
    return re.sub(r"[\[\]{}()]", lambda sign: f"\\u{ord(sign[0]):04x}", json.dumps(value))


def _means_itself(text: str) -> bool:
    """Whether YAML reads a word as text: not yes, null and the like."""
    return bool(yaml.safe_load(text) == text)


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
        _write_composition(first.run.spec),
        Table("Seeds", headings, tuple(lines)),
        tuple(rerun_command(run) for run in row.runs),
    )


def _write_composition(spec: Spec) -> str:
    """Without what stands there for information alone."""
    data = {
        key: value
        for key, value in spec.to_data().items()
        if key not in ("plugins", "format", "lorentzoo") and value not in (None, [], {})
    }
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None, width=90)
