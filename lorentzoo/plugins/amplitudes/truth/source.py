"""How are exact matrix elements written in C, for generators?"""

from __future__ import annotations

import math
import re
from importlib.resources import files
from itertools import permutations
from typing import Final

from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.truth.colour import colour_matrix

__all__ = ["MOST_GLUONS_IN_C", "write_quark_line"]

MOST_GLUONS_IN_C: Final = 4
"""Colour factors of five fill a file of 14,400 numbers."""


def write_quark_line(name: str, gluons: int, couplings: float) -> str:
    """C source of a function ``double name(const double *p)``: |M|² of q q̄ → Z + n g, as `squared_amplitude` has it.

    Parameters
    ----------
    name
        Of the function.
    gluons
        How many there are, n.
    couplings
        Couplings, averages and 1/n!, by which the sum over colours and over helicities of one line is multiplied.

    Raises
    ------
    AmplitudeError
        If there are none, or more than four gluons.
    """
    if not 1 <= gluons <= MOST_GLUONS_IN_C:
        raise AmplitudeError(
            f"there is C source of q q̄ → Z + n g for n = 1 to {MOST_GLUONS_IN_C}, not for n = {gluons}"
        )
    values = {
        "N": str(gluons),
        "NAME": name,
        "ORDERS": str(math.factorial(gluons)),
        "COLOUR": ",\n".join(
            f"    {{{', '.join(repr(x) for x in row)}}}" for row in colour_matrix(gluons).tolist()
        ),
        "ORDER_TABLE": ",\n".join(
            f"    {{{', '.join(map(str, order))}}}" for order in permutations(range(gluons))
        ),
        "FACTOR": repr(couplings),
    }
    text = (files("lorentzoo.plugins.amplitudes.truth") / "quark_line.c").read_text(encoding="utf-8")
    return re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], text)
