"""Jet observables against plain loops, against FastJet, and under what must leave them alone."""

from __future__ import annotations

import itertools
import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

import lorentzoo as lz
from lorentzoo.core.minkowski import exp
from lorentzoo.plugins.substructure.clustering import exclusive_subjets
from lorentzoo.plugins.substructure.observables import OBSERVABLES, Jets, tau
from lorentzoo.testing import random_cloud


def measure(jets: Jets) -> Tensor:
    return torch.stack([observable(jets) for observable in OBSERVABLES.values()], dim=-1)


def jets_of(lengths: list[int], seed: int = 0) -> Jets:
    cloud = random_cloud(lengths, seed=seed).to_padded()
    return Jets(cloud.momenta, cloud.layout.mask)


def coordinates(p: np.ndarray) -> tuple[float, float, float]:
    e, px, py, pz = p
    return math.hypot(px, py), 0.5 * math.log((e + pz) / (e - pz)), math.atan2(py, px)


def separation(a: np.ndarray, b: np.ndarray) -> float:
    _, ya, fa = coordinates(a)
    _, yb, fb = coordinates(b)
    return math.hypot(ya - yb, (fa - fb + math.pi) % (2 * math.pi) - math.pi)


def cluster(p: list[np.ndarray], count: int) -> list[np.ndarray]:
    """Exclusive kT, by the book."""
    while len(p) > count:
        distances = {
            (i, j): min(coordinates(p[i])[0], coordinates(p[j])[0]) ** 2 * separation(p[i], p[j]) ** 2
            for i, j in itertools.combinations(range(len(p)), 2)
        }
        i, j = min(distances, key=lambda pair: distances[pair])
        p = [q for k, q in enumerate(p) if k not in (i, j)] + [p[i] + p[j]]
    return sorted(p, key=lambda q: -coordinates(q)[0])


def plain(p: list[np.ndarray]) -> dict[str, float]:
    """All observables of one jet by loops over particles."""
    jet = sum(p)
    pt = [coordinates(q)[0] for q in p]
    z = [value / sum(pt) for value in pt]
    r = [separation(q, jet) for q in p]

    def n_subjettiness(count: int) -> float:
        axes = cluster(list(p), count)
        return sum(zi * min(separation(q, axis) for axis in axes) for zi, q in zip(z, p, strict=True))

    n = range(len(p))
    two = sum(z[i] * z[j] * separation(p[i], p[j]) for i, j in itertools.combinations(n, 2))
    three = sum(
        z[i] * z[j] * z[k] * separation(p[i], p[j]) * separation(p[i], p[k]) * separation(p[j], p[k])
        for i, j, k in itertools.combinations(n, 3)
    )
    _, y0, f0 = coordinates(jet)
    moments = np.zeros((2, 2))
    for zi, q in zip(z, p, strict=True):
        _, y, f = coordinates(q)
        offset = np.array([y - y0, (f - f0 + math.pi) % (2 * math.pi) - math.pi])
        moments += zi * np.outer(offset, offset)
    small, large = np.linalg.eigvalsh(moments)
    subjets = cluster(list(p), 3)

    def m(q: np.ndarray) -> float:
        return math.sqrt(max(q[0] ** 2 - q[1] ** 2 - q[2] ** 2 - q[3] ** 2, 0))

    return {
        "mass": m(jet),
        "multiplicity": len(p),
        "width": sum(a * b for a, b in zip(z, r, strict=True)),
        "les_houches": sum(a * math.sqrt(b) for a, b in zip(z, r, strict=True)),
        "dispersion": math.sqrt(sum(a * a for a in z)),
        "eccentricity": 1 - small / large,
        "tau21": n_subjettiness(2) / n_subjettiness(1),
        "tau32": n_subjettiness(3) / n_subjettiness(2),
        "c2": three / two**2,
        "d2": three / two**3,
        "smallest_pair_mass": min(m(a + b) for a, b in itertools.combinations(subjets, 2)),
    }


@pytest.mark.parametrize("seed", range(3))
def test_every_observable_is_what_its_formula_says(seed: int) -> None:
    jets = jets_of([6, 11, 8], seed)
    values = measure(jets)
    for b, n in enumerate([6, 11, 8]):
        wanted = plain(list(jets.momenta[b, :n].numpy()))
        assert list(wanted) == list(OBSERVABLES)
        torch.testing.assert_close(
            values[b], torch.tensor(list(wanted.values()), dtype=torch.float64), rtol=1e-9, atol=1e-11
        )


