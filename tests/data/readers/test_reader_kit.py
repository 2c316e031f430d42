"""Does every reader pass the kit of data sets, and is every data set of the registry checked?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import lorentzoo as lz
from lorentzoo.data.named import __all__ as shipped
from lorentzoo.testing.datasets import check_dataset

WRITTEN = (
    "toptag-hdf5",
    "jetclass-root",
    "jetclass-parquet",
    "jetnet-hdf5",
    "padded-npz",
    "root",
    "parquet",
    "hdf5",
    "delphes-root",
    "nanoaod",
    "physlite",
    "jets-parquet",
)
NEEDED = {
    **{name: {"label": "label", "scalars": ["rank"]} for name in ("root", "parquet")},
    "hdf5": {
        "momentum": {name: f"tracks/{name}" for name in ("E", "px", "py", "pz")},
        "label": "label",
        "scalars": {"rank": "tracks/rank"},
    },
    "physlite": {"label": "R10TruthLabel_R22v1"},
    "jets-parquet": {"label": "top", "scalars": ["charge"]},
}
"""What readers of any columns must be told."""
LHE = Path(__file__).parents[2] / "plugins" / "amplitudes" / "lhe" / "madgraph-pp-jj.lhe.gz"
AMPLITUDES = {
    "amplitudes": {"process": ["qq-Zng", "gg-ng"], "multiplicity": [2, 3], "num_events": 200},
    "amplitudes-lhe": {"path": str(LHE), "process": "gg-ng"},
    "vector-pairs": {"dimensions": 8, "target": "amplitude", "num_events": 200},
    "lhe": {
        "path": str(LHE),
        "classes": {
            "gg": "incoming_1 == 21 and incoming_2 == 21",
            "other": "incoming_1 != 21 or incoming_2 != 21",
        },
    },
}


def test_every_data_set_is_checked() -> None:
    # Those that are shipped, and showers, in tests/data/test_dataset_kit.py.
    assert {*shipped, "showers", *WRITTEN, *AMPLITUDES} == set(lz.list_components("dataset"))


@pytest.mark.parametrize("name", WRITTEN)
def test_readers_conform(name: str, written: Callable[[str], Path]) -> None:
    check_dataset(name, {"path": str(written(name)), **NEEDED.get(name, {})}).raise_if_failed()


@pytest.mark.parametrize("name", AMPLITUDES)
def test_amplitudes_conform(name: str) -> None:
    check_dataset(name, AMPLITUDES[name]).raise_if_failed()
