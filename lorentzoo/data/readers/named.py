"""By which names are files of the field opened?

Each function is a data set of the registry: ``lz.load_dataset("jetclass-root", path="train_100M", test="test_20M")``.
Its parameters are the fields of a value type, `EventFiles` and what the format adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from lorentzoo.data.readers.column_files import HDF5Columns, ParquetColumns, ROOTColumns
from lorentzoo.data.readers.columns import as_names
from lorentzoo.data.readers.experiments import (
    DelphesFiles,
    JetsParquetFiles,
    LheFiles,
    NanoAODFiles,
    PhysliteFiles,
)
from lorentzoo.data.readers.jetclass import JetClassParquet, JetClassROOT, Particles
from lorentzoo.data.readers.jetnet import JetNet
from lorentzoo.data.readers.mapped import ColumnMap, MappedColumns
from lorentzoo.data.readers.opening import opens
from lorentzoo.data.readers.options import EventFiles, LabelledFiles
from lorentzoo.data.readers.padded import PaddedNPZ
from lorentzoo.data.readers.toptag_hdf5 import TopTaggingReference

__all__ = [
    "FORMATS",
    "HDF5Files",
    "JetClassParquetFiles",
    "JetClassROOTFiles",
    "JetNetFiles",
    "PaddedNPZFiles",
    "ParquetFiles",
    "ROOTFiles",
    "TopTaggingFiles",
    "hdf5",
    "jetclass_parquet",
    "jetclass_root",
    "jetnet_hdf5",
    "padded_npz",
    "parquet",
    "root",
    "toptag_hdf5",
]


@dataclass(frozen=True)
class TopTaggingFiles(EventFiles):
    """The top-tagging reference data set (arXiv:1902.09914), as it is distributed: HDF5 with a pandas table.

    Columns for `target`, `weight`, `context` and `event_id` are ``truthE``, ``truthPX``, ``truthPY``, ``truthPZ``,
    ``ttv`` and ``is_signal_new``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".hdf5")

    def source(self, path: Path) -> TopTaggingReference:
        """One of the files."""
        return TopTaggingReference(path, self.columns)


@dataclass(frozen=True)
class JetClassParquetFiles(EventFiles):
    """Parquet files with the columns of JetClass (arXiv:2202.03772).

    Parameters
    ----------
    features
        Scalars of each particle: ``"fourmomenta"`` (none), ``"pid"`` (charge and kind, 6), ``"displacements"`` (4) or
        ``"default"`` (all ten).
    """

    max_constituents: int | None = 128
    features: Particles = "default"

    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)

    def source(self, path: Path) -> JetClassParquet:
        """One of the files."""
        return JetClassParquet(path, self.columns, self.features)


@dataclass(frozen=True)
class JetClassROOTFiles(EventFiles):
    """JetClass (arXiv:2202.03772) as it is distributed, or any ROOT files with its columns, in a TTree or an RNTuple.

    Parameters
    ----------
    features
        Scalars of each particle: ``"fourmomenta"`` (none), ``"pid"`` (charge and kind, 6), ``"displacements"`` (4) or
        ``"default"`` (all ten).
    tree
        Name of the tree in the files.
    """

    max_constituents: int | None = 128
    features: Particles = "default"
    tree: str = "tree"

    suffixes: ClassVar[tuple[str, ...]] = (".root",)

    def source(self, path: Path) -> JetClassROOT:
        """One of the files."""
        return JetClassROOT(path, self.columns, self.features, self.tree)


