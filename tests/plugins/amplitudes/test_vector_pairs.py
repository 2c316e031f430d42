"""Functions of two, four and eight coordinates: what they are, and that networks on coordinates read them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import lorentzoo as lz
from lorentzoo.nn import LorentzooError, inner, mass, mass_squared
from lorentzoo.plugins.amplitudes.data.vector_pairs import COORDINATES
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.phase_space.densities import Cauchy, LogUniform, Uniform, Within
from lorentzoo.plugins.amplitudes.truth.lightcone import contract, spinor, to_lightcone
from lorentzoo.plugins.amplitudes.truth.vector_pairs import decay_current, pair_helicity_amplitudes
from lorentzoo.studies import train_model
from lorentzoo.testing import check_dataset

DIMENSIONS = (2, 4, 8)
Z_MASS = 91.188


def load(dimensions: int, num_events: int = 50, **settings: object) -> lz.JetDataset:
    return lz.load_dataset("vector-pairs", dimensions=dimensions, num_events=num_events, **settings)


def momenta_of(data: lz.JetDataset) -> Tensor:
    return data.momenta.unflatten(0, (len(data), -1))


def bosons_of(data: lz.JetDataset) -> Tensor:
    """Momenta of both bosons, (B, 2, 4)."""
    outgoing = momenta_of(data)[:, 2:]
    return outgoing if outgoing.shape[1] == 2 else outgoing.unflatten(1, (2, 2)).sum(2)


@pytest.mark.parametrize("dimensions", DIMENSIONS)
@pytest.mark.parametrize("target", ["squared", "amplitude"])
def test_the_data_set_keeps_what_others_rely_on(dimensions: int, target: str) -> None:
    data = load(dimensions, target=target, weights="phase-space")
    check_dataset(data).raise_if_failed()
    assert data.context_names == COORDINATES[:dimensions]
    assert data.num_targets == (2 if (dimensions, target) == (8, "amplitude") else 1)
    assert float(data.weight.mean()) == pytest.approx(1.0)
    assert ("amplitudes" in data.tasks) == (target == "squared")
    momenta = momenta_of(data)
    assert float((momenta[:, :2].sum(1) - momenta[:, 2:].sum(1)).abs().max()) < 1e-9


@given(seed=st.integers(0, 1000), density=st.sampled_from(["uniform", "cauchy"]))
def test_coordinates_are_those_of_the_momenta(seed: int, density: str) -> None:
    data = load(4, 20, seed=seed, mass_density=density, sqrt_s_min=300, sqrt_s_max=900, cos_theta_max=0.9)
    momenta, bosons = momenta_of(data), bosons_of(data)
    place = data.context.double()
    root = momenta[:, :2, 0].sum(1)
    expected = 300 * (900 / 300) ** ((place[:, 0] + 1) / 2)
    torch.testing.assert_close(root, expected, rtol=1e-6, atol=0)
    cos = bosons[:, 0, 3] / bosons[:, 0, 1:].norm(dim=-1)
    torch.testing.assert_close(cos, 0.9 * place[:, 1], rtol=0, atol=1e-6)
    masses = mass(bosons)
    assert bool(((masses > 60 - 1e-9) & (masses < 120 + 1e-9)).all())
    if density == "uniform":
        torch.testing.assert_close(masses, 90 + 30 * place[:, 2:4], rtol=1e-6, atol=0)
    # A heavier boson is one with a larger coordinate, whatever the density.
    for boson in range(2):
        assert torch.equal(masses[:, boson].argsort(), place[:, 2 + boson].argsort())


@pytest.mark.parametrize("dimensions", [2, 4])
def test_squares_are_those_of_the_literature(dimensions: int) -> None:
    """Σ|A|² of Phys. Rev. D 19 (1979) 922, with bosons of any mass."""
    data = load(dimensions)
    momenta = momenta_of(data)
    s = mass_squared(momenta[:, :2].sum(1))
    t, u = (mass_squared(momenta[:, 0] - momenta[:, place]) for place in (2, 3))
    first, second = mass_squared(momenta[:, 2]), mass_squared(momenta[:, 3])
    known = t / u + u / t + 2 * s * (first + second) / (t * u) - first * second * (1 / t**2 + 1 / u**2)
    ratio = data.target / known
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-9, atol=0)
    if dimensions == 2:
        torch.testing.assert_close(first, torch.full_like(first, Z_MASS**2), rtol=1e-9, atol=0)


@pytest.mark.parametrize("dimensions", [2, 4])
def test_helicity_amplitudes_are_real_and_add_up(dimensions: int) -> None:
    settings = {"target": "amplitude"}
    summed = sum(
        load(dimensions, helicities=first + second, **settings).target ** 2
        for first in "-0+"
        for second in "-0+"
    )
    # Both handednesses of the line have the same sum.
    torch.testing.assert_close(2 * summed, load(dimensions).target, rtol=1e-9, atol=0)
    amplitudes = pair_helicity_amplitudes(momenta_of(load(dimensions)))
    assert float(amplitudes.imag.abs().max() / amplitudes.abs().max()) < 1e-9


def test_decays_averaged_over_angles_are_the_pair() -> None:
    """With unit couplings the average of a current's L L* is (2/3) m² (-g + k k/m²)."""
    data = load(4, 3)
    momenta = momenta_of(data)
    nodes, rule = np.polynomial.legendre.leggauss(4)
    cos, phi = torch.meshgrid(
        torch.from_numpy(nodes), torch.arange(5, dtype=torch.float64) * 2 * torch.pi / 5, indexing="ij"
    )
    share = torch.from_numpy(rule / 2)[:, None].expand_as(cos).flatten() / 5
    averages = []
    for boson in range(2):
        k = momenta[:, 2 + boson].repeat_interleave(cos.numel(), 0)
        current = decay_current(k, cos.flatten().repeat(3), phi.flatten().repeat(3)).unflatten(1, (3, -1))
        averages.append(torch.einsum("abn,cbn,n->bac", current, current.conj(), share.to(current.dtype)))
        metric = torch.zeros(4, 4, dtype=torch.complex128)
        metric[0, 1] = metric[1, 0] = 2
        metric[2, 2] = metric[3, 3] = -2
        k3 = to_lightcone(momenta[:, 2 + boson])
        m2 = mass_squared(momenta[:, 2 + boson])
        outer = torch.einsum("ab,cb->bac", k3, k3.conj())
        expected = 2 / 3 * m2[:, None, None] * (outer / m2[:, None, None] - metric)
        torch.testing.assert_close(averages[-1], expected, rtol=1e-9, atol=1e-7)


