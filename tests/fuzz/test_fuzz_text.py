"""Names, specifications and studies of anything: refused by name, or made."""

from __future__ import annotations

import copy
import json
import string
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
import yaml
from fuzzing import sizes, survey

import lorentzoo as lz
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.composition import build, model_spec
from lorentzoo.registry.parameters import FILLED, parameters_of
from lorentzoo.registry.specs import Spec, parse_inline, parse_part
from lorentzoo.studies.grid import load_study
from lorentzoo.testing import random_cloud

ODD = st.sampled_from(
    [
        *(0, -1, 1, 2, 3, 7, 64, 10**4, 10**6, 10**9, 2**62, 10**30, True, None),
        *(0.0, -1.0, 0.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan")),
        *(
            "",
            "x",
            "mean",
            "auto",
            "../x",
            "a\x00b",
            "\x1b[31m",
            "é\ud800",
            "2024-13-45",
            "8x0n+2x1n",
            "x" * 5000,
        ),
        *([], [0], [-1], [8], [8, 8], [10**9], [[1]], [1] * 300, [{}], {}, {"a": 1}, {"name": "mlp"}),
    ]
)
PLAIN = st.recursive(
    ODD | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
LARGE = 5.0
"""Seconds for a network of a thousand layers, which is the most that is made."""
SLOTS = ("spurions", "frames", "embedding", "backbone", "head")


def in_three_forms(data: Any) -> list[Any]:
    """Python data, and text in JSON and YAML as far as they can write it."""
    forms: list[Any] = [lambda: Spec.from_data(data)]
    try:
        text = json.dumps(data)
        forms.append(lambda: Spec.from_json(text))
        dumped = yaml.safe_dump(data)
        forms.append(lambda: Spec.from_yaml(dumped))
    except (ValueError, TypeError, RecursionError, yaml.YAMLError):
        pass
    return forms


# ---- inline -----------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [*":=,'\"[]{}&*!|>#%@`- \n\t\\", "lgatr", "deep-sets", "hidden", "num_blocks", "[8]", "1", "null", ".nan"]
)


@sizes(quick=200, slow=30_000)
def test_inline_texts(examples: int) -> None:
    texts = st.one_of(
        st.text(max_size=40),
        st.text(string.printable, max_size=40),
        st.lists(WORDS, max_size=14).map("".join),
    )

    def check(text: str) -> str | None:
        part = parse_inline(text)
        if parse_part(part.to_data(), "part") != part:
            return f"{text!r} does not come back"
        return None

    survey("inline texts", texts, check, examples)


@sizes(quick=100, slow=10_000)
def test_texts_of_specifications(examples: int) -> None:
    shipped = [lz.compose(backbone="deep-sets:hidden=[4]").spec, model_spec("lloca-transformer")]
    texts = [text for spec in shipped for text in (spec.to_json(), spec.to_yaml())]
    insert = st.lists(st.tuples(st.integers(0, 2000), WORDS | st.text(max_size=3)), min_size=1, max_size=3)

    def check(case: tuple[str, list[tuple[int, str]]]) -> None:
        text, changes = case
        for place, word in changes:
            place %= len(text)
            text = text[:place] + word + text[place + len(word) % 3 :]
        (Spec.from_json if case[0].startswith("{") else Spec.from_yaml)(text)

    survey("texts of specifications", st.tuples(st.sampled_from(texts), insert), check, examples)


# ---- specifications ---------------------------------------------------------------------------


@st.composite
def specifications(draw: st.DrawFn) -> Any:
    """Slots, names and parameters that exist, with values that mostly do not fit."""
    if draw(st.integers(0, 9)) == 0:
        return draw(PLAIN)
    data: dict[str, Any] = {"backbone": "deep-sets:hidden=[4]", "embedding": ["kinematics", "momenta"]}
    for slot in draw(st.lists(st.sampled_from(SLOTS), min_size=1, max_size=2)):
        component = draw(st.sampled_from(catalogue().components(slot)))
        known = [name for name in parameters_of(catalogue().target(component)) if name not in FILLED]
        part: dict[str, Any] = {"name": component.name}
        for name in draw(st.lists(st.sampled_from(known or ["x"]), max_size=2)):
            part[name] = draw(ODD | PLAIN)
        data[slot] = [part, *draw(st.sampled_from([[], ["momenta"]]))] if slot == "embedding" else part
    for key in draw(st.lists(st.sampled_from(["spurion_mode", "anchor", "in_scalars", "x"]), max_size=1)):
        data[key] = draw(ODD | st.sampled_from(["tokens", "channels", "drop", "none"]))
    return data


@sizes(quick=120, slow=5_000)
def test_specifications(examples: int) -> None:
    cloud = random_cloud([3, 1])

    def check(data: Any) -> str | None:
        spec = [form() for form in in_three_forms(data)][-1]
        model = build(spec)
        if model.in_scalars or spec.in_context:
            return None
        with torch.no_grad():
            if not bool(torch.isfinite(model.eval()(cloud)).all()):
                return f"a prediction that is not finite of {spec.to_data()}"
        return None

    survey("specifications", specifications(), check, examples, seconds=LARGE)


@sizes(quick=60, slow=5_000)
def test_overrides_of_models(examples: int) -> None:
    names = st.sampled_from(["deep-sets", "transformer", "lgatr-slim", "lloca-part", "pelican-mini", "pfn"])
    keys = st.sampled_from([*SLOTS, "num_classes", "hidden", "num_blocks", "in_scalars", "generator", "x"])

    def check(case: tuple[str, dict[str, Any]]) -> None:
        lz.create_model(case[0], **case[1])

    survey(
        "overrides of models",
        st.tuples(names, st.dictionaries(keys, ODD | PLAIN, max_size=2)),
        check,
        examples,
        seconds=LARGE,
    )


# ---- studies ----------------------------------------------------------------------------------

STUDY: dict[str, Any] = {
    "name": "small",
    "description": "of two frames",
    "dataset": {"name": "toptag", "num_jets": 400},
    "axes": {
        "frames": ["identity", "random-beam"],
        "backbone": ["deep-sets:hidden=[16]", {"label": "wide", "name": "deep-sets", "hidden": [32]}],
        "training": [{"label": "slow", "learning_rate": 1e-4}, {"learning_rate": 1e-3}],
        "pretraining": [
            None,
            {"dataset": "toptag", "budget": {"steps": 3}, "finetuning": {"freeze": ["head"]}},
        ],
    },
    "fixed": {"head": "classify:num_classes=1"},
    "exclude": [{"frames": "identity", "backbone": ["wide"]}],
    "seeds": [0, 3],
    "train_sizes": [100, None],
    "training": {"batch_size": 50},
    "budget": {"steps": 10},
    "test": {"x": 3},
}


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every value inside plain data."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


@st.composite
def studies(draw: st.DrawFn) -> Any:
    """A good study with one to three values, or names of keys, changed to anything."""
    study: Any = copy.deepcopy(STUDY)
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(places(study)[1:]))
        parent = study
        for key in path:
            parent = parent[key]
        if isinstance(parent, dict) and draw(st.integers(0, 4)) == 0:
            parent[draw(st.text(max_size=3) | st.integers() | st.none())] = parent.pop(last)
        else:
            # What is drawn is changed by later draws.
            parent[last] = copy.deepcopy(draw(ODD | PLAIN))
    return study


@sizes(quick=200, slow=5_000)
def test_studies(tmp_path: Path, examples: int) -> None:
    path = tmp_path / "study.yaml"

    def check(data: Any) -> str | None:
        try:
            path.write_text(yaml.safe_dump(data), encoding="utf-8")
        except (UnicodeEncodeError, yaml.YAMLError):
            load_study(data)
            return None
        study = load_study(path)
        if load_study(study.model_dump(mode="json")) != study:
            return "a study that does not come back"
        return None

    survey("studies", studies(), check, examples)


@pytest.mark.parametrize("kind", ["specification", "study"])
@sizes(quick=30, slow=3_000)
def test_bytes_of_files(tmp_path: Path, kind: str, examples: int) -> None:
    path = tmp_path / "a.yaml"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        if kind == "study":
            load_study(path)
        else:
            Spec.from_yaml(content.decode("utf-8", errors="surrogateescape"))

    survey(f"bytes of a {kind}", st.binary(max_size=60), check, examples)
