"""One of the processes that `lorentzoo.training.launch` starts: ``python -m lorentzoo.training.process``."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from typing import IO, Any, Final

__all__ = ["main", "refuse_to_send"]

_INTERVAL: Final = 0.1
"""Seconds between two movements of a live line."""


def main() -> None:
    """Read an order from standard input, and answer by messages on standard output."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever a library prints must not be taken for an answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lifeline = os.dup(sys.stdin.fileno())
    try:
        with os.fdopen(lifeline, "rb", closefd=False) as orders:
            world, job, live = pickle.load(orders)
    except EOFError:
        os._exit(1)
    except Exception as error:  # pickle raises many kinds
        _send(answers, "error", refuse_to_send(error))
        os._exit(1)
    # Processes that are forked here close standard input, for which they would wait were it read at that moment.
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    threading.Thread(target=_follow, args=(lifeline,), daemon=True).start()
    from lorentzoo.training.session import train_in

    line = _line(answers, live) if world.is_first else _line(None, False)
    try:
        course, resumed_at = train_in(job, world, line)
        state = job.model.state_dict() if world.is_first else None
        _send(answers, "result", (state, course, resumed_at, job.model.fitted_inputs))
    except BaseException as error:
        _send(answers, "error", _sendable(error))
        # What others hold of this process is of no use to them.
        sys.stderr.flush()
        os._exit(1)


def refuse_to_send(error: Exception) -> Exception:
    """What a user can do about a model or data that another process cannot have."""
    from lorentzoo.core.errors import TrainingError

    return TrainingError(
        f"model, task or data cannot be sent to another process ({type(error).__name__}: {error}): what was defined in "
        "this session must be in a package, or leave devices at 1"
    )


def _line(answers: IO[bytes] | None, live: bool) -> Any:
    from lorentzoo.output.progress import ProgressLine

    class Line(ProgressLine):
        """Speaks on the line of the process that started this one."""

        moved = float("-inf")

        @property
        def live(self) -> bool:
            return live

        def line(self, text: str) -> None:
            if answers is not None:
                _send(answers, "line", text)

        def step(self, fraction: float, text: str) -> None:
            if answers is not None:
                _send(answers, "step", (fraction, text))

        def move(self, fraction: float, text: str) -> None:
            now = time.monotonic()
            if answers is not None and now - self.moved > _INTERVAL:
                self.moved = now
                _send(answers, "move", (fraction, text))

    return Line("train", show=False)


def _send(answers: IO[bytes], kind: str, value: Any) -> None:
    pickle.dump((kind, value), answers)
    answers.flush()


def _sendable(error: BaseException) -> BaseException:
    from lorentzoo.core.errors import TrainingError

    try:
        found = pickle.loads(pickle.dumps(error))
    except Exception:
        found = None
    return error if type(found) is type(error) else TrainingError(f"{type(error).__name__}: {error}")


def _follow(lifeline: int) -> None:
    os.read(lifeline, 1)
    # Nobody waits for the training any more.
    os._exit(1)


if __name__ == "__main__":
    main()
