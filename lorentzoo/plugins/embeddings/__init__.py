"""From momenta to named channels."""

from lorentzoo import Component, hookimpl


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The embeddings by name."""
    kinematics = "lorentzoo.plugins.embeddings.kinematics:Kinematics"
    return [
        Component(
            "embedding",
            "kinematics",
            kinematics,
            "Seven standardised tagging features: log pT, log E, their fractions, Δφ, Δη, ΔR",
            "arXiv:2202.03772",
        ),
        Component(
            "embedding",
            "kinematics-beam",
            kinematics,
            "The five of them that beam boosts and rotations about the beam leave alone, with rapidity",
            "arXiv:2508.14898",
            defaults={"features": ["log_pt", "log_pt_rel", "dphi", "deta", "delta_r"], "rapidity": True},
        ),
        Component(
            "embedding",
            "kinematics-rotation",
            kinematics,
            "The two of them that rotations leave alone: log E and its fraction",
            "arXiv:2508.14898",
            defaults={"features": ["log_e", "log_e_rel"]},
        ),
        Component(
            "embedding",
            "momenta",
            "lorentzoo.plugins.embeddings.momenta:Momenta",
            "Four-momenta as vector channels",
        ),
        Component(
            "embedding",
            "invariants",
            "lorentzoo.plugins.embeddings.invariants:Invariants",
            "Minkowski products with the event's total, with itself and with spurions",
        ),
    ]
