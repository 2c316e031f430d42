"""How does ``pytest --lorentzoo my-plugin`` run the conformance kit beside other tests?

Every session of pytest loads this module where the package is installed, so it imports nothing until it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

__all__ = ["KitItem", "pytest_addoption", "pytest_collection_modifyitems"]

_EXPECTED = "lorentzoo_expected_failures"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option, and the ini value for checks that are known to fail."""
    group = parser.getgroup("lorentzoo")
    group.addoption(
        "--lorentzoo",
        action="append",
        default=[],
        metavar="PLUGIN",
        help="Run lorentzoo's conformance kit on all that a plugin offers; may be repeated.",
    )
    parser.addini(
        _EXPECTED,
        "Checks of the kit that are known to fail, one a line: kind/name | check | reason.",
        type="linelist",
        default=[],
    )


class KitItem(pytest.Item):
    """One test of the kit.

    Parameters
    ----------
    check
        Runs it and gives a `lorentzoo.testing.Report`.
    """

    def __init__(self, *, check: Any, **options: Any) -> None:
        super().__init__(**options)
        self.check = check

    def runtest(self) -> None:
        """Run it."""
        self.check().raise_if_failed()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What the kit says of a failure, without its trace; other errors as they are."""
        from lorentzoo.core.errors import LorentzooError

        if isinstance(excinfo.value, LorentzooError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """How the report calls it."""
        return self.path, None, self.name


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the kit's tests behind those that were collected."""
    for plugin in dict.fromkeys(config.getoption("--lorentzoo")):
        items += _make_items(session, config, plugin)


def _make_items(session: pytest.Session, config: pytest.Config, plugin: str) -> Iterator[KitItem]:
    from functools import partial

    from lorentzoo.registry.catalogue import list_plugins

    known = {record.name: record for record in list_plugins()}
    if plugin not in known:
        raise pytest.UsageError(
            f"--lorentzoo: there is no plugin {plugin!r}; there are {', '.join(known)}. Is its package installed "
            "(pip install -e .)?"
        )
    if known[plugin].error:
        raise pytest.UsageError(f"--lorentzoo: the plugin {plugin!r} cannot be loaded: {known[plugin].error}")
    # What imports torch comes after what may already end the session.
    from lorentzoo.testing import check_plugin, conformance_cases

    own = {f"{component.kind}/{component.name}" for component in known[plugin].components}
    expected = {key: checks for key, checks in _read_expected(config).items() if key in own}
    yield KitItem.from_parent(
        session,
        name=f"lorentzoo[{plugin}]",
        nodeid=f"lorentzoo::{plugin}",
        check=partial(check_plugin, plugin),
    )
    for case in conformance_cases(plugin=plugin, expected_failures=expected):
        (value,) = case.values
        yield KitItem.from_parent(
            session, name=f"lorentzoo[{case.id}]", nodeid=f"lorentzoo::{case.id}", check=value.run
        )


def _read_expected(config: pytest.Config) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line in config.getini(_EXPECTED):
        parts = [part.strip() for part in line.split("|", 2)]
        if len(parts) != 3 or not all(parts):
            raise pytest.UsageError(f"{_EXPECTED}: expected 'kind/name | check | reason', not {line!r}")
        key, check, reason = parts
        found.setdefault(key, {})[check] = reason
    return found
