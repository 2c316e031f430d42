"""How does one process after another execute runs for a study that waits for them?

Each worker is a Python process of its own that takes runs as lines of JSON and answers with the reason
of a failure, or with nothing. It ends when its input ends: killing the study kills its workers.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from lorentzoo.core.errors import RunError, StudyError
from lorentzoo.studies.jobs import work

__all__ = ["Worker"]


class Worker:
    """A process that executes runs, one after another; it is started again should it die."""

    def __init__(self) -> None:
        self._process = self._start()

    def execute(self, study: Path, key: str) -> str:
        """Execute a run; returns why it did not finish, or nothing.

        Raises
        ------
        RunError
            If the process itself dies.
        """
        if self._process.poll() is not None:
            self.close()
            self._process = self._start()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"study": str(study), "key": key}) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except (OSError, ValueError):
            answer = ""
        if not answer:
            raise RunError(f"the worker process died with code {self._process.wait()} (out of memory?)")
        return str(json.loads(answer)["why"])

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Close the pipes, after nobody reads from them any more."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "lorentzoo.studies.executors.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )


def main() -> None:
    """Read runs from standard input until it ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    # Whatever a library prints must not be taken for an answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    orders: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, orders), daemon=True).start()
    while True:
        order = orders.get()
        try:
            _, why = work(order["study"], order["key"])
        except StudyError as error:
            why = str(error)
        answers.write(json.dumps({"why": why}) + "\n")
        answers.flush()


def _listen(source: IO[str], orders: SimpleQueue[dict[str, Any]]) -> None:
    for text in source:
        orders.put(json.loads(text))
    # Nobody waits for the run any more.
    os._exit(0)


if __name__ == "__main__":
    main()
