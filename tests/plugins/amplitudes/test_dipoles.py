"""The dipole ansatz: maps that conserve, limits, symmetries, and what it explains."""

from __future__ import annotations

import math
from itertools import pairwise, permutations
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import lorentzoo as lz
from lorentzoo.core.minkowski import random_lorentz
from lorentzoo.densities import Cuts
from lorentzoo.nn import ExportError, inner, mass_squared
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.phase_space.points import draw_points
from lorentzoo.plugins.amplitudes.phase_space.rambo import beam_momenta, rambo
from lorentzoo.plugins.amplitudes.processes import find_process
from lorentzoo.plugins.amplitudes.targets.dipole_maps import dot, take_away
from lorentzoo.plugins.amplitudes.targets.dipoles import Dipoles, _emit, sum_dipoles

PROCESS = find_process("qq-Zng")
CUTS = Cuts(pt_min=20, eta_max=5, delta_r_min=0.4)


def draw(n: int, count: int, seed: int = 0, cuts: Cuts | None = CUTS) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return draw_points(PROCESS.outgoing_masses(n), count, rng, cuts=cuts).momenta


def soft_gluon(n: int, count: int, softness: float) -> Tensor:
    """q q̄ → Z + n g whose last gluon has about this part of the energy; the others hardly depend on it."""
    total, angle = torch.full((count,), 1000.0, dtype=torch.float64), torch.Generator().manual_seed(1)
    space = torch.randn(count, 3, generator=angle, dtype=torch.float64)
    space = space / space.norm(dim=1, keepdim=True) * softness * 1000
    gluon = torch.cat([space.norm(dim=1, keepdim=True), space], dim=1)
    rng = torch.Generator().manual_seed(2)
    left = beam_momenta(total).sum(1) - gluon
    mass = mass_squared(left).sqrt()
    u = torch.rand(count, n, 4, generator=rng, dtype=torch.float64)
    others, _ = rambo(u, mass, PROCESS.outgoing_masses(n - 1))
    # From the rest frame of the others to where they recoil against the gluon.
    gamma, velocity = (left[:, 0] / mass)[:, None], left[:, None, 1:] / left[:, None, :1]
    along = (velocity * others[..., 1:]).sum(-1)
    energy = gamma * (others[..., 0] + along)
    shift = gamma**2 / (1 + gamma) * along + gamma * others[..., 0]
    moved = torch.cat([energy.unsqueeze(-1), others[..., 1:] + shift.unsqueeze(-1) * velocity], dim=-1)
    return torch.cat([beam_momenta(total), moved, gluon.unsqueeze(1)], dim=1)


@given(seed=st.integers(0, 10_000), n=st.integers(1, 4), data=st.data())
@settings(max_examples=40, deadline=None)
def test_maps_conserve_and_keep_shells(seed: int, n: int, data: st.DataObject) -> None:
    momenta = draw(n, 20, seed, Cuts())
    gluons = list(range(3, 3 + n))
    gluon = data.draw(st.sampled_from(gluons))
    partons = [place for place in (0, 1, *gluons) if place != gluon]
    emitter, spectator = data.draw(st.permutations(partons))[:2]
    found, share = take_away(list(momenta.movedim(0, -1)), emitter, gluon, spectator)
    mapped = torch.stack(found).movedim(-1, 0)
    assert mapped.shape == (20, n + 2, 4)
    energy = momenta[:, 0, :1] + momenta[:, 1, :1]
    balance = (mapped[:, :2].sum(1) - mapped[:, 2:].sum(1)) / energy
    assert float(balance.abs().max()) < 1e-10
    squares = torch.tensor([0.0, 0.0, 91.188**2, *[0.0] * (n - 1)], dtype=torch.float64)
    shells = (mass_squared(mapped) - squares) / energy**2
    assert float(shells.abs().max()) < 1e-10
    assert bool((mapped[..., 0] > 0).all())
    assert bool(((share > 0) & (share <= 1)).all())


@pytest.mark.parametrize("pair", [(0, 1), (1, 0), (0, 3), (3, 0), (3, 1), (3, 4), (4, 3)])
def test_a_soft_gluon_leaves_the_others_where_they_are(pair: tuple[int, int]) -> None:
    momenta = soft_gluon(3, 50, 1e-7)
    found, share = take_away(list(momenta.movedim(0, -1)), pair[0], 5, pair[1])
    torch.testing.assert_close(torch.stack(found).movedim(-1, 0), momenta[:, :5], rtol=0, atol=1e-2)
    torch.testing.assert_close(share, torch.ones(50, dtype=torch.float64), rtol=0, atol=1e-4)


@pytest.mark.parametrize("stop", [0, 1])
def test_one_gluon_is_exact(stop: int) -> None:
    momenta = draw(1, 100)
    torch.testing.assert_close(sum_dipoles(momenta, stop), PROCESS.squared(momenta), rtol=1e-10, atol=0)


