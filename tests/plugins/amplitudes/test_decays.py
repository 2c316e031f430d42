"""Decays of q q̄ → V V from helicity amplitudes: nothing is lost on the way from four coordinates to eight."""

from __future__ import annotations

import pytest
import torch

import lorentzoo as lz
from lorentzoo.plugins.amplitudes.data.decays import square_with_decays, without_decays
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.truth.vector_pairs import pair_helicity_amplitudes
from lorentzoo.training.train import train


def load(dimensions: int, num_events: int = 50, **settings: object) -> lz.JetDataset:
    return lz.load_dataset("vector-pairs", dimensions=dimensions, num_events=num_events, **settings)


@pytest.mark.parametrize("density", ["uniform", "cauchy"])
def test_true_amplitudes_give_the_true_squares(density: str) -> None:
    data = load(8, mass_density=density)
    pairs = without_decays(data)
    left = pair_helicity_amplitudes(pairs.momenta.unflatten(0, (50, 4)))[:, 0].real.flatten(1)
    torch.testing.assert_close(square_with_decays(data, left), data.target, rtol=1e-8, atol=0)


def test_events_without_decays_are_those_of_four_coordinates() -> None:
    data, four = without_decays(load(8)), load(4, target="helicities")
    assert data.context_names == four.context_names
    assert data.scalar_names[:2] == four.scalar_names[:2]
    assert data.num_scalars == four.num_scalars
    assert torch.equal(data.lengths, four.lengths)
    assert torch.equal(data.context, load(8).context[:, :4])
    # The same coordinates are the same event, whatever the decays.
    momenta, place = data.momenta.unflatten(0, (50, 4)), data.context.double()
    assert float((momenta[:, :2].sum(1) - momenta[:, 2:].sum(1)).abs().max()) < 1e-9
    roots = 300 * (1000 / 300) ** ((place[:, 0] + 1) / 2)
    torch.testing.assert_close(momenta[:, :2, 0].sum(1), roots, rtol=1e-6, atol=0)


def test_a_network_learns_them() -> None:
    """Errors of |M|² with decays fall with those of the amplitudes."""
    data, decays = load(4, 4000, target="helicities"), load(8, 500, seed=1)
    model = lz.create_model("sk-dnn-helicities", backbone={"hidden": [32] * 2})
    errors = []
    for epochs in (1, 15):
        train(model, data, None, {"epochs": epochs, "batch_size": 100, "learning_rate": 5e-3}, progress=False)
        left = torch.from_numpy(model.predict(without_decays(decays)))
        delta = square_with_decays(decays, left) / decays.target - 1
        errors.append(float(delta.abs().median()))
    assert errors[1] < 0.6 * errors[0]


def test_other_data_are_refused() -> None:
    with pytest.raises(
        AmplitudeError, match=r"vector-pairs' with dimensions=8, .*; these data have log_sqrt_s, cos"
    ):
        without_decays(load(4))
    with pytest.raises(AmplitudeError, match=r"50 events have amplitudes of shape \(50, 9\), not \(50, 18\)"):
        square_with_decays(load(8), torch.zeros(50, 18))
