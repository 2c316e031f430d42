"""How is what was saved by an earlier version written anew, in place?"""

from __future__ import annotations

import difflib
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from lorentzoo.core.errors import CheckpointError, RenamedWarning
from lorentzoo.registry.checkpoints import load, save
from lorentzoo.registry.details import read_details
from lorentzoo.registry.plain_data import read_json_file
from lorentzoo.registry.saved import SPEC
from lorentzoo.registry.specs import SLOTS
from lorentzoo.studies.runs import renew_checksums

__all__ = ["find_saved", "renew"]

_COMPOSITION: Final = (*SLOTS, "generator", "format", "spurion_mode", "anchor", "in_scalars", "in_context")


def find_saved(path: Path) -> Iterator[Path]:
    """Folders of saved models: a folder itself, or all below it, e.g. of the runs of a study.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    found = [path] if (path / SPEC).is_file() else sorted(file.parent for file in path.rglob(SPEC))
    if not found:
        raise CheckpointError(f"{path} holds no saved model: no {SPEC} in it or below it")
    yield from found


def renew(directory: Path, *, dry_run: bool = False) -> str:
    """Write a saved model as this version does: today's format, names, and defaults as they were, spelled out.

    It is loaded first, and replaced as a whole, with the details that it had. A finished run keeps what it is: its other
    files stay, and the checksums that it states follow.

    Parameters
    ----------
    directory
        Of a saved model or a run.
    dry_run
        Whether nothing is written.

    Returns
    -------
    Lines of ``spec.json`` that change, as ``diff -u`` shows them; empty where nothing is to be done.

    Raises
    ------
    CheckpointError
        If it cannot be loaded.
    """
    path = directory / SPEC
    before = read_json_file(path)
    with warnings.catch_warnings():
        # That it is to be written anew is known by now.
        warnings.simplefilter("ignore", RenamedWarning)
        model, told = load(directory), read_details(directory)
    if not told.versions and isinstance(before.get("lorentzoo"), str):
        # Those that are at work here did not train it.
        told = told.model_copy(update={"versions": {"lorentzoo": before["lorentzoo"]}})
    with tempfile.TemporaryDirectory() as name:
        after_path = save(model, Path(name), details=told) / SPEC
        after = read_json_file(after_path)
        old, new = (each.read_text(encoding="utf-8").splitlines() for each in (path, after_path))
    if _meaning(before) == _meaning(after):
        return ""
    if not dry_run:
        save(model, directory, details=told)
        renew_checksums(directory)
    return "\n".join(difflib.unified_diff(old, new, str(path), str(path), lineterm="", n=1))


def _meaning(data: dict[str, Any]) -> dict[str, Any]:
    """What a specification says, without the versions that wrote it."""
    return {name: data.get(name) for name in _COMPOSITION} | {
        "weights": (data.get("weights") or {}).get("sha256"),
        "sealed": "checksum" in data,
    }
