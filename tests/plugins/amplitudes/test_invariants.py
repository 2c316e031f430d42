"""Order and invariants of events, and the networks that read them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

import lorentzoo as lz
from lorentzoo.nn import mass_squared, random_lorentz
from lorentzoo.plugins.amplitudes.invariants import log_masses, log_products, systems_of
from lorentzoo.plugins.amplitudes.ordering import kind_codes, order_particles
from lorentzoo.training.train import train

COUNTS = {
    "dsi": 56_065,
    "amplitude-mlp": 69_889,
    "amplitude-transformer": 1_056_897,
    "amplitude-graphnet": 248_833,
    "lloca-mlp-amplitudes": 87_812,
    "lloca-transformer-amplitudes": 1_074_820,
    "lloca-transformer-so3-amplitudes": 1_074_691,
    "lloca-transformer-pelican-amplitudes": 1_068_576,
    "lloca-transformer-lgatr-amplitudes": 1_070_893,
    # Of the frames-net 10,974, as lloca 2.0 has it with 6 vectors and 24 scalars inside.
    "lloca-transformer-lgatr-slim-amplitudes": 1_056_897 + 10_974,
    "lloca-graphnet-amplitudes": 266_756,
    "pelican-amplitudes": 17_440,
}
VARIANTS = [
    (
        "amplitude-graphnet",
        {"backbone": {"edge_features": False}, "embedding": "momentum-components"},
        248_449,
    ),
    (
        "lloca-graphnet-amplitudes",
        {"backbone": {"edge_features": False}, "embedding": "momentum-components"},
        266_372,
    ),
    ("amplitude-graphnet", {"embedding": "momenta"}, 248_321),
    ("dsi", {"num_particles": 5}, 53_633),
    ("amplitude-mlp", {"num_particles": 5}, 68_865),
    ("lloca-mlp-amplitudes", {"num_particles": 5}, 86_788),
]


def load(n: int | list[int], count: int = 400, **settings: object) -> lz.JetDataset:
    return lz.load_dataset("amplitudes", multiplicity=n, num_events=count, **settings)


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_published_counts_for_seven_particles(name: str, count: int) -> None:
    assert lz.create_model(name).num_parameters == count


@pytest.mark.parametrize(("name", "changed", "count"), VARIANTS)
def test_published_counts_of_variants(name: str, changed: dict[str, Any], count: int) -> None:
    """Five particles, graphs without edges or without momenta at their nodes."""
    assert lz.create_model(name, **changed).num_parameters == count


@pytest.mark.parametrize(("name", "flops"), [("dsi", 111_104), ("amplitude-mlp", 138_496)])
def test_published_arithmetic(name: str, flops: int) -> None:
    data = load(4, 16)
    model = lz.create_model(name)
    model.fit_statistics([data[:]])
    with FlopCounterMode(display=False) as counter:
        model(data[:1].cloud)
    assert counter.get_total_flops() == flops


@given(n=st.integers(1, 4), seed=st.integers(0, 2**16))
@settings(max_examples=20, deadline=None)
def test_order_and_invariants_depend_on_neither_order_nor_frame(n: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    batch = load(n, 10)[:10]
    size = 3 + n
    momenta = batch.cloud.momenta.unflatten(0, (10, size))
    codes = kind_codes(batch.cloud.scalars).unflatten(0, (10, size))
    mask = torch.ones(10, size, dtype=torch.bool)
    shuffle = torch.randperm(size, generator=rng)
    boost = random_lorentz(rng=rng)
    found = []
    for p, c in ((momenta, codes), (momenta[:, shuffle] @ boost.T, codes[:, shuffle])):
        places = order_particles(p, c, mask)
        ordered = p.gather(1, places.unsqueeze(-1).expand_as(p))
        assert bool((c.gather(1, places).diff(dim=1) >= 0).all())
        found.append(torch.cat([log_products(ordered, mask), log_masses(ordered, mask)], dim=1))
    torch.testing.assert_close(found[1], found[0], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_masses_are_virtualities(n: int) -> None:
    momenta = load(n, 20)[:20].cloud.momenta.unflatten(0, (20, 3 + n))
    signed = momenta.clone()
    signed[:, :2] *= -1
    mask = torch.ones(20, 3 + n, dtype=torch.bool)
    wanted = [mass_squared(signed[:, list(s)].sum(1)).abs().log() for s in systems_of(3 + n)]
    torch.testing.assert_close(log_masses(momenta, mask), torch.stack(wanted, 1), rtol=1e-6, atol=1e-6)
    # A system and all the others have the same mass: none is missing.
    known = set(systems_of(3 + n))
    for size in range(2, 2 + n):
        for system in combinations(range(3 + n), size):
            others = tuple(sorted(set(range(3 + n)) - set(system)))
            assert system in known or others in known


def test_kinds_have_codes_of_their_own() -> None:
    scalars = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]])
    assert len(kind_codes(scalars).unique()) == 6


@pytest.mark.parametrize("name", ["amplitude-recipe", "mlp-i", "dsi", "sk-dnn"])
def test_networks_on_amplitudes(name: str) -> None:
    """Symmetry as stated on events of the process, an order without meaning, and a loss that falls."""
    data = load([2, 3], 400)
    model = lz.create_model(name)
    result = train(model, data, data, {"epochs": 8, "batch_size": 64, "learning_rate": 3e-3}, progress=False)
    history = result.course.history
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    few = data.subset(range(8))[:]
    if name != "dsi":
        assert model.symmetry.dimension == 6
        report = lz.verify(model, few.cloud)
        assert report.passed, str(report)
    lengths = few.cloud.layout.counts().tolist()
    starts = few.cloud.layout.ptr.tolist()
    order = torch.cat([start + torch.randperm(n) for start, n in zip(starts, lengths, strict=False)])
    shuffled = lz.ParticleCloud.from_packed(
        few.cloud.momenta[order],
        few.cloud.layout.ptr,
        few.cloud.scalars[order],
        scalar_names=few.cloud.scalar_names,
    )
    same = torch.allclose(
        torch.from_numpy(model.predict(shuffled)), torch.from_numpy(model.predict(few.cloud)), rtol=1e-4
    )
    assert same == model.permutation_symmetric


def test_bad_networks_are_named() -> None:
    with pytest.raises(ValueError, match="num_particles must be at least 2"):
        lz.create_model("mlp-i", num_particles=1)
    with pytest.raises(ValueError, match="hidden needs at least one layer"):
        lz.create_model("mlp-i", backbone={"hidden": []})
    with pytest.raises(ValueError, match="embedding 'momenta'"):
        lz.compose(backbone="invariant-mlp", embedding="invariants", head="regress")
    with pytest.raises(ValueError, match="nothing of the particles would be read"):
        lz.compose(backbone="mlp:read_scalars=false", embedding="kinematics", head="regress")


@pytest.mark.slow
@pytest.mark.parametrize(("n", "events", "mse", "median"), [(2, 20_000, 5e-6, 1e-6), (3, 10_000, 1e-4, 1e-4)])
def test_the_recipe_meets_its_bars(n: int, events: int, mse: float, median: float) -> None:
    data = load(n, events + 10_000)
    model = lz.create_model("amplitude-recipe")
    recipe = dict(lz.describe("model", "amplitude-recipe").component.recipe)
    train(model, data.subset(range(events)), None, recipe, progress=False)
    fresh = data.subset(range(events, events + 10_000))
    deviation = data.target[:events].log().std()
    error = (torch.from_numpy(model.predict(fresh)).squeeze(1).log() - fresh.target.log()) / deviation
    assert float(error.square().mean()) <= mse
    assert float(error.square().median()) <= median
