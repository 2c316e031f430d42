"""What do people need to know of a network that is source code?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from lorentzoo.exporting.source.program import Program
from lorentzoo.registry.specs import distribution_version

__all__ = ["About", "Precision"]

Precision = Literal["double", "single"]


@dataclass(frozen=True)
class About:
    """Names and facts that source files state.

    Attributes
    ----------
    stem
        Name of the files, without ending.
    title
        What the network is, in a line.
    spec_sha256
        SHA-256 of the specification, or zeros.
    particle_names
        What the particles are, in order.
    context_names, target_names, target_units
        Names of the numbers of an event, of the answers, and their units.
    precision
        Of weights and layers; momenta and answers are in double precision.
    """

    stem: str
    title: str
    spec_sha256: str
    particle_names: tuple[str, ...]
    context_names: tuple[str, ...]
    target_names: tuple[str, ...]
    target_units: tuple[str, ...]
    precision: Precision

    @property
    def is_complex(self) -> bool:
        """Whether the answers are real and imaginary part of one number."""
        return self.target_names == ("real", "imaginary")

    @property
    def tolerance(self) -> float:
        """Largest difference from the model in float64 that is allowed, relative to the answer.

        In single precision deep networks lose a digit of the seven that there are.
        """
        return 1e-12 if self.precision == "double" else 1e-5

    @property
    def answers(self) -> list[str]:
        """Each answer with its unit."""
        units = [unit and f" in {unit}" for unit in self.target_units]
        return [name + unit for name, unit in zip(self.target_names, units, strict=True)]

    def keys(self, program: Program, *, c_style: bool) -> dict[str, str]:
        """Values of the keys of templates, with comments as C or as Fortran writes them."""
        mark, base = (" *", 0) if c_style else ("!", 1)

        def listed(names: tuple[str, ...] | list[str]) -> str:
            # On a line of its own, whatever a name holds.
            plain = [" ".join(name.split()).replace("*/", "* /") for name in names]
            return "\n".join(f"{mark}   {place + base}: {name}" for place, name in enumerate(plain))

        has_context = program.num_context > 0
        note = f"{mark} Numbers of an event are context[event][{program.num_context}]:\n" if c_style else ""
        if has_context and not c_style:
            note = f"{mark} Numbers of an event are context({program.num_context}, events):\n"
        return {
            "TITLE": self.title,
            "STEM": self.stem,
            "GUARD": re.sub(r"\W", "_", self.stem).upper(),
            "MODULE": "module_" + re.sub(r"\W", "_", self.stem).lower(),
            "VERSION": distribution_version("lorentzoo"),
            "SPEC": self.spec_sha256,
            "LAYOUT": program.layout_sha256,
            "REAL": "double" if self.precision == "double" else "float",
            "KIND": "real64" if self.precision == "double" else "real32",
            "NUMBERS": str(len(program.numbers)),
            "PARTICLE_COUNT": str(program.num_particles),
            "CONTEXT_COUNT": str(program.num_context),
            "OUTPUTS": str(len(program.outputs)),
            "PARTICLES": listed(self.particle_names),
            "ANSWERS": listed(self.answers),
            "CONTEXT_NOTE": f"{note}{listed(self.context_names)}\n" if has_context else "",
            "CONTEXT_DECLARATION": ", const double *context" if has_context else "",
            "CONTEXT_FORTRAN": ", CONTEXT" if has_context else "",
            "OR_CONTEXT": " or context" if has_context else "",
            "TOLERANCE": f"{self.tolerance:g}",
        }
