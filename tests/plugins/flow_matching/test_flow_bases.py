"""Are the bases of events normalised densities of what they draw, within the cuts?"""

from __future__ import annotations

import copy
import functools
import math

import pytest
import torch
from torch import Tensor

from lorentzoo.core.errors import NotFittedError
from lorentzoo.core.layout import Packed
from lorentzoo.core.minkowski import exp, from_ptetaphim, mass, pt
from lorentzoo.densities.coordinates import Cuts, make_coordinates
from lorentzoo.plugins.flow_matching.base import CoordinateBase, EventBase, PhaseSpaceBase

CUTS = Cuts(pt_min=22.0, eta_max=3.0, delta_r_min=0.5, mass_min=1.0)


def data(count: int = 3000, fixed_mass: float | None = None, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    u = torch.rand(4, count, generator=rng, dtype=torch.float64)
    m = 1.2 + 20 * u[3] if fixed_mass is None else torch.full_like(u[3], fixed_mass)
    return from_ptetaphim(22.5 + 80 * u[0].square(), 5.8 * u[1] - 2.9, math.pi * (2 * u[2] - 1), m)


def test_without_a_cut_on_pairs_any_multiplicity_will_do() -> None:
    base = made("phase-space", Cuts(pt_min=22.0, eta_max=3.0, mass_min=1.0), (2,))
    layout = Packed.from_lengths([2, 5, 60])
    momenta = base.sample(layout, torch.Generator().manual_seed(0))
    density = base.log_prob(momenta, layout)
    alone = base.log_prob(momenta, Packed.from_lengths([1] * 67))
    torch.testing.assert_close(density, torch.stack([part.sum() for part in alone.split([2, 5, 60])]))


def test_with_a_cut_on_pairs_long_events_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"at most 32 particles, but there are some of 40; leave delta_r_min"
    ):
        made("phase-space", CUTS, (40,))
    layout = Packed.from_lengths([33])
    with pytest.raises(NotFittedError, match=r"not fitted for events of \[33\]"):
        made("phase-space", CUTS, (2,)).log_prob(data(33), layout)


@functools.cache
def made(kind: str, cuts: Cuts = CUTS, lengths: tuple[int, ...] = (0, 1, 2, 4)) -> EventBase:
    if kind == "shell":
        coordinates = make_coordinates("on-shell-cartesian", standardise="none", mass=5.0)
        base: EventBase = PhaseSpaceBase(coordinates, Cuts(pt_min=22.0, delta_r_min=0.5))
        base.fit(data(fixed_mass=5.0), torch.ones(3000), set(lengths))
        return base
    coordinates = make_coordinates("log-pt-phi-eta-log-mass", pt_min=20.0, mass_min=1.0, eta_max=5.0)
    coordinates.fit(data())
    base = (
        CoordinateBase(coordinates, cuts) if kind == "coordinates" else PhaseSpaceBase(coordinates, cuts, 1.0)
    )
    base.fit(data(), torch.ones(3000), set(lengths))
    return base


