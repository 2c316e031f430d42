"""Models in the modes of torch: inference before training, derivatives and maps over parameters, no events."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import lorentzoo as lz
from lorentzoo.testing import random_cloud

NAMES = [
    "cgenn",
    "deep-sets",
    "lgatr",
    "lgatr-slim",
    "lloca-graphnet",
    "lloca-part",
    "lorentznet",
    "mipart",
    "mlp",
    "particlenet",
    "pcnn",
    "pelican",
    "substructure-mlp",
    "transformer",
]
SMALL = {"num_blocks": 1}
"""One block shows what twelve do."""


def make(name: str) -> tuple[lz.Model, lz.ParticleCloud]:
    torch.manual_seed(0)
    blocks = {"cgenn", "lgatr", "lgatr-slim", "lloca-part", "lorentznet", "mipart", "pelican", "transformer"}
    model = lz.create_model(name, **({"backbone": SMALL} if name in blocks else {}))
    cloud = random_cloud([5, 1, 7], in_scalars=model.in_scalars, seed=3)
    target = torch.tensor([0, 1, 0])
    model.fit_statistics([lz.Batch(cloud, target, torch.ones(3, dtype=torch.float64), torch.arange(3))])
    return model, random_cloud([5, 1, 7], in_scalars=model.in_scalars, seed=3)


@pytest.mark.parametrize("name", NAMES)
def test_inference_mode_first_and_training_afterwards(name: str) -> None:
    model, cloud = make(name)
    for events in (cloud, cloud.to_padded()):
        model.eval()
        with torch.inference_mode():
            model(events)
        model.train()
        model(events).double().sum().backward()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_events(name: str) -> None:
    model, _ = make(name)
    packed = random_cloud([], in_scalars=model.in_scalars)
    padded = lz.ParticleCloud.from_padded(
        torch.zeros(0, 3, 4), torch.zeros(0, 3), torch.zeros(0, 3, model.in_scalars)
    )
    for training in (False, True):
        model.train(training)
        for events in (packed, padded):
            assert model(events).shape[0] == 0
    assert all(torch.isfinite(x).all() for x in model.state_dict().values())


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", NAMES)
def test_functions_of_the_parameters(name: str) -> None:
    """Forward derivatives and maps over parameters are those of single runs."""
    model, cloud = make(name)
    model.double().eval()
    parameters = {key: value.detach() for key, value in model.named_parameters()}
    rng = torch.Generator().manual_seed(1)
    direction = {
        key: torch.randn(value.shape, generator=rng, dtype=value.dtype) * value.abs().mean()
        for key, value in parameters.items()
    }

    def run(values: dict[str, Tensor]) -> Tensor:
        out: Tensor = torch.func.functional_call(model, values, (cloud,))
        return out

    def moved(step: float) -> dict[str, Tensor]:
        return {key: value + step * direction[key] for key, value in parameters.items()}

    step = 1e-5
    value, tangent = torch.func.jvp(run, (parameters,), (direction,))
    # What the layout keeps from there serves ordinary calls.
    torch.testing.assert_close(value, run(parameters))
    torch.testing.assert_close(
        tangent, (run(moved(step)) - run(moved(-step))) / (2 * step), rtol=1e-4, atol=1e-5
    )
    several = [moved(0.1 * number) for number in range(3)]
    stacked = {key: torch.stack([one[key] for one in several]) for key in parameters}
    mapped = torch.func.vmap(run, randomness="error")(stacked)
    torch.testing.assert_close(mapped, torch.stack([run(one) for one in several]))
