"""Events as chains of decays: there and back, Jacobians, and what the numbers are."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lorentzoo.core.minkowski import boost, from_ptetaphim, mass, rotation
from lorentzoo.densities import DecayChains

PAIR = [[0, 1]]
TOPS = [[[1, 2], 0], [[4, 5], 3]]


@st.composite
def chains(draw: st.DrawFn) -> list[Any]:
    """Any forest of binary trees over up to six particles."""
    parts: list[Any] = draw(st.permutations(range(draw(st.integers(1, 6)))))
    for _ in range(draw(st.integers(0, len(parts) - 1))):
        place = draw(st.integers(0, len(parts) - 2))
        parts = [*parts[:place], [parts[place], parts[place + 1]], *parts[place + 2 :]]
    return parts


def events(count: int, num_particles: int, seed: int = 0) -> Tensor:
    """Momenta (B, N, 4) of massive particles in all directions."""
    rng = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, num_particles, generator=rng, dtype=torch.float64)

    return from_ptetaphim(uniform(10, 200), uniform(-3, 3), uniform(-3.1, 3.1), uniform(2, 30))


@settings(max_examples=30, deadline=None)
@given(chains(), st.integers(0, 1000))
def test_numbers_lead_back_to_momenta(forest: list[Any], seed: int) -> None:
    coordinates = DecayChains(forest, mass_min=1.0)
    momenta = events(5, coordinates.num_particles, seed)
    numbers, _ = coordinates(momenta)
    assert numbers.shape == (5, coordinates.dim) == (5, 4 * coordinates.num_particles)
    assert len(coordinates.names) == len(set(coordinates.names)) == coordinates.dim
    torch.testing.assert_close(coordinates.inverse(numbers), momenta, rtol=1e-9, atol=1e-8)


@settings(max_examples=15, deadline=None)
@given(chains(), st.integers(0, 1000))
def test_log_det_is_that_of_the_dense_jacobian(forest: list[Any], seed: int) -> None:
    coordinates = DecayChains(forest, mass_min=0.5)
    momenta = events(1, coordinates.num_particles, seed)

    def flat(p: Tensor) -> Tensor:
        numbers: Tensor = coordinates(p.view(1, -1, 4))[0]
        return numbers[0]

    dense = torch.linalg.slogdet(torch.autograd.functional.jacobian(flat, momenta.flatten()))[1]
    assert float(dense) == pytest.approx(float(coordinates(momenta)[1]), abs=1e-7)


@settings(max_examples=20, deadline=None)
@given(chains(), st.floats(-3, 3), st.floats(-2, 2))
def test_turns_and_boosts_along_the_beam_change_azimuths_and_rapidities_alone(
    forest: list[Any], angle: float, rapidity: float
) -> None:
    coordinates = DecayChains(forest)
    momenta = events(4, coordinates.num_particles, 3)
    numbers, log_det = coordinates(momenta)
    turn = rotation([0, 0, 1], angle)
    turned, _ = coordinates(momenta @ turn.T)
    along, boosted_log_det = coordinates(momenta @ boost([0, 0, 1], rapidity).T)
    lab = torch.zeros(coordinates.dim, dtype=torch.bool)
    lab[coordinates.azimuths] = True
    torch.testing.assert_close(turned[:, ~lab], numbers[:, ~lab], rtol=0, atol=1e-8)
    change = torch.remainder(turned - numbers - angle + math.pi, 2 * math.pi) - math.pi
    torch.testing.assert_close(change[:, lab], torch.zeros_like(change[:, lab]), rtol=0, atol=1e-8)
    shift = torch.zeros_like(numbers)
    shift[:, [i - 1 for i in coordinates.azimuths]] = rapidity
    # Axes of rest frames turn with a boost, the masses and the transverse momenta do not change.
    same = [
        i
        for i, name in enumerate(coordinates.names)
        if name.startswith(("log_", "rapidity")) and "in" not in name
    ]
    torch.testing.assert_close((along - shift)[:, same], numbers[:, same], rtol=0, atol=1e-8)
    if not any(isinstance(part, list) for part in forest):
        torch.testing.assert_close(boosted_log_det, log_det, rtol=0, atol=1e-8)


def test_resonances_are_single_numbers() -> None:
    coordinates = DecayChains(TOPS, mass_min=1.0)
    momenta = events(10, 6)
    numbers = dict(zip(coordinates.names, coordinates(momenta)[0].unbind(-1), strict=True))
    pair, top = momenta[:, [4, 5]].sum(1), momenta[:, [3, 4, 5]].sum(1)
    parts = mass(momenta)
    torch.testing.assert_close(
        numbers["log_excess(4+5)"].exp(), mass(pair) - parts[:, 4] - parts[:, 5], rtol=1e-9, atol=1e-9
    )
    torch.testing.assert_close(
        numbers["log_excess(4+5+3)"].exp(), mass(top) - mass(pair) - parts[:, 3], rtol=1e-9, atol=1e-9
    )
    torch.testing.assert_close(numbers["log_mass2(3)"].exp() + 1, parts[:, 3].square())


def test_decay_angles_are_those_of_the_rest_frame() -> None:
    """Against the invariant form: cos θ* of a decay of a system of momentum P, flying along z before, from energies."""
    coordinates = DecayChains(PAIR)
    momenta = events(20, 2)
    numbers = coordinates(momenta)[0]
    total, first = momenta.sum(1), momenta[:, 0]
    size = mass(total)
    at_rest = (total[:, 0] * first[:, 0] - (total[:, 1:] * first[:, 1:]).sum(-1)) / size
    star = (at_rest.square() - mass(first).square()).sqrt()
    gamma, speed = total[:, 0] / size, total[:, 1:].norm(dim=-1) / size
    cosine = (first[:, 0] - gamma * at_rest) / (speed * star)
    place = coordinates.names.index("eta(0 in 0+1)")
    torch.testing.assert_close(numbers[:, place].tanh(), cosine, rtol=1e-8, atol=1e-8)


def test_particles_below_the_bound_or_back_in_time_are_outside() -> None:
    coordinates = DecayChains(PAIR, mass_min=5.0)
    momenta = from_ptetaphim(*(torch.full((4, 2), v, dtype=torch.float64) for v in (30.0, 0.3, 1.0, 6.0)))
    momenta[1, 0] = from_ptetaphim(*torch.tensor([30.0, 0.1, 1.0, 4.0], dtype=torch.float64))
    momenta[2, 1, 0] *= -1
    assert coordinates.inside(momenta).tolist() == [True, False, False, True]
    assert bool(torch.isfinite(coordinates(momenta)[0]).all())


def test_no_events_are_no_numbers() -> None:
    coordinates = DecayChains(TOPS)
    numbers, log_det = coordinates(torch.zeros(0, 6, 4, dtype=torch.float64))
    assert numbers.shape == (0, 24)
    assert log_det.shape == (0,)
    assert coordinates.inverse(numbers).shape == (0, 6, 4)


@pytest.mark.parametrize(
    ("forest", "words"),
    [
        ([[[1, 2], 0, 3]], "a pair of chains, not \\[\\[1, 2\\], 0, 3\\]"),
        ([[0, 1], [1, 2]], "name the particles \\[0, 1, 1, 2\\]: each of 0 to 3 must come once"),
        ([[0, 2]], "name the particles \\[0, 2\\]"),
        ([], "chains is a list with a chain for each system"),
        ("01", "chains is a list with a chain for each system"),
        ([["0", 1]], "the number of a particle or a pair of chains, not '0'"),
        ([[0, True]], "the number of a particle or a pair of chains, not True"),
    ],
)
def test_wrong_chains_are_named(forest: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DecayChains(forest)


def test_wrong_masses_are_named() -> None:
    with pytest.raises(ValueError, match="mass_min must be positive or zero, not -1"):
        DecayChains(PAIR, mass_min=-1)
