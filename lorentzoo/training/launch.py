"""How does a process have a model trained by several others on its machine?

It starts them, sends each the job through a pipe, and shows what the first one says. They end with it, and with each
other: the first that dies or fails ends all.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from lorentzoo.core.errors import StoppedElsewhere, TrainingError
from lorentzoo.output.progress import ProgressLine
from lorentzoo.training.course import Course
from lorentzoo.training.process import refuse_to_send
from lorentzoo.training.session import TrainingJob
from lorentzoo.training.world import World

__all__ = ["train_on"]

_GRACE: Final = 5.0
"""Seconds in which a process that was asked to ends."""
_LOOK: Final = 0.5
"""Seconds between two looks at processes that say nothing, and in which others tell of a cause."""

Message = tuple[str, Any]


def train_on(job: TrainingJob, devices: int, line: ProgressLine) -> tuple[Course, int]:
    """Train the job's model in place by so many processes; returns as `lorentzoo.training.session.train_in`.

    Raises
    ------
    TrainingError
        If a process dies; saying which, by what.
    """
    with tempfile.TemporaryDirectory(prefix="lorentzoo-") as folder:
        meeting = f"file://{Path(folder) / 'meeting'}"
        worlds = [World(rank, devices, rank, devices, meeting) for rank in range(devices)]
        with _started(worlds) as processes:
            heard: SimpleQueue[tuple[int, Message]] = SimpleQueue()
            for rank, process in enumerate(processes):
                threading.Thread(
                    target=_talk, args=(process, (worlds[rank], job, line.live), rank, heard), daemon=True
                ).start()
            state, course, resumed_at, fitted_inputs = _hear(processes, heard, line)
    job.model.load_state_dict(state)
    job.model.fitted_inputs = fitted_inputs
    job.model.eval()
    return course, resumed_at


@contextmanager
def _started(worlds: list[World]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are gone when the block is left."""
    environment = {**os.environ, "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR")}
    if sys.platform == "linux":
        # Processes of one machine need no network, nor the name of their host.
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    processes: list[subprocess.Popen[bytes]] = []
    try:
        processes += [_start(environment) for _ in worlds]
        yield processes
    finally:
        for process in processes:
            _signal(process, signal.SIGTERM)
        end = time.monotonic() + _GRACE
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(end - time.monotonic(), 0.0))
            _signal(process, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()


def _start(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "lorentzoo.training.process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        # Ctrl-C on a terminal is for the one that started them; and a group is ended as a whole.
        start_new_session=True,
    )


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Tell a process, and those that gather batches for it, which may be there without it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _talk(
    process: subprocess.Popen[bytes], order: Any, rank: int, heard: SimpleQueue[tuple[int, Message]]
) -> None:
    """Send the order and pass on what comes back until the process ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        # The pipe stays open: its end is how the process learns of ours.
        pickle.dump(order, process.stdin)
        process.stdin.flush()
        while True:
            heard.put((rank, pickle.load(process.stdout)))
    except (OSError, EOFError, ValueError, pickle.UnpicklingError):
        heard.put((rank, ("gone", None)))
    except Exception as error:  # pickle raises many kinds
        heard.put((rank, ("error", refuse_to_send(error))))


def _hear(
    processes: list[subprocess.Popen[bytes]],
    heard: SimpleQueue[tuple[int, Message]],
    line: ProgressLine,
) -> Any:
    """What the first process found."""
    result = None
    finished: set[int] = set()
    while len(finished) < len(processes):
        try:
            rank, (kind, value) = heard.get(timeout=_LOOK)
        except Empty:
            # Its pipe is open as long as processes are that gather batches for it.
            for rank, process in enumerate(processes):
                if (process.poll() or 0) < 0:
                    raise _explain(processes, heard, [(rank, ("gone", None))]) from None
            continue
        if kind == "line":
            line.line(value)
        elif kind in ("step", "move"):
            getattr(line, kind)(*value)
        elif kind == "result":
            finished.add(rank)
            result = value if rank == 0 else result
        elif rank not in finished:
            raise _explain(processes, heard, [(rank, (kind, value))])
    return result


def _explain(
    processes: list[subprocess.Popen[bytes]],
    heard: SimpleQueue[tuple[int, Message]],
    failures: list[tuple[int, Message]],
) -> BaseException:
    """Why the training is over: of all that end, the one that was killed, or that does not speak of another."""
    end = time.monotonic() + _LOOK
    while time.monotonic() < end:
        with suppress(Empty):
            rank, message = heard.get(timeout=_LOOK / 10)
            failures += [(rank, message)] if message[0] in ("error", "gone") else []
        for number, process in enumerate(processes):
            code = process.poll()
            if code is not None and code < 0:
                memory = " (out of memory?)" if code == -signal.SIGKILL else ""
                return TrainingError(
                    f"process {number} of the {len(processes)} of this training was ended by "
                    f"{signal.Signals(-code).name}{memory}; the same command goes on from the last checkpoint"
                )
    errors = [value for _, (kind, value) in failures if kind == "error"]
    own = [error for error in errors if not isinstance(error, StoppedElsewhere)]
    if own or errors:
        found: BaseException = (own or errors)[0]
        return found
    rank = failures[0][0]
    return TrainingError(
        f"process {rank} of the {len(processes)} of this training ended without a word (exit code "
        f"{processes[rank].poll()})"
    )