@dataclass(frozen=True)
class JetNetFiles(EventFiles):
    """JetNet (arXiv:2106.11535): HDF5 with relative coordinates, one file a class, named after it.

    Momenta are made massless from relative pT, η and φ. Columns for `target`, `weight`, `context` and `event_id` are
    ``pt``, ``eta``, ``mass``, ``num_particles`` of the jet, and further arrays of the file.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".hdf5", ".h5")

    def source(self, path: Path) -> JetNet:
        """One of the files."""
        return JetNet(path, self.columns)


@dataclass(frozen=True)
class PaddedNPZFiles(EventFiles):
    """Padded arrays in ``.npz`` files: momenta (n, N, 4), labels (n,), optional scalars (n, N, S) and mask (n, N).

    Parameters
    ----------
    momenta, labels, scalars, mask
        Names of the arrays.
    class_names
        Names of the classes.
    order
        Order of the components of the momenta.
    """

    momenta: str = "momenta"
    labels: str = "labels"
    scalars: str | None = None
    mask: str | None = None
    class_names: Sequence[str] = ()
    order: str | Sequence[str] = "E,px,py,pz"

    suffixes: ClassVar[tuple[str, ...]] = (".npz",)

    def source(self, path: Path) -> PaddedNPZ:
        """One of the files."""
        return PaddedNPZ(
            path,
            self.columns,
            self.momenta,
            self.labels,
            self.scalars,
            self.mask,
            self.class_names,
            self.order,
        )


@dataclass(frozen=True)
class _ColumnFiles(LabelledFiles):
    """Files with columns of any names.

    Parameters
    ----------
    momentum
        Column of each component of the momenta, lists with one number a particle: ``{"pt": "Jet_pt", "eta": "Jet_eta",
        "phi": "Jet_phi", "mass": "Jet_mass"}``; px, py or pt, phi; pz, eta or theta; E or mass, massless without both. By
        default columns of these names are taken.
    momenta, order
        Instead of it one column with rows (N, 4), and the order of their components.
    scalars
        Columns of further numbers of the particles, by name; or a list of columns.
    mask
        Column that is positive where there is a particle; without one, places of zeros are padding.
    """

    momentum: Mapping[str, str] | None = None
    momenta: str | None = None
    order: str | Sequence[str] = "E,px,py,pz"
    scalars: Mapping[str, str] | Sequence[str] = ()
    mask: str | None = None

    @property
    def chosen(self) -> ColumnMap:
        """Which columns are what."""
        scalars = self.scalars
        return ColumnMap(
            self.momentum,
            self.momenta,
            self.order,
            scalars if isinstance(scalars, Mapping) else {name: name for name in as_names(scalars)},
            self.mask,
            self.rule,
        )


@dataclass(frozen=True)
class ROOTFiles(_ColumnFiles):
    """ROOT files with columns of any names, in a TTree or an RNTuple.

    Parameters
    ----------
    tree
        Name of the tree; the only one in the file by default.
    """

    tree: str | None = None

    suffixes: ClassVar[tuple[str, ...]] = (".root",)

    def source(self, path: Path) -> MappedColumns:
        """One of the files."""
        return MappedColumns(ROOTColumns(path, self.tree), self.columns, self.chosen)


@dataclass(frozen=True)
class ParquetFiles(_ColumnFiles):
    """Parquet files with columns of any names."""

    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)

    def source(self, path: Path) -> MappedColumns:
        """One of the files."""
        return MappedColumns(ParquetColumns(path), self.columns, self.chosen)


@dataclass(frozen=True)
class HDF5Files(_ColumnFiles):
    """HDF5 files with data sets of any names, a row an event: (n,), padded (n, N), or compound (``jets/pt``)."""

    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".hdf5")

    def source(self, path: Path) -> MappedColumns:
        """One of the files."""
        return MappedColumns(HDF5Columns(path), self.columns, self.chosen)


toptag_hdf5 = opens(TopTaggingFiles)
jetclass_root = opens(JetClassROOTFiles)
jetclass_parquet = opens(JetClassParquetFiles)
jetnet_hdf5 = opens(JetNetFiles)
padded_npz = opens(PaddedNPZFiles)
root = opens(ROOTFiles)
parquet = opens(ParquetFiles)
hdf5 = opens(HDF5Files)

FORMATS: Final[dict[str, type[EventFiles]]] = {
    "toptag-hdf5": TopTaggingFiles,
    "jetclass-root": JetClassROOTFiles,
    "jetclass-parquet": JetClassParquetFiles,
    "delphes-root": DelphesFiles,
    "nanoaod": NanoAODFiles,
    "physlite": PhysliteFiles,
    "jets-parquet": JetsParquetFiles,
    "lhe": LheFiles,
    "jetnet-hdf5": JetNetFiles,
    "padded-npz": PaddedNPZFiles,
    "root": ROOTFiles,
    "parquet": ParquetFiles,
    "hdf5": HDF5Files,
}
"""What opens files, by the name of the data set."""
