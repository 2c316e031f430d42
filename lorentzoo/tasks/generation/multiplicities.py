"""How good is a generator for the events of each number of particles?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from lorentzoo.output.rows import Row
from lorentzoo.output.table import Cell, Table, text_cell
from lorentzoo.output.weights import mean_and_error
from lorentzoo.tasks.generation.metrics import BY_MULTIPLICITY
from lorentzoo.tasks.generation.two_sample import measure_auc

if TYPE_CHECKING:
    from lorentzoo.tasks.generation.evaluation import GeneratorEvaluation

__all__ = ["list_multiplicities", "measure_multiplicities", "multiplicity_table"]

_FEWEST: Final = 10
"""Events of either sample below which no area under a curve is stated."""


def measure_multiplicities(one: GeneratorEvaluation, seed: int = 0) -> dict[str, float]:
    """Numbers by the number of particles n of an event, as ``NAME_n``; none where all events are of one multiplicity.

    Parameters
    ----------
    one
        Of a generator.
    seed
        Of the bootstrap.

    Returns
    -------
    ``nll_particles_n`` with ``nll_error_particles_n``; ``c2st_auc_particles_n`` with ``c2st_auc_error_particles_n``, of
    the classifier of all events on those of n particles; and the shares of all true and all generated events,
    ``true_share_particles_n`` and ``generated_share_particles_n``.
    """
    true, generated = (cloud.multiplicity().numpy() for cloud in (one.true, one.samples))
    numbers = np.unique(np.concatenate([true, generated])).tolist()
    if len(numbers) < 2:
        return {}
    known = true[: len(one.log_prob)]
    finite, weight = np.isfinite(one.log_prob), one.true_weight[: len(one.log_prob)]
    test = one.test
    of_test = np.zeros(len(test.target), dtype=np.int64)
    of_test[test.target == 1], of_test[test.target == 0] = true[test.true], generated[test.generated]
    found: dict[str, float] = {}
    for n in numbers:
        found[f"true_share_particles_{n}"] = float(one.true_weight[true == n].sum() / one.true_weight.sum())
        found[f"generated_share_particles_{n}"] = float((generated == n).mean())
        chosen = finite & (known == n)
        if chosen.any():
            found[f"nll_particles_{n}"], found[f"nll_error_particles_{n}"] = mean_and_error(
                -one.log_prob[chosen], weight[chosen]
            )
        here = of_test == n
        if min((test.target[here] == side).sum() for side in (0, 1)) >= _FEWEST:
            found[f"c2st_auc_particles_{n}"], found[f"c2st_auc_error_particles_{n}"] = measure_auc(
                test.log_ratio[here], test.target[here], test.weight[here], seed
            )
    return found


def list_multiplicities(rows: Sequence[Row]) -> list[int]:
    """The numbers of particles of the events of studies' rows; empty where all are of one multiplicity."""
    prefix = f"{BY_MULTIPLICITY['true_share'].name}_"
    found = {
        int(name.removeprefix(prefix))
        for row in rows
        for recorded in row.metrics
        for name in recorded
        if name.startswith(prefix)
    }
    return sorted(found)


def multiplicity_table(rows: Sequence[Row]) -> Table | None:
    """A line for each row and number of particles; None where all events are of one multiplicity."""
    lines: list[tuple[Cell, ...]] = []
    for row in rows:
        for n in list_multiplicities(rows):
            cells = []
            for metric in BY_MULTIPLICITY.values():
                values = row.values(f"{metric.name}_{n}")
                cells.append(metric.cell(values) if values else Cell("–"))
            lines.append((text_cell(row.label), Cell(str(n), n), *cells))
    if not lines:
        return None
    columns = ("Model", "Particles", *(metric.heading for metric in BY_MULTIPLICITY.values()))
    note = (
        "The classifier is that of all events, judged on those of each number of particles. NLL: with -ln of the "
        "probability of the number where the generator draws it; densities of different numbers of particles have "
        "different units."
    )
    return Table("By number of particles", columns, tuple(lines), (), (note,))
