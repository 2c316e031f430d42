"""How are numbers and their errors put into a few readable characters?"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["format_count", "format_number", "format_range", "format_uncertain", "with_prefix"]

_FIXED: Final = (1e-3, 1e5)
"""Sizes between which numbers are written without a power of ten."""
_ROUNDING: Final = 1e-8
"""Errors that are smaller than this part of their number are rounding."""
_SUPERSCRIPTS: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_uncertain(mean: float, error: float) -> str:
    """A number ± its error: two significant digits of the error, and as many decimals of the number.

    Very large and very small numbers are put with a power of ten. A number without an error stands alone, as does one
    whose error is rounding.

    >>> format_uncertain(0.93127, 0.00118)
    '0.9313 ± 0.0012'
    >>> format_uncertain(1234.5, 167.0)
    '1230 ± 170'
    >>> format_uncertain(1.23456e-7, 2.3e-9)
    '(1.235 ± 0.023)·10⁻⁷'
    """
    if not (math.isfinite(error) and math.isfinite(mean)) or error <= _ROUNDING * abs(mean) or error <= 0:
        return format_number(mean)
    exponent = _exponent_of(max(abs(mean), error))
    scale = 10.0**exponent
    places = _places_of(error / scale)
    text = f"{_round(mean / scale, places)} ± {_round(error / scale, places)}"
    return f"({text})·{_power(exponent)}" if exponent else text


def format_number(value: float, digits: int = 4) -> str:
    """A number to so many digits, with a power of ten where it is very large or very small.

    >>> format_number(0.25), format_number(1.5e-9), format_number(123456789.0)
    ('0.25', '1.5·10⁻⁹', '1.235·10⁸')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0 or _FIXED[0] <= abs(value) < _FIXED[1]:
        text = f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"
        return text.replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}·{_power(int(exponent))}".replace("-", "−")


def format_range(mean: float, low: float, high: float) -> str:
    """A signed number with its interval, to two significant digits of half the interval.

    >>> format_range(0.0123, 0.0101, 0.0145)
    '+0.0123 [+0.0101, +0.0145]'
    """
    exponent = _exponent_of(max(abs(mean), abs(low), abs(high)))
    scale = 10.0**exponent
    places = _places_of((high - low) / 2 / scale)
    first, *ends = (_round(value / scale, places, sign="+") for value in (mean, low, high))
    text = f"{first} [{', '.join(ends)}]"
    return f"({text})·{_power(exponent)}" if exponent else text


def format_count(value: float) -> str:
    """A whole number with thousands apart.

    >>> format_count(12345.0)
    '12,345'
    """
    return f"{value:,.0f}"


def with_prefix(value: float) -> str:
    """Three digits and a prefix of a thousand.

    >>> with_prefix(301e6)
    '301 M'
    """
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.0f}"


def _exponent_of(size: float) -> int:
    """Of the power of ten that is written apart; 0 for sizes that need none."""
    return 0 if size == 0 or _FIXED[0] <= size < _FIXED[1] else math.floor(math.log10(size))


def _places_of(error: float) -> int:
    """Decimals that show two significant digits; below zero where these stand left of the point."""
    # Of the rounded error: 0.0996 has its first digit where 0.10 has it.
    return 1 - int(f"{error:.1e}".partition("e")[2])


def _round(value: float, places: int, sign: str = "") -> str:
    # The sum makes zero of minus zero.
    rounded = round(value, places) + 0.0
    return f"{rounded:{sign}.{max(places, 0)}f}".replace("-", "−")


def _power(exponent: int) -> str:
    return "10" + str(exponent).translate(_SUPERSCRIPTS)
