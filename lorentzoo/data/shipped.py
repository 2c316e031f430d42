"""Where are the samples that come with the package?"""

from __future__ import annotations

import os
from pathlib import Path

from lorentzoo.core.errors import MissingFileError

__all__ = ["sample_path", "shipped_samples"]

_FOLDER = Path(__file__).parent / "samples"


def shipped_samples() -> list[str]:
    """Names of the samples that come with the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.npz"))


def sample_path(name_or_path: str | os.PathLike[str]) -> Path:
    """File of a sample, given the name of a shipped one or a path.

    Raises
    ------
    MissingFileError
        If there is neither; the message lists the shipped names.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    if str(name_or_path) in shipped_samples():
        return _FOLDER / f"{name_or_path}.npz"
    raise MissingFileError(
        f"{name_or_path} is neither a sample file nor the name of a shipped sample "
        f"({', '.join(shipped_samples())}); `lorentzoo data make` generates one"
    )
