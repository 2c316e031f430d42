"""How are showers looked at as other events are?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.data.showers.detectors import Detector
from lorentzoo.data.showers.observables import OBSERVABLES, shower_observables
from lorentzoo.data.showers.patches import voxels_of
from lorentzoo.nn.patches import take_columns
from lorentzoo.tasks.generation.observables import Observable

__all__ = ["layer_observables", "observables_of_showers"]

Array = NDArray[np.float64]

_LABELS = {
    "energy_ratio": r"$E_\mathrm{dep} / E_\mathrm{inc}$",
    "depth": r"centre in depth [$X_0$]",
    "centre_x": r"centre in $x$ [$R_M$]",
    "width": r"width across [$R_M$]",
    "sparsity": "empty cells",
    "hardest": r"largest cell / $E_\mathrm{dep}$",
}


def observables_of_showers(detector: Detector) -> tuple[Observable, ...]:
    """The columns of `lorentzoo.data.showers.observables.shower_observables` of clouds of showers in one detector."""

    def column(name: str) -> Callable[[ParticleCloud], Array]:
        def values(cloud: ParticleCloud) -> Array:
            energy = take_columns(cloud.context, cloud.context_names, ("log_energy",), "context of the cloud")
            incident = energy[:, 0].double().exp().cpu().numpy()
            return shower_observables(voxels_of(cloud, detector), incident, detector)[name]

        return values

    return tuple(Observable(name, _LABELS[name], column(name), bins=30) for name in OBSERVABLES)


def layer_observables(detector: Detector, layers: Iterable[int]) -> tuple[Observable, ...]:
    """Energy of some layers in GeV, on a logarithmic scale from the threshold of a cell on."""

    def energy(layer: int) -> Callable[[ParticleCloud], Array]:
        grid, least = detector.grid, detector.threshold
        return lambda cloud: np.maximum(grid.layer_energies(voxels_of(cloud, detector))[:, layer], least)

    return tuple(
        Observable(f"layer-{layer}", rf"$E$ in layer {layer + 1} [GeV]", energy(layer), True, bins=30)
        for layer in layers
    )
