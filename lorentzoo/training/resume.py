"""How is a training continued after it was killed, and never from what is damaged or of something else?

A checkpoint is a line that says what it is and the SHA-256 of the rest, then tensors and plain data. The one of the epoch
before is kept beside it: should the last be damaged, training goes on from there, to the same end.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch

from lorentzoo.core.errors import TrainingError
from lorentzoo.output.files import write_bytes
from lorentzoo.output.progress import ProgressLine
from lorentzoo.registry.files import owned

__all__ = ["CHECKPOINT", "PREVIOUS", "forget_checkpoints", "only_here", "read_checkpoint", "write_checkpoint"]

CHECKPOINT: Final = "checkpoint.ckpt"
"""File of the last finished epoch, inside the directory of a training."""
PREVIOUS: Final = "checkpoint.previous.ckpt"
"""File of the epoch before."""
_PATIENCE: Final = 10.0
"""Seconds in which workers of a killed study are gone."""
_MAGIC: Final = b"lorentzoo checkpoint 2 "


@contextlib.contextmanager
def only_here(directory: Path | None) -> Iterator[None]:
    """Two processes never train in the same directory; None is none.

    Raises
    ------
    TrainingError
        If another process does.
    """
    if directory is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(owned(directory, patience=_PATIENCE))
        except BlockingIOError:
            raise TrainingError(
                f"another process is training in {directory}; wait for it or choose another directory"
            ) from None
        yield


def write_checkpoint(directory: Path, data: dict[str, Any]) -> None:
    """Write plain data and tensors, completely or not at all; the checkpoint before becomes the previous one."""
    stream = io.BytesIO()
    torch.save(data, stream)
    payload = stream.getvalue()
    head = _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"
    path = directory / CHECKPOINT
    # A damaged one must not take the place of the whole one from which training went on.
    if path.is_file() and _payload_of(path)[0] is not None:
        _keep_as(path, directory / PREVIOUS)
    write_bytes(path, head + payload)


def read_checkpoint(directory: Path, fingerprint: str, line: ProgressLine) -> dict[str, Any] | None:
    """The last checkpoint of a directory that is whole; None where there is none.

    Parameters
    ----------
    directory
        Of the training.
    fingerprint
        What is trained, which the checkpoint must share.
    line
        Says which checkpoints are damaged, or of an earlier version.

    Raises
    ------
    TrainingError
        If it is of another training.
    """
    found = [path for name in (CHECKPOINT, PREVIOUS) if (path := directory / name).is_file()]
    for path in found:
        checkpoint, reason = _read(path)
        if checkpoint is None:
            line.line(f"{path.name} {reason}; it is passed over")
            continue
        if checkpoint.get("fingerprint") != fingerprint:
            raise TrainingError(
                f"{directory} holds a checkpoint of another training (another model, recipe or data); "
                "choose another directory, or pass resume=False"
            )
        return checkpoint
    if found:
        line.line("no checkpoint can be used, training starts again")
    return None


def forget_checkpoints(directory: Path) -> None:
    """Remove the checkpoints of a training that is over."""
    for name in (CHECKPOINT, PREVIOUS):
        with contextlib.suppress(FileNotFoundError):
            (directory / name).unlink()


def _keep_as(path: Path, other: Path) -> None:
    """Give a file a second name, in the place of what had it; both are there at any time."""
    temporary = other.with_name(f".{other.name}.{os.getpid()}.tmp")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    try:
        os.link(path, temporary)
    except OSError:  # not on this file system
        shutil.copyfile(path, temporary)
    os.replace(temporary, other)
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()  # a rename onto another name of the same file does nothing, and says that it went well


def _payload_of(path: Path) -> tuple[bytes | None, str]:
    """What follows the first line, or why it cannot be used."""
    try:
        head, newline, payload = path.read_bytes().partition(b"\n")
    except OSError as error:
        return None, f"cannot be read ({error.strerror})"
    if not head.startswith(_MAGIC) or not newline:
        return None, "is damaged, or of an earlier version"
    if hashlib.sha256(payload).hexdigest().encode() != head.removeprefix(_MAGIC):
        return None, "is damaged: its checksum is not the one it states"
    return payload, ""


def _read(path: Path) -> tuple[dict[str, Any] | None, str]:
    """The contents, or why they cannot be used."""
    payload, reason = _payload_of(path)
    if payload is None:
        return None, reason
    try:
        checkpoint = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # zipfile, pickle and torch raise many kinds
        return None, f"cannot be read ({type(error).__name__})"
    return (checkpoint, "") if isinstance(checkpoint, dict) else (None, "does not hold a checkpoint")
