"""Is every parameter told with what may be given, and what it is for?"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import pytest
from pydantic import Field, PositiveInt

import lorentzoo as lz
from lorentzoo.registry.components import KINDS
from lorentzoo.registry.parameter_texts import allowed_values, describe_type, read_texts

Alias: TypeAlias = "Literal['a', 'b'] | None"


@pytest.mark.parametrize(
    ("annotation", "text", "allowed"),
    [
        (int, "int", ()),
        (bool, "bool", (True, False)),
        (Literal["a", "b"] | None, "'a' | 'b' | None", ("a", "b", None)),
        (Literal["a", 3] | int, "'a' | 3 | int", ()),
        (Sequence[str] | str, "list[str] | str", ()),
        (tuple[int, ...], "tuple[int, ...]", ()),
        (Mapping[str, float], "mapping[str, float]", ()),
        (str | os.PathLike[str], "str | path", ()),
        (PositiveInt, "int (above 0)", ()),
        (Annotated[float, Field(ge=0, le=1)], "float (at least 0, at most 1)", ()),
        (Annotated[Literal["x"], "note"], "'x'", ("x",)),
        (Any, "anything", ()),
    ],
)
def test_types_are_told_by_what_they_allow(annotation: Any, text: str, allowed: tuple[Any, ...]) -> None:
    assert describe_type(annotation) == text
    assert allowed_values(annotation) == allowed


class Documented:
    """One line.

    Parameters
    ----------
    first, second
        Both of `them`,
        in two lines.
    third : int
        The third \x1b[31m red.

    Returns
    -------
    nothing
        Not a parameter.
    """

    def __init__(self, first: int, second: int, third: Alias = None) -> None: ...


def test_texts_are_read_from_the_docstring_as_plain_text() -> None:
    assert read_texts(Documented) == {
        "first": "Both of them, in two lines.",
        "second": "Both of them, in two lines.",
        "third": "The third  [31m red.",
    }
    assert read_texts(len) == {}


def test_a_description_shows_choices_and_texts(own_catalogue: None) -> None:
    lz.register("backbone", "documented")(Documented)
    described = lz.describe("backbone", "documented")
    assert "third: 'a' | 'b' | None = None\n        The third" in str(described)
    third = described.to_data()["parameters"][2]
    assert (third["allowed"], third["text"]) == (["a", "b", None], "The third  [31m red.")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "model"])
def test_every_parameter_of_ours_has_a_text_and_no_alias(kind: str) -> None:
    wanting = []
    for name in lz.list_components(kind):  # type: ignore[arg-type]
        for parameter in lz.describe(kind, name).parameters.values():  # type: ignore[arg-type]
            # Names of types are Python's own; what has a capital otherwise is an alias or a class of ours.
            alias = re.findall(r"\b[A-Z]\w+", re.sub(r"'[^']*'", "", parameter.type).replace("None", ""))
            if not parameter.text or alias:
                wanting.append((name, parameter.name, parameter.type))
    assert wanting == []
