"""Matrix elements against recorded values, closed forms, each other, and their symmetries."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lorentzoo.nn import random_lorentz
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.phase_space.points import draw_points
from lorentzoo.plugins.amplitudes.processes import PROCESSES, Couplings, find_process
from lorentzoo.plugins.amplitudes.truth.closed_forms import (
    gluon_pair,
    gluons,
    lepton_pair,
    mandelstam,
    parke_taylor,
    photon_pair,
    z_gluon,
)
from lorentzoo.plugins.amplitudes.truth.colour import colour_matrix, colour_root, generators
from lorentzoo.plugins.amplitudes.truth.gluons import gluon_currents, numerators, sum_momenta
from lorentzoo.plugins.amplitudes.truth.lightcone import contract, spinor, to_lightcone, transverse
from lorentzoo.plugins.amplitudes.truth.orderings import orderings
from lorentzoo.plugins.amplitudes.truth.quark_line import (
    gluon_helicities,
    helicity_amplitudes,
    ordered_amplitudes,
    squared_amplitude,
    z_helicities,
)
from lorentzoo.plugins.amplitudes.truth.vector_pairs import (
    contract_with_currents,
    pair_amplitudes,
    pair_helicity_amplitudes,
)

RECORDED = json.loads((Path(__file__).parent / "z_gluons.json").read_text())
MULTIPLICITIES = (1, 2, 3, 4)
Z_MASS = Couplings().z_mass
SEEDS = st.integers(0, 10_000)


def points(masses: Sequence[float], count: int = 20, seed: int = 0) -> Tensor:
    return draw_points(masses, count, torch.Generator().manual_seed(seed)).momenta


def z_points(n: int, count: int = 10, seed: int = 0) -> Tensor:
    return points((Z_MASS, *(0.0,) * n), count, seed)


def relative(a: Tensor, b: Tensor) -> float:
    return float((a / b - 1).abs().max())


@pytest.mark.parametrize("n", MULTIPLICITIES)
def test_recorded_values(n: int) -> None:
    case = RECORDED[str(n)]
    momenta = torch.tensor(case["momenta"], dtype=torch.float64)
    recorded = torch.tensor(case["amp2"], dtype=torch.float64)
    assert relative(PROCESSES["qq-Zng"].squared(momenta), recorded) < 1e-12


@pytest.mark.parametrize("n", MULTIPLICITIES)
def test_a_gluon_polarised_along_its_momentum_decouples(n: int) -> None:
    momenta = z_points(n)
    z, gluon = z_helicities(momenta[:, 2]), gluon_helicities(momenta)
    usual = ordered_amplitudes(momenta, z, gluon).abs().amax((0, 1, 2))
    for place in range(n):
        wrong = gluon.clone()
        wrong[:, place] = to_lightcone(momenta[:, 3 + place]).unsqueeze(1) / momenta[:, 3 + place, 0]
        left = ordered_amplitudes(momenta, z, wrong).abs().amax((0, 1, 2))
        assert float((left / usual).max()) < 1e-11


@pytest.mark.parametrize("n", MULTIPLICITIES)
def test_the_quark_current_is_conserved(n: int) -> None:
    momenta = z_points(n)
    gluon = gluon_helicities(momenta)
    usual = ordered_amplitudes(momenta, z_helicities(momenta[:, 2]), gluon).abs().amax((0, 1, 2))
    along = to_lightcone(momenta[:, 2]).unsqueeze(1) / momenta[:, 2, 0]
    assert float((ordered_amplitudes(momenta, along, gluon).abs().amax((0, 1, 2)) / usual).max()) < 1e-11


@given(seed=SEEDS, n=st.sampled_from((1, 2, 3)))
def test_squares_are_invariant(seed: int, n: int) -> None:
    momenta = z_points(n, 4, seed)
    rng = torch.Generator().manual_seed(seed)
    moved = momenta @ random_lorentz(rng=rng, max_rapidity=2.0, dtype=torch.float64).mT
    assert relative(squared_amplitude(moved), squared_amplitude(momenta)) < 1e-9


@given(seed=SEEDS, n=st.sampled_from((2, 3)))
def test_gluons_are_bosons(seed: int, n: int) -> None:
    momenta = z_points(n, 4, seed)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed)) + 3
    swapped = momenta[:, torch.cat([torch.arange(3), order])]
    assert relative(squared_amplitude(swapped), squared_amplitude(momenta)) < 1e-12


@pytest.mark.parametrize("n", [1, 2, 3])
def test_helicity_amplitudes_add_up_and_obey_parity(n: int) -> None:
    momenta = z_points(n)
    amplitudes = helicity_amplitudes(momenta)
    assert amplitudes.shape == (10, math.factorial(n), 2, 3, *(2,) * n)
    flat = amplitudes.flatten(3)
    summed = torch.einsum("bsqh,st,btqh->bq", flat.conj(), colour_matrix(n).to(flat), flat).real
    for handedness in (0, 1):
        assert relative(summed[:, handedness], squared_amplitude(momenta)) < 1e-12
    # Reflection at the plane x = 0 reverses all helicities and changes each amplitude by a phase only.
    mirrored = momenta * torch.tensor([1.0, -1.0, 1.0, 1.0])
    reversed_ = helicity_amplitudes(mirrored).abs().flip(list(range(2, amplitudes.ndim)))
    torch.testing.assert_close(reversed_, amplitudes.abs(), rtol=1e-9, atol=1e-16)


def test_reversing_the_line_exchanges_quark_and_antiquark() -> None:
    # Charge conjugation: the order of the gluons along the line is reversed, and each vector gives a sign.
    momenta = z_points(3)
    swapped = momenta[:, [1, 0, 2, 3, 4, 5]]
    straight, reversed_ = helicity_amplitudes(momenta), helicity_amplitudes(swapped)
    orders = list(permutations(range(3)))
    back = [orders.index(order[::-1]) for order in orders]
    torch.testing.assert_close(straight[:, back].abs(), reversed_.flip(2).abs(), rtol=1e-9, atol=1e-16)


@given(seed=SEEDS)
def test_closed_form_of_one_gluon(seed: int) -> None:
    momenta = z_points(1, 4, seed)
    assert (
        relative(z_gluon(momenta, 1.0, 0.118), 4 * math.pi * 0.118 / 36 * squared_amplitude(momenta)) < 1e-10
    )


def test_five_gluons() -> None:
    momenta = z_points(5, 2)
    swapped = momenta[:, [0, 1, 2, 7, 5, 3, 6, 4]]
    assert relative(squared_amplitude(momenta), squared_amplitude(swapped)) < 1e-11


def test_colour_sums() -> None:
    # C_F N, C_F² N, -C_F/2 for N = 3.
    torch.testing.assert_close(colour_matrix(1), torch.tensor([[4.0]], dtype=torch.float64))
    expected = torch.tensor([[16 / 3, -2 / 3], [-2 / 3, 16 / 3]], dtype=torch.float64)
    torch.testing.assert_close(colour_matrix(2), expected)
    t = generators()
    product = torch.einsum("aij,bjk,ckl->abcil", t, t, t)
    strings = torch.stack(
        [product.permute(*torch.tensor(order).argsort(), 3, 4) for order in permutations(range(3))]
    ).flatten(1)
    torch.testing.assert_close(colour_matrix(3), (strings @ strings.mH).real)
    for n in MULTIPLICITIES:
        root = colour_root(n)
        torch.testing.assert_close(root.T @ root, colour_matrix(n))


def gluon_amplitudes(momenta: Tensor) -> Tensor:
    """Ordered amplitudes of N gluons by recursion: orders of the first N - 1, helicities (2^(N-1), 2), events."""
    number = momenta.shape[1]
    signs = torch.tensor([-1.0, -1.0] + [1.0] * (number - 2), dtype=torch.float64)
    table = orderings(number - 1)
    subsets = sum_momenta(to_lightcone((momenta * signs[:, None]).transpose(0, 1))[:, :-1])
    polarisations = transverse(momenta.transpose(0, 1)).transpose(1, 2)
    # The last current would have a pole: the total momentum is on shell.
    currents = gluon_currents(table, subsets, polarisations[:, :-1])[:-1]
    off_shell = numerators(table, currents, subsets, list(table.tuples[-1]))
    ordered = contract(off_shell.unsqueeze(3), polarisations[:, -1, None, None])
    return ordered.flatten(0, 1)[table.by_gluon.flatten()].unflatten(0, table.by_gluon.shape)


@pytest.mark.parametrize("number", [4, 5])
def test_parke_taylor_against_the_recursion(number: int) -> None:
    momenta = points((0.0,) * (number - 2), 5)
    ordered = gluon_amplitudes(momenta)
    for row, order in enumerate(orderings(number - 1).tuples[-1][:6]):
        for i, j in ((0, 1), (1, 2), (0, number - 1), (2, 3)):
            # Polarisations of incoming gluons are not crossed: helicity - counted as outgoing is index 0 of all.
            state = sum(1 << (number - 1 - gluon) for gluon in range(number) if gluon not in (i, j))
            found = ordered.flatten(1, 2)[row, state].abs() ** 2
            closed = parke_taylor(momenta, (i, j), (*order, number - 1)).abs() ** 2
            # Generators of trace 1/2 here, 1 there: √2 for each of the N - 2 couplings.
            assert relative(found, 2 ** (number - 2) * closed) < 1e-8
        for same in (0, -1):
            assert float(ordered.flatten(1, 2)[row, same].abs().max()) < 1e-10


@pytest.mark.parametrize("number", [4, 5])
def test_gluons_against_a_sum_over_traces(number: int) -> None:
    momenta = points((0.0,) * (number - 2), 3)
    t, colours, lines = generators(), "abcde"[:number], "ijklm"
    traces = []
    for order in orderings(number - 1).tuples[-1]:
        factors = [
            colours[gluon] + lines[place] + lines[(place + 1) % number]
            for place, gluon in enumerate((*order, number - 1))
        ]
        traces.append(torch.einsum(",".join(factors) + "->" + colours, *[t] * number).flatten())
    coloured = torch.einsum("oc,ohgb->chgb", torch.stack(traces), gluon_amplitudes(momenta))
    average = 4 / (4 * 64 * math.factorial(number - 2))
    assert relative(gluons(momenta, 1 / (4 * math.pi)), average * (coloured.abs() ** 2).sum((0, 1, 2))) < 1e-9


@given(seed=SEEDS)
def test_pairs_in_closed_form(seed: int) -> None:
    momenta = points((0.0, 0.0), 4, seed)
    s, t, u = mandelstam(momenta)
    assert relative(gluon_pair(momenta, 0.118), gluons(momenta, 0.118)) < 1e-9
    helicities = [transverse(momenta[:, place]) for place in (2, 3)]
    squares = (pair_amplitudes(momenta, *helicities).abs() ** 2).sum((0, 1))
    # Two handednesses, three colours, identical photons.
    assert relative(photon_pair(momenta, 1.0, 1 / (4 * math.pi)), 2 * 3 * squares / 36 / 2) < 1e-9
    unit = 1 / (4 * math.pi)
    assert relative(lepton_pair(momenta, 0.0, 0.0, unit, 91.2, 2.5), 2 * (t**2 + u**2) / s**2) < 1e-12


def lepton_current(first: Tensor, second: Tensor) -> Tensor:
    """⟨first| σ̄^μ |second⟩ of a left-handed pair, light-cone components, shape (4, B)."""
    a, b = spinor(first).conj(), spinor(second)
    products = a[:, None] * b[None]
    # a† σ̄^μ b: σ̄ = (1, -σ).
    energy, z = products[0, 0] + products[1, 1], products[1, 1] - products[0, 0]
    x, y = -(products[0, 1] + products[1, 0]), 1j * (products[0, 1] - products[1, 0])
    return torch.stack([energy + z, energy - z, x + 1j * y, x - 1j * y])


@given(seed=SEEDS)
def test_pairs_of_massive_bosons(seed: int) -> None:
    masses = (60.0 + seed % 50, 91.2)
    momenta = points(masses, 4, seed)
    amplitudes = pair_helicity_amplitudes(momenta)
    assert amplitudes.shape == (4, 2, 3, 3)
    # Bose: exchange of the bosons exchanges their helicities.
    swapped = pair_helicity_amplitudes(momenta[:, [0, 1, 3, 2]])
    torch.testing.assert_close(swapped.transpose(2, 3), amplitudes, rtol=1e-10, atol=1e-12)
    # CP: exchange of quark and antiquark with the handedness of the line.
    crossed = pair_helicity_amplitudes(momenta[:, [1, 0, 2, 3]]).flip(1)
    torch.testing.assert_close(crossed.abs(), amplitudes.abs(), rtol=1e-10, atol=1e-12)


@given(seed=SEEDS)
def test_decays_of_bosons_from_helicity_amplitudes(seed: int) -> None:
    momenta = points((80.0, 91.2), 4, seed)
    rng = torch.Generator().manual_seed(seed)
    currents = []
    for place, m in ((2, 80.0), (3, 91.2)):
        direction = torch.randn(4, 3, generator=rng, dtype=torch.float64)
        direction = m / 2 * direction / direction.norm(dim=-1, keepdim=True)
        rest = [torch.cat([direction.new_full((4, 1), m / 2), sign * direction], -1) for sign in (1, -1)]
        boson = momenta[:, place]
        moved = []
        for p in rest:
            energy = (p * boson).sum(-1) / m
            shift = (p[:, 0] + energy) / (boson[:, 0] + m)
            moved.append(torch.cat([energy[:, None], p[:, 1:] + shift[:, None] * boson[:, 1:]], -1))
        currents.append(lepton_current(*moved))
        assert float(contract(to_lightcone(boson), currents[-1]).abs().max()) < 1e-8
    summed = contract_with_currents(pair_helicity_amplitudes(momenta), momenta, *currents)
    direct = pair_amplitudes(momenta, *(current.unsqueeze(1) for current in currents))[0, 0]
    torch.testing.assert_close(summed[:, 0], direct, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", list(PROCESSES))
def test_processes_are_differentiable_and_positive(name: str) -> None:
    process = find_process(name)
    n = process.multiplicities[0]
    momenta = points(process.outgoing_masses(n), 5).requires_grad_()
    value = process.squared(momenta)
    assert bool((value > 0).all())
    (gradient,) = torch.autograd.grad(value.log().sum(), momenta)
    assert bool(torch.isfinite(gradient).all())


def test_couplings() -> None:
    process, momenta = find_process("qq-Zng"), z_points(2)
    doubled = process.squared(momenta, Couplings(alpha_s=0.236))
    assert relative(doubled, 4 * process.squared(momenta)) < 1e-12


def test_bad_points_are_named() -> None:
    process, momenta = find_process("qq-Zng"), z_points(2)
    with pytest.raises(AmplitudeError, match="there is no process 'qq-Z'; known are qq-Zng, gg-ng"):
        find_process("qq-Z")
    with pytest.raises(AmplitudeError, match="'qq-Zng' takes 1, 2, 3, 4, 5 of 'g'; 0 was given"):
        process.squared(momenta[:, :3])
    with pytest.raises(AmplitudeError, match=r"have shape \(B, N, 4\), not \(10, 4\)"):
        process.squared(momenta[:, 0])
    with pytest.raises(AmplitudeError, match="'qq-aa' takes no multiplicity"):
        find_process("qq-aa").squared(momenta)
    wrong = momenta.clone()
    wrong[3, 4, 1] += 1.0
    with pytest.raises(AmplitudeError, match=r"point 3 .* conservation of energy and momentum by 1\.7e-03"):
        process.squared(wrong)
    wrong[3, 3, 1] -= 1.0
    with pytest.raises(AmplitudeError, match=r"point 3 .*particle 3 \(g\) has mass² .* GeV², expected 0"):
        process.squared(wrong)
    heavy = points((100.0, 0.0, 0.0))
    with pytest.raises(AmplitudeError, match=r"particle 2 \(Z\) has mass² 10000 GeV², expected 8315.25"):
        process.squared(heavy)
    assert bool((process.squared(heavy, shell_tolerance=None) > 0).all())
    wrong[5, 2, 0] = math.nan
    with pytest.raises(AmplitudeError, match="point 5 of 'qq-Zng' has momenta that are not finite"):
        process.squared(wrong)
    assert process.squared(momenta[:0]).shape == (0,)
