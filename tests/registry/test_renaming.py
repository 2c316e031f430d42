"""Old names of components and parameters, and old defaults, keep their meaning for what was saved, and have a date."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import AmbiguousNameError, ParameterError, RenamedWarning, UnknownNameError
from lorentzoo.registry import components
from lorentzoo.registry.catalogue import Catalogue
from lorentzoo.registry.components import Component
from lorentzoo.registry.saved import SPEC, seal
from lorentzoo.studies.renewal import renew
from lorentzoo.testing import random_cloud

TARGET = "lorentzoo.plugins.sets.deep_sets:DeepSets"
DECLARED = (
    f"Component('backbone', 'new-net', {TARGET!r}, renamed_from=('old-net', 'older-net'), "
    "renamed_parameters={'widths': 'hidden'}, deprecated_until='2027-06', "
    "older_defaults={'2.0': {'hidden': [6]}, '3.0': {'hidden': [7]}})"
)
Current = Callable[..., Catalogue]
PluginMaker = Callable[..., EntryPoint]


def offers(*declared: str) -> str:
    """Source of a plugin that offers these components."""
    return f"@hookimpl\ndef lorentzoo_components():\n    return [{', '.join(declared)}]\n"


@pytest.fixture
def current(plugin: PluginMaker, with_plugins: Current, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """A catalogue with a network that was renamed, in May 2027."""
    at(monkeypatch, 2027, 5)
    return with_plugins(plugin("renamer", offers(DECLARED)))


def at(monkeypatch: pytest.MonkeyPatch, year: int, month: int) -> None:
    class Calendar(date):
        @classmethod
        def today(cls) -> date:
            return date(year, month, 28)

    monkeypatch.setattr(components, "date", Calendar)


def saved_as(directory: Path, version: str, **backbone: Any) -> Path:
    """What a package of this version saved: the model is that of today, its specification as it was then."""
    torch.manual_seed(0)
    hidden = backbone.get("hidden", backbone.get("widths"))
    model = lz.compose(backbone={"name": "new-net", "hidden": hidden or {"1": [6], "2": [7]}[version[0]]})
    path = lz.save(model.eval(), directory) / SPEC
    data = json.loads(path.read_text())
    del data["checksum"]
    data["backbone"] = backbone
    del data["plugins"]["backbone/new-net"]
    data["plugins"][f"backbone/{backbone['name']}"] = f"renamer (renamer {version})"
    data["checksum"] = seal(data)
    path.write_text(json.dumps(data))
    return directory


# ---- by hand ------------------------------------------------------------------------------------


def test_old_names_are_read_with_a_note_and_are_not_listed(current: Catalogue) -> None:
    with pytest.warns(
        RenamedWarning, match="'old-net' is now called 'new-net'; the old name is read until 2027-06"
    ):
        model = lz.compose(backbone="old-net:hidden=[4]")
    assert model.spec.backbone.name == "new-net"
    assert "backbone/new-net" in model.spec.plugins
    assert "new-net" in lz.list_components("backbone")
    assert "old-net" not in lz.list_components("backbone")
    with pytest.warns(RenamedWarning):
        assert current.find("backbone", "renamer/older-net").name == "new-net"
    with pytest.warns(RenamedWarning):
        assert lz.describe("backbone", "old-net").component.name == "new-net"


def test_old_parameters_are_read_with_a_note(current: Catalogue) -> None:
    with pytest.warns(
        RenamedWarning, match="parameter 'widths' of backbone 'new-net' is now called 'hidden'"
    ):
        model = lz.compose(backbone="new-net:widths=[4]")
    assert dict(model.spec.backbone.parameters) == {"hidden": [4]}
    with pytest.raises(ParameterError, match="now called 'hidden': both are given"):
        lz.compose(backbone="new-net:widths=[4],hidden=[4]")


def test_after_its_date_an_old_name_is_an_error_that_says_the_new_one(
    current: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, 2027, 6)
    with pytest.warns(RenamedWarning):
        lz.compose(backbone="old-net:hidden=[4]")
    at(monkeypatch, 2027, 7)
    with pytest.raises(
        UnknownNameError, match="'old-net' is now called 'new-net'; the old name was read until 2027-06"
    ):
        lz.compose(backbone="old-net:hidden=[4]")
    with pytest.raises(
        ParameterError, match=r"'widths' .* is now called 'hidden'; the old name was read until 2027-06"
    ):
        lz.compose(backbone="new-net:widths=[4]")


def test_what_is_written_by_hand_has_the_defaults_of_today(current: Catalogue) -> None:
    today = lz.compose(backbone="deep-sets")
    assert lz.compose(backbone="new-net").num_parameters == today.num_parameters


def test_a_component_comes_before_an_old_name_of_another_ones(
    plugin: PluginMaker, with_plugins: Current
) -> None:
    stranger = (
        "Component('backbone', 'theirs', 'a.b:c', renamed_from=('transformer', 'gone'), "
        "deprecated_until='2999-01')"
    )
    other = stranger.replace("theirs", "others")
    found = with_plugins(plugin("one", offers(stranger)), plugin("two", offers(other)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found.find("backbone", "transformer").plugin == "transformers"
    with pytest.raises(AmbiguousNameError, match="several plugins offer the backbone 'gone'; write"):
        found.find("backbone", "gone")


@pytest.mark.parametrize(
    ("declared", "match"),
    [
        (
            {"renamed_from": ("old",)},
            r"old names need the month until which they are read, deprecated_until='2027-06'",
        ),
        (
            {"renamed_parameters": {"a": "b"}, "deprecated_until": "2027"},
            r"deprecated_until='2027-06', not '2027'",
        ),
        (
            {"renamed_from": ("Old",), "deprecated_until": "2027-06"},
            r"old name 'Old' is not lower-case kebab",
        ),
        ({"renamed_from": ("net",), "deprecated_until": "2027-06"}, r"is renamed from itself"),
        (
            {"renamed_from": "old", "deprecated_until": "2027-06"},
            r"renamed_from is a tuple of names, not 'old'",
        ),
        (
            {"renamed_parameters": {"a": "b", "b": "c"}, "deprecated_until": "2027-06"},
            r"parameter 'a' is renamed to 'b', which is an old name itself",
        ),
        ({"older_defaults": {"new": {"a": 1}}}, r"older_defaults are by version such as '2.0', not by 'new'"),
    ],
)
def test_nonsense_is_refused(declared: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Component("backbone", "net", TARGET, **declared)


def test_an_old_name_that_its_own_plugin_offers_is_refused(
    plugin: PluginMaker, with_plugins: Current
) -> None:
    both = ("Component('backbone', 'old-net', 'a.b:c')", DECLARED)
    found = with_plugins(plugin("renamer", offers(*both)))
    (record,) = [record for record in found.plugins if record.name == "renamer"]
    assert "backbone old-net more than once" in record.error


# ---- what was saved -----------------------------------------------------------------------------


@pytest.mark.parametrize("year", [2027, 2031])
@pytest.mark.parametrize(
    ("version", "backbone", "hidden"),
    [
        ("4.1", {"name": "old-net", "hidden": [5]}, [5]),
        ("4.1", {"name": "new-net", "widths": [5]}, [5]),
        ("1.9.2", {"name": "old-net"}, [6]),
        ("1.9.2", {"name": "new-net", "hidden": [5]}, [5]),
        ("2.0", {"name": "new-net"}, [7]),
        ("2.7rc1", {"name": "older-net"}, [7]),
    ],
)
def test_what_was_saved_keeps_its_meaning_whatever_the_date_and_is_written_anew(
    current: Catalogue,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    version: str,
    backbone: dict[str, Any],
    hidden: list[int],
    year: int,
) -> None:
    directory = saved_as(tmp_path / "run", version, **backbone)
    at(monkeypatch, year, 5)
    changed = backbone != {"name": "new-net", "hidden": hidden}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", RenamedWarning)
        model = lz.load(directory)
    notes = [str(each.message) for each in told if issubclass(each.category, RenamedWarning)]
    assert len(notes) == changed
    assert all("lorentzoo migrate" in note for note in notes)
    assert model.spec.backbone == replace(model.spec.backbone, name="new-net", parameters={"hidden": hidden})
    lz.cite(directory)
    assert bool(renew(directory)) == changed
    assert renew(directory) == ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = lz.load(directory)
    assert again.spec == model.spec
    cloud = random_cloud()
    assert torch.equal(again(cloud), model(cloud))
