"""Polynomials in the logarithms of invariants: which monomials there are, how they are fitted, and what they predict."""

from __future__ import annotations

from itertools import combinations, combinations_with_replacement, permutations
from math import comb
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import lorentzoo as lz
from lorentzoo.nn import NotFittedError, TrainingError, inner
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.invariants import log_products
from lorentzoo.plugins.amplitudes.targets.monomials import list_monomials
from lorentzoo.plugins.amplitudes.targets.ridge import RidgeSums


def load(n: int | list[int], count: int = 400, **settings: object) -> lz.JetDataset:
    return lz.load_dataset("amplitudes", multiplicity=n, num_events=count, **settings)


def fit(dataset: lz.JetDataset, **head: object) -> lz.Model:
    model = lz.create_model(
        "log-polynomial", in_scalars=dataset.num_scalars, in_context=dataset.num_context, **head
    )
    model.fit_statistics([dataset.batch(slice(s, s + 100)) for s in range(0, len(dataset), 100)])
    return model


def product(momenta: Tensor) -> Tensor:
    """A product of powers of invariants, symmetric under exchange of quarks and of gluons."""
    p = momenta
    quarks = inner(p[:, 0], p[:, 1])
    gluons = torch.stack([inner(p[:, q], p[:, g]) for q in (0, 1) for g in range(3, p.shape[1])]).prod(0)
    z = inner(p[:, 0], p[:, 2]) * inner(p[:, 1], p[:, 2])
    return quarks**1.5 * gluons**-0.7 * z**0.3


@given(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3), degree=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_columns_are_orbits(sizes: list[int], degree: int) -> None:
    count = sum(sizes)
    if count < 2:
        return
    pairs = list(combinations(range(count), 2))
    found = [m for d in range(degree + 1) for m in combinations_with_replacement(range(len(pairs)), d)]
    plain = list_monomials(tuple(sizes), degree, averaged=False)
    assert plain.columns == len(found) == comb(len(pairs) + degree, degree)
    x = torch.randn(4, len(pairs), dtype=torch.float64)
    wanted = torch.stack([x[:, list(m)].prod(1) for m in found], 1)
    torch.testing.assert_close(plain.evaluate(x), wanted)
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    averaged = list_monomials(tuple(sizes), degree, averaged=True)
    for start, size in zip(starts, sizes, strict=True):
        for moved in permutations(range(start, start + size)):
            place = [*range(start), *moved, *range(start + size, count)]
            exchange = [pairs.index(tuple(sorted((place[i], place[j])))) for i, j in pairs]
            torch.testing.assert_close(averaged.evaluate(x[:, exchange]), averaged.evaluate(x))
    # No two columns could be joined further: they are sums over disjoint orbits.
    torch.testing.assert_close(averaged.evaluate(x).sum(1), wanted.sum(1))


def test_ridge_is_least_squares_where_there_is_no_noise_and_shrinks_where_there_is() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.cat([torch.ones(300, 1), torch.randn(300, 40, generator=rng)], 1).double()
    true = torch.randn(41, generator=rng).double()
    for noise, direct in ((0.0, True), (30.0, False)):
        y = x @ true + noise * torch.randn(300, generator=rng)
        sums = RidgeSums(41)
        for part in range(0, 300, 70):
            sums.add(x[part : part + 70], y[part : part + 70])
        found = sums.solve()
        least = torch.linalg.lstsq(x, y.unsqueeze(1)).solution.squeeze(1)
        if direct:
            torch.testing.assert_close(found, least, rtol=1e-8, atol=1e-8)
        else:
            assert float((found - true)[1:].norm()) < 0.9 * float((least - true)[1:].norm())


