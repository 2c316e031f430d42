"""Samples for the tests: small random ones, and the shipped one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lorentzoo.data.sample import Sample
from lorentzoo.data.shipped import sample_path
from lorentzoo.data.simulate.particles import MASSES, SPECIES
from lorentzoo.data.splits import stratified_splits


def random_sample(num_events: int = 40, seed: int = 0, num_scalars: int = 2) -> Sample:
    """Events of zero to nine particles in no particular order."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 10, num_events)
    ptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    labels = rng.integers(0, 2, num_events)
    event_ids = rng.permutation(10 * num_events)[:num_events].astype(np.int64)
    names = [f"s{column}" for column in range(num_scalars)]
    return Sample(
        momenta=rng.normal(0, 30, (ptr[-1], 3)).astype(np.float32),
        mass_codes=rng.integers(0, len(MASSES), ptr[-1]).astype(np.uint8),
        masses=MASSES,
        species=SPECIES,
        ptr=ptr,
        labels=labels,
        event_ids=event_ids,
        weights=rng.uniform(0.5, 2.0, num_events),
        splits=stratified_splits(labels, event_ids),
        scalars=rng.normal(size=(ptr[-1], num_scalars)).astype(np.float32),
        metadata={"class_names": ["a", "b"], "scalar_names": names, "note": "Größe 1 µm"},
    )


@pytest.fixture(scope="session", name="random_sample")
def random_sample_fixture() -> Callable[..., Sample]:
    return random_sample


@pytest.fixture
def sample() -> Sample:
    return random_sample()


@pytest.fixture(scope="session")
def shipped() -> Sample:
    return Sample.load(sample_path("toptag"))