def test_subjets_are_those_of_fastjet() -> None:
    fastjet = pytest.importorskip("fastjet")
    fastjet.ClusterSequence.print_banner = lambda: None
    cloud = lz.load_dataset("toptag", split="test", num_jets=12).batch(range(12)).cloud.to_padded()
    ours = exclusive_subjets(cloud.momenta, cloud.layout.mask, (2, 3))
    definition = fastjet.JetDefinition(fastjet.kt_algorithm, 1000.0)  # no beam within reach
    for b, n in enumerate(cloud.layout.counts().tolist()):
        particles = [fastjet.PseudoJet(*row[[1, 2, 3, 0]].tolist()) for row in cloud.momenta[b, :n]]
        sequence = fastjet.ClusterSequence(particles, definition)
        for count in (2, 3):
            found = fastjet.sorted_by_pt(sequence.exclusive_jets(count))
            wanted = torch.tensor([[j.e(), j.px(), j.py(), j.pz()] for j in found], dtype=torch.float64)
            torch.testing.assert_close(ours[count].momenta[b], wanted, rtol=1e-12, atol=1e-10)


@settings(max_examples=10)
@given(st.integers(0, 1000), st.floats(-3, 3), st.floats(-3, 3))
def test_they_see_neither_beam_boosts_nor_rotations_about_the_beam(
    seed: int, along: float, around: float
) -> None:
    jets = jets_of([9, 4, 12], seed)
    matrix = exp(torch.tensor([0, 0, along, 0, 0, around], dtype=torch.float64))
    moved = measure(Jets(jets.momenta @ matrix.T, jets.mask))
    torch.testing.assert_close(moved, measure(jets), rtol=1e-8, atol=1e-9)
    turned = exp(torch.tensor([0, 0, 0, 0.3, 0, 0], dtype=torch.float64))
    assert not torch.allclose(measure(Jets(jets.momenta @ turned.T, jets.mask)), moved, rtol=1e-3)


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_they_see_neither_order_nor_padding(seed: int) -> None:
    jets = jets_of([9, 9], seed)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    values = measure(jets)
    torch.testing.assert_close(measure(Jets(jets.momenta[:, order])), values, rtol=1e-9, atol=1e-11)
    rubbish = random_cloud([5, 5], seed=seed + 1).to_padded().momenta
    wide = Jets(torch.cat([rubbish, jets.momenta], dim=1), torch.tensor([[False] * 5 + [True] * 9] * 2))
    torch.testing.assert_close(measure(wide), values, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("lengths", [[0, 1], [1, 2], [2, 3], [0, 4]])
def test_few_particles_give_finite_values_and_gradients(lengths: list[int]) -> None:
    jets = jets_of(lengths)
    momenta = jets.momenta.clone().requires_grad_()
    values = measure(Jets(momenta, jets.mask))
    assert torch.isfinite(values).all()
    (gradient,) = torch.autograd.grad(values.sum(), momenta)
    assert torch.isfinite(gradient).all()
    count = torch.tensor(lengths)
    for prongs in (1, 2, 3):
        assert (tau(jets, prongs)[count <= prongs] == 0).all()
    assert torch.equal(values[:, 1], count.double())


def test_collinear_and_equal_particles() -> None:
    p = torch.tensor([50.0, 30.0, 40.0, 0.0], dtype=torch.float64)
    values = measure(Jets(torch.stack([p, 2 * p, p, p]).unsqueeze(0)))
    assert torch.isfinite(values).all()
    assert float(values[0, 0]) < 1e-5
    assert float(values[0, 2]) < 1e-12


def test_a_square_has_no_direction_and_a_line_has_one() -> None:
    def at(y: float, phi: float) -> list[float]:
        return [100 * math.cosh(y), 100 * math.cos(phi), 100 * math.sin(phi), 100 * math.sinh(y)]

    square = [at(0.1, 0.1), at(0.1, -0.1), at(-0.1, 0.1), at(-0.1, -0.1)]
    line = [at(0.2, 0), at(0, 0), at(-0.2, 0), at(0.1, 0)]
    momenta = torch.tensor([square, line], dtype=torch.float64)
    shape = OBSERVABLES["eccentricity"](Jets(momenta))
    assert float(shape[0]) < 1e-6
    assert float(shape[1]) > 1 - 1e-9
