"""Counting as a task: its loss, its metrics, and how they are shown.

What is stated here appears in every table, figure, CSV and report of lorentzoo, and in the line that shows the progress.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lorentzoo import Cell, EventData, Metric, ReportFigure, Row, Settings, Table, Task

__all__ = ["Counting", "Counts", "CountingSettings"]


class CountingSettings(Settings):
    """The ``test:`` block of a study: above which count an event counts as busy."""

    busy: int = 3


@dataclass(frozen=True, eq=False)
class Counts:
    """Expected and observed counts (B,) of all test events, with their weights."""

    expected: np.ndarray
    observed: np.ndarray
    weight: np.ndarray
    busy: int

    def metrics(self) -> dict[str, Any]:
        """Deviance 2⟨k ln(k/λ) - (k - λ)⟩, ratio of expected to observed counts, and their ratio in busy events."""
        k, rate = self.observed, self.expected
        deviance = 2 * (np.where(k > 0, k * np.log(np.maximum(k, 1) / rate), 0.0) - (k - rate))
        busy = k > self.busy
        found = {
            "deviance": float(np.average(deviance, weights=self.weight)),
            "total_ratio": float((self.weight * rate).sum() / (self.weight * k).sum()),
        }
        if busy.any():
            found["busy_ratio"] = float(rate[busy].mean() / k[busy].mean())
        return found

    def to_data(self) -> dict[str, Any]:
        """Number of events and metrics."""
        return {"events": len(self.weight), **self.metrics()}

    def save(self, path: Path) -> None:
        """Everything behind the numbers."""
        np.savez(
            path, expected=self.expected, observed=self.observed, weight=self.weight, busy=np.array(self.busy)
        )


class Counting(Task):
    """How often something happens in an event."""

    metrics = (
        Metric(
            "deviance", "Deviance", "low", note="Deviance: twice the log-likelihood short of the perfect one."
        ),
        Metric("total_ratio", "Expected/observed", unit="events"),
        Metric("busy_ratio", "Expected/observed (busy)"),
    )
    settings = CountingSettings
    file = "counts.npz"

    def default_head(self, data: EventData) -> dict[str, Any] | None:
        """The head of this task, for counts."""
        return {"name": "poisson"} if bool((data.target >= 0).all()) else None

    def example_targets(self, model, count):
        """Small counts in turn, for the conformance kit."""
        return torch.arange(count) % 3

    def loss(self, model, batch, rng=None):
        """That of the head."""
        return model.batch_loss(batch, rng)

    def evaluate(self, model, test, settings, *, train, progress):
        """Expected counts of all events."""
        return Counts(
            model.predict(test).reshape(-1), test.target.double().numpy(), test.weight.numpy(), settings.busy
        )

    def load(self, path: Path) -> Counts:
        """Read what `Counts.save` wrote."""
        with np.load(path) as archive:
            return Counts(archive["expected"], archive["observed"], archive["weight"], int(archive["busy"]))

    def details(self, evaluations: Sequence[Counts]) -> list[ReportFigure]:
        """Expected against observed counts of the first seed."""
        from matplotlib.figure import Figure

        counts = evaluations[0]
        ax = Figure(layout="constrained").subplots()
        for k in np.unique(counts.observed):
            ax.plot(k, counts.expected[counts.observed == k].mean(), "o", color="#3f90da")
        ax.set_xlabel("Observed emissions")
        ax.set_ylabel("Mean expected emissions")
        return [ReportFigure("counts", ax, "Mean of what is expected of events with an observed count.")]

    def tables(self, rows: Sequence[Row]) -> dict[str, Table]:
        """The mean expected count by observed count, one row a network."""
        observed = [int(k) for k in np.unique(torch.cat([_observed(row) for row in rows]).numpy())][:6]
        lines = tuple((Cell(row.label, row.label), *(_mean_cell(row, k) for k in observed)) for row in rows)
        return {"counts": Table("Counts", ("Model", *(f"{k} observed" for k in observed)), lines)}


def _observed(row: Row) -> torch.Tensor:
    return torch.from_numpy(row.evaluations[0].observed)


def _mean_cell(row: Row, count: int) -> Cell:
    means = [each.expected[each.observed == count].mean() for each in row.evaluations]
    return Cell(f"{np.mean(means):.2f}", float(np.mean(means)))
