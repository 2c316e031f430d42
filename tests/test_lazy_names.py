"""A package's lazy names do not depend on the order in which they are asked for."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "package", ["lorentzoo", "lorentzoo.nn", "lorentzoo.densities", "lorentzoo.testing", "lorentzoo.studies"]
)
def test_no_public_name_is_that_of_a_module_beside_it(package: str) -> None:
    """Importing such a module puts it in the place of the name: `pair_masses` was a function or a module by chance."""
    module = import_module(package)
    beside = {found.name for found in pkgutil.iter_modules(module.__path__)}
    assert not beside & set(module.__all__)
