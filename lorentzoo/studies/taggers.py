"""How do the taggers of the zoo stand beside the published table?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

import torch

from lorentzoo.core.errors import StudyError
from lorentzoo.core.numbers import with_prefix
from lorentzoo.data.dataset import JetDataset
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.spreadsheet import to_csv
from lorentzoo.output.table import Cell, Table
from lorentzoo.registry.composition import load_dataset
from lorentzoo.registry.creation import create_model
from lorentzoo.registry.listing import list_models
from lorentzoo.studies.closed_forms import published_flops
from lorentzoo.studies.published_table import PUBLISHED, SOURCE, Published
from lorentzoo.training.costs import Costs, measure_costs

__all__ = ["TaggerRow", "TaggerTable", "tagger_table"]

_FURTHER: Final = (
    "mipart",
    "lgatr-slim",
    "graphnet",
    "lloca-graphnet",
    "pelican",
    "cgenn",
    "substructure-bdt",
)
"""Taggers beside those of the published table."""


@dataclass(frozen=True)
class TaggerRow:
    """One tagger.

    Attributes
    ----------
    model
        Its name in the zoo.
    symmetry
        Computed from its composition.
    costs
        Measured here.
    formula
        FLOPs of the published implementation with all attention counted, in closed form; None where unknown.
    published
        What is quoted; None where the table has no such row.
    """

    model: str
    symmetry: str
    costs: Costs
    formula: int | None
    published: Published | None

    def to_data(self) -> dict[str, Any]:
        """Plain data; each number stands under where it is from."""
        measured = {"symmetry": self.symmetry, **self.costs.to_data()}
        quoted = None if self.published is None else {**asdict(self.published), "source": SOURCE}
        return {
            "model": self.model,
            "measured": measured,
            "closed_form_flops": self.formula,
            "quoted": quoted,
        }


@dataclass(frozen=True)
class TaggerTable:
    """All rows, with what was measured beside what is quoted."""

    rows: tuple[TaggerRow, ...]
    multiplicity: int
    batch_size: int

    def table(self) -> Table:
        """For a terminal or a page."""
        return Table(
            "Taggers",
            tuple(name for name, _ in _COLUMNS),
            tuple(tuple(make(row) for _, make in _COLUMNS) for row in self.rows),
            (),
            (
                f"Measured here: symmetry (computed), parameters, FLOPs (forward pass, {self.multiplicity} particles), "
                f"times and memory (batches of {self.batch_size} jets of at most {self.multiplicity} particles, float32, "
                "processor time of one thread; training is forward, loss and backward; peak memory of tensors in a "
                "training step).",
                "Closed form: FLOPs of the published implementation with all attention counted. The quoted column misses "
                "the attention of L-GATr and of the LLoCa-Transformer.",
                "P-CNN takes 128 places, of which the published count has as many as there are particles.",
                f"[q] quoted from {SOURCE}, not measured here: accuracy and AUC on JetClass, time and memory of "
                "training on a GPU, FLOPs and parameters as printed there. MIParT-L's published code has 2,292,341 "
                "parameters; 2380k cannot be reproduced.",
            ),
        )

    def to_data(self) -> dict[str, Any]:
        """Every number, as plain data."""
        return {
            "multiplicity": self.multiplicity,
            "batch_size": self.batch_size,
            "rows": [row.to_data() for row in self.rows],
        }

    def to_csv(self) -> str:
        """Every number in full precision, one line a tagger; names begin with where a number is from."""
        lines = []
        for row in self.rows:
            data = row.to_data()
            line = {"model": data["model"], "closed_form_flops": data["closed_form_flops"]}
            for origin in ("measured", "quoted"):
                line |= {f"{origin}_{name}": value for name, value in (data[origin] or {}).items()}
            lines.append(line)
        return to_csv(lines)


def tagger_table(
    models: Sequence[str] = (),
    *,
    multiplicity: int = 50,
    batch_size: int = 32,
    progress: bool = True,
) -> TaggerTable:
    """Measure taggers and put what is published beside them.

    Parameters
    ----------
    models
        Names (with parameters if need be), or patterns such as ``"lloca-*"``; by default the published table and its
        like. What papers say is quoted for the published forms only.
    multiplicity
        Particles of the event whose FLOPs are counted, and the most that the jets of the other measurements have.
    batch_size
        Jets in a batch.
    progress
        Whether to show how it goes.

    Raises
    ------
    StudyError
        If nothing fits a pattern, or the shipped sample has too few jets.
    """
    from lorentzoo.training.train import threads

    names = _choose(models)
    jets = load_dataset("toptag", split="test", max_constituents=multiplicity)
    if not 2 <= batch_size <= len(jets):
        raise StudyError(
            f"batch_size must be 2 to {len(jets)}, the jets of the shipped test split, not {batch_size}"
        )
    rows = []
    with threads(1), ProgressLine("taggers", show=progress) as line:
        for number, name in enumerate(names):
            line.step(number / len(names), name)
            rows.append(_measure(name, jets, multiplicity, batch_size))
    return TaggerTable(tuple(rows), multiplicity, batch_size)


def _choose(patterns: Sequence[str]) -> list[str]:
    known = list_models()
    if not patterns:
        return [name for name in (*PUBLISHED, *_FURTHER) if name in known]
    found: dict[str, None] = {}
    for pattern in patterns:
        base, colon, parameters = pattern.partition(":")
        fitting = [name + colon + parameters for name in known if fnmatchcase(name, base)]
        if not fitting:
            raise StudyError(f"no model is called {pattern!r}; `lorentzoo list model` names them")
        found |= dict.fromkeys(fitting)
    return list(found)


def _measure(name: str, jets: JetDataset, multiplicity: int, batch_size: int) -> TaggerRow:
    torch.manual_seed(0)
    model = create_model(name)
    classes = max(getattr(model.head, "num_classes", 0), 2)
    if not hasattr(model.head, "num_classes") or model.in_context:
        raise StudyError(f"model {name!r} is not a tagger of single jets")
    events = _draw_features(jets, model.in_scalars, classes, max(batch_size, 16 * classes))
    model.fit_statistics([events.batch(torch.arange(len(events)))])
    return TaggerRow(
        name,
        model.symmetry.name,
        measure_costs(model, events, batch_size=batch_size, multiplicity=multiplicity),
        _evaluate_formula(name, multiplicity),
        PUBLISHED.get(name),
    )


def _draw_features(jets: JetDataset, scalars: int, classes: int, count: int) -> JetDataset:
    """The first jets with drawn scalars and classes in turn: what they are costs nothing."""
    cloud = jets.batch(torch.arange(min(count, len(jets)))).cloud
    ends = cloud.layout.counts().cumsum(0)
    return JetDataset(
        cloud.momenta,
        torch.cat([ends.new_zeros(1), ends]),
        torch.arange(cloud.num_events) % classes,
        scalars=torch.randn(cloud.momenta.shape[0], scalars),
    )


def _evaluate_formula(name: str, multiplicity: int) -> int | None:
    try:
        return published_flops(name, multiplicity=multiplicity)
    except StudyError:
        return None


def _quote(name: str, pattern: str) -> Any:
    def cell(row: TaggerRow) -> Cell:
        value = None if row.published is None else getattr(row.published, name)
        return Cell("–") if value is None else Cell(pattern.format(value), value)

    return cell


def _count_cell(value: float | None) -> Cell:
    return Cell("–") if value is None else Cell(with_prefix(value), value)


def _number_cell(value: float) -> Cell:
    return Cell(f"{value:.3g}" if value < 100 else f"{value:,.0f}", value)


_COLUMNS: Final[tuple[tuple[str, Any], ...]] = (
    ("Model", lambda row: Cell(row.model, row.model)),
    ("Symmetry", lambda row: Cell(row.symmetry, row.symmetry)),
    ("Parameters", lambda row: Cell(f"{row.costs.parameters:,}", row.costs.parameters)),
    ("FLOPs", lambda row: _count_cell(row.costs.flops)),
    ("FLOPs, closed form", lambda row: _count_cell(row.formula)),
    ("Forward [CPU-ms/jet]", lambda row: _number_cell(row.costs.forward_ms)),
    ("Training [CPU-ms/jet]", lambda row: _number_cell(row.costs.training_ms)),
    ("Memory [MB]", lambda row: _number_cell(row.costs.memory_mb)),
    ("Accuracy [q]", _quote("accuracy", "{:.3f}")),
    ("AUC [q]", _quote("auc", "{:.4f}")),
    ("Time [q]", _quote("hours", "{:.0f} h")),
    ("FLOPs [q]", _quote("megaflops", "{:.0f} M")),
    ("Memory [q]", _quote("gigabytes", "{:.1f} GB")),
    ("Parameters [q]", _quote("kiloparameters", "{:.0f}k")),
)
