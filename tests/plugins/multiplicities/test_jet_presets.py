"""Are the networks of events with further jets those of events without, and do they train, sample and evaluate?"""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lorentzoo as lz

FLOWS = ("mlp", "transformer", "lloca-transformer", "lgatr", "lgatr-slim")
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [16]},
    "transformer": {"num_blocks": 1},
    "lloca-transformer": {"num_blocks": 1},
    "lgatr": {"num_blocks": 1},
    "lgatr-slim": {"num_blocks": 1, "hidden_vectors": 4, "hidden_scalars": 8},
}
CUTS = {"pt_min": 22, "mass_min": 1, "eta_max": 5}


def test_every_name_is_here() -> None:
    wanted = {f"{name}-eventgen-jets" for name in (*FLOWS, "rqs-flow")}
    assert set(lz.list_models("*-eventgen-jets")) == wanted


@pytest.mark.parametrize("name", FLOWS)
def test_networks_are_those_of_six_jets_with_ten_places_and_the_number_of_jets(name: str) -> None:
    backbone = {"backbone": {"num_particles": 10}} if name == "mlp" else {}
    with torch.device("meta"):
        jets = lz.create_model(f"{name}-eventgen-jets")
        six = lz.create_model(f"{name}-eventgen", in_scalars=10, in_context=5, **backbone)
    assert jets.num_parameters == six.num_parameters
    assert jets.multiplicities == (6, 7, 8, 9, 10)


def test_spline_flows_are_one_for_each_number() -> None:
    with torch.device("meta"):
        jets = lz.create_model("rqs-flow-eventgen-jets")
        alone = [
            lz.create_model(
                "rqs-flow-eventgen", generator={"num_particles": n, "num_transforms": 8}, in_scalars=10
            ).num_parameters
            for n in range(6, 11)
        ]
    assert jets.num_parameters == sum(alone)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in ("transformer", "lgatr") else name
        for name in (*FLOWS, "rqs-flow")
    ],
)
def test_they_train_sample_and_evaluate(name: str) -> None:
    torch.manual_seed(0)
    events = (
        {"name": "rqs-flow", **CUTS, "hidden": [16], "num_transforms": 1, "relative_azimuths": True}
        if name == "rqs-flow"
        else {"name": "flow-matching", **CUTS, "delta_r_min": 0.5, "delta_r_leak": 0.1, "steps": 2}
    )
    generator = {"generator": events, "acceptance_events": 40}
    backbone = {"backbone": SMALL[name]} if name in SMALL else {}
    model = lz.create_model(f"{name}-eventgen-jets", generator=generator, **backbone)
    batch = model.example_events(100)
    model.fit_statistics([batch])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.3)
    loss = model.loss(batch.cloud, batch.weight)
    loss.backward()
    assert bool(torch.isfinite(loss.detach()))
    model.eval().complete()
    drawn = model.sample(12, rng=torch.Generator().manual_seed(0))
    assert bool(model.cuts.events(drawn.momenta, drawn.layout).all())
    assert model.sample(2, multiplicity=9).multiplicity().tolist() == [9, 9]
    density = model.log_prob(batch.cloud.select(torch.arange(3)))
    assert bool(density.isfinite().all())
    beam = ("lloca-transformer", "lgatr", "lgatr-slim", "rqs-flow")
    assert model.symmetry.name == ("SO(2)_beam" if name in beam else "trivial")
