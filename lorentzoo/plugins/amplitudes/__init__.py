"""Amplitudes: exact matrix elements at tree level, phase space, and data sets of both, and targets for networks."""

from lorentzoo import Component, hookimpl
from lorentzoo.plugins.amplitudes.presets import NETWORKS

_HERE = "lorentzoo.plugins.amplitudes"


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The data sets, the head, and the task."""
    return [
        Component(
            "dataset",
            "amplitudes",
            f"{_HERE}.data.dataset:amplitudes",
            "Points of one or several processes (q q̄ → Z + n g, g g → n g, ...) with their exact |M|², made on demand",
            "processes of arXiv:2405.14806",
        ),
        Component(
            "dataset",
            "amplitudes-lhe",
            f"{_HERE}.data.matching:amplitudes_lhe",
            "Events of a Les Houches file that are of a known process, with their exact |M|²",
            "hep-ph/0609017",
            extra="lorentzoo[readers]",
        ),
        Component(
            "dataset",
            "vector-pairs",
            f"{_HERE}.data.vector_pairs:vector_pairs",
            "Functions of 2, 4 or 8 coordinates: |M|² or helicity amplitudes of q q̄ → V V, with decays",
            "functions as in arXiv:2302.00753",
        ),
        Component(
            "head",
            "amplitude-ratio",
            f"{_HERE}.targets.head:AmplitudeRatio",
            "Targets as multiples of a reference: factorisation, a fitted polynomial, or the tree",
            "arXiv:2301.13562",
        ),
        Component(
            "task",
            "amplitudes",
            f"{_HERE}.task.task:Amplitudes",
            "Surrogates of |M|²: errors of its logarithm, cross-section, two-stage unweighting, times",
            "arXiv:2109.11964",
            extra="lorentzoo[train]",
        ),
        *NETWORKS,
    ]
