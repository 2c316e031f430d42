"""How does a file appear on disk completely or not at all, also where several processes write?"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["locked", "owned", "read_file", "remove_stale", "write_atomically"]

_HELD: Final[set[tuple[int, int, int, int]]] = set()
"""Locks by process, thread, device and inode: on another descriptor the same thread would wait for itself."""


def read_file(path: Path, most: int) -> bytes:
    """The contents of a regular file.

    Parameters
    ----------
    path
        Of the file, or of a link to one.
    most
        Bytes that are read.

    Raises
    ------
    FileNotFoundError
        If there is none.
    OSError
        If it is a folder, a pipe or a device, which might never end, or cannot be read.
    ValueError
        If it is larger.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is a folder, a pipe or a device, not a file")
    if status.st_size > most:
        raise ValueError(f"it has {status.st_size} bytes; at most {most} are read")
    return path.read_bytes()


def write_atomically(path: Path, payload: bytes) -> None:
    """Write a file so that it is either the old or the new one, whatever happens.

    Raises
    ------
    OSError
        Naming the file, if the disk does not take it; the old file stays, and no temporary one is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        _discard(temporary)
        # A bare "no space left on device" does not say where.
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error
    except BaseException:
        _discard(temporary)
        raise


@contextlib.contextmanager
def locked(directory: Path, *, wait: bool = True) -> Iterator[None]:
    """Keep others that ask for it out of a directory; the lock goes with the process, however it ends.

    The directory itself is locked: no file is left, and nothing that a link points to is touched. The thread that has the
    lock may ask for it again.

    Raises
    ------
    BlockingIOError
        If another process or thread has it, and `wait` is not set.
    """
    try:
        import fcntl
    except ImportError:  # not on this system
        yield
        return
    facts = directory.stat()
    key = (os.getpid(), threading.get_ident(), facts.st_dev, facts.st_ino)
    if key in _HELD:
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        _HELD.add(key)
        yield
    finally:
        _HELD.discard(key)
        os.close(descriptor)


@contextlib.contextmanager
def owned(directory: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Make a directory and lock it, and remove what killed writers have left in it.

    Parameters
    ----------
    directory
        Of which one process at a time is the only writer.
    patience
        Seconds to wait for a process that has it: those that were killed, or their children, may take a moment.

    Raises
    ------
    BlockingIOError
        If another process has it for longer.
    """
    directory.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(directory, wait=False))
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)
        remove_stale(directory, ("*",))
        yield


def remove_stale(directory: Path, names: tuple[str, ...]) -> None:
    """Remove temporary files that killed writers of these names have left; the directory must be locked."""
    for name in names:
        for path in directory.glob(f".{name}.*.tmp"):
            _discard(path)


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
