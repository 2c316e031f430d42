"""What do physicists measure inside a jet?

Every observable is a function of a `Jets` block and gives one number a jet. All of them are built from masses,
transverse momenta, rapidities and azimuths relative to the jet: rotations about the beam and boosts along it leave
them alone exactly, for massive particles too. What is undefined (a ratio over zero, no particle) is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import torch
from torch import Tensor

from lorentzoo import Layout, Symmetry
from lorentzoo.nn import delta_phi, mass_squared, phi, pt, rapidity
from lorentzoo.plugins.substructure.clustering import Subjets, exclusive_subjets

__all__ = [
    "OBSERVABLES",
    "Jets",
    "JetObservable",
    "dispersion",
    "eccentricity",
    "energy_correlator_c2",
    "energy_correlator_d2",
    "kept_by",
    "kept_exactly",
    "les_houches",
    "mass",
    "measure",
    "multiplicity",
    "smallest_pair_mass",
    "tau",
    "tau21",
    "tau32",
    "width",
]

JetObservable = Literal[
    "mass",
    "multiplicity",
    "width",
    "les_houches",
    "dispersion",
    "eccentricity",
    "tau21",
    "tau32",
    "c2",
    "d2",
    "smallest_pair_mass",
]


_AT_AXIS: Final = 1e-24
"""ΔR² below which a particle is at its axis up to rounding."""


@dataclass(frozen=True)
class Jets:
    """Jets side by side, with what several observables share.

    Parameters
    ----------
    momenta
        (E, px, py, pz) of the particles in GeV, shape (B, N, 4), N ≥ 1.
    mask
        Which are real, shape (B, N); None where all are.
    counts
        Numbers of exclusive subjets for which axes are found.
    """

    momenta: Tensor
    mask: Tensor | None = None
    counts: tuple[int, ...] = (3, 2, 1)

    @cached_property
    def real(self) -> Tensor:
        """Which particles are real, shape (B, N)."""
        if self.mask is None:
            return torch.ones(self.momenta.shape[:2], dtype=torch.bool, device=self.momenta.device)
        return self.mask

    @cached_property
    def total(self) -> Tensor:
        """The jets' momenta, shape (B, 4)."""
        return torch.where(self.real.unsqueeze(-1), self.momenta, 0.0).sum(1)

    @cached_property
    def pt(self) -> Tensor:
        """Transverse momenta, zero in padded places, shape (B, N)."""
        return torch.where(self.real, pt(self.momenta), 0.0)

    @cached_property
    def fractions(self) -> Tensor:
        """z = pT / Σ pT, shape (B, N)."""
        return ratio(self.pt, self.pt.sum(1, keepdim=True))

    @cached_property
    def offsets(self) -> Tensor:
        """(Δy, Δφ) of the particles to the jet, zero in padded places, shape (B, N, 2)."""
        jet = self.total.unsqueeze(1)
        offsets = [rapidity(self.momenta) - rapidity(jet), delta_phi(phi(self.momenta), phi(jet))]
        return torch.where(self.real.unsqueeze(-1), torch.stack(offsets, dim=-1), 0.0)

    @cached_property
    def distances(self) -> Tensor:
        """ΔR of the particles to the jet, shape (B, N)."""
        return root(self.offsets.square().sum(-1))

    @cached_property
    def subjets(self) -> dict[int, Subjets]:
        """Exclusive kT subjets, by default three, two and one."""
        return exclusive_subjets(self.momenta, self.mask, self.counts)

    @cached_property
    def correlators(self) -> tuple[Tensor, Tensor]:
        """Energy correlators e₂ = Σ_{i<j} z_i z_j R_ij and e₃ = Σ_{i<j<k} z_i z_j z_k R_ij R_ik R_jk, shapes (B,).

        Sums over ordered tuples by matrix products; R_ii = 0 leaves equal particles out.
        """
        along, around = (self.offsets[:, :, None] - self.offsets[:, None, :]).unbind(-1)
        # Both azimuths are wrapped, their difference is not.
        around = delta_phi(around, torch.zeros_like(around))
        separation = root(along.square() + around.square())
        z = self.fractions
        two = torch.einsum("bi,bij,bj->b", z, separation, z) / 2
        weighted = separation * z.unsqueeze(1)
        through = weighted @ separation
        three = torch.einsum("bi,bij,bj->b", z, separation * through, z) / 6
        return two, three


def ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, zero where b is not positive."""
    positive = b > 0
    return torch.where(positive, a / torch.where(positive, b, 1.0), 0.0)


def root(x: Tensor) -> Tensor:
    """√x, with zero value and zero gradient where x is not positive."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1.0).sqrt(), 0.0)


def mass(jets: Jets) -> Tensor:
    """Invariant mass √(Σp)² in GeV. Shape (B,)."""
    return root(mass_squared(jets.total))


def multiplicity(jets: Jets) -> Tensor:
    """Number of particles. Shape (B,)."""
    return jets.real.sum(1).to(jets.momenta.dtype)


def width(jets: Jets) -> Tensor:
    """Girth λ(κ=1, β=1) = Σ z ΔR, the first angular moment (arXiv:1106.3076). Shape (B,)."""
    return (jets.fractions * jets.distances).sum(1)


def les_houches(jets: Jets) -> Tensor:
    """Les Houches angularity λ(κ=1, β=½) = Σ z √ΔR (arXiv:1704.03878). Shape (B,)."""
    return (jets.fractions * root(jets.distances)).sum(1)


def dispersion(jets: Jets) -> Tensor:
    """pT^D = √(Σ pT²) / Σ pT, one for a single particle (CMS-PAS-JME-13-002). Shape (B,)."""
    return root(jets.fractions.square().sum(1))


