"""Does a component keep what the package promises of it?

The kit for authors of components, the very one that this package runs on its own. Each check has a
name; a check that is expected to fail must be named with a reason, and one that then passes is a
failure too, so that no stale excuse stays.

>>> from lorentzoo.testing import check_model
>>> report = check_model("deep-sets", expected_failures={})     # doctest: +SKIP
>>> print(report)                                               # doctest: +SKIP

In a plugin's own tests::

    import pytest
    from lorentzoo.testing import check_plugin, conformance_cases

    def test_plugin():
        check_plugin("my-plugin").raise_if_failed()

    @pytest.mark.parametrize("case", conformance_cases(plugin="my-plugin"))
    def test_conformance(case):
        case.run().raise_if_failed()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from lorentzoo.core.generator import Generator
from lorentzoo.core.model import Model
from lorentzoo.registry.composition import build, model_spec
from lorentzoo.registry.specs import Spec
from lorentzoo.testing.checks import CHECKS
from lorentzoo.testing.export import LONG_CHECKS
from lorentzoo.testing.generators import GENERATOR_CHECKS, GeneratorSubject
from lorentzoo.testing.report import Outcome, Report, run_check
from lorentzoo.testing.subject import ModelSubject

__all__ = ["check_model"]

_OF_NETWORK: Final = "network: "
"""What stands before the checks of a generator's network."""


def check_model(
    model: str | Mapping[str, Any] | Spec | Model | Generator,
    *,
    expected_failures: Mapping[str, str] | None = None,
    checks: Sequence[str] | None = None,
    subject: str | None = None,
) -> Report:
    """Run the checks on a model.

    Parameters
    ----------
    model
        A model's name (with inline parameters if need be), a composition as a mapping, a specification, or a model; of
        a generator, `lorentzoo.testing.generators` has the checks.
    expected_failures
        ``{check name: reason}`` of the checks that are known to fail; a reason must be stated. Those of a generator's
        network begin with ``"network: "``.
    checks
        Names of the checks to run, all of `CHECKS` by default; those of `LONG_CHECKS` run only by name.
    subject
        What the report calls it.

    Raises
    ------
    ValueError
        On a check that does not exist, or an expected failure without a reason.
    """
    expected = dict(expected_failures or {})
    chosen = list(CHECKS) if checks is None else list(checks)
    every = {**CHECKS, **LONG_CHECKS}
    known = {**every, **GENERATOR_CHECKS}
    unknown = [name for name in (*chosen, *expected) if name.removeprefix(_OF_NETWORK) not in known]
    if unknown:
        raise ValueError(f"no checks are called {unknown}; there are {list(every)}")
    unexplained = [name for name, reason in expected.items() if not reason.strip()]
    if unexplained:
        raise ValueError(f"expected failures need a reason: {unexplained}")
    made = _build_subject(model)
    if isinstance(made, Generator):
        return Report(subject or _name_subject(made), _generator_outcomes(made, expected, checks))
    under_test = ModelSubject(made)
    outcomes = tuple(run_check(name, every[name], under_test, expected.get(name)) for name in chosen)
    return Report(subject or _name_subject(made), outcomes)


def _generator_outcomes(
    made: Generator, expected: Mapping[str, str], checks: Sequence[str] | None
) -> tuple[Outcome, ...]:
    """Outcomes of the generator's own checks and, where all are run, of those of its network."""
    under_test = GeneratorSubject(made)
    outcomes = [
        run_check(name, check, under_test, expected.get(name))
        for name, check in GENERATOR_CHECKS.items()
        if checks is None or name in checks
    ]
    if checks is None and made.all_networks:
        reasons = {
            name.removeprefix(_OF_NETWORK): reason
            for name, reason in expected.items()
            if name.startswith(_OF_NETWORK)
        }
        network = check_model(made.all_networks[0], expected_failures=reasons)
        outcomes += [replace(outcome, check=_OF_NETWORK + outcome.check) for outcome in network.outcomes]
    return tuple(outcomes)


def _build_subject(model: str | Mapping[str, Any] | Spec | Model | Generator) -> Model | Generator:
    if isinstance(model, Model | Generator):
        return model
    if isinstance(model, str):
        return build(model_spec(model))
    if isinstance(model, Mapping):
        return build(Spec.from_data(model))
    return build(model)


def _name_subject(model: Model | Generator) -> str:
    if isinstance(model, Generator):
        named = isinstance(model.spec, Spec) and model.spec.model
        return f"model {model.spec.model}" if named else f"generator {type(model).__name__}"
    if not isinstance(model.spec, Spec):
        return type(model.backbone).__name__
    return f"model {model.spec.model}" if model.spec.model else f"backbone {model.spec.backbone.name}"