@given(seed=st.integers(0, 1000))
def test_currents_are_those_of_left_handed_pairs(seed: int) -> None:
    data = load(8, 5, seed=seed)
    momenta, bosons, place = momenta_of(data), bosons_of(data), data.context.double()
    for boson in range(2):
        pair = momenta[:, 2 + 2 * boson], momenta[:, 3 + 2 * boson]
        cos, phi = place[:, 4 + 2 * boson], torch.pi * (place[:, 5 + 2 * boson] + 1)
        current = decay_current(bosons[:, boson], cos, phi)
        along = contract(to_lightcone(bosons[:, boson]), current).abs()
        assert float((along / mass_squared(bosons[:, boson])).max()) < 1e-9
        # σ̄ between spinors, which fixes it but for a phase; coordinates are kept in single precision.
        a, b = spinor(pair[0]).conj(), spinor(pair[1])
        known = torch.stack([2 * a[1] * b[1], 2 * a[0] * b[0], -2 * a[0] * b[1], -2 * a[1] * b[0]])
        # Components x + iy and x - iy change places in the conjugate vector; |L·L*| = 2 m².
        overlap = contract(known.conj()[[0, 1, 3, 2]], current).abs()
        torch.testing.assert_close(overlap, 4 * inner(*pair), rtol=1e-5, atol=0)


def test_squares_with_decays_are_those_of_amplitudes() -> None:
    squared, amplitude = load(8), load(8, target="amplitude")
    assert amplitude.target_names == ("real", "imaginary")
    assert amplitude.target_units == ("GeV^2",) * 2
    assert squared.target_units == ("GeV^4",)
    # The other handedness of the quark adds to the left-handed one.
    assert bool((squared.target > (amplitude.target**2).sum(1)).all())


