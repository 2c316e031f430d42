"""How large is the learning rate when a part of the budget is used up?

Schedules are functions of the used part of the budget, not of the step: so the same schedule fits a
budget of epochs, of steps and of CPU-seconds.
"""

from __future__ import annotations

import math
from typing import Literal

__all__ = ["ScheduleName", "learning_rate_factor"]

ScheduleName = Literal["constant", "cosine", "warmup-cosine", "flat-decay"]


def learning_rate_factor(
    schedule: ScheduleName, progress: float, *, warmup: float = 0.05, flat: float = 0.7, final: float = 0.01
) -> float:
    """Factor on the learning rate.

    Parameters
    ----------
    schedule
        ``"constant"``; ``"cosine"`` from 1 to `final`; ``"warmup-cosine"``: linear up to 1 first;
        ``"flat-decay"``: 1, then exponentially down to `final`.
    progress
        Used part of the budget, 0 to 1.
    warmup
        Part of the budget with rising rate.
    flat
        Part of the budget with constant rate.
    final
        Factor at the end.

    Examples
    --------
    >>> [round(learning_rate_factor("cosine", x, final=0.0), 3) for x in (0.0, 0.5, 1.0)]
    [1.0, 0.5, 0.0]
    """
    progress = min(max(progress, 0.0), 1.0)
    if schedule == "constant":
        return 1.0
    if schedule == "flat-decay":
        if progress <= flat or flat == 1.0:
            return 1.0
        return float(max(final, 1e-8) ** ((progress - flat) / (1.0 - flat)))
    if schedule == "warmup-cosine":
        if progress < warmup:
            # Never zero: the first step would be wasted.
            return max(progress / warmup, 1e-3)
        progress = (progress - warmup) / (1.0 - warmup) if warmup < 1.0 else 1.0
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * progress))
