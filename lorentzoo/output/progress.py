"""How does something long show that it is alive?

One live line on a terminal, plain lines otherwise.
"""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

__all__ = ["ProgressLine"]


class ProgressLine:
    """A bar with a text behind it, or plain lines where the output is not a terminal.

    Parameters
    ----------
    label
        What is running.
    show
        Whether anything is shown.
    console
        Where to; standard error by default, so that tables can be piped.
    total
        How many items there are in all, for `count`.
    items
        What the items are.
    interval
        Least time between two plain lines of `count`, in seconds.
    """

    def __init__(
        self,
        label: str,
        *,
        show: bool = True,
        console: Console | None = None,
        total: int = 0,
        items: str = "events",
        interval: float = 10.0,
    ) -> None:
        self.label = label
        self.console = Console(stderr=True) if console is None else console
        self._show = show
        self._total, self._items, self._interval = total, items, interval
        self._done = self._done_here = 0
        self._started = self._spoke = time.monotonic()
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> ProgressLine:
        if self._show and self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[text]}"),
                TimeElapsedColumn(),
            )
            self._bar = Progress(*columns, console=self.console, transient=True)
            self._task = self._bar.add_task(self.label, total=1.0, text="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def live(self) -> bool:
        """Whether there is a live line that small steps should move."""
        return self._bar is not None

    def move(self, fraction: float, text: str) -> None:
        """Move the live line; nothing is printed where there is none."""
        if self._bar is not None:
            self._bar.update(self._task, completed=fraction, text=text)

    def line(self, text: str) -> None:
        """Print a line that stays (above the live line, if there is one)."""
        if self._show:
            self.console.print(f"{self.label}: {text}", markup=False, highlight=False, soft_wrap=True)

    def step(self, fraction: float, text: str) -> None:
        """Move the live line, or print a plain line where there is none."""
        if self.live:
            self.move(fraction, text)
        else:
            self.line(text)

    def count(self, number: int, *, done_before: bool = False) -> None:
        """Count `number` items more and say how many there are, at what rate and until when.

        Where there is no live line, a plain one is printed every `interval` seconds and at the end. Items that an
        earlier run had done do not count for the rate.
        """
        self._done += number
        self._done_here += 0 if done_before else number
        now = time.monotonic()
        if not self.live and now - self._spoke < self._interval and self._done < self._total:
            return
        self._spoke = now
        text = f"{self._done} of {self._total} {self._items}"
        rate = self._done_here / max(now - self._started, 1e-9)
        if rate:
            text += f", {rate:.0f} {self._items}/s"
        if rate and self._done < self._total:
            text += f", {(self._total - self._done) / rate:.0f} s left"
        self.step(self._done / max(self._total, 1), text)
