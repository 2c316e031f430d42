"""Is a spline flow of events a density of events: composed, fitted, drawn from, evaluated, saved?"""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError, DensityWarning, NotFittedError
from lorentzoo.core.minkowski import from_ptetaphim, phi, pt, rotation
from lorentzoo.densities import COORDINATES
from lorentzoo.plugins.flows.generator import RationalQuadraticFlow
from lorentzoo.verification import training_events

BOUNDS = {"pt_min": 22.0, "mass_min": 1.0, "eta_max": 5.0}
SMALL = {"num_particles": 3, "hidden": [32, 32], "num_transforms": 4}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def composed(in_scalars: int = 0, in_context: int = 0, **parameters: Any) -> RationalQuadraticFlow:
    torch.manual_seed(0)
    made = lz.compose(
        generator={"name": "rqs-flow", **SMALL, **BOUNDS, **parameters},
        in_scalars=in_scalars,
        in_context=in_context,
    )
    assert isinstance(made, RationalQuadraticFlow)
    return made


def fitted(in_scalars: int = 0, in_context: int = 0, **parameters: Any) -> RationalQuadraticFlow:
    made = composed(in_scalars, in_context, **parameters)
    made.fit_statistics([training_events(made, 400)])
    return made


@pytest.mark.parametrize("backend", ["zuko", "nflows"])
@pytest.mark.parametrize("transform", ["coupling", "autoregressive"])
def test_there_and_back_and_saved(backend: str, transform: str, tmp_path: Path) -> None:
    made = fitted(3, 2, backend=backend, transform=transform)
    condition = training_events(made, 20).cloud
    cloud, density = made.sample_with_log_prob(20, condition, rng=rng())
    assert bool((pt(cloud.momenta) > 22).all())
    assert bool(torch.isfinite(density).all())
    loaded = lz.load(lz.save(made, tmp_path / "model"))
    assert isinstance(loaded, RationalQuadraticFlow)
    assert torch.equal(loaded.log_prob(cloud), density)
    assert torch.equal(loaded.sample(20, condition, rng=rng()).momenta, cloud.momenta)


@pytest.mark.parametrize("coordinates", COORDINATES)
def test_densities_of_unphysical_momenta_are_warned_of(coordinates: str) -> None:
    """What lies outside physical numbers is what the integral over physical momenta lacks to one."""
    shell = {"mass": 5.0} if coordinates.startswith("on-shell") else {}
    bounds = dict.fromkeys(("pt_min", "mass_min"), 0.0) | {"eta_max": math.inf}
    parameters: dict[str, Any] = {"num_particles": 2, "coordinates": coordinates, **bounds, **shell}
    whole = coordinates in ("cartesian-log-mass", "on-shell-cartesian") or "log-pt" in coordinates
    with contextlib.nullcontext() if whole else pytest.warns(DensityWarning, match="that no momentum has"):
        made = composed(**parameters)
    batch = training_events(made, 400)
    if shell:
        three = batch.cloud.momenta[:, 1:]
        momenta = torch.cat([(three.square().sum(-1, keepdim=True) + 25).sqrt(), three], dim=-1)
        batch = replace(batch, cloud=replace(batch.cloud, momenta=momenta))
    made.fit_statistics([batch])
    given = torch.zeros(2000, 0, dtype=torch.float64)
    with torch.no_grad():
        numbers = made.flow.transported(made.flow.base(2000, rng()), given)
    raw = made.coordinates.steps[-1].inverse(numbers.unflatten(-1, (2, -1)))
    values = dict(zip(made.coordinates.names, raw.unbind(-1), strict=True))
    physical = torch.ones(2000, 2, dtype=torch.bool)
    for name in ("pt", "mass2"):
        physical &= values.get(name, torch.ones(())) > 0
    if "e" in values:
        physical &= values["e"] > raw[..., 1:].norm(dim=-1)
    share = float(physical.double().mean())
    assert (share == 1.0) if whole else share < 0.99


@pytest.mark.parametrize("coordinates", ["log-pt-phi-eta-log-mass", "on-shell-log-pt-phi-eta"])
def test_the_measure_is_invariant(coordinates: str) -> None:
    """E[u/q] over draws of q is the volume that u covers, with the density u of another measure known exactly."""
    shell = coordinates.startswith("on-shell")
    bounds: dict[str, Any] = {"mass": 5.0, "mass_min": 0.0} if shell else {}
    made = composed(num_particles=1, coordinates=coordinates, eta_max=3.0, **bounds)
    n = 40_000
    u = torch.rand(n, 4, generator=rng(1), dtype=torch.float64)
    lower = torch.tensor([22.0, -math.pi, -3.0, math.log(1.5)]).double()
    upper = torch.tensor([150.0, math.pi, 3.0, math.log(30.0)]).double()
    box = lower + (upper - lower) * u
    m = torch.full_like(box[:, 3], 5.0) if shell else box[:, 3].exp()
    momenta = from_ptetaphim(box[:, 0], box[:, 2], box[:, 1], m)
    cloud = lz.ParticleCloud.from_packed(momenta, torch.arange(n + 1))
    batch = lz.Batch(cloud, torch.zeros(n), torch.ones(n), torch.arange(n))
    made.fit_statistics([batch])
    # d³p/2E = pT² cosh η dpT dφ dη / 2E, and d⁴p = d³p/2E dm² with dm² = 2 m² d ln m.
    log_u = -(upper - lower)[: 3 if shell else 4].log().sum() + torch.log(2 * momenta[:, 0])
    log_u = log_u - 2 * box[:, 0].log() - box[:, 2].cosh().log()
    log_u = log_u if shell else log_u - torch.log(2 * m.square())
    ratio = torch.exp(made.log_prob(cloud) - log_u)
    # The flow has a little of its density outside of the box, which draws of it count.
    drawn = made.sample(n, rng=rng(2)).momenta
    mass = (drawn[:, 0].square() - drawn[:, 1:].square().sum(-1)).clamp(min=0).sqrt()
    inside = (pt(drawn) < 150) & (shell | ((mass > 1.5) & (mass < 30)))
    error = float(ratio.std()) / math.sqrt(n)
    assert error < 0.02
    assert float(ratio.mean()) == pytest.approx(float(inside.double().mean()), abs=4 * error + 0.01)


