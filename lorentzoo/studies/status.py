"""What is a run doing right now, where, and is it wanted any longer?

While a run is worked on, its directory holds ``status.json``: host, process, how far it is and in which words. A file
in the study's directory says that the study is cancelled; who works on a run looks for it as often as the status is
written.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from lorentzoo.output.files import write_json
from lorentzoo.output.progress import ProgressLine
from lorentzoo.registry.plain_data import read_json_file

__all__ = ["Cancelled", "Status", "StatusLine", "cancel", "is_cancelled", "read_status", "uncancel"]

_STATUS: Final = "status.json"
_CANCELLED: Final = "cancelled"
_INTERVAL: Final = 2.0
"""Seconds between two writings."""
_ALIVE: Final = 60.0
"""Seconds after which somebody who writes nothing more is taken for gone; file systems of clusters lag behind."""


class Cancelled(BaseException):
    """The study was cancelled; no failure of the run."""


@dataclass(frozen=True)
class Status:
    """What a run is doing.

    Attributes
    ----------
    host, pid
        Who works on it.
    fraction
        How much of it is done.
    text
        The same in words.
    age
        Seconds since it was written.
    """

    host: str
    pid: int
    fraction: float
    text: str
    age: float = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether somebody still works on it, as far as can be told from here."""
        if self.host == socket.gethostname():
            return _exists(self.pid)
        return self.age < _ALIVE

    def describe(self) -> str:
        """In words, e.g. ``"running on node7: epoch 3 step 120 (45 %)"``."""
        doing = f"{self.text} ({100 * self.fraction:.0f} %)" if self.text else "starting"
        if self.is_alive:
            return f"running on {self.host}: {doing}"
        return f"interrupted on {self.host}: {doing}"


def read_status(directory: Path) -> Status | None:
    """The status of a run's directory; None where nobody has begun, or it is over."""
    path = directory / _STATUS
    try:
        found: Any = read_json_file(path)
        age = max(time.time() - path.stat().st_mtime, 0.0)
        return Status(
            str(found["host"]), int(found["pid"]), float(found["fraction"]), str(found["text"]), age
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def cancel(study: Path) -> None:
    """Ask all who work on runs of a study to stop; they do within seconds."""
    write_json(study / _CANCELLED, {"host": socket.gethostname()})


def uncancel(study: Path) -> None:
    """The study goes on."""
    (study / _CANCELLED).unlink(missing_ok=True)


def is_cancelled(study: Path) -> bool:
    """Whether the runs of a study are not wanted any longer."""
    return (study / _CANCELLED).exists()


class StatusLine(ProgressLine):
    """Writes how far a run is into its directory, and ends it where the study is cancelled.

    Parameters
    ----------
    directory
        Of the run.
    study
        Of the study.
    inner
        A line on which it is shown besides.
    """

    def __init__(self, directory: Path, study: Path, inner: ProgressLine | None = None) -> None:
        super().__init__(directory.name, show=False)
        self._directory, self._study, self._inner = directory, study, inner
        self._written = float("-inf")

    @property
    def live(self) -> bool:
        return True

    def line(self, text: str) -> None:
        if self._inner is not None:
            self._inner.line(text)

    def step(self, fraction: float, text: str) -> None:
        if self._inner is not None:
            self._inner.step(fraction, text)
        self._write(fraction, text)

    def move(self, fraction: float, text: str) -> None:
        if self._inner is not None:
            self._inner.move(fraction, text)
        self._write(fraction, text)

    def _write(self, fraction: float, text: str) -> None:
        now = time.monotonic()
        if now - self._written < _INTERVAL:
            return
        self._written = now
        if is_cancelled(self._study):
            raise Cancelled
        status = asdict(Status(socket.gethostname(), os.getpid(), fraction, text))
        status.pop("age")
        # The run matters more than what is said of it.
        with contextlib.suppress(OSError):
            write_json(self._directory / _STATUS, status)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Inside the block the run is worked on; a status is left only by one that is interrupted."""
        self._write(0.0, "")
        yield
        (self._directory / _STATUS).unlink(missing_ok=True)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
