"""Are files with columns of any names read as what they hold, with labels by column, condition and file?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pytest
import torch
from file_layouts import column_layout, padded, random_jets, write_root

import lorentzoo as lz
from lorentzoo.data.ragged import hardest
from lorentzoo.data.readers.files import FileDataset
from lorentzoo.data.readers.source import EventFileError

NUM = 60
KINDS = ("root", "parquet", "hdf5")
CYLINDER = ("part_pt", "part_eta", "part_phi", "part_mass")
EVENTS = {
    "is_top": np.arange(NUM) % 2,
    "jet_pt": np.linspace(400, 700, NUM).astype(np.float32),
    "pdg": np.where(np.arange(NUM) % 2 == 1, -6, 21),
}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of many blocks."""
    monkeypatch.setitem(FileDataset.__init__.__kwdefaults__, "block_size", 16)


@pytest.fixture(scope="module")
def jets() -> tuple[np.ndarray, np.ndarray]:
    return random_jets(NUM, largest=12)


def cylindrical(momenta: np.ndarray) -> np.ndarray:
    """pt, eta, phi and mass of massless momenta."""
    pt = np.hypot(momenta[:, 1], momenta[:, 2])
    return np.stack([pt, np.arcsinh(momenta[:, 3] / pt), np.arctan2(momenta[:, 2], momenta[:, 1]), 0 * pt], 1)


def names_in(kind: str, names: tuple[str, ...]) -> dict[str, str]:
    """The column of each component in a file of `column_layout`."""
    return {name.removeprefix("part_"): f"tracks/{name}" if kind == "hdf5" else name for name in names}


def write(
    kind: str, path: Path, jets: tuple[np.ndarray, np.ndarray], names: tuple[str, ...]
) -> dict[str, Any]:
    momenta, lengths = jets
    columns = momenta if names[0] == "E" else cylindrical(momenta)
    column_layout(kind, path / f"a.{kind}", columns, lengths, EVENTS, names)
    return {"path": str(path / f"a.{kind}"), "momentum": names_in(kind, names)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [("E", "px", "py", "pz"), CYLINDER])
