"""How far along is work on many jets, on a terminal and in a log file?"""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

__all__ = ["Progress"]


class Progress:
    """A live bar on a terminal, a plain line every few seconds elsewhere; both on standard error.

    Parameters
    ----------
    title : str
    total : int
        Jets in all.
    enabled : bool
        Say nothing at all if False.
    interval : float
        Least time between two plain lines in seconds.
    """

    def __init__(self, title: str, total: int, enabled: bool = True, interval: float = 10.0) -> None:
        self._title, self._total, self._enabled, self._interval = title, total, enabled, interval
        self._console = Console(stderr=True)
        self._done = self._made = 0
        self._started = self._spoke = time.monotonic()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Progress:
        if self._enabled and self._console.is_terminal:
            rate = TextColumn("{task.fields[rate]}")
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                rate,
                TimeRemainingColumn(),
            )
            self._bar = Bar(*columns, console=self._console)
            self._task = self._bar.add_task(self._title, total=self._total, rate="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, jets: int, done_before: bool = False) -> None:
        """Count `jets` more; those that an earlier run had made do not count for the rate."""
        self._done += jets
        self._made += 0 if done_before else jets
        now = time.monotonic()
        rate = f"{self._made / max(now - self._started, 1e-9):.0f} jets/s" if self._made else ""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, rate=rate)
        elif self._enabled and (now - self._spoke >= self._interval or self._done == self._total):
            self._spoke = now
            line = f"{self._title}: {self._done} of {self._total} jets, {rate}".removesuffix(", ")
            self._console.print(line, highlight=False, soft_wrap=True)
