"""Files of jets to stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from file_layouts import jetclass_columns, random_jets, write_parquet


@pytest.fixture
def jet_files() -> Callable[..., Path]:
    """Writes files with the columns of JetClass; the jets of a file are of one class."""

    def write(
        folder: Path,
        *,
        files: int,
        jets: int,
        group: int,
        ending: str = "root",
        largest: int = 20,
        change: Callable[[dict[str, ak.Array]], None] | None = None,
    ) -> Path:
        folder.mkdir()
        for number in range(files):
            momenta, lengths = random_jets(jets, seed=number, largest=largest)
            columns = jetclass_columns(momenta, lengths, np.full(jets, number % 10))
            if change is not None:
                change(columns)
            path = folder / f"jets_{number:03d}.{ending}"
            if ending == "parquet":
                write_parquet(path, columns, rows_per_group=group)
                continue
            with uproot.recreate(path) as file:
                tree = file.mktree("tree", {name: array.type.content for name, array in columns.items()})
                for start in range(0, jets, group):
                    tree.extend({name: array[start : start + group] for name, array in columns.items()})
        return folder

    return write
