"""What lies beside a network that is source code: golden numbers as text, examples, a Makefile?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lorentzoo.exporting.source.about import About
from lorentzoo.exporting.source.program import Program
from lorentzoo.exporting.source.text import fill_template

__all__ = ["answer_scales", "write_examples", "write_golden_text"]

_SMALLEST = 1e-3
"""Answers are compared relative to themselves, or to this part of their median where they are close to zero."""


def answer_scales(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """By what differences of answers (B, outputs) are divided: the modulus of each event's, kept from zero; (B,)."""
    size = np.linalg.norm(answers, axis=1)
    return np.maximum(size, max(_SMALLEST * float(np.median(size)), float(np.finfo(np.float64).tiny)))


def write_golden_text(
    momenta: NDArray[np.float64], context: NDArray[np.float64], answers: NDArray[np.float64]
) -> str:
    """The number of events; then for each, one after the other, momenta, context, answers and their scale."""
    rows = np.concatenate([momenta.reshape(len(momenta), -1), context, answers], axis=1)
    scaled = np.concatenate([rows, answer_scales(answers)[:, None]], axis=1)
    return "\n".join([str(len(rows)), *(" ".join(f"{x:.17g}" for x in row) for row in scaled), ""])


def write_examples(program: Program, about: About, *, fortran: bool) -> dict[str, str]:
    """Example programs and a Makefile, by the end of their names."""
    context = program.num_context > 0
    keys = about.keys(program, c_style=True) | {
        "TOLERANCE_FORTRAN": f"{about.tolerance:g}_real64",
        "CONTEXT_ARRAY": "context[LZ_CONTEXT], " if context else "",
        "CONTEXT_READ": "!read_numbers(file, LZ_CONTEXT, context) || " if context else "",
        "CONTEXT_ARGUMENT": ", context" if context else "",
        "CONTEXT_VECTOR": "context, " if context else "",
        "CONTEXT_READ_CPP": "        read(LZ_CONTEXT, context);\n" if context else "",
        "CONTEXT_DATA": ", context.data()" if context else "",
        "CONTEXT_ARRAY_FORTRAN": f"context({program.num_context}), " if context else "",
        "CONTEXT_ITEM": "context, " if context else "",
        "CONTEXT_CALL": ", context" if context else "",
    }
    if fortran:
        own = {
            "USE": f"  use lz_{keys['MODULE']}, only: lz_message, lz_setup, lz_smatrix",
            "INTERFACE": "",
            "MESSAGE": "lz_message(status)",
            "ANS_INDEX": "(1)" if len(program.outputs) == 1 else "",
        }
        return {
            "_example.f90": fill_template("example.f90", keys | own),
            ".mk": fill_template("makefile_fortran.mk", keys),
        }
    own = {
        "USE": "",
        "INTERFACE": "  external :: lz_setup, lz_smatrix",
        "MESSAGE": '"the parameter file cannot be read"',
        "ANS_INDEX": "",
    }
    return {
        "_example.c": fill_template("example.c", keys),
        "_example.cpp": fill_template("example.cpp", keys),
        "_example.f90": fill_template("example.f90", keys | own),
        ".mk": fill_template("makefile_c.mk", keys),
    }