@pytest.mark.parametrize("kind", ["phase-space", "coordinates", "shell"])
class TestEveryBase:
    def test_every_event_passes_the_cuts_and_has_a_density(self, kind: str) -> None:
        base = made(kind)
        layout = Packed.from_lengths([4, 0, 1, 2] * 100)
        momenta = base.sample(layout, torch.Generator().manual_seed(0))
        assert bool(base.cuts.events(momenta, layout).all())
        assert bool(torch.isfinite(base.log_prob(momenta, layout)).all())

    def test_densities_are_normalised(self, kind: str) -> None:
        """E_u[q/u] = 1 for events of two particles, with a broader base u without cuts."""
        base = made(kind)
        count = 100_000
        rng = torch.Generator().manual_seed(1)
        # Uniform in pT, φ, η and ln m within a box that holds nearly all of the base.
        lower = torch.tensor([20.0, -math.pi, -3.0, 0.0]).double()
        upper = torch.tensor([250.0, math.pi, 3.0, 4.7]).double()
        u = lower + (upper - lower) * torch.rand(2 * count, 4, generator=rng, dtype=torch.float64)
        m = torch.full_like(u[:, 3], 5.0) if kind == "shell" else torch.exp(u[:, 3])
        momenta = from_ptetaphim(u[:, 0], u[:, 2], u[:, 1], m)
        box = (upper - lower).log().sum() if kind != "shell" else (upper - lower)[:3].log().sum()
        # d³p = pT² cosh η dpT dφ dη; d⁴p = d³p dm²/2E and dm² = 2m² d ln m.
        three = 2 * u[:, 0].log() + u[:, 2].cosh().log()
        log_u = -box - three + torch.log(2 * momenta[:, 0])
        log_u = log_u if kind == "shell" else log_u - torch.log(2 * m.square())
        layout = Packed.from_lengths([2] * count)
        ratio = torch.exp(base.log_prob(momenta, layout) - log_u.reshape(-1, 2).sum(1))
        error = float(ratio.std()) / math.sqrt(count)
        assert error < 0.08
        assert float(ratio.mean()) == pytest.approx(1.0, abs=4 * error + 0.01)

    def test_what_cannot_be_drawn_has_no_density(self, kind: str) -> None:
        base = made(kind)
        shell = 5.0 if kind == "shell" else None
        p = data(4, fixed_mass=shell)
        soft = from_ptetaphim(*(torch.tensor([v]).double() for v in (21.0, 0.0, 0.0, 5.0)))
        near = torch.cat([p[:1], p[:1]])
        layout = Packed.from_lengths([1, 1, 2])
        found = base.log_prob(torch.cat([p[:1], soft, near]), layout)
        assert bool(torch.isfinite(found[0]))
        assert found[1:].tolist() == [-math.inf, -math.inf]

    def test_other_multiplicities_are_refused(self, kind: str) -> None:
        base = made(kind)
        with pytest.raises(NotFittedError, match=r"not fitted for events of \[3\] particles"):
            base.log_prob(data(3), Packed.from_lengths([3]))

    def test_the_computed_symmetry_is_that_of_the_density(self, kind: str) -> None:
        base = made(kind, Cuts())
        momenta = base.sample(Packed.from_lengths([1] * 300), torch.Generator().manual_seed(3))
        before = base.particle_log_prob(momenta)
        for row in base.statistics_symmetry.generators:
            after = base.particle_log_prob(momenta @ exp(0.4 * torch.from_numpy(row.copy())).T)
            torch.testing.assert_close(after, before, rtol=1e-8, atol=1e-8)
        for row in base.statistics_symmetry.complement:
            moved = momenta @ exp(0.4 * torch.from_numpy(row.copy())).T
            after = base.particle_log_prob(moved)[base.coordinates.inside(moved)]
            assert not torch.allclose(after, before[base.coordinates.inside(moved)], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "standardise", "plain", "fitted"),
    [
        ("momenta", "componentwise", "SO(3)", "trivial"),
        ("cartesian-log-mass", "componentwise", "SO(3)", "trivial"),
        ("cartesian-log-mass", "isotropic", "SO(3)", "SO(3)"),
        ("log-pt-phi-eta-log-mass", "componentwise", "SO(2)_beam", "SO(2)_beam"),
    ],
)
def test_what_statistics_cost(name: str, standardise: str, plain: str, fitted: str) -> None:
    base = CoordinateBase(make_coordinates(name, standardise=standardise), Cuts())  # type: ignore[arg-type]
    assert base.symmetry.name == plain
    assert base.statistics_symmetry.name == fitted


def test_the_phase_space_base_states_what_linear_algebra_finds() -> None:
    base = made("phase-space", Cuts())
    assert base._measured_symmetry() == base.symmetry
    assert base._measured_symmetry().discrete == base.symmetry.discrete


def test_widths_follow_the_data() -> None:
    base = made("phase-space")
    assert isinstance(base, PhaseSpaceBase)
    p = data()
    log = torch.log(mass(p).square() - 1)
    wanted = torch.stack([pt(p).square().mean().div(2).sqrt(), log.mean(), log.std(unbiased=False)])
    torch.testing.assert_close(base.widths, wanted, rtol=1e-6, atol=1e-6)


def test_cuts_that_accept_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="accept only 0 % of the particles of the base"):
        made("phase-space", Cuts(pt_min=22_000.0))
    with pytest.raises(ValueError, match="accept only 0 % of the base's events of 2 particles"):
        made("phase-space", Cuts(delta_r_min=50.0))


@pytest.mark.parametrize("kind", ["phase-space", "coordinates"])
def test_a_leak_leaves_no_event_without_a_density(kind: str) -> None:
    """Of the mixture (1 - ε) cut + ε uncut: as many events violate the cut as it says, and it integrates to one."""
    leak, n, count = 0.3, 4, 20_000
    cut, free = made(kind), made(kind, Cuts(pt_min=22.0, eta_max=3.0, mass_min=1.0))
    mixed = copy.deepcopy(cut)
    mixed.leak = leak
    layout = Packed.from_lengths([n] * count)
    uncut = free.sample(layout, torch.Generator().manual_seed(1))
    outside = float((~CUTS.events(uncut, layout)).double().mean())
    momenta = mixed.sample(layout, torch.Generator().manual_seed(2))
    assert bool(CUTS.particles(momenta).all())
    wrong = float((~CUTS.events(momenta, layout)).double().mean())
    assert wrong == pytest.approx(leak * outside, abs=4 * math.sqrt(2 * leak * outside / count))
    log = mixed.log_prob(uncut, layout)
    assert bool(log.isfinite().all())
    ratio = (log - free.log_prob(uncut, layout)).exp()
    assert float(ratio.mean()) == pytest.approx(1.0, abs=4 * float(ratio.std()) / math.sqrt(count) + 0.005)
    with pytest.raises(ValueError, match="the leak is a part from 0 to below 1, not 1"):
        PhaseSpaceBase(cut.coordinates, CUTS, 1.0, leak=1.0)
