"""How do rows of a study compare, seed by seed?"""

from __future__ import annotations

from typing import Any

import numpy as np

from lorentzoo.output.uncertainty import Difference, paired_difference
from lorentzoo.studies.results import RowResult, StudyResult

__all__ = ["compare_partners", "find_partners", "paired_values"]


def paired_values(row: RowResult, reference: RowResult, metric: str) -> Difference | None:
    """Difference of a metric between two rows, paired over the seeds that both have."""
    return paired_difference(row.values(metric), reference.values(metric))


def find_partners(
    result: StudyResult, axis: str, label: str, reference: str
) -> list[tuple[RowResult, RowResult]]:
    """Pairs of rows that differ on one axis alone: one with a label there, one with the reference."""

    def others(row: RowResult) -> tuple[Any, ...]:
        return (row.train_size, *((name, choice) for name, choice in row.choices.items() if name != axis))

    references = {others(row): row for row in result.finished if row.choices[axis] == reference}
    chosen = [row for row in result.finished if row.choices[axis] == label]
    return [(row, references[others(row)]) for row in chosen if others(row) in references]


def compare_partners(pairs: list[tuple[RowResult, RowResult]], metric: str) -> Difference | None:
    """Averages over the pairs, seed by seed, and then compared over the seeds that all pairs have."""
    both = [(row.values(metric), reference.values(metric)) for row, reference in pairs]
    seeds = set.intersection(*(set(values) & set(base) for values, base in both))
    mean = {seed: float(np.mean([values[seed] for values, _ in both])) for seed in seeds}
    base = {seed: float(np.mean([reference[seed] for _, reference in both])) for seed in seeds}
    return paired_difference(mean, base)
