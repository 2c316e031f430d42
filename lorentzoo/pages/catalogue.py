"""What does the page of the whole zoo show?"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

import lorentzoo
from lorentzoo.core.numbers import format_number, with_prefix
from lorentzoo.output.files import write_text
from lorentzoo.output.page import render_page
from lorentzoo.output.table import Cell, Table, text_cell
from lorentzoo.pages.entries import Entry, Slot
from lorentzoo.registry.components import KINDS
from lorentzoo.registry.parameter_texts import allowed_values

__all__ = ["CATALOGUE", "catalogue_html", "write_catalogue"]

CATALOGUE: Final = "catalogue.html"
_FIRST: Final = ("model", "backbone", "frames", "embedding", "spurions", "head", "generator")
"""Kinds in the order in which one looks for them; the others follow."""


@dataclass(frozen=True)
class EntryDetails:
    """What a row of the page shows when it is opened."""

    anchor: str
    choices: Mapping[str, str]
    facts: Mapping[str, str]
    slots: tuple[Slot, ...]
    parameters: Table | None
    composition: str
    use: str


def write_catalogue(entries: Sequence[Entry], folder: Path, *, title: str = "") -> Path:
    """Write the page as ``catalogue.html`` into a folder, which is made if needed; returns the file."""
    write_text(folder / CATALOGUE, catalogue_html(entries, title=title))
    return folder / CATALOGUE


def catalogue_html(entries: Sequence[Entry], *, title: str = "") -> str:
    """The page of the zoo: a table that is searched, filtered and sorted, whose rows open.

    Parameters
    ----------
    entries
        As `lorentzoo.pages.collect_entries` makes them.
    title
        Of the page; a usual one by default.
    """
    order = [*_FIRST, *(kind for kind in KINDS if kind not in _FIRST)]
    shown = sorted(entries, key=lambda entry: order.index(entry.component.kind))
    kinds = dict.fromkeys(entry.component.kind for entry in shown)
    timed = any(entry.costs.forward_ms is not None for entry in shown)
    return render_page(
        "catalogue.html.j2",
        name=title or "Catalogue of the zoo",
        facts=_describe_size(shown, list(kinds)),
        table=_make_table(shown, timed),
        details=[_describe(entry) for entry in shown],
        choices={
            "kind": list(kinds),
            "symmetry": sorted({entry.symmetry for entry in shown if entry.symmetry}),
            "plugin": sorted({entry.component.plugin for entry in shown}),
        },
        machine=_describe_machine() if timed else "",
    )


def _describe_size(entries: Sequence[Entry], kinds: Sequence[str]) -> str:
    plugins = {entry.component.plugin for entry in entries}
    names = {kind: kind if kind.endswith("s") else f"{kind}s" for kind in kinds}
    counts = [f"{sum(each.component.kind == kind for each in entries)} {names[kind]}" for kind in kinds]
    packages = sorted({entry.package for entry in entries if entry.package})
    return f"{len(entries)} components of {len(plugins)} plugins ({', '.join(packages)}): {', '.join(counts)}"


def _describe_machine() -> str:
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, 1 thread, "
        f"Python {platform.python_version()}, torch {torch.__version__}, lorentzoo {lorentzoo.__version__}"
    )


def _make_table(entries: Sequence[Entry], timed: bool) -> Table:
    trained = any(entry.pretrained for entry in entries)
    columns = ["Name", "Kind", "What", "Symmetry", "Parameters", "FLOPs"]
    columns += ["Forward [CPU-ms]", "Training [CPU-ms]"] if timed else []
    columns += ["Export", *(["Pretrained"] if trained else []), "Plugin", "Reference"]
    rows = []
    for entry in entries:
        component, costs = entry.component, entry.costs
        cells = [text_cell(component.name), text_cell(component.kind), text_cell(component.summary)]
        cells += [text_cell(entry.symmetry), _count_cell(entry.size, "{:,}"), _flops_cell(costs.flops)]
        cells += [_time_cell(costs.forward_ms), _time_cell(costs.training_ms)] if timed else []
        cells += [text_cell(_summarise_exports(entry))]
        cells += [text_cell(", ".join(entry.pretrained))] if trained else []
        rows.append((*cells, text_cell(component.plugin), text_cell(component.reference)))
    notes = [
        "Symmetry is computed from the composition that a row shows when it is opened. A part is looked at in a small "
        "composition around it; its parameters are those of its own slot.",
        "FLOPs: forward pass of one event (drawn jets of 50 particles, or the events that the row names); a multiply-add "
        "counts two; matrix products, convolutions and attention only. Of a generator: one evaluation of its loss.",
        "Export: graph (ONNX, torch.export, AOTInductor), source (C, Fortran), as far as the parts declare it.",
    ]
    if timed:
        notes.append(f"Times: processor time an event in batches of 32, measured on {_describe_machine()}.")
    return Table("Components", tuple(columns), tuple(rows), (), tuple(notes))


def _describe(entry: Entry) -> EntryDetails:
    component, costs = entry.component, entry.costs
    facts: dict[str, str] = {"What": component.summary}
    if entry.documentation and entry.documentation != component.summary:
        facts["In full"] = entry.documentation
    facts["Plugin"] = f"{component.plugin} ({entry.package})" if entry.package else component.plugin
    facts["Reference"] = component.reference
    facts["Symmetry"] = entry.symmetry_text
    facts["Parameters"] = "" if entry.size is None else f"{entry.size:,}"
    if costs.flops is not None:
        facts["FLOPs"] = f"{costs.flops:,.0f} an event, {costs.events}"
    if costs.forward_ms is not None and costs.training_ms is not None:
        facts["Time"] = f"forward {costs.forward_ms:.3g}, training {costs.training_ms:.3g} CPU-ms an event"
    facts["No costs"] = costs.problem
    facts |= {f"Export to {formats}": answer for formats, answer in entry.exports.items()}
    facts["Pretrained"] = ", ".join(f"pretrained={tag!r}" for tag in entry.pretrained)
    facts |= entry.facts
    facts["Could not be looked at"] = entry.problem
    return EntryDetails(
        _slug(f"{component.kind}/{component.plugin}/{component.name}"),
        {"kind": component.kind, "symmetry": entry.symmetry, "plugin": component.plugin},
        {name: text for name, text in facts.items() if text},
        entry.slots,
        _list_parameters(entry),
        entry.composition,
        _write_use(entry),
    )


def _list_parameters(entry: Entry) -> Table | None:
    if not entry.parameters:
        return None
    rows = []
    for parameter in entry.parameters:
        allowed = [str(value) for value in allowed_values(parameter.annotation)]
        default = "required" if parameter.required else _write_default(parameter.default)
        text = parameter.text + (f" One of {', '.join(allowed)}." if allowed else "")
        rows.append(tuple(text_cell(word) for word in (parameter.name, parameter.type, default, text)))
    return Table("Parameters", ("Parameter", "Type", "Default", "What for"), tuple(rows))


def _write_default(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)


def _write_use(entry: Entry) -> str:
    kind, name = entry.component.kind, entry.component.name
    return {
        "model": f"model = lz.create_model({name!r})",
        "generator": f"model = lz.compose(generator={name!r}, backbone=...)",
        "dataset": f"data = lz.load_dataset({name!r})",
        "task": f"lorentzoo evaluate RUN --task {name}",
        "executor": f"lorentzoo study run study.yaml --executor {name}",
        "backbone": f"model = lz.compose(backbone={name!r})",
    }.get(kind, f"model = lz.compose({kind}={name!r}, backbone=...)")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9/-]+", "-", text.lower())


def _summarise_exports(entry: Entry) -> str:
    if not entry.exports:
        return ""
    names = [
        name
        for name, answer in zip(("graph", "source"), entry.exports.values(), strict=False)
        if answer == "yes"
    ]
    return ", ".join(names) or "no"


def _count_cell(value: int | None, form: str) -> Cell:
    return Cell("", None) if value is None else Cell(form.format(value), value)


def _flops_cell(value: float | None) -> Cell:
    return Cell("", None) if value is None else Cell(with_prefix(value), value)


def _time_cell(value: float | None) -> Cell:
    return Cell("", None) if value is None else Cell(format_number(value, 3), value)
