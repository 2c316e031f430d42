"""How long do a surrogate and the truth take for a point, alone and in batches?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo import EventData, Trainable
from lorentzoo.plugins.amplitudes.data.channels import Channel

__all__ = ["TIMES", "measure_times"]

TIMES: Final = ("truth_alone_us", "truth_batch_us", "surrogate_alone_us", "surrogate_batch_us")
"""What the columns of `measure_times` are."""
_REPEATS: Final = 5
_ALONE: Final = 20
"""Calls for a point alone, which are short."""
_LONG_ENOUGH: Final = 1.0
"""Seconds after which a time is not measured again."""


@torch.no_grad()
def measure_times(
    model: Trainable, data: EventData, channels: Sequence[Channel], place: Tensor, batch: int
) -> NDArray[np.float64]:
    """Microseconds a point of each channel, in the order of `TIMES`, shape (C, 4); NaN where there is no truth.

    Processor time of all threads on a CPU, so that other programs count little, and time of the clock on another device;
    medians of several calls. The network is given clouds that are made already, the truth momenta.

    Parameters
    ----------
    model
        Trained.
    data, place
        Events, and the number of the channel of each.
    channels
        With their truth, where it is known.
    batch
        Points at a time.
    """
    found = np.full((len(channels), len(TIMES)), np.nan)
    was_training = model.training
    model.eval()
    try:
        for number, channel in enumerate(channels):
            events = (place == number).nonzero().squeeze(1)[:batch]
            for column, chosen in ((0, events[:1]), (1, events)):
                found[number, column::2] = _time_both(model, data, channel, chosen)
    finally:
        model.train(was_training)
    return found


def _time_both(model: Any, data: EventData, channel: Channel, events: Tensor) -> tuple[float, float]:
    cloud = data.batch(events).cloud.to_units("GeV")
    momenta = cloud.momenta.to(torch.float64).unflatten(0, (len(events), -1))
    given = cloud.to(model.device)
    truth = float("nan")
    if channel.has_truth and (process := channel.process) is not None:
        # Points of files may be off their mass shells, and have passed the checks of their reader.
        truth = _time_call(
            lambda: process.squared(momenta, channel.couplings, tolerance=None, shell_tolerance=None),
            len(events),
        )
    clock = time.process_time if model.device.type == "cpu" else time.perf_counter

    def predict() -> None:
        # Bringing the numbers back waits for the device.
        model.head.predict(model(given).double()).cpu()

    return truth, _time_call(predict, len(events), clock)


def _time_call(call: Callable[[], Any], points: int, clock: Callable[[], float] = time.process_time) -> float:
    """Median time of a call in microseconds a point, after one that warms up."""
    call()
    seconds: list[float] = []
    while len(seconds) < (_REPEATS if points > 1 else _ALONE) and sum(seconds) < _LONG_ENOUGH:
        start = clock()
        call()
        seconds.append(clock() - start)
    return 1e6 * statistics.median(seconds) / points
