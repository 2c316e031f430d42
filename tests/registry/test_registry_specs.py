"""Specifications: every way of writing one down, and what is refused."""

from __future__ import annotations

import json
import string
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError, ParameterError, SpecError, UnknownNameError
from lorentzoo.output.task import task_name
from lorentzoo.registry.composition import build, model_spec
from lorentzoo.registry.specs import PartSpec, Spec, parse_inline, parse_part

DEEP = "deep-sets:hidden=[4]"

names = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,4})?", fullmatch=True)
keys = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True).filter(lambda key: key != "name")
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1000, 1000)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.text(string.ascii_letters + "éø⁺", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=2),
    max_leaves=4,
)
parts = st.builds(PartSpec, names, st.dictionaries(keys, values, max_size=3))
specs = st.builds(
    Spec,
    backbone=parts,
    spurions=st.lists(parts, max_size=2).map(tuple),
    frames=parts,
    embedding=st.lists(parts, max_size=2).map(tuple),
    head=parts,
    spurion_mode=st.sampled_from([None, "tokens", "channels", "drop"]),
    in_scalars=st.integers(0, 20),
    in_context=st.integers(0, 3),
    model=st.none() | names,
)


@given(specs)
def test_specifications_go_through_json_and_yaml(spec: Spec) -> None:
    assert Spec.from_json(spec.to_json()) == spec
    assert Spec.from_yaml(spec.to_yaml()) == spec
    assert Spec.from_data(json.loads(json.dumps(spec.to_data()))) == spec
    assert Spec.from_data(spec) is spec


@pytest.mark.parametrize("name", lz.list_models())
def test_registered_models_go_through_json_and_yaml(name: str) -> None:
    spec = model_spec(name)
    assert Spec.from_json(spec.to_json()) == spec
    assert Spec.from_yaml(spec.to_yaml()) == spec


