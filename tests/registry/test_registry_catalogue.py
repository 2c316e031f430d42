"""Names: found, closest, ambiguous, and what becomes of plugins that fail."""

from __future__ import annotations

import pytest

import lorentzoo as lz
from lorentzoo.core.errors import (
    AmbiguousNameError,
    CompositionError,
    LorentzooError,
    MissingExtraError,
    PluginError,
    UnknownNameError,
)
from lorentzoo.registry.catalogue import Catalogue
from lorentzoo.registry.components import KINDS, Component

DEEP = 'Component("backbone", "{name}", "lorentzoo.plugins.sets.deep_sets:DeepSets", "A deep set")'


def offers(*components: str) -> str:
    return f"@hookimpl\ndef lorentzoo_components():\n    return [{', '.join(components)}]\n"


# ---- names ------------------------------------------------------------------------------------


def test_every_registered_name_is_found_bare_and_in_full() -> None:
    for kind in KINDS:
        for name in lz.list_components(kind):  # type: ignore[arg-type]
            component = lz.describe(kind, name).component if kind == "spurions" else None  # type: ignore[arg-type]
            assert component is None or component.full_name.endswith(name)
    assert lz.list_components("backbone", "trans*") == ["transformer"]
    assert "transformer-jetclass" in lz.list_models("*-jetclass")
    assert lz.list_models("nothing-*") == []


def test_an_unknown_name_says_the_closest_ones() -> None:
    with pytest.raises(
        UnknownNameError, match=r"there is no backbone 'tranformer'. Did you mean 'transformer'"
    ) as caught:
        lz.compose(backbone="tranformer")
    assert "`lorentzoo list backbone` shows all" in str(caught.value)
    assert isinstance(caught.value, LookupError)


def test_a_name_of_another_kind_is_recognised() -> None:
    with pytest.raises(UnknownNameError, match="exists under another kind: embedding"):
        lz.compose(backbone="kinematics")


def test_an_unknown_kind_says_the_kinds() -> None:
    with pytest.raises(
        UnknownNameError, match=r"no kind 'backbones'; kinds are .* Did you mean 'backbone'\?"
    ):
        lz.list_components("backbones")  # type: ignore[arg-type]


def test_equal_names_of_others_break_no_preset_and_no_saved_model(plugin, with_plugins, tmp_path) -> None:
    """A third party may call its parts as ours are called: what means ours goes on meaning ours."""
    presets = ("transformer", "lloca-particlenet", "lgatr-slim", "rqs-flow-eventgen", "pelican-mini")
    before = {name: lz.create_model(name).spec for name in presets}
    directory = lz.save(lz.create_model("deep-sets"), tmp_path / "model")
    heads = [offer.format(name="classify") for offer in (DEEP.replace('"backbone"', '"head"'),)]
    taken = ("transformer", "particlenet", "lgatr-slim", "pelican", "deep-sets", "mlp")
    with_plugins(plugin("other", offers(*(DEEP.format(name=name) for name in taken), *heads)))
    with pytest.raises(AmbiguousNameError):
        lz.compose(backbone="deep-sets")
    for name, spec in before.items():
        assert lz.create_model(name).spec == spec
    assert lz.load(directory).spec["backbone"]["name"] == "deep-sets"


def test_what_a_plugin_says_is_plain_text(plugin, with_plugins, capsys) -> None:
    from lorentzoo.cli.output import print_table

    line = DEEP.format(name="loud").replace('"A deep set"', repr("[/nope] \x1b[31mred"))
    current = with_plugins(plugin("loud", offers(line)))
    component = current.find("backbone", "loud")
    assert "\x1b" not in component.summary
    print_table(("name", "summary"), [(component.name, component.summary)])
    assert "[/nope]" in capsys.readouterr().out


def test_a_plugin_may_raise_anything(plugin, with_plugins) -> None:
    current = with_plugins(plugin("wild", "class Odd(BaseException): pass\nraise Odd('no \\x1b[31m luck')\n"))
    record = next(record for record in current.plugins if record.name == "wild")
    assert record.error == "Odd: no  [31m luck"


def test_a_name_that_is_no_text() -> None:
    with pytest.raises(UnknownNameError, match="a model is named by text, not by 3"):
        lz.create_model(3)  # type: ignore[arg-type]


def test_two_plugins_with_one_name_are_ambiguous(plugin, with_plugins) -> None:
    current = with_plugins(plugin("other", offers(DEEP.format(name="deep-sets"))))
    assert not [record.error for record in current.plugins if record.error]
    with pytest.raises(
        AmbiguousNameError,
        match="several plugins offer the backbone 'deep-sets'; write 'sets/deep-sets' and 'other/deep-sets'",
    ):
        lz.compose(backbone="deep-sets")
    names = lz.list_components("backbone")
    assert {"sets/deep-sets", "other/deep-sets"} <= set(names)
    assert "deep-sets" not in names
    model = lz.compose(backbone="other/deep-sets:hidden=[4]")
    assert model.spec["backbone"]["name"] == "other/deep-sets"
    assert lz.compose(**{k: model.spec[k] for k in ("backbone", "head")}).spec == model.spec
    with pytest.raises(UnknownNameError, match="no backbone 'third/deep-sets'"):
        lz.compose(backbone="third/deep-sets")


