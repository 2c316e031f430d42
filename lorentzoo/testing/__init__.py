"""The conformance kit: what authors of components run on them, and this package on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorentzoo._lazy import resolve_on_use

_HOMES = {
    "Case": "lorentzoo.testing.cases",
    "CHECKS": "lorentzoo.testing.checks",
    "LONG_CHECKS": "lorentzoo.testing.export",
    "ConformanceError": "lorentzoo.testing.report",
    "Report": "lorentzoo.testing.report",
    "Verification": "lorentzoo.verification.result",
    "check_component": "lorentzoo.testing.cases",
    "check_dataset": "lorentzoo.testing.datasets",
    "check_model": "lorentzoo.testing.conformance",
    "check_task": "lorentzoo.testing.tasks",
    "check_plugin": "lorentzoo.testing.descriptions",
    "conformance_cases": "lorentzoo.testing.cases",
    "random_cloud": "lorentzoo.verification.events",
    "verify": "lorentzoo.verification.verify",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from lorentzoo.testing.cases import Case as Case
    from lorentzoo.testing.cases import check_component as check_component
    from lorentzoo.testing.cases import conformance_cases as conformance_cases
    from lorentzoo.testing.checks import CHECKS as CHECKS
    from lorentzoo.testing.conformance import check_model as check_model
    from lorentzoo.testing.datasets import check_dataset as check_dataset
    from lorentzoo.testing.descriptions import check_plugin as check_plugin
    from lorentzoo.testing.export import LONG_CHECKS as LONG_CHECKS
    from lorentzoo.testing.report import ConformanceError as ConformanceError
    from lorentzoo.testing.report import Report as Report
    from lorentzoo.testing.tasks import check_task as check_task
    from lorentzoo.verification.events import random_cloud as random_cloud
    from lorentzoo.verification.result import Verification as Verification
    from lorentzoo.verification.verify import verify as verify

__getattr__, __dir__ = resolve_on_use(__name__, _HOMES)
