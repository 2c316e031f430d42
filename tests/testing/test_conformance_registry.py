"""What is registered is tested: the conformance kit over the whole registry."""

from __future__ import annotations

import pytest

import lorentzoo as lz
from lorentzoo.testing import Case, check_plugin, conformance_cases

PARAMETERS = {
    "spurions/vectors": {"values": [[1.0, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, 0.0]]},
    "spurions/matrices": {"values": [[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]]},
}
COMPOSITIONS = {"backbone/lgatr-event-generation": {"in_context": 3}}
ALONE = {
    "backbone/lgatr-conditional": "takes a second cloud as its condition, which compositions do not carry yet",
    "backbone/lgatr-slim-conditional": "takes a second cloud as its condition, which compositions do not carry yet",
}


@pytest.mark.parametrize(
    "case", conformance_cases(parameters=PARAMETERS, compositions=COMPOSITIONS, alone=ALONE)
)
def test_registered_components_conform(case: Case) -> None:
    case.run().raise_if_failed()


@pytest.mark.parametrize("name", [record.name for record in lz.list_plugins()])
def test_installed_plugins_conform(name: str) -> None:
    check_plugin(name).raise_if_failed()
