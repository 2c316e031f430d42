"""Targets of amplitudes: references, what they explain, and the way there and back."""

from __future__ import annotations

from itertools import pairwise, permutations
from pathlib import Path

import pytest
import torch
from torch import Tensor

import lorentzoo as lz
from lorentzoo.nn import NotFittedError, TrainingError, inner
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.processes import find_process
from lorentzoo.plugins.amplitudes.targets.factors import log_factors

SMALL = {"backbone": "deep-sets:hidden=[8]", "embedding": "invariants"}


def load(n: int | list[int], count: int = 400, **settings: object) -> lz.JetDataset:
    return lz.load_dataset("amplitudes", multiplicity=n, num_events=count, **settings)


def make_model(dataset: lz.JetDataset, **head: object) -> lz.Model:
    model = lz.compose(**SMALL, head={"name": "amplitude-ratio", **head}, in_scalars=dataset.num_scalars)
    model.fit_statistics([dataset.batch(slice(start, start + 100)) for start in range(0, len(dataset), 100)])
    return model


def k_factor(momenta: Tensor) -> Tensor:
    return torch.cos(momenta[:, 2, 1] / 100)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_factors_are_sums_over_orders(n: int) -> None:
    batch = load(n, 20)[:20]
    momenta = batch.cloud.momenta.unflatten(0, (20, -1))
    factors, gluons = log_factors(batch.cloud)
    assert gluons.tolist() == [n] * 20
    total = torch.zeros(20, dtype=torch.float64)
    for order in permutations(range(3, 3 + n)):
        chain = [0, *order, 1]
        links = [inner(momenta[:, i], momenta[:, j]) for i, j in pairwise(chain)]
        total = total + 1 / torch.stack(links).prod(0)
    torch.testing.assert_close(factors[:, 0].exp(), total, rtol=1e-10, atol=0)
    q, anti, z = momenta[:, 0], momenta[:, 1], momenta[:, 2]
    torch.testing.assert_close(
        factors[:, 1].exp(), inner(q, z) ** 2 + inner(anti, z) ** 2, rtol=1e-10, atol=0
    )
    torch.testing.assert_close(factors[:, 2].exp(), 2 * inner(q, anti), rtol=1e-10, atol=0)


def test_factors_do_not_depend_on_the_order_of_particles_or_on_company() -> None:
    mixed = load([1, 3], 20)
    factors, gluons = log_factors(mixed[:20].cloud)
    assert gluons.tolist() == [1, 3] * 10
    for event in range(4):
        cloud = mixed[event].cloud
        order = torch.randperm(len(cloud.momenta))
        shuffled = lz.ParticleCloud.from_packed(
            cloud.momenta[order], cloud.layout.ptr, cloud.scalars[order], scalar_names=cloud.scalar_names
        )
        torch.testing.assert_close(log_factors(shuffled)[0][0], factors[event], rtol=1e-12, atol=1e-12)


def test_the_reference_is_exact_for_one_gluon() -> None:
    dataset = load(1)
    model = make_model(dataset, reference="factorised")
    head = model.head
    torch.testing.assert_close(
        head.references[0].coefficients[1, 1:3], torch.ones(2, dtype=torch.float64), rtol=1e-6, atol=0
    )
    fresh = load(1, 100, seed=1)
    # Whatever the network says, its ratio has no spread to multiply.
    torch.testing.assert_close(
        torch.from_numpy(model.predict(fresh)).squeeze(1), fresh.target, rtol=1e-6, atol=0
    )


@pytest.mark.parametrize(("n", "explained"), [(2, 0.85), (3, 0.9), (4, 0.9)])
def test_what_the_reference_explains(n: int, explained: float) -> None:
    dataset = load(n, 1000)
    head = make_model(dataset, reference="factorised").head
    logarithm = dataset.target.log()
    left = logarithm - head.references[0].evaluate(dataset[:].cloud)
    assert 1 - float(left.var() / logarithm.var()) > explained


@pytest.mark.parametrize(
    ("settings", "head"),
    [
        ({}, {}),
        ({}, {"reference": "factorised"}),
        ({}, {"reference": "factorised", "transform": "none"}),
        ({"factor": k_factor}, {"reference": "factorised", "transform": "signed-log"}),
        ({"factor": k_factor}, {"reference": "tree", "process": "qq-Zng", "transform": "none"}),
        ({"factor": k_factor}, {"reference": "tree", "process": "qq-Zng", "transform": "signed-log"}),
    ],
)
def test_targets_there_and_back(settings: dict, head: dict, tmp_path: Path) -> None:
    dataset = load(2, **settings)
    model = make_model(dataset, **head).double()
    batch = dataset[:50]
    output = model(batch.cloud).detach()
    # The raw output that is right has no loss, and its prediction is the target.
    predicted = model.head.predict(output)
    assert predicted.shape == (50, 1)
    torch.testing.assert_close(
        model.head.loss(output, predicted), torch.zeros((), dtype=torch.float64), atol=1e-16, rtol=0
    )
    assert float(model.head.loss(output, batch.target)) > 1e-3
    lz.save(model, tmp_path / "model")
    again = lz.load(tmp_path / "model")
    torch.testing.assert_close(torch.from_numpy(again.predict(batch.cloud)), predicted, rtol=1e-5, atol=0)


