"""Does a condition on columns choose what Python would, and is anything else refused unread?"""

from __future__ import annotations

import contextlib

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lorentzoo.core.errors import InputError
from lorentzoo.data.readers.expressions import Expression

COLUMNS = {
    "a": np.array([0, 1, 2, 3, 6]),
    "b": np.array([0.5, -1.5, 2.0, 9.0, 1.0]),
    "jets.name": np.array(list("xyxyz")),
}


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("a > 1", [0, 0, 1, 1, 1]),
        ("1 <= a < 3 or b == 9", [0, 1, 1, 1, 0]),
        ("a in [0, 6] and not b > 0.7", [1, 0, 0, 0, 0]),
        ("a not in (0, 6)", [0, 1, 1, 1, 0]),
        ("(abs(b) > 1) & ~(a == 2)", [0, 1, 0, 1, 0]),
        ("(a == 0) | (sqrt(b) == 3)", [1, 0, 0, 1, 0]),
        ("a % 2 == 0 and a / 2 + 1 * b - 1 > -b", [0, 0, 1, 0, 1]),
        ("jets.name == 'x'", [1, 0, 1, 0, 0]),
        ("jets.name in ['y', 'z']", [0, 1, 0, 1, 1]),
        ("True", [1, 1, 1, 1, 1]),
    ],
)
def test_conditions_choose(text: str, chosen: list[int]) -> None:
    assert Expression(text).evaluate(COLUMNS, 5).astype(int).tolist() == chosen


def test_names_are_known_before_anything_is_read() -> None:
    assert Expression("a > 1 and jets.name == 'x' or a < b").names == ("a", "jets.name", "b")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "a.__class__()",
        "open('x')",
        "[x for x in a]",
        "lambda: a",
        "a[0]",
        "a ** 9999",
        "(a := 1)",
        "a if b else a",
        "f'{a}'",
        "b'x' == a",
        "a == [1, 2]",
        "a in b",
        "sqrt(a, b)",
        "sqrt(a, out=b)",
        "1j == a",
        "a << 5",
        "await a",
        "a =",
        "",
        "a + " * 500 + "a",
        "(" * 200 + "a" + ")" * 200,
        "a" * 3000,
    ],
)
def test_nothing_else_is_read(text: str) -> None:
    with pytest.raises(InputError):
        Expression(text).evaluate(COLUMNS, 5)


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(InputError):
        Expression(text)


def test_what_is_not_true_or_false_is_said() -> None:
    with pytest.raises(InputError, match="'a' is int64, not true or false"):
        Expression("a").evaluate(COLUMNS, 5)
    with pytest.raises(InputError, match="cannot be computed"):
        Expression("jets.name + 1 > 2").evaluate(COLUMNS, 5)
