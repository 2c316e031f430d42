"""Are files that nobody here wrote read as what they say of themselves?

Small parts of one lie in ``real``. Others are looked for in the folder that the environment variable
LORENTZOO_REAL_FILES names, or in ``shared/real`` beside the repository: ``delphes.root``, ``pfnano.root`` and
``PHYSLITE_example.root`` of coffea's tests/samples.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.cli.main import main
from lorentzoo.data.make import describe_sample
from lorentzoo.data.readers.source import EventFileError

pytestmark = pytest.mark.filterwarnings("ignore:.* events were left out")

HERE = Path(__file__).parent / "real"
TREE, RNTUPLE = HERE / "pfnano-ttree.root", HERE / "pfnano-rntuple.root"
ELSEWHERE = Path(os.environ.get("LORENTZOO_REAL_FILES", Path(__file__).parents[4] / "shared" / "real"))


def real(name: str) -> str:
    path = ELSEWHERE / name
    if not path.is_file():
        pytest.skip(f"{name} is not there; name its folder with LORENTZOO_REAL_FILES")
    return str(path)


def total_pt(data: Any) -> np.ndarray:
    return data.batch(slice(None)).cloud.total()[:, 1:3].norm(dim=1).numpy()


@pytest.mark.parametrize("path", [TREE, RNTUPLE], ids=["TTree", "RNTuple"])
@pytest.mark.parametrize("jets", ["FatJet", "Jet"])
def test_candidates_add_up_to_the_raw_jets_of_cms(path: Path, jets: str) -> None:
    data = lz.load_dataset("nanoaod", path=str(path), jets=jets, target=["pt", "rawFactor"], on_bad="skip")
    raw = data.target[:, 0].double() * (1 - data.target[:, 1].double())
    np.testing.assert_allclose(total_pt(data), raw.numpy(), rtol=5e-3)
    # With the other choice of PUPPI weights they do so less.
    other = {"FatJet": "no", "Jet": "yes"}[jets]
    wrong = lz.load_dataset(
        "nanoaod", path=str(path), jets=jets, target=["pt", "rawFactor"], on_bad="skip", puppi=other
    )
    other_raw = wrong.target[:, 0].double() * (1 - wrong.target[:, 1].double())
    off = [
        np.median(np.abs(total_pt(each) / pt.numpy() - 1)) for each, pt in ((data, raw), (wrong, other_raw))
    ]
    assert off[1] > 2 * off[0]


def test_a_ttree_and_an_rntuple_hold_the_same_jets() -> None:
    tree, rntuple = (lz.load_dataset("nanoaod", path=str(path)) for path in (TREE, RNTUPLE))
    assert tree.class_names == rntuple.class_names
    a, b = (each.batch(slice(None)) for each in (tree, rntuple))
    torch.testing.assert_close(a.cloud.momenta, b.cloud.momenta, rtol=1e-12, atol=1e-12)
    assert torch.equal(a.cloud.scalars, b.cloud.scalars)
    assert torch.equal(a.target, b.target)


def test_generator_jets_of_cms() -> None:
    data = lz.load_dataset("nanoaod", path=str(TREE), jets="GenJetAK8", target="pt", features="pid")
    np.testing.assert_allclose(total_pt(data), data.target.numpy(), rtol=1e-3)


@pytest.mark.parametrize(
    "jets",
    [
        "ParticleFlowJet02",
        "ParticleFlowJet08",
        "ParticleFlowJet15",
        "Jet",
        "CaloJet08",
        "TrackJet08",
        "GenJet08",
    ],
)
def test_constituents_add_up_to_the_jets_of_delphes(jets: str) -> None:
    data = lz.load_dataset("delphes-root", path=real("delphes.root"), jets=jets, target=["PT", "Eta"])
    np.testing.assert_allclose(total_pt(data), data.target[:, 0].numpy(), rtol=1e-6)


def test_jets_of_delphes_by_default() -> None:
    data = lz.load_dataset("delphes-root", path=real("delphes.root"), weight="Event.Weight")
    assert data.num_scalars == 10
    assert bool((data.batch(slice(None)).cloud.scalars[:, 1:6].sum(1) == 1).all())
    assert set(data.target.tolist()) == {0}  # no top, W, Z or Higgs boson is in these events
    assert float(data.weight.min()) == float(data.weight.max()) > 1e6
    with pytest.raises(
        EventFileError, match=r"'FatJet.Constituents' missing; jets with constituents are CaloJet02, "
    ):
        lz.load_dataset("delphes-root", path=real("delphes.root"), jets="FatJet")


def test_links_of_physlite_into_nothing_and_those_that_can_be_followed() -> None:
    path = real("PHYSLITE_example.root")
    with pytest.raises(
        EventFileError, match=r"names 'UFOCSSK' \(key 1036585512\), .*jets=AnalysisJets,links=GhostTrack"
    ):
        lz.load_dataset("physlite", path=path)
    given = {"jets": "AnalysisJets", "links": "GhostTrack", "on_bad": "skip"}
    data = lz.load_dataset("physlite", path=path, target="pt", **given)
    # Tracks of a jet have less than its momentum, in the same direction.
    assert float(np.median(total_pt(data) / (data.target.numpy() / 1e3))) < 1
    assert data.scalar_names == ("charge", "tanh_d0", "tanh_dz")
    assert describe_sample(path)["read as"]["links"] == "GhostTrack"


RUNS = {
    "delphes.root": ("delphes-root", "classes={light: Mass < 10, heavy: Mass >= 10}"),
    "pfnano.root": (
        "nanoaod",
        "jets=Jet,on_bad=skip,classes={light: hadronFlavour == 0, heavy: hadronFlavour != 0}",
    ),
    "PHYSLITE_example.root": (
        "physlite",
        "jets=AnalysisJets,links=GhostTrack,on_bad=skip,classes={soft: pt < 40000, hard: pt >= 40000}",
    ),
    "pylhe-testfile-madgraph5-3.5.8-pp_to_jj.lhe.gz": (
        "lhe",
        "classes={gg: incoming_1 == 21 and incoming_2 == 21, other: incoming_1 != 21 or incoming_2 != 21}",
    ),
    "pylhe-testfile-powheg-box-v2-Zj.lhe": ("lhe", "classes={low: scale < 15, high: scale >= 15}"),
    "pylhe-testfile-sherpa-3.0.1-eejjj.lhe": (
        "lhe",
        "classes={two: num_outgoing == 2, more: num_outgoing > 2}",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_short_training_on_each(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, options = RUNS[name]
    dataset = f"{reader}:path={real(name)},{options}"
    given = ["train", "deep-sets", "--dataset", dataset, "-s", "epochs=1", "-s", "batch_size=32"]
    monkeypatch.setattr(sys, "argv", ["lorentzoo", *given, "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code in (0, None), capsys.readouterr().err