def test_a_soft_gluon_of_two_has_the_right_limit_up_to_one_over_n_squared() -> None:
    momenta = soft_gluon(2, 200, 1e-6)
    ratio = PROCESS.squared(momenta) / sum_dipoles(momenta)
    q, anti, _, hard, soft = momenta.unbind(1)

    def eikonal(a: Tensor, b: Tensor) -> Tensor:
        return inner(a, b) / (inner(a, soft) * inner(soft, b))

    # The dipole of the two quarks, which leading colour leaves out, has -1/N² of the strength of the others.
    expected = 1 - eikonal(q, anti) / 9 / (eikonal(q, hard) + eikonal(hard, anti))
    torch.testing.assert_close(ratio, expected, rtol=1e-3, atol=0)
    assert bool(((ratio > 7 / 9 - 1e-3) & (ratio < 1)).all())


@pytest.mark.parametrize(("n", "stop"), [(2, 1), (3, 1), (3, 2), (4, 1)])
def test_a_soft_gluon_multiplies_each_order_of_the_others_by_eikonal_factors(n: int, stop: int) -> None:
    momenta = soft_gluon(n, 20, 1e-7)
    found = list(momenta.movedim(0, -1))
    soft = found.pop()
    line = [0, *range(3, n + 2), 1]
    whole = _emit(found, stop)
    # Between any two neighbours; nothing is counted twice, and nothing else is left.
    for place, (a, b) in enumerate(pairwise(line)):
        more = [*found[: 3 + place], soft, *found[3 + place :]]
        eikonal = 2 * dot(found[a], found[b]) / (dot(found[a], soft) * dot(soft, found[b]))
        torch.testing.assert_close(_emit(more, stop) / whole, eikonal, rtol=1e-3, atol=0)


def test_with_exact_orders_of_two_the_soft_limit_of_three_is_right_up_to_one_over_n_squared() -> None:
    momenta, fewer = soft_gluon(3, 200, 1e-7), soft_gluon(3, 200, 1e-7)[:, :-1]
    ratio = PROCESS.squared(momenta) / sum_dipoles(momenta, 2)
    lower = PROCESS.squared(fewer, tolerance=1e-5) / sum_dipoles(fewer, 2)
    assert bool(((ratio > 0.6) & (ratio < 1.05)).all())
    assert float((ratio / lower).std()) < 0.1