@pytest.mark.parametrize("identical", ["ordered", "averaged"])
def test_products_of_powers_are_exact(identical: str) -> None:
    train, fresh = load(2, 300, truth=product), load(2, 100, truth=product, seed=1)
    model = fit(train, degree=1, identical=identical)
    assert model.num_parameters == 0
    torch.testing.assert_close(
        torch.from_numpy(model.predict(fresh)).squeeze(1), fresh.target, rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("identical", ["ordered", "averaged"])
def test_symmetry_order_and_files(identical: str, tmp_path: Path) -> None:
    data = load([1, 2], 800)
    model = fit(data, degree=2, identical=identical)
    few = data.subset(range(10))[:]
    assert model.symmetry.dimension == 6
    assert model.permutation_symmetric
    report = lz.verify(model, few.cloud)
    assert report.passed, str(report)
    found = torch.from_numpy(model.predict(few.cloud))
    order = torch.cat(
        [
            start + torch.randperm(n)
            for start, n in zip(few.cloud.layout.ptr.tolist(), few.cloud.layout.lengths, strict=False)
        ]
    )
    shuffled = lz.ParticleCloud.from_packed(
        few.cloud.momenta[order],
        few.cloud.layout.ptr,
        few.cloud.scalars[order],
        scalar_names=few.cloud.scalar_names,
    )
    torch.testing.assert_close(torch.from_numpy(model.predict(shuffled)), found, rtol=1e-9, atol=0)
    for event in range(4):
        alone = torch.from_numpy(model.predict(data.subset([event])))
        torch.testing.assert_close(alone[0], found[event], rtol=1e-12, atol=0)
    lz.save(model, tmp_path / "model")
    torch.testing.assert_close(torch.from_numpy(lz.load(tmp_path / "model").predict(few.cloud)), found)


def test_several_processes() -> None:
    data = load([2], 900, process=["qq-Zng", "gg-ng", "ee-mumu"])
    model = fit(data, degree=2)
    error = torch.from_numpy(model.predict(data)).squeeze(1).log() - data.target.log()
    assert float(error.std()) < 0.1 * float(data.target.log().std())


def test_accuracy_on_fresh_points() -> None:
    data, fresh = load(2, 4000), load(2, 1000, seed=1)
    error = {}
    for degree in (1, 2, 3):
        model = fit(data, degree=degree)
        found = torch.from_numpy(model.predict(fresh)).squeeze(1).log() - fresh.target.log()
        error[degree] = float((found / data.target.log().std()).square().mean())
    assert error[3] < 0.3 * error[2] < 0.3 * error[1]
    assert error[3] < 1e-3


def test_networks_learn_what_is_left() -> None:
    data = load(2)
    settings = {"backbone": "invariant-mlp:hidden=[8]", "embedding": "momenta", "in_scalars": 3}
    head = {"name": "amplitude-ratio", "reference": ["factorised", "log-polynomial"], "degree": 1}
    model = lz.compose(**settings, head=head)
    model.fit_statistics([data[:]])
    batch = data[:]
    alone = fit(data, degree=1)
    # The polynomial has the factors already where it is fitted to what they leave.
    logs = model.head.references.evaluate(batch.cloud)
    polynomial = alone.head.references[0].evaluate(batch.cloud)
    truth = batch.target.log()
    assert float((logs - truth).var()) < float((polynomial - truth).var())
    target = (batch.target / logs.exp()).log()
    torch.testing.assert_close(model.head.ratio.mean.double()[0], target.mean(), rtol=1e-4, atol=1e-4)


def test_bad_use_is_named() -> None:
    data = load(2)
    with pytest.raises(
        AmplitudeError, match=r"has 286 coefficients for events of 5 particles, but only 100 of them"
    ):
        fit(data.subset(range(100)), degree=3)
    model = fit(data, degree=1)
    with pytest.raises(
        AmplitudeError, match=r"fitted to no events of these 6 particles \(but to events of 5"
    ):
        model.predict(load(3))
    with pytest.raises(NotFittedError, match="the reference LogPolynomial was not fitted to data"):
        lz.create_model("log-polynomial")(data[:2].cloud)
    with pytest.raises(TrainingError, match="needs positive targets"):
        fit(load(2, factor=lambda p: torch.cos(p[:, 2, 1] / 100)), degree=1)
    with pytest.raises(AmplitudeError, match=r"more than 20000; lower degree, or num_particles"):
        lz.create_model("log-polynomial", degree=6)
    with pytest.raises(AmplitudeError, match="the degree must be at least 1"):
        lz.create_model("log-polynomial", degree=0)
    with pytest.raises(ValueError, match="references are named once each"):
        lz.create_model("log-polynomial", reference=["none", "factorised"])
    numbered = data[:].cloud
    scalars = torch.arange(len(numbered.momenta)).unsqueeze(1).expand(-1, 3).float()
    odd = lz.ParticleCloud.from_packed(numbered.momenta, numbered.layout.ptr, scalars)
    with pytest.raises(AmplitudeError, match="scalars should say what a particle is, and nothing else"):
        lz.create_model("log-polynomial").fit_statistics(
            [lz.Batch(odd, data.target, torch.ones(400), torch.arange(400))]
        )


def test_logarithms_have_a_floor() -> None:
    p = torch.tensor([[[1.0, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, -1]]], dtype=torch.float64)
    assert bool(log_products(p).isfinite().all())
