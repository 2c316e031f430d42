"""How do worker processes end with their work, with Ctrl-C, and with a parent that was killed?"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, TypeVar

from lorentzoo.core.errors import LorentzooError

__all__ = ["WorkerError", "run_in_workers"]

T = TypeVar("T")


class WorkerError(LorentzooError, RuntimeError):
    """A worker process was killed from outside."""


def run_in_workers(
    function: Callable[..., T], work: Sequence[tuple[Any, ...]], workers: int, *, in_order: bool = False
) -> Iterator[T]:
    """Results of ``function(*item)`` for each item of the work, on several processes.

    Processes are spawned, not forked: Pythia, FastJet and torch all keep threads or global state. They are killed as soon
    as the caller stops to ask, for whatever reason, and end by themselves when the caller is killed.

    Parameters
    ----------
    function
        Found by its name in the other process.
    work
        Arguments of each call.
    workers
        Processes; with one, the calls are made here.
    in_order
        Yield results in the order of the work instead of as they come.

    Raises
    ------
    WorkerError
        If a worker was killed, for instance for want of memory.
    """
    if workers == 1:
        for item in work:
            yield function(*item)
        return
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        min(workers, max(1, len(work))),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_follow_parent,
    )
    try:
        futures: list[Future[T]] = [pool.submit(function, *item) for item in work]
        for future in futures if in_order else as_completed(futures):
            yield future.result()
        pool.shutdown()
    except BrokenProcessPool as cause:
        raise WorkerError(
            "a worker process was killed (out of memory?); run the same command again, perhaps with fewer workers"
        ) from cause
    finally:
        # What is under way is of no use any more, and Pythia does not listen until its events are made.
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.kill()


def _follow_parent() -> None:
    """End this process when its parent ends; leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