def across(p: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
    """Two orthonormal space-like vectors orthogonal to light-like p and n, shapes (B, 4)."""
    found: list[Tensor] = []
    pn = inner(p, n).unsqueeze(-1)
    for seed in (1, 2):
        v = torch.randn(p.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        v = v - p * inner(v, n).unsqueeze(-1) / pn - n * inner(v, p).unsqueeze(-1) / pn
        for other in found:
            v = v + other * inner(v, other).unsqueeze(-1)
        found.append(v / (-inner(v, v)).sqrt().unsqueeze(-1))
    return found[0], found[1]


@pytest.mark.parametrize(("of", "expected"), [("gluon", 1.0), ("quark", 8 / 9)])
def test_the_limit_of_collinear_pairs(of: str, expected: float) -> None:
    q, anti, z, gluon = draw(1, 100).unbind(1)
    rng = torch.Generator().manual_seed(5)
    share = 0.1 + 0.8 * torch.rand(100, 1, generator=rng, dtype=torch.float64)
    parent = gluon if of == "gluon" else q / share
    first, second = across(parent, anti)
    away = anti / (2 * inner(parent, anti)).unsqueeze(-1)
    found, truth = torch.zeros(100, dtype=torch.float64), torch.zeros(100, dtype=torch.float64)
    # The mean over the azimuth has no correlations of spins.
    for phi in torch.arange(8) * math.pi / 4:
        kick = 1e-2 * (torch.cos(phi) * first + torch.sin(phi) * second)
        soft = (1 - share) * parent - kick + 1e-4 / (1 - share) * away
        if of == "gluon":
            rest = share * parent + kick + 1e-4 / share * away
            beams = [q, anti + 1e-4 / (share * (1 - share)) * away]
        else:
            rest = gluon + kick
            rest = torch.cat([rest[:, 1:].norm(dim=1, keepdim=True), rest[:, 1:]], dim=1)
            total = z + rest + soft
            ends = [(total[:, 0] + sign * total[:, 3]) / 2 for sign in (1, -1)]
            zero = torch.zeros_like(ends[0])
            beams = [torch.stack([e, zero, zero, s * e], -1) for e, s in zip(ends, (1, -1), strict=True)]
        momenta = torch.stack([*beams, z, rest, soft], dim=1)
        found, truth = found + sum_dipoles(momenta), truth + PROCESS.squared(momenta, tolerance=1e-4)
    # C_F instead of N/2 where a quark is collinear.
    torch.testing.assert_close(truth / found, torch.full_like(found, expected), rtol=2e-3, atol=0)


def test_exchange_and_the_order_of_input_change_nothing() -> None:
    momenta = draw(3, 30)
    wanted = sum_dipoles(momenta)
    for order in permutations((3, 4, 5)):
        torch.testing.assert_close(sum_dipoles(momenta[:, [0, 1, 2, *order]]), wanted, rtol=1e-10, atol=0)
    torch.testing.assert_close(sum_dipoles(momenta[:, [1, 0, 2, 3, 4, 5]]), wanted, rtol=1e-10, atol=0)
    data = lz.load_dataset("amplitudes", multiplicity=[1, 3], num_events=20)
    logs = Dipoles().evaluate(data[:20].cloud)
    for event in (0, 1):
        cloud = data[event].cloud
        order = torch.randperm(len(cloud.momenta))
        shuffled = lz.ParticleCloud.from_packed(
            cloud.momenta[order], cloud.layout.ptr, cloud.scalars[order], scalar_names=cloud.scalar_names
        )
        torch.testing.assert_close(Dipoles().evaluate(shuffled)[0], logs[event], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("n", [2, 3])
def test_lorentz_invariance(n: int) -> None:
    momenta = draw(n, 20)
    matrix = random_lorentz(rng=torch.Generator().manual_seed(3))
    moved = torch.einsum("ij,bnj->bni", matrix.double(), momenta)
    torch.testing.assert_close(sum_dipoles(moved), sum_dipoles(momenta), rtol=1e-8, atol=0)


@pytest.mark.parametrize(("n", "stop"), [(2, 0), (2, 1), (2, 2), (3, 1), (3, 2)])
def test_positive_and_differentiable(n: int, stop: int) -> None:
    momenta = draw(n, 10).requires_grad_()
    value = sum_dipoles(momenta, stop)
    assert bool((value > 0).all())
    (slope,) = torch.autograd.grad(value.log().sum(), momenta)
    direction = torch.randn(momenta.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    step = 1e-4
    with torch.no_grad():
        ends = [sum_dipoles(momenta + sign * step * direction, stop).log() for sign in (1, -1)]
    numeric = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close((slope * direction).sum((1, 2)), numeric, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(
    ("n", "reference", "stop", "explained"),
    [
        (2, "dipoles", 1, 0.85),
        (3, "dipoles", 1, 0.9),
        (3, "dipoles", 2, 0.96),
        (2, "dipoles", 2, 0.995),
        (2, "fitted-dipoles", 1, 0.97),
        (3, "fitted-dipoles", 1, 0.97),
    ],
)
def test_what_dipoles_explain(n: int, reference: str, stop: int, explained: float) -> None:
    data = lz.load_dataset("amplitudes", multiplicity=n, num_events=600)
    head = {"name": "amplitude-ratio", "reference": reference, "stop": stop}
    model = lz.compose(backbone="deep-sets:hidden=[8]", embedding="invariants", head=head, in_scalars=3)
    model.fit_statistics([data[:]])
    logarithm = data.target.log()
    left = logarithm - model.head.references.evaluate(data[:].cloud)
    assert 1 - float(left.var() / logarithm.var()) > explained


def test_models_with_dipoles_are_saved_and_not_source_code(tmp_path: Path) -> None:
    data = lz.load_dataset("amplitudes", multiplicity=2, num_events=100)
    for reference in ("dipoles", "fitted-dipoles"):
        head = {"reference": reference}
        model = lz.create_model("amplitude-recipe", backbone={"hidden": [8]}, head=head)
        model.fit_statistics([data[:]])
        lz.save(model, tmp_path / reference)
        again = lz.load(tmp_path / reference)
        torch.testing.assert_close(
            torch.from_numpy(again.predict(data)), torch.from_numpy(model.predict(data)), rtol=1e-6, atol=0
        )
        with pytest.raises(ExportError, match="no form of the reference 'dipoles'"):
            lz.export(model, tmp_path / f"{reference}.c", "c", like=data)


def test_bad_use_is_named() -> None:
    with pytest.raises(AmplitudeError, match="at least 0, not -1"):
        Dipoles(-1)
    with pytest.raises(
        AmplitudeError, match=r"takes 230400 amplitudes for an event of 5 gluons.* larger stop than 1"
    ):
        sum_dipoles(draw(5, 2, cuts=Cuts()))
    pairs = lz.load_dataset("amplitudes", process="ee-mumu", num_events=10)
    with pytest.raises(AmplitudeError, match=r"needs scalars named quark, z, gluon"):
        Dipoles().evaluate(pairs[:5].cloud)
