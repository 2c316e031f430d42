"""How far is a training, and when is it over?"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from lorentzoo.core.errors import RunError
from lorentzoo.training.config import TrainConfig

__all__ = ["Course", "history_from_csv", "history_to_csv"]


@dataclass
class Course:
    """What has been used of the budget, and the history: plain data that a checkpoint keeps.

    Attributes
    ----------
    steps, epochs
        Optimiser steps, and epochs that were finished.
    cpu_seconds
        Processor time of the training steps, over all threads.
    events
        Events seen, each as often as it was seen.
    best_loss, epochs_without_gain
        For early stopping and for keeping the best weights.
    stopped_early
        Whether the validation loss ended the training.
    history
        One row an epoch.
    """

    steps: int = 0
    epochs: int = 0
    cpu_seconds: float = 0.0
    events: int = 0
    best_loss: float = math.inf
    epochs_without_gain: int = 0
    stopped_early: bool = False
    history: list[dict[str, float]] = field(default_factory=list)

    def progress(self, config: TrainConfig, steps_per_epoch: int) -> float:
        """Used part of the budget: the largest over the limits that are set."""
        parts = []
        if config.epochs is not None:
            parts.append(self.steps / (config.epochs * steps_per_epoch))
        if config.max_steps is not None:
            parts.append(self.steps / config.max_steps)
        if config.cpu_seconds is not None:
            parts.append(self.cpu_seconds / config.cpu_seconds)
        return max(parts)

    def is_over(self, config: TrainConfig, steps_per_epoch: int) -> bool:
        """Whether the budget is used up or the validation loss stopped improving."""
        return self.stopped_early or self.progress(config, steps_per_epoch) >= 1.0

    def judge(self, validation_loss: float, patience: int | None) -> bool:
        """Take note of a validation loss; returns whether it is the best so far."""
        if validation_loss < self.best_loss:
            self.best_loss, self.epochs_without_gain = validation_loss, 0
            return True
        self.epochs_without_gain += 1
        self.stopped_early = patience is not None and self.epochs_without_gain >= patience
        return False

    def to_data(self) -> dict[str, Any]:
        """Plain data, ``Course(**data)`` again."""
        return asdict(self)


def history_to_csv(history: list[dict[str, float]]) -> str:
    """History as CSV text, one line an epoch."""
    columns = list(dict.fromkeys(key for row in history for key in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return stream.getvalue()


def history_from_csv(text: str) -> list[dict[str, float]]:
    """What `history_to_csv` wrote.

    Raises
    ------
    RunError
        If it is something else: a cell that is not a number, or a line with more cells than there are columns.
    """
    found: list[dict[str, float]] = []
    # Line ends stay as they are: a damaged one belongs to its cell.
    lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in lines:
            if None in row:
                raise ValueError("more cells than columns")
            found.append({key: float(value) for key, value in row.items() if value})
    except (ValueError, csv.Error) as error:
        raise RunError(f"the history is damaged after line {len(found) + 1}: {error}") from None
    return found
