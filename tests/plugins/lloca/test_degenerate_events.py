"""Events in which directions are undefined, and networks that hold frames of them."""

from __future__ import annotations

import copy

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.minkowski import exp
from lorentzoo.verification import fit_if_needed, redraw_weights

JETS = lz.load_dataset("toptag", num_jets=60, max_constituents=20).batch(range(60)).cloud
PRESETS = [
    "lloca-transformer-arch-so2",
    "lloca-transformer-arch-so3",
    "lloca-transformer-arch-beam",
    "lloca-transformer",
]


def fitted(model: lz.Model) -> lz.Model:
    fit_if_needed(model, JETS)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", PRESETS)
def test_gradients_of_collinear_massless_particles_are_bounded(name: str, dtype: torch.dtype) -> None:
    """Such an event has no rest frame: messages between its particles must not be seen from one."""
    model = fitted(lz.create_model(name)).to(dtype)
    rng = torch.Generator().manual_seed(0)
    for number in range(12):
        direction = torch.nn.functional.normalize(torch.randn(3, generator=rng, dtype=torch.float64), dim=0)
        energies = 0.1 + 100 * torch.rand(2 + number % 3, 1, generator=rng, dtype=torch.float64)
        cloud = lz.ParticleCloud.from_list([torch.cat([energies, energies * direction], dim=1)])
        model.zero_grad()
        output = model(cloud)
        assert torch.isfinite(output).all()
        output.sum().backward()
        largest = max(float(p.grad.abs().max()) for p in model.parameters() if p.grad is not None)
        assert largest < 100


@pytest.mark.parametrize("name", PRESETS[:3])
def test_float32_has_no_tail_on_fast_events(name: str) -> None:
    model = fitted(lz.create_model(name)).double().eval()
    redraw_weights(model)
    single = copy.deepcopy(model).float()
    # γ = 10, off the beam.
    element = exp(3.0 * torch.tensor([1 / 3, 2 / 3, 2 / 3, 0, 0, 0], dtype=torch.float64))
    for cloud in (JETS, JETS.transform(element)):
        with torch.no_grad():
            want, got = model(cloud), single(cloud).double()
        assert float((got - want).abs().max() / want.abs().max()) < 5e-6


@pytest.mark.parametrize("frames", ["lloca-rest:is_global=true", "lloca-rest", "lloca-polar:is_global=true"])
def test_what_is_at_rest_has_no_direction(frames: str) -> None:
    """Δφ, Δη and log pT relative to a total at rest were rounding; light particles were capped by their lab speed."""
    model = lz.compose(frames=frames, embedding="kinematics", backbone="deep-sets:hidden=[8]")
    result = lz.verify(model, JETS.select(torch.arange(8)), rapidities=(1.0, 3.0))
    assert result.passed, str(result)
    assert result.measured.is_full
    assert (result.curve.kept["float64"] < 1e-7).all()


def test_two_particles_do_not_amplify_rounding() -> None:
    """The frames of two particles are their event's rest frame."""
    model = fitted(lz.create_model("lloca-transformer-full")).double().eval()
    redraw_weights(model)
    pairs = [JETS.momenta[JETS.layout.ptr[event] :][:2] for event in range(40)]
    cloud = lz.ParticleCloud.from_list(pairs)
    noise = 1 + 1e-15 * torch.randn(
        cloud.momenta.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    moved = lz.ParticleCloud.from_packed(cloud.momenta * noise, cloud.layout.ptr)
    with torch.no_grad():
        before, after = model(cloud), model(moved)
    assert float((after - before).abs().max() / before.abs().max()) < 1e-6
