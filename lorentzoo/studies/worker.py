"""How do runs share the cores of a machine?

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

from lorentzoo.core.errors import RunError
from lorentzoo.output.progress import ProgressLine
from lorentzoo.studies.plan import RunSpec
from lorentzoo.studies.runs import execute_run, record_failure

__all__ = ["Worker", "attempt"]


class Worker:
    """A process that executes runs, one after another; it is started again should it die."""

    def __init__(self) -> None:
        self._process = self._start()

    def execute(self, run: RunSpec, directory: Path) -> str:
        """Execute a run; returns why it failed, or nothing.

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
            self._process.stdin.write(json.dumps({"run": run.to_data(), "directory": str(directory)}) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            raise RunError(f"the worker process died with code {self._process.wait()} (out of memory?)")
        return str(json.loads(answer)["failure"])

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
            [sys.executable, "-m", "lorentzoo.studies.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )


def attempt(run: RunSpec, directory: Path, line: ProgressLine) -> str:
    """Execute a run; a failure is recorded and returned as a reason, and nothing otherwise."""
    try:
        execute_run(run, directory, line)
    except Exception as error:
        return record_failure(directory, error)
    return ""


def main() -> None:
    """Read runs from standard input until it ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    # Whatever a library prints must not be taken for an answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    orders: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, orders), daemon=True).start()
    while True:
        order = orders.get()
        run, directory = RunSpec.from_data(order["run"]), Path(order["directory"])
        failure = attempt(run, directory, ProgressLine(directory.name, show=False))
        answers.write(json.dumps({"failure": failure}) + "\n")
        answers.flush()


def _listen(source: IO[str], orders: SimpleQueue[dict[str, Any]]) -> None:
    for text in source:
        orders.put(json.loads(text))
    # Nobody waits for the run any more.
    os._exit(0)


if __name__ == "__main__":
    main()
