"""A spline flow along chains of decays is a density: symmetric, normalised, drawn from, cut by rejection, and trained."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

import lorentzoo as lz
from lorentzoo import Batch, Packed, ParticleCloud
from lorentzoo.core.errors import CompositionError
from lorentzoo.core.generator import Generator
from lorentzoo.core.minkowski import from_ptetaphim

PAIR = {
    "name": "decay-chain-flow",
    "num_particles": 2,
    "chains": [[0, 1]],
    "num_transforms": 3,
    "hidden": [16],
}
TRIPLE = {**PAIR, "num_particles": 3, "chains": [[[1, 2], 0]]}


def cloud_of(momenta: Tensor) -> ParticleCloud:
    layout = Packed.from_lengths([momenta.shape[1]] * len(momenta))
    return ParticleCloud.from_packed(momenta.flatten(0, 1), layout.ptr)


def batch_of(count: int, num_particles: int, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    draw = torch.rand(4, count, num_particles, generator=rng, dtype=torch.float64)
    momenta = from_ptetaphim(20 + 80 * draw[0], 4 * draw[1] - 2, 6.2 * draw[2] - 3.1, 2 + 10 * draw[3])
    ones = torch.ones(count, dtype=torch.float64)
    return Batch(cloud_of(momenta), torch.zeros(count), ones, torch.arange(count))


def fitted(spec: dict[str, object], num_particles: int, seed: int = 0, size: float = 1.0) -> Generator:
    torch.manual_seed(seed)
    made = lz.compose(generator=spec)
    assert isinstance(made, Generator)
    made.fit_statistics([batch_of(500, num_particles)])
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(size * (parameter + 0.15 * torch.randn_like(parameter)))
    return made


@pytest.mark.parametrize(
    ("mirrors", "exchanges"), [(False, []), (True, []), (False, [[1, 0]]), (True, [[1, 0]])]
)
def test_it_integrates_to_one(mirrors: bool, exchanges: list[list[int]]) -> None:
    """The mean of q/r over draws of another density r of the same kind is the integral of q."""
    other = fitted(PAIR, 2, seed=1, size=0.3)
    made = fitted({**PAIR, "mirrors": mirrors, "exchanges": exchanges}, 2, seed=2, size=0.4)
    drawn, density = other.sample_with_log_prob(4000, rng=torch.Generator().manual_seed(0))
    ratio = (made.log_prob(drawn) - density).exp()
    error = float(ratio.std()) / math.sqrt(len(ratio))
    assert error < 0.1
    assert float(ratio.mean()) == pytest.approx(1.0, abs=4 * error)


def test_draws_have_its_density() -> None:
    """Means of functions over draws are those over draws of another density with weights q/r."""
    made = fitted({**PAIR, "mirrors": True, "exchanges": [[1, 0]]}, 2, seed=2, size=0.4)
    other = fitted(PAIR, 2, seed=1, size=0.3)
    drawn, density = other.sample_with_log_prob(6000, rng=torch.Generator().manual_seed(3))
    weight = (made.log_prob(drawn) - density).exp()
    own = made.sample(6000, rng=torch.Generator().manual_seed(4))

    def look(cloud: ParticleCloud) -> Tensor:
        p = cloud.momenta.unflatten(0, (-1, 2))
        return torch.stack(
            [(p[:, 0, 3] > 0), p[:, 0, 0] > p[:, 1, 0], p[..., 3].abs().amax(-1) > 100], dim=-1
        ).double()

    wanted = (weight[:, None] * look(drawn)).mean(0) / weight.mean()
    torch.testing.assert_close(look(own).mean(0), wanted, rtol=0, atol=0.06)


@pytest.mark.parametrize("mirrors", [False, True])
def test_mirror_images_and_exchanges_are_as_likely(mirrors: bool) -> None:
    made = fitted({**TRIPLE, "mirrors": mirrors, "exchanges": [[0, 2, 1]]}, 3)
    momenta = made.sample(20, rng=torch.Generator().manual_seed(0)).momenta.unflatten(0, (-1, 3))
    wanted = made.log_prob(cloud_of(momenta))
    torch.testing.assert_close(made.log_prob(cloud_of(momenta[:, [0, 2, 1]])), wanted)
    for y, z in product((1, -1), (1, -1)):
        found = made.log_prob(cloud_of(momenta * torch.tensor([1, 1, y, z])))
        same = mirrors or (y, z) == (1, 1)
        assert torch.allclose(found, wanted, rtol=1e-9) == same
    # Exchanges that are not in the group are another event.
    assert not torch.allclose(made.log_prob(cloud_of(momenta[:, [1, 0, 2]])), wanted)
    assert ("z-flip" in made.symmetry.describe()) == mirrors
    report = lz.verify(made)
    assert report.passed


def test_the_loss_is_no_less_than_minus_the_log_density() -> None:
    made = fitted({**TRIPLE, "mirrors": True, "exchanges": [[0, 2, 1]]}, 3)
    batch = batch_of(300, 3)
    exact = -float(made.log_prob(batch.cloud).mean())
    losses = [float(made.loss(batch.cloud, rng=torch.Generator().manual_seed(i)).detach()) for i in range(10)]
    assert sum(losses) / 10 > exact


def test_without_a_group_the_loss_is_minus_the_log_density() -> None:
    made = fitted(TRIPLE, 3)
    batch = batch_of(50, 3)
    torch.testing.assert_close(made.loss(batch.cloud).detach(), -made.log_prob(batch.cloud).mean())


def test_training_finds_a_resonance() -> None:
    """Pairs of a narrow mass, which coordinates of single particles do not see."""
    rng = torch.Generator().manual_seed(0)
    truth = fitted(PAIR, 2, seed=5)
    columns = truth.coordinates(truth.sample(2000, rng=rng).momenta.unflatten(0, (-1, 2)))[0]
    names = truth.coordinates.names
    mass_column = names.index("log_excess(0+1)")
    columns[:, mass_column] = math.log(60.0) + 0.02 * torch.randn(2000, generator=rng, dtype=torch.float64)
    cloud = cloud_of(truth.coordinates.inverse(columns))
    ones = torch.ones(2000, dtype=torch.float64)
    batch = Batch(cloud, torch.zeros(2000), ones, torch.arange(2000))
    torch.manual_seed(0)
    made = lz.compose(generator=PAIR)
    made.fit_statistics([batch])
    before = float(made.log_prob(cloud).mean())
    optimiser = torch.optim.Adam(made.parameters(), 1e-2)
    for _ in range(60):
        loss = made.loss(cloud, rng=rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(made.log_prob(cloud).mean()) > before + 0.3
    drawn = made.sample(500, rng=rng).momenta.unflatten(0, (-1, 2))
    found = made.coordinates(drawn)[0][:, mass_column]
    assert float((found - math.log(60.0)).abs().median()) < 0.03


def test_cuts_are_held_by_rejection() -> None:
    inner = {key: value for key, value in PAIR.items() if key != "num_particles"}
    made = lz.compose(
        generator={
            "name": "varying-multiplicity",
            "multiplicities": 2,
            "networks": "each",
            "generator": inner,
            "pt_min": 20,
            "eta_max": 2,
        }
    )
    batch = batch_of(500, 2)
    passed = made.cuts.events(batch.cloud.momenta, batch.cloud.layout)
    made.fit_statistics([replace(batch, cloud=batch.cloud.select(passed), **_chosen(batch, passed))])
    made.complete()
    drawn = made.sample(300, rng=torch.Generator().manual_seed(0))
    assert bool(made.cuts.events(drawn.momenta, drawn.layout).all())
    assert bool(torch.isfinite(made.log_prob(drawn)).all())
    free = made.generators[0].sample(300, rng=torch.Generator().manual_seed(0))
    share = made.cuts.events(free.momenta, free.layout).double().mean()
    assert 0 < float(share) < 1
    torch.testing.assert_close(made.acceptance.values[0, 0], share, rtol=0.3, atol=0.0)
    outside = free.select(~made.cuts.events(free.momenta, free.layout))
    assert bool((made.log_prob(outside) == -math.inf).all())


def _chosen(batch: Batch, events: Tensor) -> dict[str, Tensor]:
    return {name: getattr(batch, name)[events] for name in ("target", "weight", "event_id")}


def test_the_model_of_top_pairs_trains_and_draws() -> None:
    data = lz.load_dataset("ttbar", num_events=600)
    model = lz.create_model("decay-chain-eventgen")
    lz.train(model, data.split("train"), None, max_steps=3, batch_size=64, progress=False)
    drawn, density = model.sample_with_log_prob(50, rng=torch.Generator().manual_seed(0))
    assert bool(model.cuts.events(drawn.momenta, drawn.layout).all())
    assert bool(torch.isfinite(density).all())
    assert "of drawn events pass the cuts" in model.summary()


def test_it_is_saved_and_loaded(tmp_path) -> None:
    made = fitted({**TRIPLE, "mirrors": True, "exchanges": [[0, 2, 1]]}, 3)
    cloud = batch_of(20, 3).cloud
    lz.save(made, tmp_path / "flow")
    torch.testing.assert_close(
        lz.load(tmp_path / "flow").log_prob(cloud), made.log_prob(cloud), rtol=0, atol=0
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_particles": 4}, "chains are of 3 particles, but num_particles=4"),
        (
            {"exchanges": [[0, 1]]},
            "an exchange is a permutation of 0 to 2, one number for each particle, not",
        ),
        ({"exchanges": [[0, 1, 1]]}, "an exchange is a permutation of 0 to 2"),
        ({"chains": [[0, 1, 2]]}, "the number of a particle or a pair of chains"),
    ],
)
def test_wrong_numbers_are_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises((ValueError, CompositionError), match=words):
        lz.compose(generator={**TRIPLE, **changes})


def test_large_groups_are_refused() -> None:
    six = {**PAIR, "num_particles": 6, "chains": [0, 1, 2, 3, 4, 5]}
    with pytest.raises((ValueError, CompositionError), match="more than 64 permutations"):
        lz.compose(generator={**six, "exchanges": [[1, 0, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]]})


def test_light_particles_and_backbones_are_refused() -> None:
    made = lz.compose(generator={**PAIR, "mass_min": 5.0})
    with pytest.raises(ValueError, match=r"training events, first event .*no heavier than mass_min=5 GeV"):
        made.fit_statistics([batch_of(50, 2)])
    with pytest.raises(CompositionError, match="perceptrons of its own and takes no backbone"):
        lz.compose(generator=PAIR, backbone="transformer")
