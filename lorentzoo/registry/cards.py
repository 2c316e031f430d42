"""What does the card of a saved model say: README.md for people, and its front matter for Hugging Face?"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from pathlib import Path
from typing import Any, Final

import yaml

from lorentzoo.core.errors import CardWarning
from lorentzoo.core.generator import Generator
from lorentzoo.core.numbers import format_uncertain
from lorentzoo.core.text import plain
from lorentzoo.core.trainable import Trainable
from lorentzoo.registry.citations import cite
from lorentzoo.registry.details import CostDetails, Details
from lorentzoo.registry.markdown import as_code, as_text, fence, table
from lorentzoo.registry.saved import CARD
from lorentzoo.registry.specs import PartSpec, Spec

__all__ = ["is_as_written", "keep_foreign_card", "write_card"]

_UNKNOWN: Final = "not recorded"
_END: Final = re.compile(r"\n<!-- written by lorentzoo, ([0-9a-f]{16}) -->\n\Z")
_LICENCES: Final = re.compile(
    r"mit|isc|zlib|unlicense|wtfpl|odbl|pddl|openrail|apache-2\.0|afl-3\.0|bsl-1\.0|ecl-2\.0|mpl-2\.0|eupl-1\.[12]"
    r"|bsd(-[23]-clause)?|cc0-1\.0|cc-by-(2\.0|2\.5|3\.0|4\.0)|cc-by-(sa|nd|nc|nc-sa|nc-nd)-4\.0|a?gpl-3\.0|l?gpl|gpl-2\.0"
    r"|lgpl-(2\.1|3\.0)"
)
"""What Hugging Face reads as ``license``; others have a name of their own there."""


def write_card(model: Trainable, spec: Spec, details: Details, address: str = "") -> str:
    """The card of a model: Markdown with a front matter.

    Parameters
    ----------
    model, spec
        The model, and the composition that it has.
    details
        What is told of it beside that; what is not is said to be not recorded.
    address
        From where others load it, e.g. ``"hf://owner/name"``; the folder by default.
    """
    sections = {
        "Composition": _write_composition(spec),
        "Symmetry": _write_symmetry(model),
        "Inputs": _write_inputs(model),
        "Data": _write_data(details),
        "Metrics": _write_metrics(details),
        "Cost": _write_cost(model, details.cost or CostDetails()),
        "Limits": "\n".join(f"- {as_text(limit)}" for limit in details.limits) or _UNKNOWN,
        "Use": _write_use(model, address),
        "Training": fence(details.command, "sh") if details.command else f"Command: {_UNKNOWN}",
        "Versions": _write_versions(spec, details),
        "Licence": as_text(details.licence) or _UNKNOWN,
        "Citations": fence(cite(spec), "bibtex"),
    }
    body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections.items())
    text = f"---\n{_write_front(model, spec, details)}---\n\n{_write_title(model, spec, details)}\n\n{body}\n"
    return f"{text}\n<!-- written by lorentzoo, {_digest(text)} -->\n"


def is_as_written(card: str) -> bool:
    """Whether a card is one of ours that nobody has changed since."""
    found = _END.search(card)
    return found is not None and found[1] == _digest(card[: found.start()])


def keep_foreign_card(directory: Path) -> None:
    """Keep what is not a card as it was written under another name, with a warning."""
    path = directory / CARD
    if not os.path.lexists(path):
        return
    try:
        if is_as_written(path.read_text(encoding="utf-8")):
            return
    except (OSError, UnicodeDecodeError):
        pass  # a folder, a broken link, another encoding: not a card
    kept = directory / "README.before.md"
    number = 2
    while os.path.lexists(kept):
        kept, number = directory / f"README.before-{number}.md", number + 1
    path.rename(kept)
    warnings.warn(
        f"{path} was not a card as lorentzoo wrote it; it is kept as {kept.name}. What is to be on the card is said by "
        "lorentzoo.save(..., details=...)",
        CardWarning,
        stacklevel=3,
    )


# ---- sections ---------------------------------------------------------------------------------


def _write_front(model: Trainable, spec: Spec, details: Details) -> str:
    parts = [spec.backbone.name] if spec.generator is None else [spec.generator.name, spec.backbone.name]
    front: dict[str, Any] = {"library_name": "lorentzoo"}
    if details.licence:
        name = plain(details.licence).strip().lower().replace(" ", "-")
        if _LICENCES.fullmatch(name):
            front["license"] = name
        else:
            front |= {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", name).strip("-")}
    tags = ["lorentzoo", "high-energy-physics", model.task, *parts]
    front["tags"] = list(dict.fromkeys(plain(tag) for tag in tags if tag != "none"))
    if details.metrics:
        front["metrics"] = [plain(name) for name in details.metrics]
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=True)


def _write_title(model: Trainable, spec: Spec, details: Details) -> str:
    part = spec.backbone if spec.generator is None else spec.generator
    version = f" {as_text(details.version)}" if details.version else ""
    kind = "generator of events" if isinstance(model, Generator) else "network"
    rounded = model.quantisation
    integers = "" if rounded is None else f", whose matrices are integers of {rounded.bits} bits"
    return (
        f"# {as_text(spec.model or part.name)}{version}\n\n"
        f"A {kind} of [lorentzoo](https://lorentzoo.readthedocs.io) for the task {as_code(model.task)}, with "
        f"{model.num_parameters:,} parameters{integers}. Computed symmetry: {as_text(model.symmetry.name)}."
    )


def _write_composition(spec: Spec) -> str:
    rows = []
    for slot in spec.slots:
        parts = getattr(spec, slot)
        for part in [parts] if isinstance(parts, PartSpec) else parts:
            parameters = ", ".join(
                f"{name}={value}" for name, value in part.to_data().items() if name != "name"
            )
            rows.append([slot, as_code(part.name), as_code(parameters)])
    further: dict[str, object] = {"spurion_mode": spec.spurion_mode, "anchor": spec.anchor}
    further |= {name: count for name in ("in_scalars", "in_context") if (count := getattr(spec, name))}
    rows += [[name, as_code(value), ""] for name, value in further.items() if value is not None]
    return table(["slot", "part", "parameters"], rows)


def _write_symmetry(model: Trainable) -> str:
    paths = [[as_text(path), as_text(of.name)] for path, of in model.symmetry_paths.items()]
    computed = f"Computed from the parts: {as_text(model.symmetry.describe())}"
    return f"{computed}\n\n{table(['path', 'symmetry'], paths)}" if paths else computed


def _write_inputs(model: Trainable) -> str:
    known = model.fitted_inputs.describe()
    return (
        f"Fitted on {as_text(known)}." if known else f"Units and ranges of the events of the fit: {_UNKNOWN}"
    )


def _write_data(details: Details) -> str:
    data = details.data
    if data is None:
        return _UNKNOWN
    facts = {
        "data set": as_code(data.name),
        "training events": "" if data.events is None else f"{data.events:,}",
        "fingerprint": as_code(data.fingerprint),
        "licence": as_text(data.licence),
    }
    further = {"description": data.description, "references": ", ".join(data.references)}
    return _list_facts(facts | {name: as_text(fact) for name, fact in further.items() if fact})


def _write_metrics(details: Details) -> str:
    if not details.metrics:
        return _UNKNOWN
    rows = [
        [as_text(name), format_uncertain(metric.value, metric.error or 0.0), as_text(metric.note)]
        for name, metric in details.metrics.items()
    ]
    return table(["metric", "value", "of"], rows)


def _write_cost(model: Trainable, cost: CostDetails) -> str:
    particles = "" if cost.multiplicity is None else f" with {cost.multiplicity} particles"
    count = model.num_parameters if cost.parameters is None else cost.parameters
    return _list_facts(
        {
            "parameters": f"{count:,}",
            f"FLOPs of an event{particles}": "" if cost.flops is None else f"{cost.flops:.4g}",
            "CPU-seconds of training": ""
            if cost.seconds is None
            else f"{cost.seconds:,.3g}"
            if cost.seconds < 1000
            else f"{cost.seconds:,.0f}",
            "machine": as_text(cost.machine),
        }
    )


def _write_use(model: Trainable, address: str) -> str:
    where = repr(address) if address else '"FOLDER"'
    call = (
        "events = model.sample(1000)"
        if isinstance(model, Generator)
        else "predictions = model.predict(momenta, mask)  # (B, N, 4) as E, px, py, pz, and (B, N)"
    )
    said = "" if address else "FOLDER is the one in which this file lies.\n\n"
    return said + fence(f"import lorentzoo as lz\n\nmodel = lz.load({where})\n{call}", "python")


def _write_versions(spec: Spec, details: Details) -> str:
    rows = [[as_text(name), as_text(version)] for name, version in details.versions.items()]
    rows += [[as_text(part), as_text(plugin)] for part, plugin in spec.plugins.items()]
    return table(["of", "version"], rows)


def _list_facts(facts: dict[str, str]) -> str:
    return "\n".join(f"- {name}: {fact or _UNKNOWN}" for name, fact in facts.items())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