def test_a_network_learns_a_k_factor() -> None:
    def by_energy(momenta: Tensor) -> Tensor:
        return torch.log(momenta[:, :2, 0].sum(1) / 800)

    dataset = load(2, 1000, factor=by_energy)
    model = make_model(dataset, reference="tree", process="qq-Zng", transform="none", hidden=[16])
    optimiser = torch.optim.Adam(model.parameters(), 3e-2)
    batch = dataset[:]
    for _ in range(100):
        optimiser.zero_grad()
        model.loss(batch).backward()
        optimiser.step()
    momenta = batch.cloud.momenta.unflatten(0, (1000, 5))
    wanted = by_energy(momenta)
    ratio = torch.from_numpy(model.predict(dataset)).squeeze(1) / find_process("qq-Zng").squared(momenta)
    assert bool((wanted < 0).any())
    assert bool((wanted > 0).any())
    assert float((ratio - wanted).std()) < 0.2 * float(wanted.std())


def test_without_a_reference_it_is_the_usual_regression() -> None:
    dataset = load(2)
    torch.manual_seed(0)
    model = make_model(dataset)
    torch.manual_seed(0)
    usual = lz.compose(**SMALL, head="regress:transform=log", in_scalars=3)
    usual.fit_statistics([dataset[:]])
    batch = dataset[:50]
    torch.testing.assert_close(model.loss(batch), usual.loss(batch))
    torch.testing.assert_close(
        model.head.predict(model(batch.cloud)).float(), usual.head.predict(usual(batch.cloud)).float()
    )


def test_backbones_that_pool_themselves() -> None:
    dataset = load([1, 2], 100)
    head = {"name": "amplitude-ratio", "reference": "factorised"}
    model = lz.compose(
        backbone="mlp:num_particles=5,hidden=[8]", embedding="kinematics", head=head, in_scalars=3
    )
    model.fit_statistics([dataset[:]])
    assert model.head.pooling is None
    assert model.predict(dataset).shape == (100, 1)


def test_bad_use_is_named() -> None:
    for head, message in (
        (
            {"reference": "tree"},
            "reference='tree' and the name of a process go together; given are 'tree' and None",
        ),
        ({"process": "qq-Zng"}, "go together; given are 'none' and 'qq-Zng'"),
        ({"reference": "tree", "process": "qq-W"}, "there is no process 'qq-W'"),
    ):
        with pytest.raises(ValueError, match=message):
            lz.compose(**SMALL, head={"name": "amplitude-ratio", **head}, in_scalars=3)
    plain, pairs = load(2), lz.load_dataset("amplitudes", process="ee-mumu", num_events=100)
    with pytest.raises(
        AmplitudeError, match=r"needs scalars named quark, z, gluon, but the cloud has electron"
    ):
        make_model(pairs, reference="factorised")
    model = make_model(plain, reference="factorised")
    with pytest.raises(AmplitudeError, match=r"was fitted to no \(or fewer than 10\) events of 3 gluons"):
        model.predict(load(3))
    unfitted = lz.compose(**SMALL, head="amplitude-ratio:reference=factorised", in_scalars=3)
    with pytest.raises(NotFittedError, match="the reference Factorised was not fitted to data"):
        unfitted(plain[:5].cloud)
    with pytest.raises(TrainingError, match="needs positive targets"):
        make_model(load(2, factor=k_factor), reference="factorised")
    mixed = load([1, 2], 20)
    with pytest.raises(AmplitudeError, match="needs events with equally many particles"):
        make_model(mixed, reference="tree", process="qq-Zng")
    wrong = plain[:5]
    with pytest.raises(AmplitudeError, match=r"targets have shape \(5, 2\)"):
        model.head.loss(model(wrong.cloud), wrong.target.unsqueeze(1).expand(-1, 2))
    few = lz.JetDataset(
        plain[:1].cloud.momenta[:4],
        [0, 4],
        [1.0],
        scalars=plain[:1].cloud.scalars[:4].flip(0),
        scalar_names=("quark", "z", "gluon"),
    )
    assert few.lengths.tolist() == [4]
    quark = torch.tensor([[1.0, 0, 0]]).expand(4, 3)
    few.scalars = quark
    with pytest.raises(AmplitudeError, match=r"event 0 of the batch has \[4, 0, 0\] of them"):
        model.predict(few)
