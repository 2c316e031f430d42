"""Numbers with errors have one readable form, whatever their sizes."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorentzoo.core.numbers import format_number, format_range, format_uncertain
from lorentzoo.output.table import spread_cell

NUMBER = r"−?\d+(?:\.\d+)?"
SIZES = st.floats(-12.0, 12.0)
DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")


def read(text: str) -> tuple[str, str, int]:
    """Digits of the number and of its error, and the power of ten."""
    found = re.fullmatch(rf"(\()?({NUMBER}) ± ({NUMBER})(?(1)\)·10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))", text)
    assert found, text
    return found[2].translate(DIGITS), found[3], int((found[4] or "0").translate(DIGITS))


@given(mantissa=st.floats(-9.99, 9.99), size=SIZES, error=st.floats(1.0, 9.99), below=st.floats(-3.0, 7.0))
def test_errors_have_two_digits_and_numbers_as_many_decimals(
    mantissa: float, size: float, error: float, below: float
) -> None:
    value, uncertainty = mantissa * 10**size, error * 10 ** (size - below)
    if uncertainty <= 1e-8 * abs(value):
        return
    shown, shown_error, power = read(format_uncertain(value, uncertainty))
    assert len(shown_error.replace(".", "").strip("0")) <= 2
    decimals = [len(text.partition(".")[2]) for text in (shown, shown_error)]
    assert decimals[0] == decimals[1]
    # The last digit that is shown is the second of the error.
    unit = 10.0 ** (math.floor(math.log10(float(f"{uncertainty:.1e}"))) - 1)
    assert float(shown_error) * 10.0**power == pytest.approx(uncertainty, abs=0.5001 * unit)
    assert float(shown) * 10.0**power == pytest.approx(value, abs=0.5001 * unit, rel=1e-12)
    if not decimals[0] and not power:
        assert unit >= 1.0
    assert not re.fullmatch(r"-0\.?0*", shown), "zero has no sign"


@given(value=st.floats(-1e9, 1e9), part=st.floats(0.0, 0.99e-8))
def test_no_error_and_rounding_are_left_out(value: float, part: float) -> None:
    """Never ``66 ± 0``."""
    for error in (0.0, -1.0, math.nan, math.inf, part * abs(value)):
        assert format_uncertain(value, error) == format_number(value)
    assert "±" not in format_number(value)


@given(middle=st.floats(-1e3, 1e3), half=st.floats(1e-9, 1e3))
def test_intervals_are_rounded_like_errors(middle: float, half: float) -> None:
    if middle + half == middle - half or half < 1e-9 * abs(middle):
        return
    text = format_range(middle, middle - half, middle + half)
    found = re.fullmatch(r"\(?([+−][\d.]+) \[([+−][\d.]+), ([+−][\d.]+)\](?:\)·10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?", text)
    assert found, text
    scale = 10.0 ** int((found[4] or "0").translate(DIGITS))
    low, high = (float(found[place].translate(DIGITS)) * scale for place in (2, 3))
    # Both ends are rounded by less than a twentieth of the interval's half, whose first digit is at least one.
    assert (high - low) / 2 == pytest.approx(half, rel=0.12, abs=1e-9 * abs(middle))


@given(
    values=st.lists(st.floats(1.0, 1e4), min_size=1, max_size=6),
    part=st.floats(1e-4, 0.9),
)
def test_a_cell_has_one_error_whatever_it_consists_of(values: list[float], part: float) -> None:
    statistical = [part * value for value in values]
    cell = spread_cell(values, statistical)
    assert cell.text.count("±") == 1
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)
    expected = math.sqrt(variance + (sum(statistical) / len(values)) ** 2)
    assert cell.text == format_uncertain(cell.value, expected) or math.isclose(
        float(read(cell.text)[1]) * 10.0 ** read(cell.text)[2], expected, rel=0.06
    )


def test_errors_of_both_kinds_read_as_one() -> None:
    """What was ``66 ± 0 ± 15``."""
    assert spread_cell([66.2, 65.9], [14.8, 14.6]).text == "66 ± 15"
    assert spread_cell([66.2], [14.8]).text == "66 ± 15"
    assert spread_cell([66.2, 66.2]).text == "66.2"
