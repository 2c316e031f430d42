"""What does one page say of a study?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from lorentzoo.output.page import legend_entries, render_page
from lorentzoo.output.table import Table
from lorentzoo.studies.report.details import describe_rows
from lorentzoo.studies.report.figures import study_figures
from lorentzoo.studies.report.rows import group_by_task
from lorentzoo.studies.report.tables import study_tables
from lorentzoo.studies.results import StudyResult

__all__ = ["report_html"]


def report_html(result: StudyResult) -> str:
    """The report as one self-contained HTML page."""
    groups = group_by_task(result)
    tables = study_tables(result)
    figures = study_figures(result)
    shown = [table for name, table in tables.items() if name not in ("results", "costs")]
    return render_page(
        "report.html.j2",
        name=result.study.report.title or result.study.name,
        facts=_describe_size(result),
        description=result.study.description,
        results=tables["results"] if result.finished else None,
        details=list(describe_rows(groups, result.finished).values()),
        choices={
            axis: list(dict.fromkeys(row.choices[axis] for row in result.finished))
            for axis in result.study.varying
        },
        plots_command=f"lorentzoo study show {result.directory} --plots {result.directory / 'figures'}",
        figures=figures.rows,
        legend=legend_entries([row for group in groups for row in group.rows]),
        detailed=figures.best,
        tables=_sort_tables(shown, tables["costs"]),
        refused=[(row.label, row.refusal) for row in result.refused],
        problems=[(row.label, problem) for row in result.rows for problem in row.problems],
        what_was_run=_describe_runs(result),
        study=_write_study(result),
    )


def _describe_size(result: StudyResult) -> str:
    study = result.study
    runs = sum(len(row.runs) for row in result.rows)
    missing = sum(len(row.problems) for row in result.rows)
    count = f"{runs} runs" + (f", {missing} missing" if missing else "")
    axes = " × ".join(f"{axis} ({len(values)})" for axis, values in study.axes.items())
    return " · ".join([count, f"{len(study.seeds)} seeds", f"budget {study.budget.text} each", axes])


def _sort_tables(tables: list[Table], costs: Table) -> list[Table]:
    """What says most first: effects before single differences, costs last."""
    return [*sorted(tables, key=lambda table: table.title.startswith("Differences")), costs]


def _describe_runs(result: StudyResult) -> dict[str, Any]:
    study, data = result.study, result.data
    metadata = data.get("metadata", {})
    sizes = []
    for name, size in data["sizes"].items():
        classes = ", ".join(f"{count:,} {label}" for label, count in data["classes"].get(name, {}).items())
        sizes.append(f"{name} {size:,}" + (f" ({classes})" if classes else ""))
    facts: dict[str, Any] = {"Data set": _put_inline(study.dataset), "Splits": "; ".join(sizes)}
    if data.get("target_names"):
        units = [*data.get("target_units", []), *[""] * len(data["target_names"])]
        facts["Targets"] = ", ".join(
            f"{name} [{unit}]" if unit else name
            for name, unit in zip(data["target_names"], units, strict=False)
        )
    limited = [size for size in study.train_sizes if size is not None]
    if limited:
        facts["Training events used"] = ", ".join(
            "all" if size is None else f"{size:,}" for size in study.train_sizes
        )
    facts["Mean multiplicity"] = f"{data['mean_multiplicity']:.1f} particles"
    facts["Event weights"] = "used in loss, metrics and curves" if data["weighted"] else "all equal"
    for key, label in (
        ("selection", "Selection"),
        ("notes", "Notes"),
        ("reference", "Cuts after"),
        ("cite", "Generated with"),
    ):
        if metadata.get(key):
            facts[label] = "; ".join(metadata[key]) if isinstance(metadata[key], list) else metadata[key]
    facts |= _describe_simulation(metadata)
    facts["Budget"] = f"{study.budget.text} for every run"
    recipe = {
        key: value for key, value in study.config(study.seeds[0]).to_data().items() if value is not None
    }
    facts["Recipe"] = _put_inline({key: value for key, value in recipe.items() if key != "seed"})
    facts["Seeds"] = ", ".join(map(str, study.seeds))
    environments = {
        json.dumps({key: value for key, value in run.environment.items() if key != "finished"})
        for row in result.finished
        for run in row.runs
    }
    for text in sorted(environments):
        environment = json.loads(text)
        versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
        machine = (
            f"{environment['system']}, {environment['cores']} cores, {environment['threads']} thread(s) a run"
        )
        facts["Versions"] = f"Python {environment['python']}, {versions}"
        facts["Machine"] = f"{machine}, {environment['device']}"
    return facts


def _describe_simulation(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a simulated sample, with the window in transverse momentum of the hard process."""
    plan = metadata.get("plan", {})
    settings = plan.get("settings", {})
    facts: dict[str, Any] = {}
    if "pthat_min" in settings and "pthat_max" in settings:
        window = f"{settings['pthat_min']:g} – {settings['pthat_max']:g} GeV"
        facts["pTHat window"] = f"{window} (it biases the sample: state it with every number)"
    for name, lines in plan.get("pythia", {}).items():
        facts[f"Pythia settings, {name}"] = "; ".join(lines)
    if "versions" in plan:
        facts["Generators"] = ", ".join(f"{name} {number}" for name, number in plan["versions"].items())
    if metadata.get("command"):
        facts["Sample made by"] = metadata["command"]
    return facts


def _put_inline(data: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key} = {value}" for key, value in data.items() if key != "name")
    name = str(data["name"]) if "name" in data else ""
    return f"{name} ({rest})" if name and rest else name or rest


def _write_study(result: StudyResult) -> str:
    study = {
        key: value
        for key, value in result.study.model_dump(mode="json", exclude={"report"}).items()
        if value not in ({}, [], "", None)
    }
    texts = result.study.report.model_dump(exclude_defaults=True, exclude_none=True)
    study |= {"report": texts} if texts else {}
    study["budget"] = {key: value for key, value in study["budget"].items() if value is not None}
    return yaml.safe_dump(study, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)
