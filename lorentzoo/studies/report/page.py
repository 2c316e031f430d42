"""What does one page say of a study?

One HTML file without anything from outside: style, script and figures are inside.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import yaml

from lorentzoo.output.figure import ReportFigure
from lorentzoo.output.style import to_svg
from lorentzoo.studies.report.plots import legend_entries, plot_costs, plot_history, plot_roc
from lorentzoo.studies.report.style import SCRIPT, STYLE
from lorentzoo.studies.report.tables import Table
from lorentzoo.studies.results import StudyResult
from lorentzoo.tasks.classification.figures import classification_figures
from lorentzoo.tasks.generation.figures import generator_figures
from lorentzoo.tasks.generation.plots import plot_marginals

__all__ = ["report_html"]


def report_html(result: StudyResult) -> str:
    """The report as one self-contained HTML page."""
    tables = result.tables()
    parts = [_header(result)]
    if result.finished:
        parts += ["<h2>Results</h2>", _table(tables["results"], sortable=True)]
        parts += _figures(result)
        parts += _best_in_detail(result)
        parts += _generated(result)
        parts += [
            _section(tables[name]) for name in ("effects", "differences", "ensembles") if name in tables
        ]
        parts.append(_section(tables["costs"]))
    else:
        parts.append("<p>No run has finished yet.</p>")
    parts += [_troubles(result), _what_was_run(result), _reproduce(result)]
    title = escape(result.study.name)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n'
        + "\n".join(part for part in parts if part)
        + f"\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _header(result: StudyResult) -> str:
    study = result.study
    runs = sum(len(row.runs) for row in result.rows)
    missing = sum(len(row.problems) for row in result.rows)
    count = f"{runs} runs" + (f", {missing} missing" if missing else "")
    axes = " × ".join(f"{axis} ({len(values)})" for axis, values in study.axes.items())
    facts = [count, f"{len(study.seeds)} seeds", f"budget {study.budget.text} each", axes]
    description = f"<p>{escape(study.description)}</p>" if study.description else ""
    return f'<h1>{escape(study.name)}</h1>\n<p class="facts">{escape(" · ".join(facts))}</p>\n{description}'


def _section(table: Table) -> str:
    return f"<h2>{escape(table.title)}</h2>\n{_table(table, sortable=True)}"


def _table(table: Table, *, sortable: bool = False) -> str:
    """A table in a frame that scrolls on its own, should it be wider than the page."""
    head = "".join(f"<th>{_symbols(column)}</th>" for column in table.columns)
    rows = []
    for row in table.rows:
        cells = []
        for cell in row:
            key = "" if cell.value is None else f' data-value="{escape(str(cell.value))}"'
            # Names may break between words, numbers may not.
            name = isinstance(cell.value, str)
            text = _symbols(cell.text.replace("-", "\N{NON-BREAKING HYPHEN}") if name else cell.text)
            cells.append(f"<td{' class=name' if name else ''}{key}>{text}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    rest = len(table.columns) - 1
    for label, message in table.messages:
        text = f'<td colspan="{rest}" class="message">{escape(message)}</td>'
        rows.append(f'<tr class="message"><td>{escape(label)}</td>{text}</tr>')
    notes = "".join(f"<li>{_symbols(note)}</li>" for note in table.notes)
    kind = ' class="sortable"' if sortable and len(table.rows) > 1 else ""
    return (
        f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div>"
        f'\n<ul class="notes">{notes}</ul>'
    )


def _symbols(text: str) -> str:
    """Indices as such; a number with its errors, and a name with a hyphen, stay on one line."""
    safe = escape(text)
    for index in ("B", "S", "beam"):
        safe = safe.replace(f"_{index}", f"<sub>{index}</sub>")
    safe = safe.replace(" = ", "&nbsp;=&nbsp;").replace(" ± ", "&nbsp;±&nbsp;")
    return safe.replace(" · ", "&nbsp;· ")


def _figures(result: StudyResult) -> Iterable[str]:
    runs = [run for row in result.finished for run in row.runs]
    classified = any("auc" in run.metrics for run in runs)
    validated = any("val_loss" in point for run in runs for point in run.history)
    figures = []
    if classified:
        caption = (
            "Background rejection against signal efficiency on the test split. Lines: mean over seeds; bands: their "
            "spread. Curves begin where at least three background events pass."
        )
        figures.append((plot_roc(result, legend=False), caption))
        if validated:
            caption = (
                "Validation AUC in training, mean and spread over seeds, against processor time of training."
            )
            figures.append((plot_history(result, "val_auc", "cpu_seconds", legend=False), caption))
            figures.append(
                (plot_history(result, "val_auc", "step", legend=False), "The same against optimiser steps.")
            )
    if validated:
        figures.append(
            (
                plot_history(result, "val_loss", "step", legend=False),
                "Validation loss against optimiser steps.",
            )
        )
    if classified:
        caption = (
            "AUC of the test split against the arithmetic of one forward pass; error bars: spread over seeds."
        )
        figures.append((plot_costs(result, "flops", legend=False), caption))
        caption = "AUC of the test split against the processor time of training an event once."
        figures.append((plot_costs(result, "training_ms", legend=False), caption))
    if any("c2st_auc" in run.metrics for run in runs):
        caption = "A classifier's AUC between true and generated events against the processor time of drawing an event."
        figures.append((plot_costs(result, "seconds_per_sample", "c2st_auc", legend=False), caption))
        caption = "The same against the processor time of training an event once."
        figures.append((plot_costs(result, "training_ms", "c2st_auc", legend=False), caption))
    shown = [
        f"<figure>{_image(to_svg(ax))}<figcaption>{escape(text)}</figcaption></figure>"
        for ax, text in figures
    ]
    return ["<h2>Figures</h2>", _legend(result), '<div class="figures">', *shown, "</div>"] if shown else []


def _best_in_detail(result: StudyResult) -> Iterable[str]:
    """Figures of the row with the largest AUC, for which those of all rows would be too many."""
    rows = [row for row in result.finished if row.runs and all("auc" in run.metrics for run in row.runs)]
    if not rows:
        return []
    best = max(rows, key=lambda row: sum(run.metrics["auc"] for run in row.runs) / len(row.runs))
    figures = classification_figures([run.predictions for run in best.runs])
    shown = [_framed(figure) for figure in figures]
    title = f"<h2>In detail: {escape(best.label)}, the row with the largest AUC</h2>"
    return [title, '<div class="figures">', *shown, "</div>"]


def _generated(result: StudyResult) -> Iterable[str]:
    """Marginals of all generators beside the truth, and all figures of the one that is hardest to tell from it."""
    rows = [row for row in result.finished if all("c2st_auc" in run.metrics for run in row.runs)]
    if not rows:
        return []
    first = {row.label: row.runs[0].generation for row in rows}
    one = next(iter(first.values()))
    samples = {label: evaluation.samples for label, evaluation in first.items()}
    page = plot_marginals(list(one.observables), one.true, samples, true_weight=one.true_weight)
    caption = "Generated against true events, with the ratio below; bars and bands are statistical errors."
    together = ReportFigure("marginals", page.axes[0], caption)
    seed = rows[0].seeds[0]
    best = min(rows, key=lambda row: sum(run.metrics["c2st_auc"] for run in row.runs) / len(row.runs))
    # Its marginals are in the figure of all.
    details = [figure for figure in generator_figures(first[best.label]) if figure.name != "marginals"]
    parts = [f"<h2>Generated events, seed {seed}</h2>", _framed(together)]
    parts += [f"<h2>In detail: {escape(best.label)}, the row with the smallest C2ST AUC, seed {seed}</h2>"]
    return [*parts, '<div class="figures">', *(_framed(figure) for figure in details), "</div>"]


def _framed(figure: ReportFigure) -> str:
    return f"<figure>{_image(to_svg(figure.axes))}<figcaption>{escape(figure.caption)}</figcaption></figure>"


def _legend(result: StudyResult) -> str:
    """One legend for all figures."""
    items = []
    for label, colour, line, marker, filled in legend_entries(result):
        dashes = {"-": "", "--": "7 4", ":": "2 3", "-.": "7 3 2 3"}[line]
        shape = _SHAPES[marker].format(fill=colour if filled else "white", colour=colour)
        stroke = f'<line x1="1" y1="8" x2="39" y2="8" stroke="{colour}" stroke-width="2.4" stroke-dasharray="{dashes}"/>'
        items.append(
            f'<span><svg width="40" height="16" viewBox="0 0 40 16">{stroke}{shape}</svg>{escape(label)}</span>'
        )
    return f'<div class="legend">{"".join(items)}</div>'


_MARK = 'fill="{fill}" stroke="{colour}" stroke-width="1.6"/>'
_SHAPES = {
    "o": '<circle cx="20" cy="8" r="4.2" ' + _MARK,
    "s": '<rect x="16" y="4" width="8" height="8" ' + _MARK,
    "^": '<path d="M20 3 L25 12.5 L15 12.5 Z" ' + _MARK,
    "D": '<path d="M20 2.8 L25.2 8 L20 13.2 L14.8 8 Z" ' + _MARK,
    "v": '<path d="M20 13 L25 3.5 L15 3.5 Z" ' + _MARK,
    "P": '<path d="M18 3 h4 v3 h3 v4 h-3 v3 h-4 v-3 h-3 v-4 h3 Z" ' + _MARK,
}


def _image(svg: str) -> str:
    # As an image of its own, so that names inside one figure cannot meddle with another's.
    return f'<img alt="" src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}">'


def _troubles(result: StudyResult) -> str:
    items = [f"<li><b>{escape(row.label)}</b>: {escape(row.refusal)}</li>" for row in result.refused]
    text = f"<h2>Refused combinations</h2>\n<ul>{''.join(items)}</ul>" if items else ""
    problems = [
        f"<li><b>{escape(row.label)}</b>: {escape(p)}</li>" for row in result.rows for p in row.problems
    ]
    return text + (f"<h2>Runs that did not finish</h2>\n<ul>{''.join(problems)}</ul>" if problems else "")


def _what_was_run(result: StudyResult) -> str:
    study, data = result.study, result.data
    metadata = data.get("metadata", {})
    sizes = []
    for name, size in data["sizes"].items():
        classes = ", ".join(f"{count:,} {label}" for label, count in data["classes"].get(name, {}).items())
        sizes.append(f"{name} {size:,}" + (f" ({classes})" if classes else ""))
    facts: dict[str, Any] = {"Data set": _inline(study.dataset), "Splits": "; ".join(sizes)}
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
    facts |= _generator(metadata)
    facts["Budget"] = f"{study.budget.text} for every run"
    recipe = {
        key: value for key, value in study.config(study.seeds[0]).to_data().items() if value is not None
    }
    facts["Recipe"] = _inline({key: value for key, value in recipe.items() if key != "seed"})
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
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in facts.items()
    )
    return f'<h2>What was run</h2>\n<table class="facts">{rows}</table>'


def _generator(metadata: Mapping[str, Any]) -> dict[str, Any]:
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


def _inline(data: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key} = {value}" for key, value in data.items() if key != "name")
    name = str(data["name"]) if "name" in data else ""
    return f"{name} ({rest})" if name and rest else name or rest


def _reproduce(result: StudyResult) -> str:
    study = {
        key: value for key, value in result.study.model_dump(mode="json").items() if value not in ({}, [], "")
    }
    study["budget"] = {key: value for key, value in study["budget"].items() if value is not None}
    text = yaml.safe_dump(study, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)
    return (
        "<h2>How to reproduce</h2>\n<p>Save as <code>study.yaml</code> and run "
        f"<code>lorentzoo study run study.yaml</code>. Finished runs are not repeated.</p>\n<pre>{escape(text)}</pre>"
    )
