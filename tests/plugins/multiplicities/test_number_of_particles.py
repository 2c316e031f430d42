"""Is the categorical of the number of particles that of the training events?"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorentzoo.plugins.multiplicities.numbers import NumberOfParticles


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), kinds=st.integers(1, 5))
def test_without_a_context_it_is_the_weighted_share(seed: int, kinds: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    numbers = [3 + 2 * kind for kind in range(kinds)]
    counts = torch.cat(
        [torch.tensor(numbers), torch.tensor(numbers)[torch.randint(kinds, (200,), generator=rng)]]
    )
    weight = torch.rand(len(counts), generator=rng, dtype=torch.float64) + 0.1
    made = NumberOfParticles(numbers)
    made.fit(counts, weight, torch.zeros(len(counts), 0))
    wanted = torch.stack([weight[counts == n].sum() for n in numbers]) / weight.sum()
    found = made.log_prob(torch.tensor([*numbers, 2]), torch.zeros(kinds + 1, 0))
    torch.testing.assert_close(found[:-1].exp(), wanted)
    assert float(found[-1]) == -math.inf


def test_of_processes_as_one_hots_it_is_the_share_in_each() -> None:
    rng = torch.Generator().manual_seed(1)
    process = torch.randint(3, (3000,), generator=rng)
    true = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]])
    counts = 6 + torch.multinomial(true[process], 1, generator=rng).squeeze(1)
    context = torch.nn.functional.one_hot(process).double()
    made = NumberOfParticles((6, 7, 8), 3)
    made.fit(counts, torch.ones(3000), context)
    found = made.log_probs(torch.eye(3)).exp()
    for p in range(3):
        share = torch.stack([(counts[process == p] == n).double().mean() for n in (6, 7, 8)])
        torch.testing.assert_close(found[p], share, rtol=0, atol=2e-3)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), width=st.integers(1, 3))
def test_numbers_and_their_products_with_the_context_have_the_means_of_the_data(
    seed: int, width: int
) -> None:
    """Where the likelihood is largest its derivatives vanish: Σ w (1[n] - P(n | c)) (1, c) = 0."""
    rng = torch.Generator().manual_seed(seed)
    context = 10 * torch.randn(400, width, generator=rng, dtype=torch.float64) + 3
    logits = torch.cat([context[:, :1] / 10, torch.zeros(400, 2), -context[:, -1:] / 7], 1)
    counts = 2 + torch.multinomial(logits.softmax(-1), 1, generator=rng).squeeze(1)
    weight = torch.rand(400, generator=rng, dtype=torch.float64) + 0.1
    made = NumberOfParticles(range(2, 6), width)
    made.fit(counts, weight, context)
    residual = torch.nn.functional.one_hot(counts - 2, 4) - made.log_probs(context).exp()
    seen = torch.cat([torch.ones(400, 1), (context - context.mean(0)) / context.std(0)], 1)
    assert float((weight.unsqueeze(1) * seen).T.mul(1 / weight.sum()).mm(residual).abs().max()) < 1e-4


def test_draws_are_as_frequent_as_they_are_probable() -> None:
    made = NumberOfParticles((6, 8), 1)
    context = torch.tensor([0.0, 1.0]).repeat(500).unsqueeze(1)
    counts = torch.where(torch.arange(1000) % 10 < 2 + 4 * (torch.arange(1000) % 2), 8, 6)
    made.fit(counts, torch.ones(1000), context)
    asked = torch.tensor([[0.0], [1.0]]).repeat(4000, 1)
    drawn = made.sample(asked, torch.Generator().manual_seed(0))
    for value in (0.0, 1.0):
        wanted = float(made.log_prob(torch.tensor([8]), torch.tensor([[value]])).exp())
        found = float((drawn[asked[:, 0] == value] == 8).double().mean())
        assert found == pytest.approx(wanted, abs=5 * math.sqrt(wanted * (1 - wanted) / 4000))
    assert len(made.sample(torch.zeros(0, 1))) == 0


def test_numbers_without_events_are_named() -> None:
    made = NumberOfParticles((6, 7, 9))
    with pytest.raises(ValueError, match="no training event of positive weight has 7, 9 particles: leave"):
        made.fit(torch.tensor([6, 6, 9]), torch.tensor([1.0, 1.0, -0.5]), torch.zeros(3, 0))