def test_azimuths_leave_no_seam() -> None:
    """Amplitudes at azimuths of 0 and of 2π, and with particles that turn backwards, are neighbours."""
    k = momenta_of(load(4, 200))[:, 2]
    cos = torch.linspace(-0.99, 0.99, 200, dtype=torch.float64)
    for low, high in (
        (torch.zeros(200), torch.full((200,), 2 * torch.pi)),
        (torch.ones(200), torch.ones(200)),
    ):
        before = decay_current(k[:1].expand_as(k), cos, low.double())
        after = decay_current(k[:1].expand_as(k), cos, high.double())
        torch.testing.assert_close(before, after, rtol=1e-5, atol=1e-3)
    steps = decay_current(k[:1].expand_as(k), cos, torch.ones(200, dtype=torch.float64)).diff(dim=1).abs()
    assert float(steps.max()) < 0.15 * float(mass(k[:1])) * float(k[0, 0] / mass(k[:1]))


@given(
    u=st.floats(0, 1),
    low=st.floats(0, 100),
    density=st.sampled_from([Uniform(), LogUniform(power=2.0), Cauchy(91, 2.5)]),
)
def test_densities_within_bounds(u: float, low: float, density: object) -> None:
    within = Within(density, 60.0, 120.0)  # type: ignore[arg-type]
    bounds = torch.tensor([low], dtype=torch.float64), torch.tensor([110.0], dtype=torch.float64)
    x, slope = within.draw(torch.tensor([u], dtype=torch.float64), *bounds)
    assert max(60.0, low) - 1e-9 <= float(x) <= 110 + 1e-9
    assert float(slope) > 0
    assert float(within.invert(x, *bounds)) == pytest.approx(u, abs=1e-9)


def test_weights_are_jacobians() -> None:
    """The mean over points of weight times a function is its integral: here of the momentum of decay."""
    plain, weighted = load(2, 20_000), load(2, 20_000, weights="phase-space")
    root = momenta_of(plain)[:, :2, 0].sum(1)
    # d√s dΦ₂ is uniform in ln √s times √s p*/√s.
    expected = torch.sqrt(root**2 / 4 - Z_MASS**2)
    torch.testing.assert_close(weighted.weight, expected / expected.mean(), rtol=1e-9, atol=0)
    assert bool((plain.weight == 1).all())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_events": 0}, "num_events must be from 1 to"),
        ({"helicities": "-"}, "helicities are two of '-0\\+'"),
        ({"helicities": "-x"}, "not '-x'"),
        ({"cos_theta_max": 1.1}, "cos_theta_max must be positive and at most 1, not 1.1"),
        ({"dimensions": 4, "mass_min": 0}, "masses of bosons must be positive"),
        ({"dimensions": 4, "mass_min": 130}, "their bounds rise: 130 and 120 GeV"),
        (
            {"dimensions": 8, "sqrt_s_min": 200},
            "up to 120 GeV need more than sqrt_s_min=200 GeV; raise it, or",
        ),
        ({"sqrt_s_min": 180}, "up to 91.188 GeV need more than sqrt_s_min=180 GeV; raise it$"),
        ({"sqrt_s_min": 600, "sqrt_s_max": 500}, "bounds of √s must rise"),
    ],
)
def test_settings_without_a_meaning(settings: dict[str, object], message: str) -> None:
    with pytest.raises(AmplitudeError, match=message):
        load(**{"dimensions": 2, **settings})  # type: ignore[arg-type]


def test_other_dimensions_are_refused() -> None:
    with pytest.raises(LorentzooError, match="dimensions"):
        load(3)


@pytest.mark.parametrize("model", ["sk-dnn", "amplitude-bdt"])
def test_networks_read_coordinates(model: str) -> None:
    """Coordinates say most of the target; √s, which is all that the incoming particles say, does not."""
    found = []
    for reads in (True, False):
        backbone = {"num_particles": 2, "order": "input", "read_scalars": reads}
        spec = {
            "model": model,
            "backbone": backbone | ({"masses": False} if model == "amplitude-bdt" else {}),
        }
        if model == "amplitude-bdt":
            spec["head"] = {"num_trees": 50}
        run = train_model(
            spec,
            dataset="vector-pairs:num_events=3000",
            config={"max_steps": 100, "learning_rate": 1e-2, "batch_size": 128},
            test={"times": False},
            task="amplitudes",
            progress=False,
        )
        found.append(run.metrics["log_mse"])
    assert found[0] < 0.1 < 0.7 < found[1], found
