"""Do the event-generation networks have the published numbers of parameters, and run on the shipped events?"""

from __future__ import annotations

import pytest
import torch

import lorentzoo as lz
from lorentzoo.verification import training_events

TRAINABLE = {
    "mlp-eventgen": 589_456 - 4,
    "transformer-eventgen": 526_218 - 4,
    "graphnet-eventgen": 250_578 - 4,
    "lgatr-eventgen": 842_864 - 4,
    "lloca-mlp-eventgen": 610_191,
    "lloca-transformer-eventgen": 546_953,
    "lloca-graphnet-eventgen": 271_313,
}
"""Of arXiv:2411.00446 and arXiv:2505.20280; four frequencies of the time are frozen."""

SMALL = {
    "mlp": {"hidden": [16]},
    "transformer": {"num_blocks": 1},
    "graphnet": {"num_blocks": 1, "hidden_reps": "8x0n+2x1n"},
    "lgatr": {"num_blocks": 1},
}


@pytest.mark.parametrize("name", TRAINABLE)
def test_parameters(name: str) -> None:
    with torch.device("meta"):
        model = lz.create_model(name)
    assert model.num_parameters == TRAINABLE[name]
    assert sum(p.numel() for p in model.parameters()) == TRAINABLE[name] + 4


@pytest.mark.parametrize(("frames", "count"), [("lloca-so2", 546_695), ("lloca-so3", 546_824)])
def test_parameters_with_other_frames(frames: str, count: int) -> None:
    with torch.device("meta"):
        assert lz.create_model("lloca-transformer-eventgen", frames=frames).num_parameters == count


def test_every_name_is_here() -> None:
    others = {"lgatr-slim-eventgen", "rqs-flow-eventgen", "decay-chain-eventgen"}
    assert set(lz.list_models("*-eventgen")) == {*TRAINABLE, *others}


QUICK = ("mlp-eventgen", "lloca-transformer-eventgen", "lgatr-eventgen")


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in (*TRAINABLE, "lgatr-slim-eventgen")
    ],
)
def test_they_train_sample_and_evaluate_on_the_shipped_events(name: str) -> None:
    torch.manual_seed(0)
    kind = name.removeprefix("lloca-").partition("-")[0]
    model = lz.create_model(name, backbone=SMALL[kind], generator={"steps": 2, "delta_r_min": 0.0})
    batch = training_events(model, 100)
    model.fit_statistics([batch])
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.mul_(0.3)
    loss = model.loss(batch.cloud, batch.weight)
    loss.backward()
    assert bool(torch.isfinite(loss.detach()))
    model.eval()
    drawn = model.sample(4, rng=torch.Generator().manual_seed(0))
    assert drawn.multiplicity().tolist() == [6] * 4
    assert bool(model.cuts.particles(drawn.momenta).all())
    assert torch.equal(drawn.scalars, torch.eye(6).repeat(4, 1))
    assert model.log_prob(batch.cloud.select(torch.arange(2))).shape == (2,)
    assert model.symmetry.name == ("SO(2)_beam" if "lloca" in name or "lgatr" in name else "trivial")


def test_without_a_cut_on_pairs_every_event_has_a_density() -> None:
    """Traced back, events may end in pairs closer than the cut, where the base has nothing; without it, it has."""
    data = lz.load_dataset("ttbar", num_events=60, split="test").batch(range(40))
    found = []
    for cut in (0.5, 0.0):
        torch.manual_seed(0)
        model = lz.create_model(
            "lloca-mlp-eventgen", generator={"steps": 4, "delta_r_min": cut}, backbone={"hidden": [16]}
        )
        model.fit_statistics([data])
        with torch.no_grad():
            for parameter in model.network.parameters():
                parameter.mul_(2.0)
        found.append(model.eval().log_prob(data.cloud))
    assert bool(found[0].isneginf().any())
    assert bool(found[1].isfinite().all())
