"""The conformance kit: what authors of components run on them, and this package on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorentzoo._lazy import resolve_on_use

_HOMES = {
    "Case": "lorentzoo.testing.conformance",
    "CHECKS": "lorentzoo.testing.conformance",
    "ConformanceError": "lorentzoo.testing.conformance",
    "Report": "lorentzoo.testing.conformance",
    "Verification": "lorentzoo.verification.verify",
    "check_component": "lorentzoo.testing.conformance",
    "check_model": "lorentzoo.testing.conformance",
    "check_plugin": "lorentzoo.testing.conformance",
    "conformance_cases": "lorentzoo.testing.conformance",
    "random_cloud": "lorentzoo.verification.events",
    "verify": "lorentzoo.verification.verify",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from lorentzoo.testing.conformance import CHECKS as CHECKS
    from lorentzoo.testing.conformance import Case as Case
    from lorentzoo.testing.conformance import ConformanceError as ConformanceError
    from lorentzoo.testing.conformance import Report as Report
    from lorentzoo.testing.conformance import check_component as check_component
    from lorentzoo.testing.conformance import check_model as check_model
    from lorentzoo.testing.conformance import check_plugin as check_plugin
    from lorentzoo.testing.conformance import conformance_cases as conformance_cases
    from lorentzoo.verification.events import random_cloud as random_cloud
    from lorentzoo.verification.verify import Verification as Verification
    from lorentzoo.verification.verify import verify as verify

__getattr__, __dir__ = resolve_on_use(__name__, _HOMES)
