"""How far trained networks break the Lorentz group: what is kept by construction is zero, all else is measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from typer.testing import CliRunner

import lorentzoo as lz
from lorentzoo.cli.main import app
from lorentzoo.core.errors import SymmetryError
from lorentzoo.core.minkowski import GENERATOR_NAMES, exp
from lorentzoo.testing import random_cloud
from lorentzoo.verification.spectrum import SUBGROUPS, combine_spectra, symmetry_spectrum


def data(num_jets: int = 40) -> lz.JetDataset:
    return lz.load_dataset("toptag", num_jets=num_jets, max_constituents=8)


def make(seed: int = 0, **slots: object) -> lz.Model:
    torch.manual_seed(seed)
    given = {
        "backbone": "deep-sets:hidden=[8]",
        "embedding": "momenta",
        "head": "classify:num_classes=2",
        **slots,
    }
    model = lz.compose(**given)  # type: ignore[arg-type]
    model.fit_statistics([data()[:]])
    return model


@pytest.mark.parametrize(
    ("slots", "kept"),
    [
        ({"embedding": "invariants"}, "SO⁺(1,3)"),
        ({"frames": "lloca-so3", "backbone": "transformer:num_blocks=1"}, "SO(3)"),
        ({"embedding": "kinematics"}, "SO(2)_beam"),
        ({"embedding": "kinematics-beam"}, "SO⁺(1,1)_beam × SO(2)_beam"),
        ({"embedding": "invariants", "spurions": "beam"}, "SO⁺(1,2)"),
    ],
)
def test_what_the_composition_keeps_is_zero_and_nothing_else(slots: dict, kept: str) -> None:
    found = symmetry_spectrum(make(**slots), data(), num_events=30)
    assert found.predicted.name == kept
    for name, generators in SUBGROUPS.items():
        inside = set(generators) <= set(SUBGROUPS[kept])
        assert (found.subgroups[name][0] < 1e-9) == inside, name
    assert int((found.singular_values < 1e-9).sum()) == found.predicted.dimension
    assert found.num_events == 30
    total = sum(value**2 for value, _ in found.generators.values())
    assert total == pytest.approx(float(np.square(found.singular_values).sum()))
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(6), atol=1e-12)


def test_one_particle_alone_moves_as_its_event_does() -> None:
    """With one particle an event, every generator of its own is one of the event: the squares sum up to one."""
    cloud = random_cloud([1] * 400, seed=3)
    model = make(backbone="mlp:num_particles=1,hidden=[8]", embedding="momenta")
    found = symmetry_spectrum(model, cloud, num_events=400)
    total = sum(value**2 for value, _ in found.generators.values())
    assert total == pytest.approx(1, rel=0.15)  # moves are drawn


def test_derivatives_are_those_of_finite_transformations() -> None:
    model = make().double().eval()
    jets = data()[:].cloud
    found = symmetry_spectrum(model, jets, num_events=40)
    step, changes = 1e-5, []
    with torch.no_grad():
        for place in range(6):
            moved = []
            for sign in (1, -1):
                coefficients = torch.zeros(6, dtype=torch.float64)
                coefficients[place] = sign * step
                outputs = model(jets.transform(exp(coefficients)))
                moved.append(outputs - outputs.mean(1, keepdim=True))
            changes.append(float(((moved[0] - moved[1]) / (2 * step)).square().sum()))
    sizes = np.sqrt(changes)
    mine = np.array([value for value, _ in found.generators.values()])
    np.testing.assert_allclose(mine / mine.sum(), sizes / sizes.sum(), rtol=1e-4)


def test_what_is_added_to_all_logits_is_nothing() -> None:
    model = make().double().eval()
    jets = data()
    before = symmetry_spectrum(model, jets, num_events=20)
    plain = model.head.forward

    class Shifted(type(model.head)):  # type: ignore[misc]
        """Adds the transverse momentum of the event to both logits."""

        def forward(self, features: lz.Features, cloud: lz.ParticleCloud) -> torch.Tensor:
            return plain(features, cloud) + cloud.layout.pool(cloud.momenta[..., 1:2].square(), "sum")

    model.head.__class__ = Shifted
    after = symmetry_spectrum(model, jets, num_events=20)
    np.testing.assert_allclose(after.singular_values, before.singular_values, rtol=1e-8)


def test_errors_fall_with_the_events_and_are_spreads_of_networks(tmp_path: Path) -> None:
    jets = data(200)
    few, many = (symmetry_spectrum(make(), jets, num_events=count) for count in (20, 200))
    assert many.generators["Kz"][1] < few.generators["Kz"][1]
    spectra = [symmetry_spectrum(make(seed), jets, num_events=20) for seed in (0, 1, 2)]
    both = combine_spectra(spectra)
    values = [each.generators["Kz"][0] for each in spectra]
    assert both.generators["Kz"] == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert both.spread_of == "networks"
    assert "± over networks" in str(both)
    json.dumps(both.to_data())
    ax = both.plot(Figure().subplots(), label="three seeds")
    assert len(ax.get_xticklabels()) == len(GENERATOR_NAMES) + len(SUBGROUPS)
    with pytest.raises(SymmetryError, match="of one composition are combined, not of"):
        combine_spectra([few, symmetry_spectrum(make(embedding="invariants"), jets, num_events=20)])
    with pytest.raises(SymmetryError, match="not of none"):
        combine_spectra([])


def test_what_has_no_spectrum_says_why() -> None:
    jets = data()
    with pytest.raises(SymmetryError, match="there are no events"):
        symmetry_spectrum(make(), jets.subset([]))
    with pytest.raises(SymmetryError, match="a generator has no outputs"):
        symmetry_spectrum(lz.create_model("rqs-flow-eventgen"), jets)
    model = make(head="classify:num_classes=2")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    with pytest.raises(SymmetryError, match="do not depend on the momenta"):
        symmetry_spectrum(model, jets)


def test_the_command_line(tmp_path: Path) -> None:
    for seed in (0, 1):
        lz.save(make(seed, embedding="kinematics"), tmp_path / f"seed{seed}")
    runs = [str(tmp_path / f"seed{seed}") for seed in (0, 1)]
    command = ["symmetry", *runs, "--dataset", "toptag:num_jets=200,max_constituents=8", "--events", "10"]
    shown = CliRunner().invoke(app, [*command, "--plot", str(tmp_path / "figure.png")])
    assert shown.exit_code == 0, shown.output
    assert "computed symmetry of the composition: SO(2)_beam" in shown.output
    assert (tmp_path / "figure.png").stat().st_size > 1000
    found = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert found["generators"]["Jz"][0] < 1e-6
    assert found["spread_of"] == "networks"
    alone = CliRunner().invoke(app, ["symmetry", runs[0]])
    assert alone.exit_code != 0
    assert "give a data set" in str(alone.exception)
