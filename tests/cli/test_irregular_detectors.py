"""Showers in cells of any shape as users make, look at, learn and judge them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from calling import Answer

from lorentzoo.data.showers.cell_files import arrays_of_cells
from lorentzoo.data.showers.detectors import find_detector


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """The first two layers of hexagons as a file of one's own."""
    arrays = arrays_of_cells(find_detector("tungsten-hexagons").grid)
    chosen = arrays["layer"] < 2
    own = {
        name: values[chosen] if len(values) == len(chosen) else values[:2] for name, values in arrays.items()
    }
    np.savez(tmp_path / "mine.npz", **own)
    return tmp_path / "mine.npz"


def make(call: Callable[..., Answer], path: Path, *settings: str, count: int = 60) -> Answer:
    given = [part for setting in settings for part in ("--set", setting)]
    return call("data", "make", "showers", "-n", str(count), "--workers", "1", "--out", str(path), *given)


def test_made_described_learned_and_judged(call: Callable[..., Answer], tmp_path: Path) -> None:
    path = tmp_path / "hexagons.hdf5"
    answer = make(call, path, "detector=tungsten-hexagons", "energy_min=2", "energy_max=9", count=300)
    assert answer.code == 0, answer.err
    described = call("data", "info", str(path), "--json").data
    assert (described["detector"], described["particle"]) == ("tungsten-hexagons", "electron")
    assert (described["voxels"], described["voxels_of_a_layer"]) == (610, [61, 61])
    run = tmp_path / "run"
    trained = call(
        *("train", "vit-showers:num_blocks=1,width=16", "--dataset", f"showers:path={path}"),
        *("-s", "max_steps=2", "-s", "epochs=null", "--out", str(run), "--json"),
        *(
            "-t",
            "num_samples=100",
            "-t",
            "classifier={backbone: deep-sets, embedding: kinematics, head: classify}",
        ),
        *("-t", "recipe={max_steps: 2}"),
    )
    assert trained.code == 0, trained.err
    assert np.isfinite(trained.data["fpd"])
    # Another detector, by the same network.
    other = call(
        "evaluate", str(run), "--dataset", "showers:detector=lar-like,num_showers=400,energy_max=9", "--json"
    )
    assert other.code == 0, other.err


def test_cells_are_described(call: Callable[..., Answer], cells: Path) -> None:
    described = call("data", "info", str(cells), "--json").data
    assert (described["layers"], described["cells"], described["cells_of_a_layer"]) == (2, 122, [61, 61])
    assert described["area_mm2"] == pytest.approx([52.0, 52.0])
    assert described["depth_mm"] == pytest.approx([0.0, 20.8])


def test_pions_in_cells_of_a_file(call: Callable[..., Answer], cells: Path, tmp_path: Path) -> None:
    path = tmp_path / "pions.hdf5"
    answer = make(call, path, "detector=lead-argon", f"geometry={cells}", "particle=pion", "energy_max=20")
    assert answer.code == 0, answer.err
    described = call("data", "info", str(path), "--json").data
    assert (described["detector"], described["particle"]) == ("mine", "pion")
    assert (described["layers"], described["voxels"]) == (2, 122)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("detector=hexagons",), "no detector is called 'hexagons'; there are: lead-argon, "),
        (("particle=kaon",), "particle must be one of electron, pion, not 'kaon'"),
        (("geometry=none.npz",), "there is no such file of cells"),
    ],
)
def test_errors_are_one_line(
    call: Callable[..., Answer], settings: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    answer = make(call, tmp_path / "x.hdf5", *settings)
    assert answer.code == 1
    assert message in answer.err
    assert answer.err.strip().count("\n") == 0
    assert not (tmp_path / "x.hdf5").exists()


def test_cells_that_overlap_or_are_none_are_one_line(
    call: Callable[..., Answer], cells: Path, tmp_path: Path
) -> None:
    with np.load(cells) as archive:
        arrays = dict(archive)
    for change, message in (
        ({"corner_x": 1.2 * arrays["corner_x"]}, "cells"),
        ({"layer": np.ones_like(arrays["layer"])}, "layer 0 has no cells"),
    ):
        np.savez(tmp_path / "bad.npz", **(arrays | change))
        answer = make(call, tmp_path / "x.hdf5", f"geometry={tmp_path / 'bad.npz'}")
        assert answer.code == 1
        assert message in answer.err
        assert answer.err.strip().count("\n") == 0


def test_showers_of_other_cells_than_the_detector_are_refused(
    call: Callable[..., Answer], tmp_path: Path
) -> None:
    path = tmp_path / "tile.hdf5"
    assert make(call, path, "detector=tile-like", "energy_max=9").code == 0
    answer = call(
        "train",
        "vit-showers",
        "--dataset",
        f"showers:path={path},detector=hgcal-like",
        "--out",
        str(tmp_path / "r"),
    )
    assert answer.code == 1
    assert "'hgcal-like' has 1820 voxels; they fit 'tile-like'" in answer.err
    slots = call(
        "train", "vit-showers", "--dataset", f"showers:path={path},slots=12", "--out", str(tmp_path / "r")
    )
    assert slots.code == 1
    assert "patches of 'tile-like' hold up to 24 cells, more than slots=12: give more slots" in slots.err