# ---- inline -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [
        ("lgatr", "lgatr", {}),
        (" lgatr ", "lgatr", {}),
        ("lgatr:num_blocks=6,num_heads=4", "lgatr", {"num_blocks": 6, "num_heads": 4}),
        ("deep-sets:hidden=[64,64],dropout=0.1", "deep-sets", {"hidden": [64, 64], "dropout": 0.1}),
        ("plugin/net:flag=true", "plugin/net", {"flag": True}),
        ("net:a=[[1,2],[3,4]],b={x: 1, y: 2}", "net", {"a": [[1, 2], [3, 4]], "b": {"x": 1, "y": 2}}),
        ("net:a=", "net", {"a": None}),
        ("net:text=a=b", "net", {"text": "a=b"}),
        ("net:a='x,y',b=2", "net", {"a": "x,y", "b": 2}),
        ("net:path='/a:b=c,[d',order='px,py,pz,E'", "net", {"path": "/a:b=c,[d", "order": "px,py,pz,E"}),
        ("net:a=\"x,\\\"y\", b = 'it''s, so'", "net", {"a": 'x,"y', "b": "it's, so"}),
        ("net:a=it's,b=5'", "net", {"a": "it's", "b": "5'"}),
        ("net:a=[it's,b],c==',d=1", "net", {"a": ["it's", "b"], "c": "='", "d": 1}),
    ],
)
def test_inline_text(text: str, name: str, parameters: dict[str, Any]) -> None:
    part = parse_inline(text)
    assert (part.name, dict(part.parameters)) == (name, parameters)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("net:", "ends with ':' but gives no parameters"),
        (":a=1", "gives no name"),
        ("", "gives no name"),
        ("net:6", "'6' in 'net:6' is not key=value"),
        ("net:a=1,b", "'b' in .* is not key=value"),
        ("net:a=1,a=2", "'a' occurs twice"),
        ("net:2a=1", "is not key=value"),
        ("net:a=[1,2", "cannot read the value of 'a'"),
        ("net:a='1,2", "cannot read the value of 'a'"),
        ("net:order=px,py", "'py' in .* is not key=value; a value that holds a comma stands in quotes"),
    ],
)
def test_inline_text_that_is_none(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_inline(text)


@given(st.dictionaries(keys, st.text(string.printable.strip() + " é", max_size=8), min_size=1, max_size=3))
def test_any_text_can_be_quoted(given_values: dict[str, str]) -> None:
    doubled = {key: value.replace("'", "''") for key, value in given_values.items()}
    text = ",".join(f"{key}='{value}'" for key, value in doubled.items())
    assert dict(parse_inline(f"net:{text}").parameters) == given_values
    assert dict(parse_inline(f"net:{text.replace(',', ' , ')}").parameters).keys() == given_values.keys()


def test_text_runs_no_code() -> None:
    with pytest.raises(
        SpecError, match=r"cannot read the value of 'a'.* as YAML: tags such as .* are not read"
    ):
        parse_inline("net:a=!!python/object/apply:os.getcwd []")
    with pytest.raises(SpecError, match=r"as YAML: tags such as .* are not read"):
        Spec.from_yaml("backbone: !!python/object/apply:os.getcwd []")


# ---- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "a specification is a mapping of slots to names, not list"),
        ({}, "names no backbone"),
        ({"backbone": None}, "names no backbone"),
        ({"backbone": DEEP, "backbon": "x"}, "unknown key 'backbon' in the specification; known: "),
        ({"backbone": DEEP, "a": 1, "b": 2}, "unknown key 'a', 'b'"),
        ({"backbone": 3}, "backbone: expected a name, 'name:key=value' or a mapping with a 'name', not 3"),
        ({"backbone": {"num_blocks": 3}}, "has no 'name'"),
        ({"backbone": {"name": "deep-sets", 3: 4}}, r"parameters are named by text, not by \[3\]"),
        ({"backbone": DEEP, "spurions": 3}, "spurions: expected one part or a list of parts, not 3"),
        ({"backbone": DEEP, "spurions": [3]}, "spurions: expected a name"),
        ({"backbone": DEEP, "in_scalars": "2"}, "in_scalars must be a non-negative whole number, not '2'"),
        ({"backbone": DEEP, "in_scalars": -1}, "in_scalars must be a non-negative whole number, not -1"),
        ({"backbone": DEEP, "in_context": True}, "in_context must be a non-negative whole number, not True"),
        (
            {"backbone": DEEP, "spurion_mode": "token"},
            "spurion_mode is 'tokens', 'channels' or 'drop', not 'token'",
        ),
        ({"backbone": DEEP, "anchor": 1}, "anchor is 'auto' or 'none', not 1"),
        ({"backbone": DEEP, "model": 1}, "model is a name, not 1"),
        ({"backbone": DEEP, "plugins": 1}, "plugins is a mapping"),
        (
            {"backbone": DEEP, "format": 3, "lorentzoo": "9.1"},
            r"format 3 \(made by lorentzoo 9.1\).*upgrade lorentzoo",
        ),
        ({"backbone": DEEP, "format": "new"}, "has format 'new'"),
    ],
)
def test_what_is_no_specification(data: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Spec.from_data(data)


def test_text_that_is_no_json_or_yaml() -> None:
    with pytest.raises(SpecError, match="cannot read the specification as JSON"):
        Spec.from_json("{")
    with pytest.raises(SpecError, match="cannot read the specification as YAML"):
        Spec.from_yaml("a: [")
    with pytest.raises(SpecError, match="a mapping of slots"):
        Spec.from_yaml("just text")


# ---- bounds -----------------------------------------------------------------------------------


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def anchors() -> str:
    """Ten lines that stand for 9¹⁰ values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (anchors(), "more than 20000 values, aliases counted as often as they occur"),
        ("x: &x [*x]", "'x' contains itself"),
        ("[" * 5000, "nested more than 32 levels deep"),
        ("{a: " * 5000, "nested more than 32 levels deep"),
        ("- " * 5000, "nested more than 32 levels deep"),
        ("a" * 300_000, "has 300000 characters; at most 250000 are read"),
        ("in_scalars: " + "5" * 5000, "cannot read the specification as YAML.*5000 digits"),
        ("in_scalars: 0x" + "f" * 5000, "holds a whole number of 20000 bits; at most 63 are read"),
        ("in_scalars: !!bool x", "tags such as .* are not read"),
        ("backbone: mlp\nbackbone: transformer", "'backbone' occurs twice"),
        ("backbone: mlp\nhead: {name: classify, x: .nan}", r"holds a number that is not one \(NaN\)"),
        ("backbone: \ud800", "cannot read the specification as YAML"),
    ],
)
def test_text_that_would_cost_too_much_or_mean_two_things(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Spec.from_yaml(text)


def test_bounds_hold_for_json_and_python_too() -> None:
    for read in (lambda: Spec.from_json("[" * 5000), lambda: Spec.from_json("{}" + "[" * 5000)):
        with pytest.raises(SpecError, match=r"nested more than 32|as JSON"):
            read()
    with pytest.raises(SpecError, match=r"cannot read the specification as JSON: .*5000 digits"):
        Spec.from_json('{"in_scalars": ' + "5" * 5000 + "}")
    endless: list[Any] = []
    endless.append(endless)
    for value in (nested(5000), endless):
        for data in ({"backbone": value}, {"backbone": {"name": "mlp", "hidden": value}}):
            with pytest.raises(SpecError, match="nested more than 32 levels deep"):
                Spec.from_data(data)
        with pytest.raises(SpecError, match="parameters of 'mlp' is nested more than"):
            lz.create_model("mlp", backbone={"hidden": value})
        with pytest.raises(SpecError, match="frames is nested more than"):
            parse_part(value, "frames")
    with pytest.raises(SpecError, match="embedding: at most 64 parts, not 100"):
        lz.compose(backbone=DEEP, embedding=["momenta"] * 100)
    with pytest.raises(SpecError, match="holds more than 20000 values"):
        lz.compose(backbone=DEEP, embedding=["momenta"] * 10**6)
    with pytest.raises(SpecError, match="in_scalars is at most 100000, not 1000000"):
        lz.compose(backbone=DEEP, in_scalars=10**6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("net:a=" + "5" * 5000, "cannot read the value of 'a'.*5000 digits"),
        ("net:a=" + "[" * 5000, "nested more than 32 levels deep"),
        ("net:a=" + "5" * 20_000, r"'net:a=5+'\.\.\. has 20006 characters; inline text has at most 10000"),
    ],
)
def test_inline_text_is_bounded(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_inline(text)


def test_dates_stay_text() -> None:
    assert parse_inline("net:a=2024-13-45,b=2024-01-01").parameters == {"a": "2024-13-45", "b": "2024-01-01"}


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        ({"backbone": "transformer:num_blocks=1000000"}, "'transformer' would have more than 1000 layers"),
        ({"backbone": "deep-sets:hidden=[60000,60000]"}, "more than 100000000 parameters; set LORENTZOO_MAX"),
        ({"backbone": "cgenn:hidden_channels=1000000000", "embedding": "momenta"}, "'cgenn' would have more"),
        ({"backbone": DEEP, "embedding": ["places:frequencies=1000000"]}, "from 1 to 32 frequencies, not"),
        ({"backbone": DEEP, "head": "regress:num_targets=0"}, "head 'regress': at least one number"),
    ],
)
def test_networks_that_no_memory_holds_are_refused(slots: dict[str, Any], message: str) -> None:
    with pytest.raises(CompositionError, match=message):
        lz.compose(**slots)


def test_a_larger_network_can_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORENTZOO_MAX_PARAMETERS", "100")
    with pytest.raises(CompositionError, match="more than 100 parameters"):
        lz.compose(backbone="deep-sets:hidden=[20]")
    monkeypatch.setenv("LORENTZOO_MAX_PARAMETERS", "1000")
    lz.compose(backbone="deep-sets:hidden=[20]")


def test_whatever_a_constructor_raises_names_slot_component_and_parameters(own_catalogue: None) -> None:
    from lorentzoo.plugins.sets.deep_sets import DeepSets

    class Falls(DeepSets):
        def __init__(self, depth: int = 1) -> None:
            {}[depth]

    def make(path: str, depth: int = 1) -> None:
        raise {0: OSError("no such file"), 1: ZeroDivisionError("by zero")}[depth]

    lz.register("backbone", "falls")(Falls)
    with pytest.raises(
        CompositionError, match=r"backbone 'falls': cannot be made with depth=3 \(KeyError: 3\)"
    ):
        lz.compose(backbone="falls:depth=3")
    lz.register("dataset", "falls")(make)
    with pytest.raises(
        CompositionError, match=r"dataset 'falls': cannot be made with path='a' \(ZeroDivision"
    ):
        lz.load_dataset("falls:path=a")
    with pytest.raises(OSError, match="no such file"):
        lz.load_dataset("falls:path=a", depth=0)
    with pytest.raises(SpecError, match=r"dataset: expected a name, .* not 3"):
        lz.load_dataset(3)  # type: ignore[arg-type]


def test_a_specification_holds_plain_data_only() -> None:
    with pytest.raises(SpecError, match="holds plain data, not object"):
        Spec(PartSpec("net", {"a": object()})).to_data()
    assert Spec(PartSpec("net", {"a": (1, 2)}))["backbone"]["a"] == [1, 2]


# ---- parameters -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (
            "deep-sets:hiden=[4]",
            r"backbone 'deep-sets' has no parameter 'hiden'; did you mean 'hidden'\? Its ",
        ),
        ("deep-sets:colour=3", r"has no parameter 'colour'\. Its parameters: hidden, dropout\."),
        ("deep-sets:hidden=wide", r"backbone 'deep-sets': hidden='wide' does not fit list\[int\]"),
        ("deep-sets:hidden=[4.5]", r"hidden=\[4\.5\] does not fit"),
        ("deep-sets:dropout=high", "dropout='high' does not fit float"),
        ("deep-sets:dropout=true", r"dropout=True does not fit float \(a truth value is not a number\)"),
        ("deep-sets:in_scalars=3", "'in_scalars' follows from the composition and cannot be set"),
        ("lgatr-axial:hidden_scalars=-1", "'lgatr-axial': hidden_scalars must not be negative, and is -1"),
        ("lorentznet:step=-.inf", "'lorentznet': step must be finite in float32, and is -inf"),
        ("lorentznet:step=1.0e+300", "'lorentznet': step must be finite in float32, and is 1e\\+300"),
        ("lgatr:head_channels=-2", "'lgatr': head_channels must not be negative, and is -2"),
    ],
)
def test_parameters_that_do_not_fit(backbone: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        lz.compose(backbone=backbone)
    assert isinstance(caught.value, TypeError)


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(ParameterError, match="spurions 'vectors' needs a value for 'values'"):
        lz.compose(backbone=DEEP, spurions="vectors")
    with pytest.raises(ParameterError, match="pooling='median' does not fit"):
        lz.compose(backbone=DEEP, head="classify:pooling=median")


def test_numbers_as_yaml_writes_them() -> None:
    assert lz.compose(backbone=DEEP, embedding="momenta:scale=2e1").embedding.scale == 20.0
    assert lz.compose(backbone="deep-sets:hidden=[4.0]").backbone.width == 4


def test_values_that_a_constructor_refuses_become_a_sentence() -> None:
    with pytest.raises(CompositionError, match="backbone 'deep-sets': hidden needs at least one layer"):
        lz.compose(backbone="deep-sets:hidden=[]")
    with pytest.raises(CompositionError, match=r"embedding 'momenta': scale must be positive, not -1.0"):
        lz.compose(backbone=DEEP, embedding="momenta:scale=-1")
    with pytest.raises(CompositionError, match="spurions 'vectors': values must be a list of four-vectors"):
        lz.compose(
            backbone=DEEP, embedding="momenta", spurion_mode="channels", spurions="vectors:values=[[1,2]]"
        )


# ---- models by name ---------------------------------------------------------------------------


def test_overrides_of_a_named_model() -> None:
    by_bare = lz.create_model("deep-sets", num_classes=3, in_scalars=2)
    assert by_bare.head.num_classes == 3
    assert by_bare.in_scalars == 2
    assert lz.create_model("deep-sets:num_classes=3").head.num_classes == 3
    by_slot = lz.create_model("deep-sets", backbone={"hidden": [5]})
    assert by_slot.backbone.width == 5
    assert by_slot.spec["backbone"]["name"] == "deep-sets"
    assert lz.create_model("deep-sets", backbone="transformer:num_blocks=1").backbone.width == 128
    assert lz.create_model("deep-sets", embedding=["kinematics", "momenta"]).embedding.vector_names == (
        "momentum",
    )
    assert lz.create_model("deep-sets", frames="random-beam").spec["frames"]["name"] == "random-beam"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"num_clases": 3},
            "no part of model 'deep-sets' has a parameter 'num_clases'. Possible: .*num_classes",
        ),
        (
            {"hidden": [3]},
            "'hidden' is a parameter of backbone 'deep-sets' and head 'classify': write e.g. backbone=",
        ),
        ({"num_classes": "many"}, "num_classes='many' does not fit int"),
    ],
)
def test_overrides_that_belong_to_no_part_or_several(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        lz.create_model("deep-sets", **overrides)


def test_parameters_of_one_of_several_parts() -> None:
    spec = lz.compose(backbone=DEEP, embedding=["kinematics-beam", "momenta"]).spec
    assert build(Spec.from_data(spec.to_data())).spec == spec
    with pytest.raises(ParameterError, match="embedding of this model has 2 parts"):
        lz.create_model("lgatr-slim", embedding={"scale": 3.0})


# ---- compositions that make no sense ----------------------------------------------------------


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        (
            {"backbone": DEEP, "spurions": "beam"},
            r"spurions \['beam'\] would have no effect: backbone 'deep-sets' drops them.*set spurion_mode",
        ),
        (
            {"backbone": DEEP, "embedding": []},
            "would have no input: the embedding is empty and in_scalars is 0",
        ),
        (
            {"backbone": "needs-angles", "embedding": "momenta"},
            r"needs the scalar channels \['deta', 'dphi'\]",
        ),
        (
            {"backbone": "tokens-only", "spurions": "beam", "spurion_mode": "channels"},
            r"takes spurions as \['tokens'\], not as 'channels'",
        ),
        (
            {"backbone": "symmetric"},
            "is equivariant and reads four-vectors, but the embedding .kinematics. gives none",
        ),
        (
            {"backbone": "mlp:num_particles=4,hidden=[4]", "head": "velocity"},
            "reads 1 vector a particle, but backbone 'mlp' gives none",
        ),
        (
            {"backbone": "pelican:num_blocks=1", "embedding": "momenta", "head": "particle-scalars"},
            "predicts of each particle, but backbone 'pelican.*' pools over the particles itself",
        ),
        (
            {"backbone": "pyg:graph=neighbours", "embedding": "momenta"},
            r"needs the scalar channels \['deta', 'dphi'\], which the embedding .momenta. does not give",
        ),
    ],
)
def test_refused_compositions_say_why(own_catalogue: None, slots: dict[str, Any], message: str) -> None:
    from lorentzoo.plugins.sets.deep_sets import DeepSets

    lz.register("backbone", "needs-angles")(type("A", (DeepSets,), {"requires_scalars": ("deta", "dphi")}))
    lz.register("backbone", "tokens-only")(
        type("B", (DeepSets,), {"spurion_modes": ("tokens",), "spurion_mode": "tokens"})
    )
    lz.register("backbone", "symmetric")(type("C", (DeepSets,), {"equivariant": True}))
    with pytest.raises(CompositionError, match=message):
        lz.compose(**slots)


def test_a_specification_names_every_plugin_and_version() -> None:
    plugins = lz.compose(backbone=DEEP).spec["plugins"]
    assert plugins["backbone/deep-sets"].startswith("sets (lorentzoo ")
    assert set(plugins) == {"frames/identity", "embedding/kinematics", "backbone/deep-sets", "head/classify"}


def test_datasets_by_name() -> None:
    data = lz.load_dataset("toptag:num_jets=5", split="test")
    assert len(data) == 5
    with pytest.raises(ParameterError, match="dataset 'toptag' has no parameter 'jets'"):
        lz.load_dataset("toptag", jets=5)


def test_a_part_of_a_plugin_that_is_not_there_names_the_plugin() -> None:
    """Whether the model is built, or only asked what it is trained for."""
    data = lz.compose(backbone=DEEP).spec.to_data()
    data["head"] = {"name": "theirs"}
    data["plugins"] = {**data["plugins"], "head/theirs": "somebody (their-package 1.2)"}
    spec = Spec.from_data(data)
    for use in (build, task_name):
        with pytest.raises(UnknownNameError, match=r"came from the plugin somebody \(their-package 1\.2\)"):
            use(spec)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 60), 1 << 60)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["1e-05", "true", "null", "a,b", "it's", '"q"', "[x", "2020-01-01", " pad ", "0x1", "~"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)


@given(parameters=st.dictionaries(st.sampled_from(["path", "scale", "hidden"]), VALUES, max_size=3))
def test_inline_text_is_read_back(parameters: dict[str, Any]) -> None:
    part = PartSpec("part", parameters)
    assert parse_inline(part.to_inline()) == part
