"""Files of every reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from experiment_layouts import EXPERIMENTS, random_events
from file_layouts import (
    column_layout,
    jetclass_columns,
    padded,
    random_jets,
    write_jetnet,
    write_parquet,
    write_root,
    write_toptag,
)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a file in the layout of a reader, by the name of its data set."""

    def write(name: str) -> Path:
        momenta, lengths = random_jets(80)
        labels = np.arange(80) % 10
        if name == "toptag-hdf5":
            path = tmp_path / "a.h5"
            write_toptag(path, momenta, lengths, labels % 2)
        elif name == "jetnet-hdf5":
            path = tmp_path / "t.hdf5"
            write_jetnet(path, 80)
        elif name == "padded-npz":
            path = tmp_path / "a.npz"
            np.savez(path, momenta=padded(momenta, lengths, 64), labels=labels)
        elif name in ("root", "parquet", "hdf5"):
            path = tmp_path / f"a.{name}"
            column_layout(name, path, momenta, lengths, {"label": labels})
        elif name in EXPERIMENTS:
            path = tmp_path / ("a.parquet" if name == "jets-parquet" else "a.root")
            EXPERIMENTS[name](path, random_events())
        else:
            ending = name.removeprefix("jetclass-")
            path = tmp_path / f"a.{ending}"
            columns = jetclass_columns(momenta, lengths, labels)
            {"root": write_root, "parquet": write_parquet}[ending](path, columns)
        return path

    return write
