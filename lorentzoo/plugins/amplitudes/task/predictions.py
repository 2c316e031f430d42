"""What does a surrogate say of |M|², event by event, and what follows for event generation?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lorentzoo import ValuePredictions
from lorentzoo.plugins.amplitudes.task.kinematics import OBSERVABLES
from lorentzoo.plugins.amplitudes.task.metrics import (
    average_channels,
    coverage_metrics,
    cross_section_bias,
    error_metrics,
    unweighting_metrics,
)
from lorentzoo.plugins.amplitudes.task.times import TIMES
from lorentzoo.plugins.amplitudes.task.unweighting import Unweighting, unweight

__all__ = ["AmplitudePredictions"]

Array = NDArray[np.float64]
_OF_BASE = ("pull_mean", "pull_width", "nll")
"""Numbers that are the same for any regression."""


@dataclass(frozen=True, eq=False)
class AmplitudePredictions(ValuePredictions):
    """Predicted |M|² of events beside the true ones, with what two-stage unweighting makes of them.

    Attributes
    ----------
    channel, channel_names
        Number of the channel of each event (B,), and the names of the channels (C,).
    smallest_mass, sqrt_s, leading_pt
        Of each event in GeV, (B,); see `observe_events`.
    outside
        Whether an event has an invariant beyond those of the training set, (B,); None where the head does not know.
    quantiles
        Of the accepted weight below each maximum, (Q,); the first is that of the metrics.
    seed
        Of the drawing of unweighted events, shape ().
    times
        Microseconds a point of each channel, in the order of `TIMES`, (C, 4); None where not measured.
    """

    channel: NDArray[np.int64] | None = None
    channel_names: NDArray[np.str_] | None = None
    smallest_mass: Array | None = None
    sqrt_s: Array | None = None
    leading_pt: Array | None = None
    outside: NDArray[np.bool_] | None = None
    quantiles: Array | None = None
    seed: NDArray[np.int64] | None = None
    times: Array | None = None

    kind: ClassVar[str] = "amplitudes"
    _optional: ClassVar[tuple[str, ...]] = (
        *ValuePredictions._optional,
        "channel",
        "channel_names",
        *OBSERVABLES,
        "outside",
        "quantiles",
        "seed",
        "times",
    )

    @property
    def observables(self) -> dict[str, Array]:
        """Those against which residuals are shown, by what their axes say."""
        found = {label: getattr(self, name) for name, label in OBSERVABLES.items() if name != "leading_pt"}
        return {label: values for label, values in found.items() if values is not None}

    @property
    def channels(self) -> list[tuple[str, NDArray[np.bool_]]]:
        """Name of each channel, and which events are of it and have weight, (B,)."""
        assert self.channel is not None
        assert self.channel_names is not None
        there = self.weight != 0
        each = [
            (str(name), (self.channel == number) & there) for number, name in enumerate(self.channel_names)
        ]
        return [(name, chosen) for name, chosen in each if chosen.any()]

    @property
    def headline(self) -> float:
        """The quantile of the metrics."""
        assert self.quantiles is not None
        return float(self.quantiles[0])

    @property
    def keeps_events(self) -> bool:
        """Whether there is something to unweight: some event has weight, and the surrogate gives it some."""
        there = (self.weight != 0) & (self.target[:, 0] != 0) & (self.values[:, 0] != 0)
        return bool(there.any())

    @property
    def regions(self) -> dict[str, NDArray[np.bool_]]:
        """Which events with weight lie inside and which outside of the training region, (B,); without empty ones."""
        if self.outside is None:
            return {}
        there = self.weight != 0
        both = {"inside": there & ~self.outside, "outside": there & self.outside}
        return {name: chosen for name, chosen in both.items() if chosen.any()}

    def arrays(self, chosen: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
        """Predictions, true values and weights of some events, (b,) each."""
        return self.values[chosen, 0], self.target[chosen, 0].astype(np.float64), self.weight[chosen]

    def unweighting(self, chosen: NDArray[np.bool_], quantile: float) -> Unweighting:
        """Two-stage unweighting of the events of one channel."""
        values, target, weight = self.arrays(chosen)
        return unweight(weight * target, weight * values, quantile)

    def time_ratio(self, name: str) -> float | None:
        """Time of the surrogate over that of the truth in a channel, in batches; None where a time is unknown."""
        if self.times is None or self.channel_names is None:
            return None
        row = self.times[self.channel_names.tolist().index(name)]
        ratio = float(row[TIMES.index("surrogate_batch_us")] / row[TIMES.index("truth_batch_us")])
        return ratio if np.isfinite(ratio) else None

    def channel_metrics(self, name: str, chosen: NDArray[np.bool_], quantile: float) -> dict[str, Any]:
        """Bias of the cross-section and numbers of unweighting of one channel, as plain data."""
        found: dict[str, Any] = {}
        bias, error = cross_section_bias(*self.arrays(chosen))
        if np.isfinite(bias):
            found["cross_section_bias"] = {"value": bias, "error": error}
        return found | unweighting_metrics(self.unweighting(chosen, quantile), self.time_ratio(name))

    def metrics(self) -> dict[str, Any]:
        """Weighted metrics, as plain data; see `lorentzoo.plugins.amplitudes.task.metrics`.

        Errors are of all events together. The bias of the cross-section and the numbers of unweighting are of each
        channel, averaged in proportion to their events.
        """
        return dict(self._metrics)

    @cached_property
    def _metrics(self) -> dict[str, Any]:
        there = self.weight != 0
        found: dict[str, Any] = error_metrics(*self.arrays(there))
        channels = self.channels
        each = [self.channel_metrics(name, chosen, self.headline) for name, chosen in channels]
        found |= average_channels(each, [int(chosen.sum()) for _, chosen in channels])
        if self.outside is not None:
            found["outside_region"] = float(self.outside[there].mean()) if there.any() else 0.0
        regions = self.regions
        for place, chosen in regions.items() if len(regions) > 1 else ():
            errors = error_metrics(*self.arrays(chosen))
            found |= {f"{name}_{place}": errors[name] for name in ("delta_50", "delta_99") if name in errors}
        if self.times is not None:
            means = self.times.mean(0)
            found |= {
                name: float(value) for name, value in zip(TIMES, means, strict=True) if np.isfinite(value)
            }
        if self.deviation is not None:
            found |= coverage_metrics(*self.arrays(there), self.deviation[there, 0])
        base = super().metrics()
        return found | {name: base[name] for name in _OF_BASE if name in base}
