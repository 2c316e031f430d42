"""How does a file of events appear on disk completely or not at all, and by one process at a time?"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lorentzoo.core.errors import LorentzooError

__all__ = ["EventWriteError", "only_one_maker", "replacing"]


class EventWriteError(LorentzooError, OSError):
    """A file of events that could not be written."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends without an error.

    Raises
    ------
    EventWriteError
        Naming `path`, if the disk does not take it; what was there before stays.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        os.chmod(temporary, 0o644)  # mkstemp makes it private, but events are meant to be shared
        os.replace(temporary, path)
    except OSError as error:
        raise EventWriteError(
            error.errno or errno.EIO,
            f"{error.strerror or error}: nothing was written; make room or choose another place",
            str(path),
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


@contextlib.contextmanager
def only_one_maker(path: Path) -> Iterator[None]:
    """Two processes never make the same file; the lock goes with the process, however it ends.

    Raises
    ------
    EventWriteError
        Naming `path`, if another process is making it.
    """
    try:
        import fcntl
    except ImportError:  # not on this system
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    # Never followed, never truncated: a link of this name that somebody else has put here does no harm.
    held = False
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    except OSError as error:
        raise EventWriteError(
            error.errno or errno.EIO, f"{error.strerror}: no lock can be made", str(lock)
        ) from error
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A lock on a file that its holder has removed meanwhile is not a lock.
            held = lock.stat().st_ino == os.fstat(handle).st_ino
        if not held:
            raise EventWriteError(
                errno.EAGAIN,
                "another process is making this file; wait for it, or choose another file with --out",
                str(path),
            )
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()
    finally:
        os.close(handle)
