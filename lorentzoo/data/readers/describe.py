"""What does a file hold, and which data set opens it?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from lorentzoo.core.errors import MissingFileError
from lorentzoo.data.ragged import jet_observables
from lorentzoo.data.readers.files import BLOCK_SIZE
from lorentzoo.data.readers.hdf5 import HDF5File
from lorentzoo.data.readers.jetclass import open_parquet, open_root
from lorentzoo.data.readers.named import FORMATS
from lorentzoo.data.readers.padded import list_arrays
from lorentzoo.data.readers.physlite import ANY_JETS
from lorentzoo.data.readers.source import EventFileError, Source

__all__ = ["describe_file"]

_LEAST: Final[dict[str, dict[str, Any]]] = {
    "jetclass-root": {"features": "fourmomenta"},
    "jetclass-parquet": {"features": "fourmomenta"},
    "delphes-root": {"on_bad": "skip"},
    "nanoaod": {"on_bad": "skip"},
    "physlite": {"jets": ANY_JETS, "on_bad": "skip"},
    "jets-parquet": {"on_bad": "skip"},
}
"""Parameters with which a format asks for least."""


def describe_file(path: Path) -> dict[str, Any]:
    """What a file of events holds, as plain data.

    Returns
    -------
    dict
        ``path``, ``bytes``; if a data set opens it, its name as ``dataset``, ``events``, ``classes`` with their
        numbers of events, and medians of mass, transverse momentum (GeV) and number of constituents of the first
        jets. If none does, ``contents`` of the file and, by name of the data set, why it does not take it.

    Raises
    ------
    MissingFileError
        If there is no such file.
    EventFileError
        If it is damaged, or of a kind that nothing reads.
    """
    if not path.exists():
        raise MissingFileError(f"there is no file {path}")
    if not path.is_file():
        raise EventFileError(path, "it is not a file; name one of the files in it")
    head: dict[str, Any] = {"path": str(path), "bytes": path.stat().st_size}
    refusals = {}
    for name, kind in FORMATS.items():
        if not path.name.endswith(kind.suffixes):
            continue
        try:
            source = kind(str(path), **_LEAST.get(name, {})).source(path)
            return {**head, "dataset": name, **_describe_events(source)}
        except EventFileError as error:
            refusals[name] = error.reason
    if path.suffix not in _CONTENTS:
        if refusals:
            raise EventFileError(path, next(iter(refusals.values())))
        endings = dict.fromkeys([*_CONTENTS, *(each for kind in FORMATS.values() for each in kind.suffixes)])
        raise EventFileError(path, f"it is not a file of events; those end with {', '.join(endings)}")
    return {**head, "contents": _CONTENTS[path.suffix](path), "not read by": refusals}


def _describe_events(source: Source) -> dict[str, Any]:
    classes = source.read_classes(0, source.num_events)
    counts = np.bincount(classes, minlength=len(source.class_names)).tolist()
    found: dict[str, Any] = {
        "events": source.num_events,
        "classes": dict(zip(source.class_names, counts, strict=True)),
        **({"left_out": source.left_out} if source.left_out else {}),
        "scalars": list(source.scalar_names),
        "read as": dict(source.settings()),
    }
    if not source.num_events:
        found["empty"] = source.why_empty
    else:
        first = source.read(0, min(source.num_events, BLOCK_SIZE))
        mass, pt, multiplicity = jet_observables(first.momenta, first.ptr)
        found |= {
            "median_mass": float(np.median(mass)),
            "median_pt": float(np.median(pt)),
            "median_constituents": float(np.median(multiplicity)),
        }
    return found


def _list_root(path: Path) -> dict[str, Any]:
    file = open_root(path)
    found: dict[str, Any] = {}
    for key, kind in file.classnames().items():
        name = key.split(";")[0]
        if "Tree" in kind or "RNTuple" in kind:
            try:
                tree = file[key]
                found[name] = {"kind": kind, "entries": int(tree.num_entries), "columns": list(tree.keys())}
            except Exception as error:  # what uproot and the packers raise on damaged bytes
                raise EventFileError(
                    path, f"its tree {name!r} is damaged ({error}); copy or download it again"
                ) from error
        else:
            found.setdefault(name, kind)
    return found


def _list_parquet(path: Path) -> dict[str, Any]:
    file = open_parquet(path)
    return {"rows": int(file.metadata.num_rows), "columns": list(file.schema_arrow.names)}


def _list_hdf5(path: Path) -> dict[str, Any]:
    file = HDF5File(path)
    return {name: f"{item.dtype} {item.shape}" for name in file.datasets() for item in [file.dataset(name)]}


_CONTENTS: Final[dict[str, Callable[[Path], dict[str, Any]]]] = {
    ".root": _list_root,
    ".parquet": _list_parquet,
    ".h5": _list_hdf5,
    ".hdf5": _list_hdf5,
    ".npz": list_arrays,
}
"""How the contents of a file are listed, by its ending."""
