"""Which processes are known exactly, and what are their particles, couplings and checks?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from lorentzoo.densities import Cuts
from lorentzoo.nn import mass_squared
from lorentzoo.plugins.amplitudes.data.particles import KINDS
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.phase_space.points import pass_cuts
from lorentzoo.plugins.amplitudes.truth.closed_forms import gluons, lepton_pair, photon_pair
from lorentzoo.plugins.amplitudes.truth.quark_line import squared_amplitude
from lorentzoo.plugins.amplitudes.truth.source import write_quark_line

__all__ = ["PROCESSES", "Couplings", "Process", "find_process", "z_gluon_factor"]


@dataclass(frozen=True)
class Couplings:
    """Couplings and masses (GeV) at tree level; the weak mixing angle is that of the masses, sin²θ = 1 - (M_W/M_Z)²."""

    alpha_s: float = 0.118
    alpha: float = 0.0075467711139788835
    z_mass: float = 91.188
    w_mass: float = 80.41900244575616
    z_width: float = 2.4952

    def z_couplings(self, isospin: float, charge: float) -> tuple[float, float]:
        """Couplings of the Z to the left- and right-handed fermion, e (T₃ - Q sin²θ)/(sin θ cos θ) and with T₃ = 0."""
        sin2 = 1 - (self.w_mass / self.z_mass) ** 2
        unit = math.sqrt(4 * math.pi * self.alpha / (sin2 * (1 - sin2)))
        return unit * (isospin - charge * sin2), -unit * charge * sin2


@dataclass(frozen=True)
class Process:
    """A process with an exact squared matrix element.

    Attributes
    ----------
    name
        By which it is found.
    incoming, outgoing
        Names of the particles, without those that are repeated.
    repeated
        The particle of which there are as many as the multiplicity says; empty for a fixed final state.
    multiplicities
        Numbers of the repeated particle for which there is a truth; (0,) for a fixed final state.
    evaluate
        |M|² of momenta (B, N, 4) in GeV, averaged over incoming spins and colours, with 1/n! for identical particles.
    masses
        Masses of the outgoing particles that have one, by name, in GeV.
    source
        C source of a function of that name, ``double name(const double *p)``, for a multiplicity, if there is any.
    strong
        Whether |M|² goes with α_s to the power of the multiplicity; otherwise it does not depend on α_s.
    """

    name: str
    incoming: tuple[str, str]
    outgoing: tuple[str, ...]
    repeated: str
    multiplicities: tuple[int, ...]
    evaluate: Callable[[Tensor, Couplings], Tensor] = field(repr=False)
    masses: Callable[[Couplings], dict[str, float]] = field(default=lambda _: {}, repr=False)
    source: Callable[[str, int, Couplings], str] | None = field(default=None, repr=False)
    strong: bool = False

    def particles(self, multiplicity: int) -> tuple[str, ...]:
        """Names of all particles, incoming first.

        Raises
        ------
        AmplitudeError
            If there is no truth for this multiplicity.
        """
        if multiplicity not in self.multiplicities:
            known = ", ".join(map(str, self.multiplicities))
            free = (
                f"{known} of {self.repeated!r}"
                if self.repeated
                else "no multiplicity: it has a fixed final state"
            )
            raise AmplitudeError(f"process {self.name!r} takes {free}; {multiplicity} was given")
        return (*self.incoming, *self.outgoing, *(self.repeated,) * multiplicity)

    def write_source(self, name: str, multiplicity: int, couplings: Couplings | None = None) -> str:
        """C source of |M|² as a function ``double name(const double *p)`` of momenta in the order of `particles`.

        Raises
        ------
        AmplitudeError
            If there is none, of this process or of so many particles.
        """
        self.particles(multiplicity)
        if self.source is None:
            raise AmplitudeError(f"there is no C source of the process {self.name!r}")
        return self.source(name, multiplicity, couplings or Couplings())

    def outgoing_masses(self, multiplicity: int, couplings: Couplings | None = None) -> tuple[float, ...]:
        """Masses of the outgoing particles in GeV."""
        known = self.masses(couplings or Couplings())
        return tuple(known.get(name, 0.0) for name in self.particles(multiplicity)[2:])

    def squared(
        self,
        momenta: Tensor,
        couplings: Couplings | None = None,
        *,
        tolerance: float | None = 1e-6,
        shell_tolerance: float | None = 1e-6,
        cuts: Cuts | None = None,
    ) -> Tensor:
        """|M|², tree level, all colours, averaged over incoming spins and colours, with 1/n! for identical particles.

        Parameters
        ----------
        momenta
            Incoming and outgoing momenta (E, px, py, pz) in GeV, in the order of `particles`, shape (B, N, 4).
        couplings
            Couplings and masses.
        tolerance
            Largest violation of energy-momentum conservation, over √s; None asks for nothing.
        shell_tolerance
            Largest distance from the mass shells, over s; None allows a Z of any mass.
        cuts
            Within which the outgoing particles must lie.

        Returns
        -------
        Shape (B,), float64, in GeV^(8 - 2N).

        Raises
        ------
        AmplitudeError
            Naming the first point that violates conservation or a mass shell, and by how much, or is cut off.
        """
        for name, limit in (("tolerance", tolerance), ("shell_tolerance", shell_tolerance)):
            if limit is not None and not limit > 0:
                raise AmplitudeError(f"{name} must be positive, or None to ask for nothing, not {limit}")
        couplings = couplings or Couplings()
        multiplicity = self.multiplicity_of(momenta)
        momenta = momenta.to(torch.float64)
        self._require_finite(momenta)
        if tolerance is not None:
            self._require_conservation(momenta, tolerance)
        if shell_tolerance is not None:
            self._require_shells(momenta, self.outgoing_masses(multiplicity, couplings), shell_tolerance)
        if cuts is not None:
            outside = (~pass_cuts(momenta, cuts)).nonzero()
            if len(outside):
                raise AmplitudeError(
                    f"{len(outside)} of {len(momenta)} points of {self.name!r} lie outside of {cuts}, first point "
                    f"{int(outside[0])}; leave them out, or pass cuts=None"
                )
        return self.evaluate(momenta, couplings)

    def multiplicity_of(self, momenta: Tensor) -> int:
        """How many repeated particles momenta (B, N, 4) have.

        Raises
        ------
        AmplitudeError
            On another shape, and where there is no truth for so many.
        """
        if momenta.ndim != 3 or momenta.shape[-1] != 4:
            raise AmplitudeError(f"points of {self.name!r} have shape (B, N, 4), not {tuple(momenta.shape)}")
        multiplicity = momenta.shape[1] - len(self.incoming) - len(self.outgoing)
        self.particles(multiplicity)
        return multiplicity

    def _require_finite(self, momenta: Tensor) -> None:
        finite = torch.isfinite(momenta).flatten(1).all(1)
        if not bool(finite.all()):
            point = int((~finite).nonzero()[0])
            raise AmplitudeError(f"point {point} of {self.name!r} has momenta that are not finite")

    def _require_conservation(self, momenta: Tensor, tolerance: float) -> None:
        energy = momenta[:, :2, 0].sum(1)
        missing = (momenta[:, :2].sum(1) - momenta[:, 2:].sum(1)).abs().amax(-1) / energy
        wrong = (~(missing <= tolerance)).nonzero()
        if len(wrong):
            point = int(wrong[0])
            raise AmplitudeError(
                f"point {point} of {self.name!r} violates conservation of energy and momentum by "
                f"{float(missing[point]):.1e} of its energy, allowed are {tolerance:.0e}; incoming particles come first, "
                "with positive energies"
            )

    def _require_shells(self, momenta: Tensor, masses: tuple[float, ...], tolerance: float) -> None:
        squares = torch.tensor((0.0, 0.0, *masses), dtype=torch.float64) ** 2
        found = mass_squared(momenta)
        distance = (found - squares).abs() / mass_squared(momenta[:, :2].sum(1)).unsqueeze(1)
        wrong = (~(distance <= tolerance)).nonzero()
        if len(wrong):
            point, place = (int(index) for index in wrong[0])
            names = self.particles(self.multiplicity_of(momenta))
            particle = names[place]
            twins = [other for other in range(len(names)) if KINDS[names[other]] == KINDS[particle]]
            away = distance[point, twins]
            if len(twins) > 1 and not bool((away > tolerance).all()):
                masses_squared = ", ".join(f"{float(found[point, other]):.6g}" for other in twins)
                raise AmplitudeError(
                    f"point {point} of {self.name!r}: particles {', '.join(map(str, twins))} ({particle}) must have "
                    f"equal masses, but their mass² are {masses_squared} GeV², expected {float(squares[place]):.6g}; "
                    f"off by {float(distance[point, place]):.1e} s, allowed are {tolerance:.0e}"
                )
            raise AmplitudeError(
                f"point {point} of {self.name!r}: particle {place} ({particle}) has mass² "
                f"{float(found[point, place]):.6g} GeV², "
                f"expected {float(squares[place]):.6g}; off by {float(distance[point, place]):.1e} s, allowed are "
                f"{tolerance:.0e}"
            )


_UP: Final = (0.5, 2 / 3)
_ELECTRON: Final = (-0.5, -1.0)


def _z_gluons(momenta: Tensor, couplings: Couplings) -> Tensor:
    return z_gluon_factor(momenta.shape[1] - 3, couplings) * squared_amplitude(momenta)


def z_gluon_factor(n: int, couplings: Couplings) -> float:
    """What multiplies the sum over colours, and over helicities of one handedness, of u ū → Z + n g to be |M|²."""
    left, right = couplings.z_couplings(*_UP)
    strong = (4 * math.pi * couplings.alpha_s) ** n
    # Four spin states and nine colours come in.
    return (left**2 + right**2) * strong / (36 * math.factorial(n))


def _leptons(momenta: Tensor, couplings: Couplings) -> Tensor:
    left, right = couplings.z_couplings(*_ELECTRON)
    return lepton_pair(momenta, left, right, couplings.alpha, couplings.z_mass, couplings.z_width)


PROCESSES: Final[dict[str, Process]] = {
    process.name: process
    for process in (
        Process(
            "qq-Zng",
            ("u", "u~"),
            ("Z",),
            "g",
            (1, 2, 3, 4, 5),
            _z_gluons,
            lambda couplings: {"Z": couplings.z_mass},
            lambda name, n, couplings: write_quark_line(name, n, z_gluon_factor(n, couplings)),
            strong=True,
        ),
        Process(
            "gg-ng",
            ("g", "g"),
            (),
            "g",
            (2, 3),
            lambda p, couplings: gluons(p, couplings.alpha_s),
            strong=True,
        ),
        Process(
            "qq-aa",
            ("u", "u~"),
            ("a", "a"),
            "",
            (0,),
            lambda p, couplings: photon_pair(p, _UP[1], couplings.alpha),
        ),
        Process("ee-mumu", ("e-", "e+"), ("mu-", "mu+"), "", (0,), _leptons),
    )
}
"""Processes by name."""


def find_process(name: str) -> Process:
    """A process by its name.

    Raises
    ------
    AmplitudeError
        Naming the processes that there are.
    """
    if name not in PROCESSES:
        raise AmplitudeError(f"there is no process {name!r}; known are {', '.join(PROCESSES)}")
    return PROCESSES[name]
