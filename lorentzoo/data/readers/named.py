"""By which names are files of the field opened?

Each function is a data set of the registry: ``lz.load_dataset("jetclass-root", path="train_100M", test="test_20M")``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from lorentzoo.core.cloud import Units
from lorentzoo.data.events import EventData, Split
from lorentzoo.data.readers.files import FileDataset, OnBad, open_files
from lorentzoo.data.readers.jetclass import JetClassParquet, JetClassROOT, Particles
from lorentzoo.data.readers.jetnet import JetNet
from lorentzoo.data.readers.padded import PaddedNPZ
from lorentzoo.data.readers.source import Source
from lorentzoo.data.readers.toptag_hdf5 import TopTaggingReference

__all__ = ["jetclass_parquet", "jetclass_root", "jetnet_hdf5", "padded_npz", "toptag_hdf5"]

Paths = str | Sequence[str]


def toptag_hdf5(
    path: Paths,
    validation: Paths | None = None,
    test: Paths | None = None,
    split: Split | None = None,
    num_jets: int | None = None,
    max_constituents: int | None = None,
    units: Units = "GeV",
    check_units: bool = True,
    on_bad: OnBad = "error",
    in_memory: bool = False,
) -> EventData:
    """The top-tagging reference data set (arXiv:1902.09914), as it is distributed: HDF5 with a pandas table.

    Parameters
    ----------
    path, validation, test
        Files, patterns, folders, or lists of these: ``path="train.h5", validation="val.h5", test="test.h5"``. With
        `path` alone, events are split 60:15:25 by a hash of file and row.
    split
        ``"train"``, ``"validation"`` or ``"test"``; None takes all events.
    num_jets
        Only the first events.
    max_constituents
        Only the hardest constituents of each jet.
    units
        Units of the momenta in the files.
    check_units
        Refuse momenta that look like another unit.
    on_bad
        ``"error"`` at events with NaN, infinite or space-like momenta; ``"skip"`` leaves them out and says how many.
    in_memory
        Keep all events in memory instead of reading blocks as they are needed.

    Raises
    ------
    EventFileError
        Naming the file and what is wrong: a missing column, another unit, bad values, damage.
    """
    return _open(
        TopTaggingReference,
        TopTaggingReference,
        path,
        validation,
        test,
        split,
        num_jets,
        max_constituents,
        units,
        check_units,
        on_bad,
        in_memory,
    )


def jetclass_root(
    path: Paths,
    validation: Paths | None = None,
    test: Paths | None = None,
    split: Split | None = None,
    num_jets: int | None = None,
    max_constituents: int | None = 128,
    features: Particles = "default",
    tree: str = "tree",
    units: Units = "GeV",
    check_units: bool = True,
    on_bad: OnBad = "error",
    in_memory: bool = False,
) -> EventData:
    """JetClass (arXiv:2202.03772) as it is distributed, or any ROOT files with its columns.

    Parameters
    ----------
    path, validation, test, split, num_jets, max_constituents, units, check_units, on_bad, in_memory
        As for `toptag_hdf5`.
    features
        Scalars of each particle: ``"fourmomenta"`` (none), ``"pid"`` (charge and kind, 6), ``"displacements"`` (4) or
        ``"default"`` (all ten).
    tree
        Name of the tree in the files.
    """
    return _open(
        partial(JetClassROOT, features=features, tree=tree),
        JetClassROOT,
        path,
        validation,
        test,
        split,
        num_jets,
        max_constituents,
        units,
        check_units,
        on_bad,
        in_memory,
    )


def jetclass_parquet(
    path: Paths,
    validation: Paths | None = None,
    test: Paths | None = None,
    split: Split | None = None,
    num_jets: int | None = None,
    max_constituents: int | None = 128,
    features: Particles = "default",
    units: Units = "GeV",
    check_units: bool = True,
    on_bad: OnBad = "error",
    in_memory: bool = False,
) -> EventData:
    """Parquet files with the columns of JetClass.

    Parameters
    ----------
    path, validation, test, split, num_jets, max_constituents, features, units, check_units, on_bad, in_memory
        As for `jetclass_root`.
    """
    return _open(
        partial(JetClassParquet, features=features),
        JetClassParquet,
        path,
        validation,
        test,
        split,
        num_jets,
        max_constituents,
        units,
        check_units,
        on_bad,
        in_memory,
    )


def jetnet_hdf5(
    path: Paths,
    validation: Paths | None = None,
    test: Paths | None = None,
    split: Split | None = None,
    num_jets: int | None = None,
    max_constituents: int | None = None,
    units: Units = "GeV",
    check_units: bool = True,
    on_bad: OnBad = "error",
    in_memory: bool = False,
) -> EventData:
    """JetNet (arXiv:2106.11535): HDF5 with relative coordinates, one file a class, named after it.

    Momenta are made massless from relative pT, η and φ.

    Parameters
    ----------
    path, validation, test, split, num_jets, max_constituents, units, check_units, on_bad, in_memory
        As for `toptag_hdf5`.
    """
    return _open(
        JetNet,
        JetNet,
        path,
        validation,
        test,
        split,
        num_jets,
        max_constituents,
        units,
        check_units,
        on_bad,
        in_memory,
    )


def padded_npz(
    path: Paths,
    validation: Paths | None = None,
    test: Paths | None = None,
    split: Split | None = None,
    num_jets: int | None = None,
    max_constituents: int | None = None,
    momenta: str = "momenta",
    labels: str = "labels",
    scalars: str | None = None,
    mask: str | None = None,
    class_names: Sequence[str] = (),
    order: str = "E,px,py,pz",
    units: Units = "GeV",
    check_units: bool = True,
    on_bad: OnBad = "error",
    in_memory: bool = False,
) -> EventData:
    """Padded arrays in ``.npz`` files: momenta (n, N, 4), labels (n,), optional scalars (n, N, S) and mask (n, N).

    Parameters
    ----------
    path, validation, test, split, num_jets, max_constituents, units, check_units, on_bad, in_memory
        As for `toptag_hdf5`.
    momenta, labels, scalars, mask
        Names of the arrays.
    class_names
        Names of the classes.
    order
        Order of the components of the momenta.
    """
    return _open(
        partial(
            PaddedNPZ,
            momenta=momenta,
            labels=labels,
            scalars=scalars,
            mask=mask,
            class_names=tuple(class_names),
            order=order,
        ),
        PaddedNPZ,
        path,
        validation,
        test,
        split,
        num_jets,
        max_constituents,
        units,
        check_units,
        on_bad,
        in_memory,
    )


def _open(
    make: Callable[[Path], Source],
    kind: type[Source],
    path: Paths,
    validation: Paths | None,
    test: Paths | None,
    split: Split | None,
    num_jets: int | None,
    max_constituents: int | None,
    units: Units,
    check_units: bool,
    on_bad: OnBad,
    in_memory: bool,
) -> EventData:
    sources, roles = open_files(make, kind.suffixes, path, validation, test)
    dataset: EventData = FileDataset(
        sources, roles, max_constituents=max_constituents, units=units, check=check_units, on_bad=on_bad
    )
    if in_memory:
        assert isinstance(dataset, FileDataset)
        dataset = dataset.load()
    if split is not None:
        dataset = dataset.split(split)
    if num_jets is None:
        return dataset
    if not 1 <= num_jets <= len(dataset):
        raise ValueError(f"num_jets must be 1 to {len(dataset)}, what the files hold, not {num_jets}")
    return dataset.subset(torch.arange(num_jets))
