"""How do all files of an export come to the disk, or none?"""

from __future__ import annotations

from pathlib import Path

from lorentzoo.core.errors import ExportError
from lorentzoo.registry.files import write_atomically

__all__ = ["make_folder", "write_files"]


def make_folder(path: Path) -> None:
    """The folder of a file, before anything is computed for it.

    Raises
    ------
    ExportError
        If it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"could not write {path}: {error.strerror or error}") from error


def write_files(files: dict[Path, bytes]) -> None:
    """All of the files, the last one being that which counts; none of them where the disk does not take one.

    Raises
    ------
    ExportError
        Naming the last one, if the disk does not take them.
    """
    written: list[Path] = []
    try:
        for path, payload in files.items():
            write_atomically(path, payload)
            written.append(path)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise ExportError(f"could not write {next(reversed(files))}: {error.strerror or error}") from error
