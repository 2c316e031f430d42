"""What are the runs of a study doing, wherever they are executed?"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lorentzoo.core.errors import StudyError
from lorentzoo.studies.jobs import read_job
from lorentzoo.studies.results import planned_runs
from lorentzoo.studies.runs import state_of
from lorentzoo.studies.status import is_cancelled, read_status

__all__ = ["watch_study"]

_INTERVAL: Final = 2.0
_ROWS: Final = 20
"""Runs that are shown at a time."""


def watch_study(directory: Path, console: Console | None = None) -> None:
    """Show what runs are doing until all are over, the study is cancelled, or Ctrl-C.

    Raises
    ------
    StudyError
        If it is not a study's directory.
    """
    keys = planned_runs(directory)
    over: set[str] = set()
    with Live(console=console or Console(stderr=True), auto_refresh=False) as live:
        while True:
            table, open_runs = _draw(directory, keys, over)
            live.update(table, refresh=True)
            if not open_runs or is_cancelled(directory):
                return
            try:
                time.sleep(_INTERVAL)
            except KeyboardInterrupt:
                return


def _draw(directory: Path, keys: list[str], over: set[str]) -> tuple[Table, int]:
    """A table of what is not over, and how many runs that are."""
    counts: Counter[str] = Counter()
    rows = []
    for key in keys:
        folder = directory / "runs" / key
        state = "finished" if key in over else state_of(folder)
        doing = read_status(folder) if state == "unfinished" else None
        kind = state.partition(":")[0] if doing is None else doing.describe().partition(" ")[0]
        counts[kind] += 1
        if state == "finished":
            # The files of a run are many, and are not looked at twice.
            over.add(key)
        elif kind != "missing":
            rows.append((_label_of(directory, key), state if doing is None else doing.describe()))
    table = Table(title=", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    table.add_column("run")
    table.add_column("state")
    for label, state in rows[:_ROWS]:
        table.add_row(Text(label), Text(state))
    if len(rows) > _ROWS:
        table.add_row("", f"and {len(rows) - _ROWS} more")
    return table, sum(
        count for kind, count in counts.items() if kind not in ("finished", "failed", "damaged")
    )


def _label_of(directory: Path, key: str) -> str:
    try:
        return read_job(directory, key).label
    except StudyError:
        return key
