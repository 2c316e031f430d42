"""Data sets of amplitudes: reproducible, extended, resumed, joint, and from files of other generators."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import lorentzoo as lz
from lorentzoo.core.errors import ParameterError
from lorentzoo.densities import Cuts
from lorentzoo.nn import LorentzooError, inner, mass
from lorentzoo.plugins.amplitudes.data.chunks import Recipe, make_points
from lorentzoo.plugins.amplitudes.data.lhe import read_lhe
from lorentzoo.plugins.amplitudes.data.matching import match_events
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.phase_space.densities import LogUniform
from lorentzoo.plugins.amplitudes.processes import find_process
from lorentzoo.testing import check_dataset

LHE = Path(__file__).parent / "lhe"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORENTZOO_CACHE", str(tmp_path))
    return tmp_path


def recipe(n: int = 2, seed: int = 0) -> Recipe:
    cuts = Cuts(pt_min=20, eta_max=5, delta_r_min=0.4)
    return Recipe(find_process("qq-Zng"), n, seed, 300.0, 2000.0, LogUniform(), cuts)


def points_of(dataset: lz.JetDataset) -> Tensor:
    """Momenta (B, N, 4) of a set whose events are of one length."""
    return dataset.momenta.unflatten(0, (len(dataset), -1))


def test_points_with_their_truth() -> None:
    dataset = lz.load_dataset("amplitudes", process="qq-Zng", multiplicity=2, num_events=200)
    assert len(dataset) == 200
    assert dataset.scalar_names == ("quark", "z", "gluon")
    assert dataset.particle_names == ("u", "u~", "Z", "g1", "g2")
    assert (dataset.target_names, dataset.target_units) == (("squared_amplitude",), ("GeV^-2",))
    kinds = dataset[0].cloud.scalars.argmax(1)
    assert kinds.tolist() == [0, 0, 1, 2, 2]
    expected = find_process("qq-Zng").squared(points_of(dataset))
    torch.testing.assert_close(dataset.target, expected, rtol=1e-12, atol=0)
    assert [len(dataset.split(name)) for name in ("train", "validation", "test")] == pytest.approx(
        [120, 30, 50], abs=20
    )
    check_dataset(dataset).raise_if_failed()


def test_points_depend_on_seed_and_settings_alone(cache: Path) -> None:
    first = lz.load_dataset("amplitudes", num_events=5000, workers=2)
    assert lz.load_dataset("amplitudes", num_events=5000, cache=False).fingerprint() == first.fingerprint()
    kept = sorted(cache.rglob("*.npz"))
    assert len(kept) == 2
    times = [path.stat().st_mtime_ns for path in kept]
    # A larger set begins with the smaller one, and what is kept is not made again.
    more = lz.load_dataset("amplitudes", num_events=9000)
    assert torch.equal(more.target[:5000], first.target)
    assert [path.stat().st_mtime_ns for path in kept] == times
    for change in ({"seed": 1}, {"pt_min": 21.0}, {"sqrt_s_max": 1999.0}, {"density": "uniform"}):
        assert not torch.equal(lz.load_dataset("amplitudes", num_events=5000, **change).target, first.target)


def test_a_making_that_was_interrupted_goes_on(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = lz.load_dataset("amplitudes", num_events=9000, cache=False)
    make, made = Recipe.make, []

    def interrupted(self: Recipe, number: int, truth: None = None) -> object:
        if number == 2 and not made.count("stopped"):
            made.append("stopped")
            raise KeyboardInterrupt
        made.append(str(number))
        return make(self, number, truth)

    monkeypatch.setattr(Recipe, "make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lz.load_dataset("amplitudes", num_events=9000)
    assert lz.load_dataset("amplitudes", num_events=9000).fingerprint() == wanted.fingerprint()
    assert made == ["0", "1", "stopped", "2"]


def test_damaged_chunks_are_made_again(cache: Path) -> None:
    wanted = lz.load_dataset("amplitudes", num_events=100)
    (path,) = cache.rglob("*.npz")
    whole = path.read_bytes()
    for damage in (whole[: len(whole) // 2], b"", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]):
        path.write_bytes(damage)
        assert lz.load_dataset("amplitudes", num_events=100).fingerprint() == wanted.fingerprint()
        assert path.stat().st_size == len(whole)


def test_a_cache_of_other_settings_is_refused(cache: Path) -> None:
    make_points(recipe(), 10)
    (path,) = cache.rglob("*.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    settings = json.dumps({**recipe().describe(), "seed": 7}, sort_keys=True)
    np.savez(path, **{**arrays, "settings": np.frombuffer(settings.encode(), np.uint8)})
    with pytest.raises(AmplitudeError, match="holds points of other settings than its name says; remove"):
        make_points(recipe(), 10)


def test_a_cache_that_takes_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LORENTZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(AmplitudeError, match=r"does not take 000000\.npz .* set LORENTZOO_CACHE"):
        make_points(recipe(), 10)


def test_long_work_shows_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    make_points(recipe(1), 17 * 4096, cache=False)
    assert "qq-Zng n=1: 69632 of 69632 points" in capsys.readouterr().err
    make_points(recipe(1), 100, cache=False)
    assert capsys.readouterr().err == ""


def test_joint_sets() -> None:
    joint = lz.load_dataset(
        "amplitudes", process=["qq-Zng", "gg-ng", "ee-mumu"], multiplicity=[2, 3], num_events=502
    )
    assert joint.context_names == ("process_qq-Zng", "process_gg-ng", "process_ee-mumu")
    assert joint.scalar_names == (
        *("quark", "z", "gluon", "electron", "positron", "muon", "antimuon"),
        "incoming",
    )
    assert joint.lengths[:10].tolist() == [5, 6, 4, 5, 4] * 2
    assert joint.target_units == ("",)
    # Each channel is what it is on its own.
    for place, (process, n) in enumerate(
        (("qq-Zng", 2), ("qq-Zng", 3), ("gg-ng", 2), ("gg-ng", 3), ("ee-mumu", None))
    ):
        alone = lz.load_dataset(
            "amplitudes", process=process, multiplicity=n, num_events=101 if place < 2 else 100
        )
        part = joint.subset(slice(place, None, 5))
        assert torch.equal(part.target, alone.target)
        together = torch.cat([batch.cloud.momenta for batch in (part[:50], part[50:])])
        assert torch.equal(together, alone.momenta)
        assert torch.equal(part.context.argmax(1).unique(), torch.tensor([(0, 0, 1, 1, 2)[place]]))
    batch = joint[:5]
    incoming = batch.cloud.scalars[:, joint.scalar_names.index("incoming")]
    assert float(incoming.sum()) == 10
    assert len(lz.load_dataset("amplitudes", multiplicity=[1, 2], num_events=50).context_names) == 0


def test_weights_integrate_over_phase_space() -> None:
    # ∫ d√s dΦ₂ = (high - low)/(8π) where no cut bites.
    settings = {"process": "ee-mumu", "pt_min": 0.0, "eta_max": math.inf, "delta_r_min": 0.0}
    dataset = lz.load_dataset("amplitudes", **settings, weights="phase-space", num_events=8000)
    assert float(dataset.weight.mean()) == pytest.approx(1)
    (channel,) = dataset.metadata["channels"]
    assert channel["volume"] == pytest.approx(1700 / (8 * math.pi), rel=0.02)
    energy = points_of(dataset)[:, :2, 0].sum(1)
    weighted = float((dataset.weight * energy).mean())
    assert weighted == pytest.approx(1150, rel=0.02)


def test_any_function_is_a_truth() -> None:
    def square(momenta: Tensor) -> Tensor:
        return inner(momenta[:, 2], momenta[:, 3]) ** 2

    def k_factor(momenta: Tensor) -> Tensor:
        return torch.cos(momenta[:, 2, 1] / 100)

    own = lz.load_dataset("amplitudes", truth=square, num_events=100)
    torch.testing.assert_close(own.target, square(points_of(own)))
    assert (own.target_names, own.metadata["modified"]) == (("value",), ["truth"])
    signed = lz.load_dataset("amplitudes", factor=k_factor, num_events=100)
    plain = lz.load_dataset("amplitudes", num_events=100)
    torch.testing.assert_close(signed.target, plain.target * k_factor(points_of(plain)))
    assert bool((signed.target < 0).any())


def test_bad_settings_are_named() -> None:
    def load(**settings: object) -> object:
        return lz.load_dataset("amplitudes", **{"num_events": 10, **settings})  # type: ignore[arg-type]

    for settings, message in (
        ({"process": "qq-W"}, "there is no process 'qq-W'; known are qq-Zng"),
        ({"process": []}, "processes must be named, and once each"),
        ({"multiplicity": 7}, "'qq-Zng' takes 1, 2, 3, 4, 5 of 'g'; 7 was given"),
        ({"multiplicity": [2, 2]}, "each multiplicity may be named once"),
        ({"process": "ee-mumu", "multiplicity": 2}, "'ee-mumu' takes no multiplicity"),
        ({"num_events": 0}, "num_events must be at least 1 for each of 1 channels, and at most 1e"),
        ({"num_events": 10**12}, "num_events must be at least 1 for each of 1 channels, and at most 1e"),
        ({"workers": 0}, "workers must be at least 1 and the seed at least 0, not 0 and 0"),
        ({"seed": -1}, "seed must not be negative, and is -1"),
        ({"sqrt_s_max": math.inf}, "must rise and lie above the masses"),
        ({"sqrt_s_min": 50.0}, r"must rise and lie above the masses, 91\.188 GeV: 50, 2000 given"),
        ({"sqrt_s_max": 200.0}, "must rise and lie above the masses"),
        ({"pt_min": 5000.0}, "only 0 of .* points .* pass Cuts"),
        (
            {"truth": lambda p: p[:, 0]},
            r"one number for each of 4096 points, not shape \(4096, 4\)",
        ),
        ({"truth": lambda p: p[:, 0, 0] * math.nan}, "the truth of qq-Zng n=2 is nan at 4096 of 4096 points"),
        ({"factor": lambda _: 2.0}, "the factor of qq-Zng n=2 must return a tensor .*, not a float"),
    ):
        with pytest.raises((AmplitudeError, ParameterError), match=message):
            load(**settings)
    with pytest.raises(LorentzooError, match="'log-uniform' or 'uniform'"):
        load(density="flat")


lhe = pytest.importorskip("pylhe")


def test_events_of_madgraph() -> None:
    events = read_lhe(LHE / "madgraph-pp-jj.lhe.gz")
    assert len(events) == 12
    assert events.weights.shape == (12, len(events.weight_names))
    assert len(events.weight_names) == 145
    # Colour flows are kept: what a gluon carries in or out is one line in, one line out.
    assert events.colours[:4].tolist() == [[503, 501], [504, 502], [503, 502], [504, 501]]
    dataset = lz.load_dataset("amplitudes-lhe", path=LHE / "madgraph-pp-jj.lhe.gz", process="gg-ng")
    assert dataset.metadata["events"] == 12
    momenta, which = match_events(events, find_process("gg-ng"), 2)
    assert torch.equal(dataset.event_id, which)
    torch.testing.assert_close(dataset.target, find_process("gg-ng").squared(momenta))
    assert torch.equal(dataset.weight, events.weight[which])
    name = events.weight_names[3]
    other = lz.load_dataset(
        "amplitudes-lhe", path=LHE / "madgraph-pp-jj.lhe.gz", process="gg-ng", weight=name
    )
    assert torch.equal(other.weight, events.weights[which, 3])
    check_dataset(dataset).raise_if_failed()


def test_resonances_of_powheg_are_outgoing_particles() -> None:
    path = LHE / "powheg-zj.lhe"
    with pytest.raises(AmplitudeError, match=r"particle 2 \(Z\) has mass² .* GeV², expected 8315\.25"):
        lz.load_dataset("amplitudes-lhe", path=path)
    dataset = lz.load_dataset("amplitudes-lhe", path=path, shell_tolerance=None)
    points = points_of(dataset)
    assert points.shape[1] == 5
    torch.testing.assert_close(points[:, :2].sum(1), points[:, 2:].sum(1), rtol=0, atol=1e-5)
    assert float((mass(points[:, 2]) - 91.188).abs().max()) > 1
    assert set(read_lhe(path).status.tolist()) == {-1, 1, 2}


def test_events_without_a_truth_are_listed() -> None:
    with pytest.raises(
        AmplitudeError,
        match=r"none of 4 events .* is u u~ Z g g \(incoming first\); there are .* of 11 -11 >",
    ):
        lz.load_dataset("amplitudes-lhe", path=LHE / "sherpa-ee-jjj.lhe")
    with pytest.raises(AmplitudeError, match="has no weight 'nothing'; it has 145"):
        lz.load_dataset(
            "amplitudes-lhe", path=LHE / "madgraph-pp-jj.lhe.gz", process="gg-ng", weight="nothing"
        )


def test_unknown_particles_and_negative_weights_come_along(tmp_path: Path) -> None:
    text = (LHE / "sherpa-ee-jjj.lhe").read_text()
    changed = text.replace("   6.7565396236e+02", "  -6.7565396236e+02", 1).replace(
        "       4  1  1  2", "   99999  1  1  2", 1
    )
    (tmp_path / "odd.lhe").write_text(changed)
    events = read_lhe(tmp_path / "odd.lhe")
    assert float(events.weight[0]) == -675.65396236
    assert 99999 in events.pdg.tolist()


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "events.lhe"
    text = (LHE / "sherpa-ee-jjj.lhe").read_text()
    with pytest.raises(FileNotFoundError, match="there is no file of events"):
        read_lhe(path)
    for damage, message in (
        (text[: text.rindex("<event")], "damaged or not a file of events, after 3 events"),
        (text.replace("   4    1   6.7", "   5    1   6.7", 1), "4 particles where 5 are announced"),
        (text.replace("2.2000000000e+01", "many", 1), "damaged or not a file of events, after 0 events"),
        (text.replace("2.2000000000e+01", "nan", 1), "momenta that are not finite"),
        (text[: text.index("<event")] + "</LesHouchesEvents>", "has no events"),
        ("no events", "damaged or not a file of events"),
    ):
        path.write_text(damage)
        with pytest.raises((AmplitudeError, ParameterError), match=message):
            read_lhe(path)
    packed = tmp_path / "events.lhe.gz"
    packed.write_bytes(gzip.compress(text.encode())[:-200])
    with pytest.raises(AmplitudeError, match="damaged or not a file of events"):
        read_lhe(packed)