def eccentricity(jets: Jets) -> Tensor:
    """1 - λ₂/λ₁ of the second angular moments Σ z (Δy, Δφ)⊗(Δy, Δφ): one for a line, zero for a disc. Shape (B,)."""
    moments = torch.einsum("bn,bni,bnj->bij", jets.fractions, jets.offsets, jets.offsets)
    mean = (moments[:, 0, 0] + moments[:, 1, 1]) / 2
    half = (moments[:, 0, 0] - moments[:, 1, 1]) / 2
    spread = root(half.square() + moments[:, 0, 1].square())
    return ratio(2 * spread, mean + spread)


def tau(jets: Jets, count: int) -> Tensor:
    """N-subjettiness τ_N = Σ z_i min_k ΔR(i, k), β = 1, to the axes of exclusive kT subjets (arXiv:1011.2268).

    Parameters
    ----------
    jets
        The jets.
    count
        Number of axes N, one of the jets' `counts`.

    Returns
    -------
    Shape (B,), zero with no more particles than axes. The jet's radius is left out: it cancels in ratios.
    """
    subjets = jets.subjets[count]
    axes = subjets.momenta.unsqueeze(1)
    squared = (rapidity(jets.momenta).unsqueeze(2) - rapidity(axes)).square()
    squared = squared + delta_phi(phi(jets.momenta).unsqueeze(2), phi(axes)).square()
    nearest = torch.where(subjets.found.unsqueeze(1), squared, torch.inf).amin(2)
    # A particle that is its subjet alone is at its axis up to rounding.
    own = torch.where(jets.real & (nearest > _AT_AXIS), nearest, 0.0)
    return (jets.fractions * root(own)).sum(1)


def tau21(jets: Jets) -> Tensor:
    """τ₂/τ₁, small for two prongs. Shape (B,)."""
    return ratio(tau(jets, 2), tau(jets, 1))


def tau32(jets: Jets) -> Tensor:
    """τ₃/τ₂, small for three prongs. Shape (B,)."""
    return ratio(tau(jets, 3), tau(jets, 2))


def energy_correlator_c2(jets: Jets) -> Tensor:
    """C₂ = e₃ / e₂², β = 1 (arXiv:1305.0007). Shape (B,)."""
    two, three = jets.correlators
    return ratio(three, two.square())


def energy_correlator_d2(jets: Jets) -> Tensor:
    """D₂ = e₃ / e₂³, β = 1 (arXiv:1409.6298). Shape (B,)."""
    two, three = jets.correlators
    return ratio(three, two.pow(3))


def smallest_pair_mass(jets: Jets) -> Tensor:
    """Smallest mass of two of the three exclusive kT subjets, in GeV: W → qq' inside a top (arXiv:0806.0848).

    Shape (B,); zero with fewer than three particles.
    """
    subjets = jets.subjets[3]
    pairs = subjets.momenta[:, [0, 0, 1]] + subjets.momenta[:, [1, 2, 2]]
    smallest = root(mass_squared(pairs)).amin(1)
    return torch.where(subjets.found.all(1), smallest, 0.0)


OBSERVABLES: Final[dict[str, Callable[[Jets], Tensor]]] = {
    "mass": mass,
    "multiplicity": multiplicity,
    "width": width,
    "les_houches": les_houches,
    "dispersion": dispersion,
    "eccentricity": eccentricity,
    "tau21": tau21,
    "tau32": tau32,
    "c2": energy_correlator_c2,
    "d2": energy_correlator_d2,
    "smallest_pair_mass": smallest_pair_mass,
}
"""Observables by name."""


_PAIRS: Final = 2**19
"""Pairs of particles in a block: clustering costs by the step, so that many jets take it together."""


def measure(names: Sequence[str], layout: Layout, momenta: Tensor, scalars: Tensor | None = None) -> Tensor:
    """Observables of each jet and the pT-weighted means of its particles' scalars.

    Parameters
    ----------
    names
        Of observables.
    layout
        Which particle belongs to which jet.
    momenta, scalars
        Of the particles, (*lead, 4) and (*lead, S).

    Returns
    -------
    Shape (B, observables + S), float64.
    """
    given = momenta[..., :0] if scalars is None else scalars
    width = len(names) + given.shape[-1]

    def of_block(mask: Tensor | None, momenta: Tensor, scalars: Tensor) -> Tensor:
        if momenta.shape[1] == 0:
            return momenta.new_zeros(momenta.shape[0], width)
        jets = Jets(momenta, mask)
        measured = torch.stack([OBSERVABLES[name](jets) for name in names], dim=-1)
        scalars = torch.where(jets.real.unsqueeze(-1), scalars, 0.0).to(momenta.dtype)
        return torch.cat([measured, torch.einsum("bn,bns->bs", jets.fractions, scalars)], dim=-1)

    return layout.map_events(of_block, momenta, given, max_pairs=_PAIRS)


_INVARIANT: Final = frozenset({"mass", "multiplicity"})
_NEARLY: Final = frozenset({*_INVARIANT, "smallest_pair_mass"})


def kept_by(names: Collection[str]) -> Symmetry:
    """What observables of these names keep: beam boosts and rotations about the beam; everything if only invariants."""
    return (
        Symmetry.full()
        if _INVARIANT.issuperset(names)
        else Symmetry.spanned_by("Kz", "Jz", discrete=("P", "z-flip"))
    )


def kept_exactly(names: Collection[str]) -> bool:
    """Whether they keep nothing else, not even under small transformations, which change no clustering."""
    return _INVARIANT.issuperset(names) or not _NEARLY.issuperset(names)
