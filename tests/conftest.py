"""One thread, and properties that are the same in every run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import torch
import torch.autograd.forward_ad as forward_ad

if TYPE_CHECKING:
    from lorentzoo.data.dataset import JetDataset
    from lorentzoo.registry.specs import Spec

SMALL = {
    "backbone": "deep-sets:hidden=[16]",
    "embedding": "kinematics",
    "head": "classify:num_classes=1,hidden=[16]",
}

hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _threads_are_as_they_were() -> Iterator[None]:
    """A process that forks must have one thread: the others are not there in the child, which would wait for them."""
    yield
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    assert count == 1, f"a test left torch with {count} threads"


@pytest.fixture(scope="session", autouse=True)
def _forward_mode() -> None:
    """The first use of forward mode makes torch warn of its own torch.jit."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.zeros(1), torch.zeros(1))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is made on demand is kept apart from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORENTZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _registered_for_one_test() -> Iterator[None]:
    """What a test registers does not reach the tests after it, which draw from all that there is."""
    from lorentzoo.registry import catalogue

    yield
    if catalogue._current is not None and catalogue._current._session:
        catalogue._current = None


@pytest.fixture
def own_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone afterwards."""
    from lorentzoo.registry import catalogue

    monkeypatch.setattr(catalogue, "_current", None)
    catalogue.catalogue()


@pytest.fixture(scope="session")
def jets() -> JetDataset:
    """400 shipped jets with at most 20 particles each, with their splits."""
    import lorentzoo as lz

    return lz.load_dataset("toptag", num_jets=400, max_constituents=20)


@pytest.fixture
def small_spec() -> Spec:
    """A small model that trains in a second."""
    from lorentzoo.registry.specs import Spec

    return Spec.from_data(SMALL)


@pytest.fixture
def recipe() -> dict[str, Any]:
    """Two short epochs."""
    return {"epochs": 2, "batch_size": 50, "learning_rate": 3e-3}
