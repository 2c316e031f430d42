"""Do samples hold values beside classes, and can any of their columns be the target?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import lorentzoo as lz
from lorentzoo.data.dataset import JetDataset
from lorentzoo.data.make import describe_sample
from lorentzoo.data.sample import Sample, SampleFileError, concatenate
from lorentzoo.data.simulate import chunks, recipe
from lorentzoo.data.simulate.chunks import Plan
from lorentzoo.data.simulate.toptag import TopTag


@pytest.fixture
def valued(random_sample: Callable[..., Sample]) -> Sample:
    """A sample with two values and one number of the context."""
    return with_values(random_sample(40))


def with_values(sample: Sample, **changes: Any) -> Sample:
    rng = np.random.default_rng(5)
    names = {"target_names": ["mass", "pt"], "target_units": ["GeV", "GeV"], "context_names": ["energy"]}
    given = {
        "targets": rng.normal(size=(len(sample), 2)),
        "context": rng.normal(size=(len(sample), 1)),
        "weights": rng.normal(size=len(sample)),
        "metadata": {**sample.metadata, **names},
    }
    return dataclasses.replace(sample, **{**given, **changes})


def test_values_are_stored_exactly(valued: Sample, tmp_path: Path) -> None:
    valued.save(tmp_path / "a.npz")
    again = Sample.load(tmp_path / "a.npz")
    assert again.checksum() == valued.checksum()
    np.testing.assert_array_equal(again.targets, valued.targets)
    np.testing.assert_array_equal(again.context, valued.context)
    chosen = valued.take(np.array([7, 3]))
    np.testing.assert_array_equal(chosen.targets, valued.targets[[7, 3]])
    joined = concatenate([chosen, valued], valued.metadata)
    np.testing.assert_array_equal(joined.context, np.concatenate([valued.context[[7, 3]], valued.context]))


def test_a_file_is_of_the_lowest_format_that_holds_it(sample: Sample, valued: Sample, tmp_path: Path) -> None:
    def stated(name: str, made: Sample) -> int:
        import json

        made.save(tmp_path / name)
        return json.loads(np.load(tmp_path / name)["header"].tobytes())["format"]

    assert stated("a.npz", sample) == 1
    masses = np.ones(len(sample.momenta), np.float32)
    assert stated("b.npz", dataclasses.replace(sample, free_masses=masses)) == 2
    assert stated("c.npz", valued) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": np.zeros((40, 3))}, r"targets of shape \(40, 3\) with 2 names for 40 events"),
        ({"targets": np.zeros((39, 2))}, r"targets of shape \(39, 2\) with 2 names for 40 events"),
        ({"targets": np.full((40, 2), np.nan)}, "targets are not finite"),
        ({"weights": np.full(40, np.inf)}, "weights are not finite"),
        ({"context": np.zeros(40)}, "context has 1 dimensions"),
    ],
)
def test_values_that_do_not_fit_are_refused(sample: Sample, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"inconsistent sample: {message}"):
        with_values(sample, **changes)


def test_any_column_is_the_target(valued: Sample, tmp_path: Path) -> None:
    path = str(tmp_path / "a.npz")
    valued.save(path)
    classes = lz.load_dataset("toptag", path=path)
    assert classes.has_classes
    assert classes.context_names == ("energy",)
    values = lz.load_dataset("toptag", path=path, target=["pt", "mass"], context=[], split="train")
    assert (values.target_names, values.target_units) == (("pt", "mass"), ("GeV", "GeV"))
    assert values.num_context == 0
    np.testing.assert_array_equal(values.target.numpy(), valued.targets[valued.splits == 0][:, ::-1])
    np.testing.assert_array_equal(values.weight.numpy(), valued.weights[valued.splits == 0])
    energy = lz.load_dataset("ttbar", path=path, target="energy", weight="pt", context="label")
    np.testing.assert_array_equal(energy.target.numpy(), valued.context[:, 0])
    np.testing.assert_array_equal(energy.weight.numpy(), valued.targets[:, 1])
    with pytest.raises(
        ValueError, match="no column energi; it has label, weight, event_id, mass, pt, energy"
    ):
        lz.load_dataset("jets10", path=path, target="energi")


def test_a_sample_without_classes_gives_its_values(valued: Sample) -> None:
    metadata = {**valued.metadata, "class_names": []}
    data = JetDataset.from_sample(dataclasses.replace(valued, metadata=metadata))
    assert data.target_names == ("mass", "pt")


def test_info_names_the_values(valued: Sample, tmp_path: Path) -> None:
    valued.save(tmp_path / "a.npz")
    described = describe_sample(tmp_path / "a.npz")
    assert described["targets"]["mass"]["unit"] == "GeV"
    assert described["targets"]["pt"]["median"] == pytest.approx(float(np.median(valued.targets[:, 1])))
    assert described["context"] == ["energy"]


def test_a_recipe_brings_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pythia8mc")

    @dataclasses.dataclass(frozen=True)
    class Massive(TopTag):
        name: ClassVar[str] = "massive"
        target_names: ClassVar[tuple[str, ...]] = ("pt", "eta")
        target_units: ClassVar[tuple[str, ...]] = ("GeV", "")

        def targets(self, events: Any, jets: Any) -> np.ndarray:
            return np.stack([jets.pt, jets.eta], axis=1)

    monkeypatch.setitem(recipe.RECIPES, "massive", Massive)
    sample = chunks.run(Plan(Massive(), jets=6, seed=2, chunk_size=2), tmp_path / "a.npz", progress=False)
    assert sample.target_names == ("pt", "eta")
    assert ((sample.targets[:, 0] > 550) & (sample.targets[:, 0] < 650)).all()
    data = lz.load_dataset("toptag", path=str(tmp_path / "a.npz"), target="pt")
    total = data.batch(slice(None)).cloud.total()
    np.testing.assert_allclose(total[:, 1:3].norm(dim=1).numpy(), data.target.numpy(), rtol=1e-3)


def test_damage_to_values_is_noticed(valued: Sample, tmp_path: Path) -> None:
    valued.save(tmp_path / "a.npz")
    arrays = dict(np.load(tmp_path / "a.npz"))
    arrays["targets"] = arrays["targets"] + 1
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(SampleFileError, match="do not match its checksum"):
        Sample.load(tmp_path / "b.npz")
