"""Files in the layouts that users bring, written from random jets."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pyarrow.parquet as pq
import uproot

from lorentzoo.data.readers.jetclass import CLASSES


def random_jets(num_jets: int, seed: int = 0, largest: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Collimated massless particles in GeV (P, 4) as float32 numbers, and numbers of particles (B,)."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, largest, num_jets)
    total = int(lengths.sum())
    transverse = np.repeat(rng.uniform(500, 1000, num_jets) / lengths, lengths) * rng.exponential(1.0, total)
    eta = np.repeat(rng.uniform(-2, 2, num_jets), lengths) + 0.2 * rng.normal(size=total)
    phi = np.repeat(rng.uniform(-3, 3, num_jets), lengths) + 0.2 * rng.normal(size=total)
    momenta = np.stack(
        [
            transverse * np.cosh(eta),
            transverse * np.cos(phi),
            transverse * np.sin(phi),
            transverse * np.sinh(eta),
        ],
        axis=-1,
    )
    return momenta.astype(np.float32), lengths


def padded(momenta: np.ndarray, lengths: np.ndarray, places: int) -> np.ndarray:
    """Shape (B, places, C), zeros behind the particles."""
    out = np.zeros((len(lengths), places, momenta.shape[1]), momenta.dtype)
    out[np.arange(places) < lengths[:, None]] = momenta
    return out


def write_toptag(path: Path, momenta: np.ndarray, lengths: np.ndarray, labels: np.ndarray) -> None:
    """The pandas table of the reference data set."""
    rows = np.zeros(
        len(lengths),
        dtype=[("index", "i8"), ("values_block_0", "f4", (804,)), ("values_block_1", "i8", (2,))],
    )
    rows["values_block_0"][:, :800] = padded(momenta, lengths, 200).reshape(len(lengths), 800)
    rows["values_block_1"][:, 1] = labels
    with h5py.File(path, "w") as file:
        file.create_dataset("table/table", data=rows, chunks=(64,))


def jetclass_columns(momenta: np.ndarray, lengths: np.ndarray, labels: np.ndarray) -> dict[str, ak.Array]:
    """The columns of JetClass that are read."""
    rng = np.random.default_rng(1)
    total = len(momenta)
    flat = dict(
        zip(("part_energy", "part_px", "part_py", "part_pz"), np.ascontiguousarray(momenta.T), strict=True)
    )
    flat |= {name: rng.normal(size=total).astype(np.float32) for name in ("part_d0val", "part_dzval")}
    flat |= {name: rng.exponential(size=total).astype(np.float32) for name in ("part_d0err", "part_dzerr")}
    flat["part_charge"] = rng.integers(-1, 2, total).astype(np.float32)
    kind = rng.integers(0, 5, total)
    for number, name in enumerate(("ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon")):
        flat[f"part_is{name}"] = (kind == number).astype(np.int32)
    columns = {name: ak.unflatten(values, lengths) for name, values in flat.items()}
    columns["jet_nparticles"] = ak.Array(lengths.astype(np.float32))
    columns |= {f"label_{name}": ak.Array(labels == number) for number, name in enumerate(CLASSES)}
    return columns


def write_root(
    path: Path, columns: dict[str, ak.Array], tree: str = "tree", *, rntuple: bool = False
) -> None:
    with uproot.recreate(path) as file:
        if rntuple:
            file.mkrntuple(tree, columns)
            return
        types = {name: array.type.content for name, array in columns.items()}
        out = file.mktree(tree, types)
        out.extend(columns)


def write_parquet(path: Path, columns: dict[str, ak.Array], rows_per_group: int = 50) -> None:
    table = ak.to_arrow_table(ak.Array(columns), extensionarray=False)
    pq.write_table(table, path, row_group_size=rows_per_group)


def write_jetnet(path: Path, num_jets: int, places: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns relative features (n, places, 4) and jet features (n, 4)."""
    rng = np.random.default_rng(seed)
    particles = np.zeros((num_jets, places, 4))
    particles[..., :2] = 0.1 * rng.normal(size=(num_jets, places, 2))
    particles[..., 2] = rng.exponential(1 / places, (num_jets, places))
    particles[..., 3] = np.arange(places) < rng.integers(1, places + 1, num_jets)[:, None]
    jets = np.stack(
        [
            rng.uniform(800, 1200, num_jets),
            rng.uniform(-2, 2, num_jets),
            rng.uniform(50, 200, num_jets),
            particles[..., 3].sum(-1),
        ],
        axis=-1,
    )
    with h5py.File(path, "w") as file:
        file["particle_features"], file["jet_features"] = particles, jets
    return particles, jets


def column_layout(
    kind: str,
    path: Path,
    momenta: np.ndarray,
    lengths: np.ndarray,
    events: dict[str, np.ndarray],
    names: tuple[str, ...] = ("E", "px", "py", "pz"),
) -> None:
    """A file with columns of particles by these names, an index of each particle, and columns of events."""
    flat = dict(zip(names, np.ascontiguousarray(momenta.T), strict=True))
    flat["rank"] = (np.arange(len(momenta)) - np.repeat(np.cumsum(lengths) - lengths, lengths)).astype(
        np.float32
    )
    if kind == "hdf5":
        with h5py.File(path, "w") as file:
            for name, values in flat.items():
                file[f"tracks/{name}" if "/" not in name else name] = padded(values[:, None], lengths, 64)[
                    ..., 0
                ]
            for name, values in events.items():
                file[name] = values
        return
    columns = {name: ak.unflatten(values, lengths) for name, values in flat.items()}
    columns |= {name: ak.Array(values) for name, values in events.items()}
    (write_parquet if kind == "parquet" else write_root)(path, columns)
