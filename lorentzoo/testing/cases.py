"""Which components are to be checked, in which composition, with which expected failures?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lorentzoo.core.errors import LorentzooError
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.components import KINDS, Component
from lorentzoo.registry.composition import build
from lorentzoo.registry.parameters import parameters_of
from lorentzoo.registry.specs import SLOTS
from lorentzoo.testing.compositions import SMALL, compose_around
from lorentzoo.testing.conformance import check_model
from lorentzoo.testing.datasets import check_dataset
from lorentzoo.testing.descriptions import check_description
from lorentzoo.testing.report import Outcome, Report, run_check
from lorentzoo.testing.tasks import check_task

__all__ = ["KIND_CHECKS", "Case", "check_component", "conformance_cases"]


@dataclass(frozen=True)
class Case:
    """One component to check: an item of a parametrised test."""

    kind: str
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    composition: Mapping[str, Any] = field(default_factory=dict)
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    alone: str = ""
    checks: Sequence[str] | None = None
    small: Mapping[str, Any] = field(default_factory=lambda: SMALL)

    @property
    def id(self) -> str:
        """``kind/name``."""
        return f"{self.kind}/{self.name}"

    def run(self) -> Report:
        """Run the checks."""
        component = catalogue().find(self.kind, self.name)
        outcomes = [run_check("description complete", check_description, component)]
        if self.alone:
            outcomes.append(Outcome("composition", "failed as expected", self.alone))
        elif self.kind in KIND_CHECKS:
            outcomes += KIND_CHECKS[self.kind](component, self)
        return Report(f"{self.kind} {component.full_name}", tuple(outcomes))


def check_component(
    kind: str,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    composition: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
    alone: str = "",
    checks: Sequence[str] | None = None,
    small: Mapping[str, Any] = SMALL,
) -> Report:
    """Run the checks on a component, within a small composition in which it has a part to play.

    Parameters
    ----------
    kind, name
        The component.
    parameters
        Its parameters, where it has some without a default.
    composition
        Slots of the composition around it, instead of those that are found for it.
    expected_failures
        As for `check_model`.
    alone
        Why no composition can hold it, if none can: then only its description is checked.
    checks
        Names of the checks of the composition to run, all of `CHECKS` by default.
    small
        Parameters that shrink a backbone, used as far as it has them; ``{}`` leaves it as it is.
    """
    return Case(
        kind,
        name,
        parameters or {},
        composition or {},
        expected_failures or {},
        alone,
        checks,
        small,
    ).run()


def conformance_cases(
    *,
    plugin: str | None = None,
    kinds: Sequence[str] = KINDS,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    compositions: Mapping[str, Mapping[str, Any]] | None = None,
    expected_failures: Mapping[str, Mapping[str, str]] | None = None,
    alone: Mapping[str, str] | None = None,
    small: Mapping[str, Any] = SMALL,
) -> list[Any]:
    """Parameters for ``pytest.mark.parametrize``: every registered component, so that what is registered is tested.

    Parameters
    ----------
    plugin
        Only this plugin's components; all by default.
    kinds
        Only these kinds.
    parameters, compositions, expected_failures
        For single components, by ``"kind/name"``, as in `check_component`.
    alone
        ``{"kind/name": reason}`` of components that no composition can hold: only their description is checked.
    small
        Parameters that shrink backbones.
    """
    import pytest

    found = [
        component
        for kind in kinds
        for component in catalogue().components(kind)
        if plugin is None or component.plugin == plugin
    ]
    names = {f"{component.kind}/{component.name}" for component in found}
    for table in (parameters, compositions, expected_failures, alone):
        stale = sorted(set(table or {}) - names)
        if stale:
            raise ValueError(f"no such components: {stale}")
    cases = []
    for component in found:
        key = f"{component.kind}/{component.name}"
        case = Case(
            component.kind,
            component.full_name if component.plugin else component.name,
            (parameters or {}).get(key, {}),
            (compositions or {}).get(key, {}),
            (expected_failures or {}).get(key, {}),
            (alone or {}).get(key, ""),
            small=small,
        )
        cases.append(pytest.param(case, id=f"{component.kind}-{component.full_name}"))
    return cases


def _check_composed(component: Component, case: Case) -> Sequence[Outcome]:
    """The checks of a part, a model or a generator, within a composition."""
    try:
        spec = compose_around(component, dict(case.parameters), dict(case.composition), case.small)
        model = build(spec)
    except LorentzooError as error:
        return [Outcome("composition", "failed", str(error))]
    return check_model(model, expected_failures=case.expected_failures, checks=case.checks).outcomes


def _check_dataset(component: Component, case: Case) -> Sequence[Outcome]:
    """The checks of a data set; none of one that opens files, unless its parameters name some."""
    known = parameters_of(catalogue().target(component)).values()
    given = {**component.defaults, **case.parameters}
    if any(parameter.required and parameter.name not in given for parameter in known):
        return []
    failures = case.expected_failures
    return check_dataset(component.full_name, case.parameters, expected_failures=failures).outcomes


def _check_task(component: Component, case: Case) -> Sequence[Outcome]:
    """The checks of a task."""
    return check_task(component.full_name).outcomes


KIND_CHECKS: Final[dict[str, Callable[[Component, Case], Sequence[Outcome]]]] = {
    **dict.fromkeys((*SLOTS, "model", "generator"), _check_composed),
    "dataset": _check_dataset,
    "task": _check_task,
}
"""What a component of each kind is checked for besides its description; of a kind that is missing here, nothing."""