def test_momenta_of_any_components(
    kind: str, names: tuple[str, ...], jets: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    given = write(kind, tmp_path, jets, names)
    scalars = {"rank": "tracks/rank" if kind == "hdf5" else "rank"}
    data = lz.load_dataset(kind, **given, label="is_top", class_names=["qcd", "top"], scalars=scalars)
    momenta, lengths = jets
    batch = data.batch(slice(None))
    assert batch.cloud.layout.counts().tolist() == lengths.tolist()
    rows, _ = hardest(np.hypot(momenta[:, 1], momenta[:, 2]), np.cumsum([0, *lengths]), None)
    np.testing.assert_allclose(batch.cloud.momenta[:, 1:].numpy(), momenta[rows, 1:], rtol=1e-5, atol=1e-3)
    assert batch.cloud.scalar_names == ("rank",)
    assert batch.cloud.scalars[: int(lengths[0]), 0].tolist() == rows[: int(lengths[0])].tolist()
    assert batch.target.tolist() == EVENTS["is_top"].tolist()
    assert data.class_names == ("qcd", "top")


@pytest.mark.parametrize("kind", KINDS)
def test_labels_by_column_condition_and_file_agree(
    kind: str, jets: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    given = write(kind, tmp_path, jets, CYLINDER)
    by_column = lz.load_dataset(kind, **given, label="is_top", class_names=["qcd", "top"])
    classes = {"qcd": "not (abs(pdg) == 6)", "top": "pdg in [6, -6] and jet_pt > 1"}
    by_condition = lz.load_dataset(kind, **given, classes=classes)
    assert by_condition.class_names == ("qcd", "top")
    assert torch.equal(by_column.target, by_condition.target)
    assert by_column.fingerprint() == by_condition.fingerprint()
    (tmp_path / "files").mkdir()
    momenta, lengths = jets
    for name in ("QCD_pt500", "ttbar"):
        column_layout(
            kind, tmp_path / "files" / f"{name}.{kind}", cylindrical(momenta), lengths, EVENTS, CYLINDER
        )
    by_file = lz.load_dataset(
        kind,
        path=str(tmp_path / "files"),
        momentum=given["momentum"],
        class_files={"qcd": "QCD*", "top": "*ttbar*"},
    )
    assert by_file.target.tolist() == [0] * NUM + [1] * NUM


def test_other_columns_are_targets_weights_and_context(
    jets: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    given = write("parquet", tmp_path, jets, CYLINDER)
    data = lz.load_dataset(
        "parquet", **given, target="jet_pt", target_units="GeV", context=["pdg"], weight="jet_pt"
    )
    np.testing.assert_array_equal(data.target.numpy(), EVENTS["jet_pt"])
    assert (data.target_names, data.context_names) == (("jet_pt",), ("pdg",))


def test_compound_data_sets_with_a_mask_and_whole_momenta(
    jets: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """As flavour tagging keeps its tracks."""
    momenta, lengths = jets
    places = 16
    mask = np.arange(places) < lengths[:, None]
    wide = padded(cylindrical(momenta), lengths, places)
    tracks = np.zeros((NUM, places), dtype=[(name, "f4") for name in ("pt", "eta", "phi")] + [("valid", "?")])
    for place, name in enumerate(("pt", "eta", "phi")):
        tracks[name] = np.where(mask, wide[..., place], 7.0)  # padding is rubbish
    tracks["valid"] = mask
    info = np.zeros(NUM, dtype=[("flavour", "S3"), ("pt", "f4")])
    info["flavour"] = np.where(EVENTS["is_top"] == 1, b"top", b"qcd")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["tracks"], file["jets"], file["version"] = tracks, info, np.arange(3)
        file["p4"] = padded(momenta, lengths, places)
    classes = {"qcd": "jets.flavour == 'qcd'", "top": "jets.flavour == 'top'"}
    data = lz.load_dataset(
        "hdf5",
        path=str(tmp_path / "a.h5"),
        momentum={name: f"tracks/{name}" for name in ("pt", "eta", "phi")},
        mask="tracks/valid",
        classes=classes,
    )
    whole = lz.load_dataset("hdf5", path=str(tmp_path / "a.h5"), momenta="p4", classes=classes)
    assert data.lengths.tolist() == lengths.tolist() == whole.lengths.tolist()
    assert data.target.tolist() == EVENTS["is_top"].tolist()
    a, b = (each.batch(slice(None)).cloud.momenta.numpy() for each in (data, whole))
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-2)


def test_the_only_tree_is_taken_and_events_without_particles_stay(tmp_path: Path) -> None:
    lengths = [2, 0, 1, 0]
    flat = {"pt": np.array([5.0, 4.0, 3.0]), "eta": np.zeros(3), "phi": np.zeros(3), "mass": np.full(3, 0.1)}
    columns = {name: ak.unflatten(values, lengths) for name, values in flat.items()}
    write_root(tmp_path / "a.root", {**columns, "y": ak.Array([0, 1, 0, 1])}, tree="Events")
    data = lz.load_dataset("root", path=str(tmp_path / "a.root"), label="y")
    assert data.lengths.tolist() == lengths
    assert data.batch([2]).cloud.momenta[0, 1] == 3.0


def test_a_line_of_the_command_line_says_it_all(jets: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    write("parquet", tmp_path, jets, CYLINDER)
    momentum = "{pt: part_pt, eta: part_eta, phi: part_phi, mass: part_mass}"
    data = lz.load_dataset(
        f"parquet:path={tmp_path / 'a.parquet'},momentum={momentum},classes={{qcd: 'is_top == 0', top: is_top == 1}}"
    )
    assert data.class_names == ("qcd", "top")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"say what the class is: label= .* classes=.* class_files="),
        ({"label": "is_top", "classes": {"a": "pdg == 6"}}, "and only one of these"),
        ({"label": "truth"}, "'truth' missing, needed for classes; the file has"),
        ({"label": "pdg"}, r"row 1 of 'pdg' is -6, not the number of a class"),
        ({"label": "part_pt"}, "column 'part_pt' has lists, not one entry an event"),
        (
            {"momentum": None, "label": "is_top"},
            r"the file has no field \['px', 'py', 'pz', 'E'\].*momentum=",
        ),
        ({"momentum": {"pt": "x", "eta": "y", "phi": "z"}}, r"the file has no field \['x', 'y', 'z'\]"),
        ({"momenta": "part_pt"}, "momentum= and momenta= both"),
        (
            {"momentum": None, "momenta": "part_pt", "label": "is_top"},
            r"rows of shape \('N',\), not \(N, 4\)",
        ),
        ({"label": "is_top", "mask": "jet_pt"}, "'jet_pt' has one number a row, not one for each particle"),
        ({"label": "is_top", "scalars": ["d0"]}, "'d0' missing, needed for scalars"),
        (
            {"classes": {"a": "pdg == 6", "b": "pdg == 21"}},
            r"row 1 is of none of the classes a, b \(8 of the rows 0 to 16\)",
        ),
        ({"classes": {"a": "pdg < 30", "b": "pdg == 21"}}, "row 0 is of a and b of the classes"),
        ({"classes": {"a": "charge == 1", "b": "pdg == 21"}}, "'charge' missing, needed for the conditions"),
        ({"classes": {"a": "pdg", "b": "pdg == 21"}}, "'pdg' is int64, not true or false"),
        (
            {"class_files": {"a": "b*", "b": "c*"}},
            r"make it none of the classes a, b; let one match, e.g. '\*a\*'",
        ),
        ({"class_files": {"a": "*", "b": "a*"}}, "make it a and b of the classes"),
    ],
)
def test_what_a_map_lacks_is_said(
    jets: tuple[np.ndarray, np.ndarray], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    given = write("parquet", tmp_path, jets, CYLINDER)
    with pytest.raises(EventFileError, match=message):
        lz.load_dataset("parquet", **{**given, **changes}).batch([0])


def test_trees_and_lists_that_differ_are_said(tmp_path: Path) -> None:
    columns = {name: ak.Array([[1.0, 2.0], [3.0]]) for name in ("pt", "eta", "phi")}
    columns |= {"mass": ak.Array([[0.1, 0.1], [0.1, 0.1]]), "y": ak.Array([0, 1])}
    import uproot

    with uproot.recreate(tmp_path / "a.root") as file:
        for name in ("one", "two"):
            file.mktree(name, {key: array.type.content for key, array in columns.items()}).extend(columns)
    with pytest.raises(EventFileError, match="it has the trees one, two: choose one with tree="):
        lz.load_dataset("root", path=str(tmp_path / "a.root"), label="y")
    data = {"path": str(tmp_path / "a.root"), "label": "y", "tree": "two"}
    with pytest.raises(EventFileError, match="row 1 has 1 particles by 'pt', but 2 by 'mass'"):
        lz.load_dataset("root", **data).batch([0])


def test_missing_values_are_never_made_up(tmp_path: Path) -> None:
    pq, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    lists = [[1.0, 2.0], [3.0]]
    table = dict.fromkeys(("pt", "eta", "phi", "mass"), lists)
    for name, broken in (("eta", [[1.0, None], [3.0]]), ("phi", [[1.0, 2.0], None]), ("y", [0, None])):
        pq.write_table(pa.table({**table, "y": [0, 1], name: broken}), tmp_path / "a.parquet")
        row = 0 if name == "eta" else 1
        with pytest.raises(EventFileError, match=f"row {row} has missing values in '{name}'"):
            lz.load_dataset("parquet", path=str(tmp_path / "a.parquet"), label="y").batch([0])
