"""How does every process read a file through a handle of its own?"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["PerProcess"]


class Closable(Protocol):
    """What is to be closed."""

    def close(self) -> object: ...


T = TypeVar("T", bound=Closable)


class PerProcess(Generic[T]):
    """A handle that each process opens for itself, at its first use.

    Processes that are forked share the position of a stream that was open before: each would read where another has
    left off. A handle is therefore never used in a process that did not open it, and never pickled. It is closed
    with this object.

    Parameters
    ----------
    open
        Makes the handle.
    """

    def __init__(self, open: Callable[[], T]) -> None:
        self._open = open
        self._opened: tuple[int, T] | None = None

    def __call__(self) -> T:
        """The handle of this process."""
        if self._opened is None or self._opened[0] != os.getpid():
            handle = self._open()
            self._opened = (os.getpid(), handle)
            self._closing = weakref.finalize(self, handle.close)
        return self._opened[1]

    def close(self) -> None:
        """Close the handle of this process, if it has one; the next use opens it anew."""
        if self._opened is not None and self._opened[0] == os.getpid():
            self._closing()
        self._opened = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_open": self._open, "_opened": None}
