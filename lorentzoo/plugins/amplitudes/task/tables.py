"""How good is each surrogate by channel, by quantile of the maxima, by |M|², and outside of the training region?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo import Cell, Metric, Row, Table
from lorentzoo.nn import format_uncertain, weighted_mean, weighted_quantile
from lorentzoo.plugins.amplitudes.task.metrics import (
    METRICS,
    average_channels,
    error_metrics,
    relative_errors,
    standardised_errors,
)
from lorentzoo.plugins.amplitudes.task.predictions import AmplitudePredictions
from lorentzoo.plugins.amplitudes.task.times import TIMES

__all__ = ["amplitude_tables"]

Groups = Callable[[AmplitudePredictions], Mapping[str, Mapping[str, Any]]]
"""From one network's predictions to the numbers of each group of events, by label."""

_BINS: Final = 5
_BY_NAME: Final = {metric.name: metric for metric in METRICS} | {
    "events": Metric("events", "Events", cell=lambda found: _count_cell(found)),
    "delta_mean": Metric("delta_mean", "⟨δ⟩"),
    "time_ratio": Metric("time_ratio", "Surrogate/truth"),
}
_ERRORS: Final = ("events", "log_mse", "log_median", "delta_50", "delta_99", "beyond_1", "beyond_10")


def amplitude_tables(rows: Sequence[Row]) -> dict[str, Table]:
    """Further tables of a study, by name; those without anything to say are left out.

    Parameters
    ----------
    rows
        With `AmplitudePredictions`.
    """
    first = rows[0].evaluations[0] if rows else None
    if not isinstance(first, AmplitudePredictions):
        return {}
    found = {
        "unweighting": _make(
            "Two-stage unweighting",
            "Quantile",
            rows,
            _by_quantile,
            (
                "plain_efficiency",
                "first_efficiency",
                "second_efficiency",
                "second_maximum",
                "kish_fraction",
                "truth_per_event",
                "unweighting_gain",
                "time_gain",
                "weight_lost",
            ),
            "Each maximum leaves 1 - quantile of the accepted weight above it, which is kept as overweights. Plain: "
            "without surrogate. Second maximum: in units of the mean of truth/surrogate. Truth/event and gains count "
            "events as Kish does, (Σ w)²/Σ w².",
        ),
        "bins": _make(
            "Errors by |M|²",
            f"{first.headings[0]}",
            rows,
            _by_size,
            ("events", "delta_mean", "delta_50", "delta_99", "beyond_1", "beyond_10"),
            "Bins have equally many events.",
        ),
    }
    if len(first.channels) > 1:
        found["channels"] = _make(
            "Channels",
            "Channel",
            rows,
            _by_channel,
            (*_ERRORS, "cross_section_bias", "truth_per_event", "unweighting_gain", "time_gain"),
            "MSE(ln) and median(ln) are in units of the variance of each channel by itself.",
        )
    if any(_flags_some(each) for row in rows for each in row.evaluations):
        found["regions"] = _make(
            "Inside and outside of the training region",
            "Events",
            rows,
            _by_region,
            _ERRORS,
            "Outside: with an invariant 2 p·p, of all pairs in rising order, beyond the range of the training events of "
            "the same number of particles. MSE(ln) and median(ln) are in units of the variance of all test events.",
        )
    if first.times is not None:
        found["times"] = _make(
            "Times for a point",
            "Channel",
            rows,
            _by_time,
            (*TIMES, "time_ratio"),
            "Processor time of all threads; the network's includes no making of its input. Surrogate/truth: in batches.",
        )
    return {name: table for name, table in found.items() if table.rows}


def _make(
    title: str, heading: str, rows: Sequence[Row], groups: Groups, names: Sequence[str], note: str
) -> Table:
    """One line a row and group; columns without any number are left out."""
    lines: list[tuple[str, str, dict[str, list[Any]]]] = []
    for row in rows:
        each = [groups(one) for one in row.evaluations if isinstance(one, AmplitudePredictions)]
        for label in dict.fromkeys(label for found in each for label in found):
            numbers = [found[label] for found in each if label in found]
            lines.append(
                (row.label, label, {name: [n[name] for n in numbers if name in n] for name in names})
            )
    shown = [
        name
        for name in names
        if any(values[name] for _, _, values in lines)
        and (_BY_NAME[name].shown != "nonzero" or any(any(values[name]) for _, _, values in lines))
    ]
    cells = tuple(
        (
            Cell(label, label),
            Cell(group, group),
            *(_BY_NAME[name].cell(values[name]) if values[name] else Cell("–") for name in shown),
        )
        for label, group, values in lines
    )
    return Table(title, ("Model", heading, *(_BY_NAME[name].heading for name in shown)), cells, (), (note,))


def _by_quantile(one: AmplitudePredictions) -> dict[str, dict[str, Any]]:
    assert one.quantiles is not None
    channels = one.channels
    return {
        f"{quantile:g}": average_channels(
            [one.channel_metrics(name, chosen, float(quantile)) for name, chosen in channels],
            [int(chosen.sum()) for _, chosen in channels],
        )
        for quantile in one.quantiles
    }


def _by_channel(one: AmplitudePredictions) -> dict[str, dict[str, Any]]:
    return {
        name: _errors(one, chosen) | one.channel_metrics(name, chosen, one.headline)
        for name, chosen in one.channels
    }


def _by_size(one: AmplitudePredictions) -> dict[str, dict[str, Any]]:
    there = one.weight != 0
    if not there.any():
        return {}
    size = np.abs(one.target[:, 0].astype(np.float64))
    edges = np.unique(np.quantile(size[there], np.linspace(0, 1, _BINS + 1)))
    place = np.clip(np.searchsorted(edges, size, side="right") - 1, 0, max(len(edges) - 2, 0))
    found = {}
    for number in range(len(edges) - 1):
        chosen = there & (place == number)
        values, target, weight = one.arrays(chosen)
        mean = weighted_mean(relative_errors(values, target), np.abs(weight[target != 0]))
        label = " – ".join(format_uncertain(float(f"{edge:.2g}"), 0.0) for edge in edges[number : number + 2])
        found[label] = _errors(one, chosen) | ({"delta_mean": mean} if np.isfinite(mean) else {})
    return found


def _by_region(one: AmplitudePredictions) -> dict[str, dict[str, Any]]:
    there = one.weight != 0
    # In one unit, that of all events, or the errors of both could not be compared.
    squares = standardised_errors(*one.arrays(there))
    found = {}
    for label, chosen in one.regions.items():
        found[label] = _errors(one, chosen)
        if squares is not None:
            own, weight = squares[chosen[there]], one.weight[chosen]
            found[label] |= {
                "log_mse": weighted_mean(own, weight),
                "log_median": weighted_quantile(own, weight, 0.5),
            }
    return found


def _by_time(one: AmplitudePredictions) -> dict[str, dict[str, Any]]:
    if one.times is None or one.channel_names is None:
        return {}
    found = {}
    for name, row in zip(one.channel_names.tolist(), one.times, strict=True):
        found[name] = {key: float(value) for key, value in zip(TIMES, row, strict=True) if np.isfinite(value)}
        if (ratio := one.time_ratio(name)) is not None:
            found[name]["time_ratio"] = ratio
    return found


def _errors(one: AmplitudePredictions, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    return {"events": int(chosen.sum()), **error_metrics(*one.arrays(chosen))}


def _flags_some(one: Any) -> bool:
    return isinstance(one, AmplitudePredictions) and one.outside is not None and bool(one.outside.any())


def _count_cell(found: Sequence[Any]) -> Cell:
    return Cell(f"{int(found[0]):,}", int(found[0]))
