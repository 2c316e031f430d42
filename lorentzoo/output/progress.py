"""How does something long show that it is alive?

One live line on a terminal, plain lines otherwise.
"""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

__all__ = ["ProgressLine"]


class ProgressLine:
    """A bar with a text behind it, or plain lines where the output is no terminal.

    Parameters
    ----------
    label
        What is running.
    show
        Whether anything is shown.
    console
        Where to; standard error by default, so that tables can be piped.
    """

    def __init__(self, label: str, *, show: bool = True, console: Console | None = None) -> None:
        self.label = label
        self.console = Console(stderr=True) if console is None else console
        self._show = show
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
