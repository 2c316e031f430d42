"""Does every reader pass the kit of data sets, and is every data set of the registry checked?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import lorentzoo as lz
from lorentzoo.data.named import __all__ as shipped
from lorentzoo.testing.datasets import check_dataset

WRITTEN = ("toptag-hdf5", "jetclass-root", "jetclass-parquet", "jetnet-hdf5", "padded-npz")


def test_every_data_set_is_checked() -> None:
    elsewhere = {"showers", "amplitudes", "amplitudes-lhe"}
    assert {*shipped, *elsewhere, *WRITTEN} == set(lz.list_components("dataset"))


@pytest.mark.parametrize("name", WRITTEN)
def test_readers_conform(name: str, written: Callable[[str], Path]) -> None:
    check_dataset(name, {"path": str(written(name))}).raise_if_failed()
