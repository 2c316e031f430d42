"""Points of phase space: volumes, mass shells, conservation, and maps there and back."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lorentzoo.densities import Cuts
from lorentzoo.nn import decay_momentum, delta_phi, mass, phi, pseudorapidity, pt
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.phase_space.decays import Decay, Scattering, kallen
from lorentzoo.plugins.amplitudes.phase_space.densities import (
    BreitWigner,
    Cauchy,
    Density,
    LogUniform,
    Uniform,
)
from lorentzoo.plugins.amplitudes.phase_space.points import draw_points, pass_cuts
from lorentzoo.plugins.amplitudes.phase_space.rambo import beam_momenta, massless_volume, rambo

DENSITIES = [Uniform(), LogUniform(), LogUniform(5.0), BreitWigner(91.2, 2.5), Cauchy(120.0, 15.0)]
SEEDS = st.integers(0, 10_000)
MASSES = st.lists(st.floats(0, 100), min_size=2, max_size=5)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def full(count: int, value: float) -> Tensor:
    return torch.full((count,), value, dtype=torch.float64)


def three_body_volume(energy: float, masses: tuple[float, float, float]) -> float:
    """∫ dM²/(2π) Φ₂(s; M, m₃) Φ₂(M²; m₁, m₂), by quadrature."""
    a, b, c = masses
    # Dense at both ends, where the integrand has square roots.
    edge = 0.5 - 0.5 * torch.cos(math.pi * torch.linspace(0, 1, 200_001, dtype=torch.float64))
    m = a + b + (energy - a - b - c) * (edge[1:] + edge[:-1]) / 2
    step = (energy - a - b - c) * edge.diff()
    first = decay_momentum(full(1, energy), m, full(1, c)) / (4 * math.pi * energy)
    second = decay_momentum(m, full(1, a), full(1, b)) / (4 * math.pi * m)
    return float((first * second * m / math.pi * step).sum())


def within(weights: Tensor, volume: float) -> bool:
    """Whether a mean of weights is a volume within four of its errors."""
    error = float(weights.std()) / len(weights) ** 0.5
    return abs(float(weights.mean()) - volume) <= 4 * error + 1e-9 * volume


@given(masses=MASSES, seed=SEEDS, excess=st.floats(1e-3, 10))
def test_rambo_conserves_and_is_on_shell(masses: list[float], seed: int, excess: float) -> None:
    energy = full(20, sum(masses) + excess * (10 + sum(masses)))
    momenta, weight = rambo(uniform(20, len(masses), 4, seed=seed), energy, masses)
    scale = float(energy[0])
    torch.testing.assert_close(beam_momenta(energy).sum(1), momenta.sum(1), rtol=0, atol=1e-12 * scale)
    shell = momenta[..., 0] - torch.hypot(
        torch.tensor(masses, dtype=torch.float64), momenta[..., 1:].norm(dim=-1)
    )
    assert float(shell.abs().max() / scale) < 1e-15
    assert bool((weight > 0).all())


def test_volumes_of_rambo() -> None:
    count, energy = 50_000, 500.0
    for masses in ((0.0, 0.0), (91.0, 40.0)):
        _, weight = rambo(uniform(100, 2, 4), full(100, energy), masses)
        root = math.sqrt(float(kallen(full(1, energy**2), full(1, masses[0] ** 2), full(1, masses[1] ** 2))))
        torch.testing.assert_close(weight, full(100, root / (8 * math.pi * energy**2)), rtol=1e-11, atol=0)
    for masses in ((91.0, 0.0, 0.0), (91.0, 50.0, 30.0)):
        _, weight = rambo(uniform(count, 3, 4), full(count, energy), masses)
        assert within(weight, three_body_volume(energy, masses))
    # s/(256 π³): the textbook's volume of three massless particles.
    torch.testing.assert_close(massless_volume(3, full(1, energy)), full(1, energy**2 / (256 * math.pi**3)))


@pytest.mark.parametrize(
    ("decay", "masses"),
    [
        (Decay(Decay(0.0, 0.0), 91.0), (0.0, 0.0, 91.0)),
        (Decay(Decay(91.0, 50.0, Cauchy(200.0, 60.0)), 30.0), (91.0, 50.0, 30.0)),
        (Decay(30.0, Decay(91.0, 50.0, BreitWigner(200.0, 60.0))), (91.0, 50.0, 30.0)),
        (Decay(Decay(0.0, 0.0, LogUniform(2.0)), 91.0), (0.0, 0.0, 91.0)),
    ],
)
def test_volumes_of_chains(decay: Decay, masses: tuple[float, float, float]) -> None:
    scattering = Scattering(decay, 500 - 1e-4, 500 + 1e-4)
    _, jacobian = scattering.to_momenta(uniform(100_000, scattering.dimension))
    assert within(jacobian / 2e-4, three_body_volume(500.0, masses))


def test_a_chain_of_four_has_the_volume_of_rambo() -> None:
    masses = (10.0, 20.0, 91.0, 30.0)
    scattering = Scattering(Decay(Decay(10.0, 20.0), Decay(91.0, 30.0, LogUniform())), 500 - 1e-4, 500 + 1e-4)
    _, jacobian = scattering.to_momenta(uniform(100_000, scattering.dimension))
    _, weight = rambo(uniform(100_000, 4, 4, seed=1), full(100_000, 500.0), masses)
    ratio = float(jacobian.mean()) / 2e-4 / float(weight.mean())
    error = math.hypot(*(float(w.std() / w.mean()) / len(w) ** 0.5 for w in (jacobian, weight)))
    assert abs(ratio - 1) < 4 * error


CHAINS = [
    Decay(0.0, 91.0),
    Decay(5.0, 5.0),
    Decay(Decay(40.0, 30.0, Cauchy(200.0, 30.0)), 20.0),
    Decay(Decay(10.0, 20.0), Decay(91.0, 30.0, BreitWigner(150.0, 20.0))),
    Decay(Decay(Decay(40.0, 30.0), 20.0), 10.0),
]


@given(seed=SEEDS, decay=st.sampled_from(CHAINS), density=st.sampled_from(DENSITIES))
def test_cube_to_momenta_and_back(seed: int, decay: Decay, density: Density) -> None:
    scattering = Scattering(decay, 250.0, 600.0, density)
    # Not on the faces, where angles and masses are not defined by momenta.
    u = 0.02 + 0.96 * uniform(20, scattering.dimension, seed=seed)
    momenta, jacobian = scattering.to_momenta(u)
    assert bool((jacobian > 0).all())
    torch.testing.assert_close(scattering.to_cube(momenta), u, rtol=0, atol=1e-12)
    again, _ = scattering.to_momenta(scattering.to_cube(momenta))
    assert float((again - momenta).abs().max()) < 1e-12 * 600
    torch.testing.assert_close(
        mass(momenta), torch.tensor(decay.masses).double().expand(20, -1), rtol=0, atol=1e-5
    )
    assert float(momenta.sum(1)[:, 1:].abs().max()) < 1e-10


@given(seed=SEEDS, density=st.sampled_from(DENSITIES), low=st.floats(1, 100), width=st.floats(1, 1000))
def test_densities_there_and_back_with_their_slopes(
    seed: int, density: Density, low: float, width: float
) -> None:
    u = uniform(20, seed=seed).requires_grad_()
    bounds = full(20, low), full(20, low + width)
    x, slope = density.draw(u, *bounds)
    assert bool(((x >= low) & (x <= low + width)).all())
    (derivative,) = torch.autograd.grad(x.sum(), u)
    torch.testing.assert_close(slope.detach(), derivative, rtol=1e-6, atol=0)
    torch.testing.assert_close(density.invert(x, *bounds).detach(), u.detach(), rtol=0, atol=1e-10)


def test_log_uniform_is_what_it_says() -> None:
    x, _ = LogUniform().draw(full(1, 0.5), full(1, 10.0), full(1, 1000.0))
    torch.testing.assert_close(x, full(1, 100.0))
    y = uniform(50)
    found = LogUniform(3.0).invert(y, full(50, 0.0), full(50, 1.0))
    torch.testing.assert_close(found, torch.log(1 + y * (math.e**3 - 1)) / 3)


CUTS = Cuts(pt_min=20, eta_max=5, delta_r_min=0.4)


def test_points_pass_the_cuts() -> None:
    points = draw_points((91.188, 0.0, 0.0), 500, torch.Generator().manual_seed(3), cuts=CUTS)
    outgoing = points.momenta[:, 2:]
    assert points.tried > 500
    assert float(pt(outgoing).min()) > 20
    assert float(pseudorapidity(outgoing).abs().max()) < 5
    for i, j in ((0, 1), (0, 2), (1, 2)):
        a, b = outgoing[:, i], outgoing[:, j]
        distance = torch.hypot(pseudorapidity(a) - pseudorapidity(b), delta_phi(phi(a), phi(b)))
        assert float(distance.min()) > 0.4
    assert bool(pass_cuts(points.momenta, CUTS).all())
    again = draw_points((91.188, 0.0, 0.0), 500, torch.Generator().manual_seed(3), cuts=CUTS)
    assert torch.equal(again.momenta, points.momenta)
    assert torch.equal(again.weight, points.weight)


@pytest.mark.parametrize("density", [Uniform(), LogUniform()])
def test_weights_of_points_integrate(density: Density) -> None:
    # A cut on one angle of two bodies is a known part of the volume 1/(8π), and any density gives the same integral.
    cuts = Cuts(eta_max=1.0)
    points = draw_points(
        (0.0, 0.0), 20_000, torch.Generator().manual_seed(0), low=100, high=300, density=density, cuts=cuts
    )
    wanted = 200 / (8 * math.pi) * math.tanh(1.0)
    share = 20_000 / points.tried
    error = wanted * (1 / 20_000 + float((points.weight.std() / points.weight.mean()) ** 2) / 20_000) ** 0.5
    assert abs(float(points.weight.mean()) * share - wanted) < 4 * error


def test_cuts_that_leave_nothing_are_named() -> None:
    rng = torch.Generator()
    with pytest.raises(AmplitudeError, match=r"only 0 of .* points .* pass Cuts\(pt_min=200"):
        draw_points((0.0, 0.0), 5, rng, low=100, high=200, cuts=Cuts(pt_min=200))
    with pytest.raises(AmplitudeError, match="above the masses, 91 GeV: 90, 200 given"):
        draw_points((91.0, 0.0), 5, rng, low=90, high=200)


def test_bad_settings_are_named() -> None:
    with pytest.raises(AmplitudeError, match=r"energy of 90 GeV does not reach the masses \[91.0, 0.0\]"):
        rambo(uniform(1, 2, 4), full(1, 90.0), [91.0, 0.0])
    with pytest.raises(AmplitudeError, match=r"random numbers \(B, n, 4\)"):
        rambo(uniform(1, 3, 4), full(1, 90.0), [0.0, 0.0])
    with pytest.raises(AmplitudeError, match="must rise and lie above the masses, 91 GeV: 90, 100 given"):
        Scattering(Decay(91.0, 0.0), 90.0, 100.0)
    with pytest.raises(AmplitudeError, match=r"points need 3 coordinates, shape \(B, 3\), not \(1, 4\)"):
        Scattering(Decay(0.0, 0.0), 90.0, 100.0).to_momenta(uniform(1, 4))
    with pytest.raises(AmplitudeError, match="needs a power"):
        Scattering(Decay(Decay(0.0, 0.0, LogUniform()), 0.0), 90.0, 100.0).to_momenta(uniform(1, 6))
    with pytest.raises(AmplitudeError, match="power of a log-uniform density must be positive, not -1"):
        LogUniform(-1)
    with pytest.raises(AmplitudeError, match="BreitWigner: width must be positive, not 0"):
        BreitWigner(91.2, 0)
