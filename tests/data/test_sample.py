"""Does a sample come back from disk exactly as it went, and is a damaged file refused by name?"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lorentzoo.data.sample import Sample, SampleFileError, concatenate, round_mantissa

Factory = Callable[..., Sample]


def assert_equal(left: Sample, right: Sample) -> None:
    for field in dataclasses.fields(Sample):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if field.name == "metadata":
            assert one == other
        else:
            assert one.dtype == other.dtype, field.name
            np.testing.assert_array_equal(one, other, err_msg=field.name)


@pytest.mark.parametrize("num_events", [0, 1, 40])
@pytest.mark.parametrize("num_scalars", [0, 2])
def test_round_trip_is_exact(
    tmp_path: Path, random_sample: Factory, num_events: int, num_scalars: int
) -> None:
    sample = random_sample(num_events, num_scalars=num_scalars)
    sample.save(tmp_path / "s.npz")
    assert_equal(Sample.load(tmp_path / "s.npz"), sample)


def test_equal_samples_are_equal_files(tmp_path: Path, sample: Sample) -> None:
    sample.save(tmp_path / "a.npz")
    sample.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_nothing_is_pickled(tmp_path: Path, sample: Sample) -> None:
    sample.save(tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)


def test_particles_are_on_shell_in_float64(sample: Sample) -> None:
    momenta = sample.four_momenta()
    mass_squared = momenta[:, 0] ** 2 - np.square(momenta[:, 1:]).sum(1)
    expected = sample.masses[sample.mass_codes] ** 2
    np.testing.assert_allclose(mass_squared, expected, rtol=0, atol=1e-15 * (momenta[:, 0] ** 2).max())


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.99])
def test_truncated_file_is_refused_by_name(tmp_path: Path, sample: Sample, keep: float) -> None:
    path = tmp_path / "broken.npz"
    sample.save(path)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(SampleFileError, match=r"broken\.npz.*truncated or corrupt") as caught:
        Sample.load(path)
    assert caught.value.path == path
    assert "lorentzoo data make" in str(caught.value)


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path: Path, random_sample: Factory) -> None:
    sample, path = random_sample(3), tmp_path / "flipped.npz"
    sample.save(path)
    original, refused = path.read_bytes(), []
    for position in range(0, len(original), 7):
        damaged = bytearray(original)
        damaged[position] ^= 0xFF
        path.write_bytes(bytes(damaged))
        try:
            loaded = Sample.load(path)
        except SampleFileError as error:
            refused.append(str(error))
        else:
            assert_equal(loaded, sample)  # a byte of the archive that nobody reads
    assert len(refused) > 100
    assert all("flipped.npz" in message for message in refused)


def test_changed_contents_do_not_pass_the_checksum(tmp_path: Path, sample: Sample) -> None:
    path = tmp_path / "edited.npz"
    sample.save(path)
    with np.load(path) as archive:
        contents = dict(archive)
    contents["labels"] = 1 - contents["labels"]
    np.savez_compressed(path, **contents)
    with pytest.raises(SampleFileError, match="checksum"):
        Sample.load(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name, reason in {"text.npz": "corrupt", "other.npz": "lacks .*header"}.items():
        with pytest.raises(SampleFileError, match=rf"{name}.*{reason}"):
            Sample.load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        Sample.load(tmp_path / "nowhere.npz")


def test_newer_format_says_update(tmp_path: Path, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorentzoo.data.sample._SINCE", {"free_masses": 99})
    with_free_masses(sample).save(tmp_path / "new.npz")
    monkeypatch.undo()
    with pytest.raises(SampleFileError, match="newer than 3; update lorentzoo"):
        Sample.load(tmp_path / "new.npz")


def with_free_masses(sample: Sample) -> Sample:
    masses = np.linspace(0.5, 20, len(sample.momenta)).astype(np.float32)
    return replace(sample, free_masses=masses)


def test_free_masses_are_kept_and_give_the_energies(tmp_path: Path, sample: Sample) -> None:
    free = with_free_masses(sample)
    free.save(tmp_path / "free.npz")
    read = Sample.load(tmp_path / "free.npz")
    np.testing.assert_array_equal(read.free_masses, free.free_masses)
    p = read.four_momenta()
    squared = p[:, 0] ** 2 - np.square(p[:, 1:]).sum(axis=1)
    np.testing.assert_allclose(squared, free.free_masses.astype(np.float64) ** 2, rtol=1e-9, atol=1e-9)
    some = np.array([3, 1, 7])
    rows = np.concatenate([np.arange(*read.ptr[i : i + 2]) for i in some])
    np.testing.assert_array_equal(read.take(some).free_masses, read.free_masses[rows])
    assert free.checksum() != sample.checksum()


def test_free_masses_of_the_wrong_length_or_sign_are_refused(sample: Sample) -> None:
    with pytest.raises(ValueError, match="free_masses has 3 rows"):
        replace(sample, free_masses=np.ones(3, dtype=np.float32))
    with pytest.raises(ValueError, match="free masses are not finite, or negative"):
        replace(sample, free_masses=np.full(len(sample.momenta), -1, dtype=np.float32))


def test_failed_write_leaves_the_old_file_and_no_debris(
    tmp_path: Path, sample: Sample, random_sample: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.npz"
    sample.save(path)

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        random_sample(5, seed=1).save(path)
    monkeypatch.undo()
    assert_equal(Sample.load(path), sample)
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.npz"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ptr": np.array([0, 1])}, "ptr"),
        ({"labels": np.zeros(3, np.int64)}, "event_ids has 40 rows for 3 events"),
        ({"scalars": np.zeros((1, 2), np.float32)}, "scalars has 1 rows"),
        ({"masses": np.zeros(1)}, "mass table"),
        ({"metadata": {}}, "2 scalars with 0 names"),
        ({"splits": np.full(40, 7, np.uint8)}, "unknown split"),
    ],
)
def test_inconsistent_samples_are_refused(sample: Sample, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(sample, **changes)


def test_take_and_concatenate_are_inverse(sample: Sample) -> None:
    parts = [sample.take(np.arange(15)), sample.take(np.arange(15, 15)), sample.take(np.arange(15, 40))]
    assert_equal(concatenate(parts, sample.metadata), sample)


@given(
    arrays(np.float32, 20, elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)),
    st.integers(1, 23),
)
def test_rounding_keeps_the_promised_bits(values: np.ndarray, bits: int) -> None:
    rounded = round_mantissa(values, bits)
    assert rounded.dtype == np.float32
    assert (np.abs(rounded - values) <= 2.0 ** -(bits + 1) * np.abs(values)).all()
    low_bits = (1 << (23 - bits)) - 1
    assert not (rounded.view(np.uint32) & low_bits).any()
