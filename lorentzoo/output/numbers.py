"""How are numbers and their errors put into a few readable characters?"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["format_count", "format_number", "format_range", "format_uncertain", "with_prefix"]

_FIXED: Final = (1e-3, 1e5)
"""Sizes between which numbers are written without a power of ten."""
_PLACES: Final = 4
_SUPERSCRIPTS: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_uncertain(mean: float, error: float) -> str:
    """A number and its error, rounded to two digits of the error but to four places at most.

    Very large and very small numbers are put with a power of ten, so that none has more than a few digits.

    >>> format_uncertain(0.93127, 0.00118)
    '0.9313 ± 0.0012'
    >>> format_uncertain(1.23456e-7, 2.3e-9)
    '(1.235 ± 0.023)·10⁻⁷'
    """
    if not math.isfinite(error) or error <= 0 or not math.isfinite(mean):
        return format_number(mean)
    size = max(abs(mean), error)
    if not _FIXED[0] <= size < _FIXED[1]:
        exponent = math.floor(math.log10(size))
        places = min(max(1 - math.floor(math.log10(error)) + exponent, 0), 6)
        scale = 10.0**exponent
        return f"({mean / scale:.{places}f} ± {error / scale:.{places}f})·{_power(exponent)}"
    places = min(max(1 - math.floor(math.log10(error)), 0), _PLACES)
    return f"{mean:.{places}f} ± {error:.{places}f}"


def format_number(value: float, digits: int = 4) -> str:
    """A number to so many digits, with a power of ten where it is very large or very small.

    >>> format_number(0.25), format_number(1.5e-9), format_number(123456789.0)
    ('0.25', '1.5·10⁻⁹', '1.235·10⁸')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0 or _FIXED[0] <= abs(value) < _FIXED[1]:
        return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}·{_power(int(exponent))}"


def format_range(mean: float, low: float, high: float) -> str:
    """A signed number with its interval, to two digits of half the interval.

    >>> format_range(0.0123, 0.0101, 0.0145)
    '+0.0123 [+0.0101, +0.0145]'
    """
    half = high - mean
    size = max(abs(mean), abs(low), abs(high))
    scale, exponent = 1.0, 0
    if size > 0 and not _FIXED[0] <= size < _FIXED[1]:
        exponent = math.floor(math.log10(size))
        scale = 10.0**exponent
    places = min(max(1 - math.floor(math.log10(half / scale)), 0), _PLACES)
    first, *ends = (f"{value / scale:+.{places}f}" for value in (mean, low, high))
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


def _power(exponent: int) -> str:
    return "10" + str(exponent).translate(_SUPERSCRIPTS)
