"""What do absorbers and active materials do to a shower?

Constants of materials and the effective ones of a sandwich of two, weighted by mass (hep-ex/0001020, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["MATERIALS", "Material", "Medium", "homogeneous", "sandwich"]

_SCALE_ENERGY: Final = 21.2
"""MeV; multiple scattering turns X0 / Ec into a Molière radius by it."""


@dataclass(frozen=True)
class Material:
    """One material.

    Parameters
    ----------
    name
        As it is written in names of detectors.
    charge
        Z, weighted by mass in compounds.
    density
        g/cm³.
    radiation_length
        X0 in mm.
    critical_energy
        Ec of electrons in MeV.
    ionisation
        Energy that a minimum-ionising particle loses, MeV/mm.
    interaction_length
        Nuclear interaction length in mm.
    """

    name: str
    charge: float
    density: float
    radiation_length: float
    critical_energy: float
    ionisation: float
    interaction_length: float


MATERIALS: Final[dict[str, Material]] = {
    material.name: material
    for material in (
        Material("lead", 82.0, 11.35, 5.612, 7.43, 1.274, 175.9),
        Material("tungsten", 74.0, 19.30, 3.504, 7.97, 2.210, 99.46),
        Material("iron", 26.0, 7.874, 17.57, 21.68, 1.143, 167.7),
        Material("silicon", 14.0, 2.329, 93.70, 40.19, 0.3876, 465.2),
        Material("argon", 18.0, 1.396, 140.0, 32.84, 0.2106, 857.7),
        Material("scintillator", 5.57, 1.032, 425.4, 93.11, 0.2019, 787.8),
        Material("lead-tungstate", 68.4, 8.300, 8.903, 9.64, 1.020, 202.7),
    )
}
"""Constants of the Particle Data Group (argon is liquid, scintillator is polyvinyltoluene)."""


@dataclass(frozen=True)
class Medium:
    """What a shower sees of a calorimeter, on average.

    Parameters
    ----------
    charge
        Effective Z.
    radiation_length
        Effective X0 in mm.
    critical_energy
        Effective Ec in GeV.
    moliere_radius
        Effective Molière radius in mm.
    sampling_frequency
        Sandwiches in a radiation length, F_S; infinite in a homogeneous medium.
    electron_response
        ê, the response to electrons relative to minimum-ionising particles; 1 in a homogeneous medium.
    sampling_fraction
        Part of a shower's energy that is deposited in active material.
    interaction_length
        Effective nuclear interaction length in mm; 0 where it is not known, as in files of before it was kept.
    """

    charge: float
    radiation_length: float
    critical_energy: float
    moliere_radius: float
    sampling_frequency: float
    electron_response: float
    sampling_fraction: float
    interaction_length: float = 0.0

    @property
    def is_sampling(self) -> bool:
        """Whether only a part of the energy is seen."""
        return self.sampling_fraction < 1.0


def homogeneous(material: Material) -> Medium:
    """The medium of one material that is active everywhere."""
    return Medium(
        charge=material.charge,
        radiation_length=material.radiation_length,
        critical_energy=1e-3 * material.critical_energy,
        moliere_radius=material.radiation_length * _SCALE_ENERGY / material.critical_energy,
        sampling_frequency=float("inf"),
        electron_response=1.0,
        sampling_fraction=1.0,
        interaction_length=material.interaction_length,
    )


def sandwich(passive: Material, passive_mm: float, active: Material, active_mm: float) -> Medium:
    """The medium of plates of a passive and an active material in turn.

    Parameters
    ----------
    passive, active
        The materials.
    passive_mm, active_mm
        Thickness of one plate of each, mm.

    Raises
    ------
    ValueError
        If a plate has no thickness.
    """
    if not (passive_mm > 0 and active_mm > 0):
        raise ValueError(
            f"plates need a thickness, not {passive_mm} mm of {passive.name} and {active_mm} mm of {active.name}; "
            "a calorimeter of one material is homogeneous"
        )
    masses = passive_mm * passive.density, active_mm * active.density
    weights = [mass / sum(masses) for mass in masses]
    density = sum(masses) / (passive_mm + active_mm)
    both = (passive, active)
    per_mm = sum(w * density / (m.radiation_length * m.density) for w, m in zip(weights, both, strict=True))
    radiation_length = 1.0 / per_mm
    # Weights by mass, lengths in mass per area: Ec / X0 adds like 1 / X0.
    loss = sum(
        w * density * m.critical_energy / (m.radiation_length * m.density)
        for w, m in zip(weights, both, strict=True)
    )
    response = 1.0 / (1.0 + 0.007 * (passive.charge - active.charge))
    ionised = active_mm * active.ionisation, passive_mm * passive.ionisation
    return Medium(
        charge=sum(w * m.charge for w, m in zip(weights, both, strict=True)),
        radiation_length=radiation_length,
        critical_energy=1e-3 * radiation_length * loss,
        moliere_radius=_SCALE_ENERGY / loss,
        sampling_frequency=radiation_length / (passive_mm + active_mm),
        electron_response=response,
        sampling_fraction=response * ionised[0] / sum(ionised),
        interaction_length=(passive_mm + active_mm)
        / (passive_mm / passive.interaction_length + active_mm / active.interaction_length),
    )