@pytest.mark.parametrize("momentum_layers", [False, True])
def test_relative_azimuths_make_densities_invariant_about_the_beam(
    momentum_layers: bool, tmp_path: Path
) -> None:
    made = fitted(1, relative_azimuths=True, momentum_layers=momentum_layers)
    condition = training_events(made, 300).cloud
    cloud, density = made.sample_with_log_prob(300, condition, rng=rng())
    turn = rotation([0.0, 0.0, 1.0], 2.1)
    turned = replace(cloud, momenta=cloud.momenta @ turn.T)
    torch.testing.assert_close(made.log_prob(turned), density, rtol=1e-5, atol=1e-4)
    assert made.symmetry == lz.Symmetry.spanned_by("Jz")
    tilted = replace(cloud, momenta=cloud.momenta @ rotation([1.0, 0.0, 0.0], 0.1).T)
    assert float((made.log_prob(tilted) - density).abs().max()) > 1e-2
    # Azimuths of all particles are uniform.
    azimuths = phi(cloud.momenta).unflatten(0, (-1, 3))
    for moment in (azimuths.cos().mean(0), azimuths.sin().mean(0)):
        assert float(moment.abs().max()) < 4 / math.sqrt(2 * 300)
    loaded = lz.load(lz.save(made, tmp_path / "model"))
    assert torch.equal(loaded.sample(300, condition, rng=rng()).momenta, cloud.momenta)


def test_relative_azimuths_leave_densities_normalised() -> None:
    """E[u/q] over draws of q is one, for a density u of two particles that is known and lies within q."""
    made = fitted(num_particles=2, relative_azimuths=True, momentum_layers=True)
    plain = fitted(num_particles=2)
    n = 20_000
    cloud, density = made.sample_with_log_prob(n, rng=rng())
    ratio = torch.exp(plain.log_prob(cloud) - density)
    assert float(ratio.mean()) == pytest.approx(1, abs=5 * float(ratio.std()) / math.sqrt(n) + 0.02)


def test_training_lowers_the_loss_and_draws_like_the_data() -> None:
    made = fitted()
    batch = training_events(made, 4000)
    optimiser = torch.optim.Adam(made.parameters(), 3e-3)
    first = float(made.loss(batch.cloud).detach())
    for step in range(150):
        loss = made.loss(batch.cloud.select(torch.arange(4000) % 8 == step % 8))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < first - 1.0
    drawn = pt(made.sample(4000, rng=rng()).momenta)
    wanted = pt(batch.cloud.momenta)
    quantiles = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    torch.testing.assert_close(drawn.quantile(quantiles), wanted.quantile(quantiles), rtol=0.12, atol=0)


def test_outside_there_is_no_density() -> None:
    made = fitted()
    cloud = made.sample(3, rng=rng())
    momenta = cloud.momenta.clone()
    momenta[4] = from_ptetaphim(*(torch.tensor(v).double() for v in (21.0, 0.3, 0.1, 5.0)))
    found = made.log_prob(lz.ParticleCloud.from_packed(momenta, 3 * torch.arange(4)))
    assert torch.isinf(found).tolist() == [False, True, False]


def test_bounded_tails_name_what_lies_outside() -> None:
    made = composed(tails="bounded", bound=2.0)
    with pytest.raises(
        ValueError,
        match=r"% of the training events have a standardised \w+ of particle [012] outside the splines' domain: the "
        r"worst is -?\d+\.\d+, the bound ±2; raise bound",
    ):
        made.fit_statistics([training_events(made, 400)])
    wide = fitted(tails="bounded", bound=9.0)
    assert bool(torch.isfinite(wide.log_prob(training_events(wide, 50).cloud)).all())


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="made for in_context=0, but the cloud has 2"):
        fitted().log_prob(training_events(composed(0, 2), 3).cloud)
    with pytest.raises(
        ValueError, match="of num_particles=3, but event 0 has 2; splines have no density of other"
    ):
        fitted().log_prob(training_events(composed(num_particles=2), 3).cloud)
    with pytest.raises(
        ValueError, match="relative_azimuths need coordinates with an azimuth, not e, px, py, pz"
    ):
        composed(coordinates="momenta", relative_azimuths=True, pt_min=0.0, mass_min=0.0, eta_max=math.inf)
    with pytest.raises(NotFittedError):
        composed().log_prob(training_events(composed(), 3).cloud)
    with pytest.raises(CompositionError, match="takes its backbone as a parameter"):
        lz.compose(generator={"name": "rqs-flow", **SMALL}, backbone="transformer")
