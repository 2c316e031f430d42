"""How are showers looked at as other events are?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.data.showers.detectors import Detector
from lorentzoo.data.showers.observables import OBSERVABLES, shower_observables
from lorentzoo.data.showers.patches import detectors_of, voxels_of
from lorentzoo.nn.patches import take_columns
from lorentzoo.tasks.generation.observables import Observable

__all__ = ["default_shower_observables", "layer_observables", "observables_of_showers"]

Array = NDArray[np.float64]

_LABELS = {
    "energy_ratio": r"$E_\mathrm{dep} / E_\mathrm{inc}$",
    "depth": r"centre in depth [$X_0$]",
    "centre_x": r"centre in $x$ [$R_M$]",
    "width": r"width across [$R_M$]",
    "sparsity": "empty cells",
    "hardest": r"largest cell / $E_\mathrm{dep}$",
}


def observables_of_showers(*detectors: Detector) -> tuple[Observable, ...]:
    """The columns of `lorentzoo.data.showers.observables.shower_observables` of clouds of showers in these detectors."""

    def column(name: str) -> Callable[[ParticleCloud], Array]:
        def values(cloud: ParticleCloud) -> Array:
            if len(detectors) == 1:
                return shower_observables(voxels_of(cloud, detectors[0]), _incident(cloud), detectors[0])[
                    name
                ]
            found, where = np.full(cloud.num_events, np.nan), detectors_of(cloud, detectors)
            for number, detector in enumerate(detectors):
                part = cloud.select(torch.from_numpy(where == number))
                found[where == number] = shower_observables(
                    voxels_of(part, detector), _incident(part), detector
                )[name]
            return found

        return values

    return tuple(Observable(name, _LABELS[name], column(name), bins=30) for name in OBSERVABLES)


def _incident(cloud: ParticleCloud) -> Array:
    """Incident energies in GeV, (B,)."""
    energy = take_columns(cloud.context, cloud.context_names, ("log_energy",), "context of the cloud")
    found: Array = energy[:, 0].double().exp().cpu().numpy()
    return found


def default_shower_observables(detectors: Sequence[Detector]) -> tuple[Observable, ...]:
    """Of showers in any of these detectors; if it is one only, also energies of a front, a middle and a back layer."""
    if len(detectors) > 1:
        return observables_of_showers(*detectors)
    count = detectors[0].grid.num_layers
    shown = dict.fromkeys((count // 5, count // 2, 4 * count // 5))
    return (*observables_of_showers(*detectors), *layer_observables(detectors[0], shown))


def layer_observables(detector: Detector, layers: Iterable[int]) -> tuple[Observable, ...]:
    """Energy of some layers in GeV, on a logarithmic scale from the threshold of a cell on."""

    def energy(layer: int) -> Callable[[ParticleCloud], Array]:
        grid, least = detector.grid, detector.threshold
        return lambda cloud: np.maximum(grid.layer_energies(voxels_of(cloud, detector))[:, layer], least)

    return tuple(
        Observable(f"layer-{layer}", rf"$E$ in layer {layer + 1} [GeV]", energy(layer), True, bins=30)
        for layer in layers
    )