# ---- plugins that fail ------------------------------------------------------------------------

BROKEN = {
    "raises": ("raise RuntimeError('the moon is full')", "RuntimeError: the moon is full"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "syntax": ("def (:", "SyntaxError"),
    "missing": ("import surely_not_installed", "No module named 'surely_not_installed'"),
    "silent": ("", "no `@hookimpl def lorentzoo_components()`"),
    "nothing": ("@hookimpl\ndef lorentzoo_components():\n    return None\n", "returns None"),
    "text": (offers("'my-net'"), "declares 'my-net', which is not a Component"),
    "kind": (offers('Component("backbones", "x", "a:b")'), "kind 'backbones' is not one of"),
    "name": (offers('Component("backbone", "My_Net", "a:b")'), "'My_Net' is not lower-case kebab"),
    "target": (offers('Component("backbone", "x", "a.b.c")'), "'a.b.c' is not 'package.module:attribute'"),
    "model": (offers('Component("model", "x")'), "needs a spec that names at least a backbone"),
    "twice": (offers(DEEP.format(name="x"), DEEP.format(name="x")), "offers backbone x more than once"),
    "signature": ("@hookimpl\ndef lorentzoo_components(surprise):\n    return []\n", "surprise"),
    "hook": ("@hookimpl\ndef lorentzoo_components():\n    raise KeyError('spin')\n", "KeyError: 'spin'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_with_its_cause_and_harms_no_one(name: str, plugin, with_plugins) -> None:
    body, cause = BROKEN[name]
    good = plugin("good", offers(DEEP.format(name="good-net")))
    current = with_plugins(plugin(name, body), good)
    record = next(record for record in current.plugins if record.name == name)
    assert cause in record.error
    assert not record.components
    assert [r.name for r in current.plugins if r.error] == [name]
    assert lz.compose(backbone="good-net:hidden=[4]").num_parameters > 0
    with pytest.raises(UnknownNameError) as caught:
        lz.compose(backbone="my-lost-net")
    assert f"Plugins that failed to load, whose name it may be: {name}: {record.error}" in str(caught.value)


def test_targets_fail_when_used_and_by_name(plugin, with_plugins) -> None:
    with_plugins(
        plugin(
            "lazy",
            offers(
                'Component("backbone", "no-module", "surely_not_installed.net:Net", "x")',
                'Component("backbone", "no-attribute", "lorentzoo.plugins.sets.deep_sets:Deeper", "x")',
                'Component("backbone", "needs-extra", "surely_not_installed:Net", "x", extra="my-net[fast]")',
                'Component("backbone", "no-part", "lorentzoo.plugins.surely_not:Net", "x", extra="my-net[fast]")',
                'Component("backbone", "no-backbone", "pathlib:Path", "x")',
                'Component("head", "no-head", "pathlib:PurePath", "x")',
                'Component("model", "hopeless", spec={"backbone": "needs-extra"}, summary="x")',
            ),
        )
    )
    with pytest.raises(PluginError, match=r"'lazy/no-module': cannot import 'surely_not_installed.net'"):
        lz.compose(backbone="no-module")
    with pytest.raises(PluginError, match=r"'lorentzoo.plugins.sets.deep_sets' has no 'Deeper'"):
        lz.compose(backbone="no-attribute")
    with pytest.raises(MissingExtraError, match=r'run: pip install "my-net\[fast\]"'):
        lz.compose(backbone="needs-extra")
    with pytest.raises(PluginError, match=r"'lazy/no-part': cannot import 'lorentzoo.plugins.surely_not'"):
        lz.compose(backbone="no-part")
    with pytest.raises(
        CompositionError, match=r"backbone 'no-backbone' is not a subclass of lorentzoo.Backbone"
    ):
        lz.compose(backbone="no-backbone")
    with pytest.raises(CompositionError, match=r"head 'no-head' is a .*, not a lorentzoo.Head"):
        lz.compose(backbone="deep-sets:hidden=[4]", head="no-head")
    # One model that cannot be built does not end a search among all.
    with pytest.warns(UserWarning, match="model 'hopeless' cannot be built here and is left out"):
        assert "deep-sets" in lz.list_models("*e*e*s*", symmetry="SO(2)_beam")


def test_two_entry_points_of_one_name_are_both_there(plugin) -> None:
    first = plugin("mine", offers(DEEP.format(name="a")))
    second = plugin("mine-b", offers(DEEP.format(name="b")))
    renamed = type(second)("mine", second.value, second.group)
    current = Catalogue([first, renamed])
    assert len({record.name for record in current.plugins}) == 2
    assert current.names("backbone") == ["a", "b"]


def test_a_heavy_plugin_is_warned_of(plugin, with_plugins) -> None:
    current = with_plugins(plugin("slow", "import time\ntime.sleep(0.05)\n" + offers(DEEP.format(name="x"))))
    record = next(record for record in current.plugins if record.name == "slow")
    assert record.warnings == (f"takes {record.milliseconds:.0f} ms to load; aim below 20 ms",)
    assert not record.error


# ---- registration in a session ----------------------------------------------------------------


def test_a_session_component_is_used_and_replaced(own_catalogue: None) -> None:
    from lorentzoo.plugins.sets.deep_sets import DeepSets

    @lz.register("backbone", "toy", summary="First")
    class Toy(DeepSets):
        """A toy."""

    assert type(lz.compose(backbone="toy:hidden=[4]").backbone) is Toy
    assert "toy" in lz.list_components("backbone")

    @lz.register("backbone", "toy", summary="Second")
    class Other(DeepSets):
        """Another toy."""

    assert type(lz.compose(backbone="toy:hidden=[4]").backbone) is Other
    assert lz.describe("backbone", "toy").component.summary == "Second"


def test_a_session_component_does_not_shadow_an_installed_one(own_catalogue: None) -> None:
    from lorentzoo.plugins.sets.deep_sets import DeepSets

    lz.register("backbone", "deep-sets")(DeepSets)
    with pytest.raises(AmbiguousNameError, match="'sets/deep-sets' and 'session/deep-sets'"):
        lz.compose(backbone="deep-sets")


def test_bad_registrations_are_refused(own_catalogue: None) -> None:
    with pytest.raises(ValueError, match="'Deep Sets' is not lower-case kebab"):
        lz.register("backbone", "Deep Sets")(object)


@pytest.mark.parametrize("kind", ["spurions", "frames", "embedding", "backbone", "head", "model"])
def test_everything_describes_itself(kind: str) -> None:
    for name in lz.list_components(kind):  # type: ignore[arg-type]
        description = lz.describe(kind, name)  # type: ignore[arg-type]
        assert description.component.name in str(description)
        data = description.to_data()
        assert data["summary"]
        if kind == "model":
            assert "composition:" in str(description)
            assert data["spec"]["backbone"]["name"]
            assert data["symmetry"]


def test_descriptions_show_what_can_be_set() -> None:
    text = str(lz.describe("backbone", "transformer"))
    assert "num_blocks: int = 10" in text
    assert "in_scalars" not in text
    assert "required" in str(lz.describe("spurions", "vectors"))
    beam = lz.describe("embedding", "kinematics-beam")
    assert beam.parameters["rapidity"].default is True
    assert beam.symmetry.startswith("SO⁺(1,1)_beam × SO(2)_beam")


def test_models_by_symmetry() -> None:
    names = lz.list_models("*deep-sets*", symmetry="SO(2)_beam")
    assert names == ["deep-sets"]
    assert lz.list_models("*deep-sets*", symmetry="SO⁺(1,3)") == []
    assert lz.list_models("*deep-sets*", symmetry=lz.Symmetry.spanned_by("Jz")) == ["deep-sets"]


def test_every_error_is_one_of_ours() -> None:
    for call in (
        lambda: lz.compose(backbone="x"),
        lambda: lz.compose(backbone="deep-sets", head="classify:num_classes=x"),
        lambda: lz.compose(backbone={}),
        lambda: lz.create_model("x"),
        lambda: lz.load("nowhere"),
        lambda: lz.describe("backbone", "x"),
    ):
        with pytest.raises(LorentzooError):
            call()


def test_components_are_values() -> None:
    component = Component("backbone", "a", "b:c")
    assert component == Component("backbone", "a", "b:c")
    with pytest.raises(AttributeError):
        component.name = "d"  # type: ignore[misc]


@pytest.mark.filterwarnings("error")
def test_models_of_every_kind_are_found_by_their_symmetry() -> None:
    """Generators look at values while they are made, which the meta device does not have."""
    names = lz.list_models("*-eventgen")
    assert len(names) == 10
    by_symmetry = {name: lz.create_model(name).symmetry.name for name in names}
    for symmetry in set(by_symmetry.values()):
        wanted = [name for name in names if by_symmetry[name] == symmetry]
        assert lz.list_models("*-eventgen", symmetry=symmetry) == wanted


def test_an_unknown_symmetry_is_an_error() -> None:
    with pytest.raises(
        LookupError, match=r"no symmetry is called 'SO\(2\)_bean'; known are .*Did you mean 'SO\(2\)_beam'"
    ):
        lz.list_models("deep-sets", symmetry="SO(2)_bean")
    with pytest.raises(LookupError, match=r"Did you mean 'SO⁺\(1,3\)'"):
        lz.list_models("deep-sets", symmetry="SO(1,3)")
