"""How do generated showers look, cell by cell, beside true ones?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.data.showers.detector import Detector
from lorentzoo.data.showers.patches import detectors_of, voxels_of
from lorentzoo.nn.patches import take_columns
from lorentzoo.output.style import plain_text, style

__all__ = ["plot_showers"]

Array = NDArray[np.float64]

_LAYERS: Final = 3
_EMPTY: Final = "#f3f4f6"
_EDGE: Final = "#b9c0ca"
_COLOURS: Final = "viridis_r"


def plot_showers(
    detector: Detector,
    true: ParticleCloud,
    generated: Mapping[str, ParticleCloud],
    *,
    layers: Sequence[int] | None = None,
    shower: int | None = None,
) -> Figure:
    """Energy of each cell, drawn with the cells' outlines, of one shower and on average.

    Parameters
    ----------
    detector
        In which the showers are looked at; those in others are left out.
    true
        The true showers.
    generated
        Showers of each generator by name.
    layers
        Which layers, counted from the front; by default the three that have most energy on average.
    shower
        Which of the true showers in this detector is shown; that of the highest incident energy by default. Beside it are
        the generated showers of the nearest incident energy and angle.

    Returns
    -------
    A row of panels for the true showers and for each generator: one shower in each layer, then the mean over all showers
    in the layer that has most energy. Cells below the threshold are blank.

    Raises
    ------
    ValueError
        If there is no true shower in this detector, or no such layer.
    """
    clouds = {"true": true, **generated}
    parts = {
        name: cloud.select(torch.from_numpy(detectors_of(cloud, [detector]) == 0))
        for name, cloud in clouds.items()
    }
    if not parts["true"].num_events:
        raise ValueError(f"no true shower is in {detector.name!r}")
    voxels = {name: voxels_of(part, detector) for name, part in parts.items()}
    incident = {name: _incident(part) for name, part in parts.items()}
    energies = detector.grid.layer_energies(voxels["true"].mean(0))
    most = int(energies.argmax())
    chosen = sorted(np.argsort(-energies)[:_LAYERS].tolist()) if layers is None else list(layers)
    if not chosen or not all(0 <= layer < detector.grid.num_layers for layer in chosen):
        raise ValueError(f"{detector.name!r} has layers 0 to {detector.grid.num_layers - 1}, not {chosen}")
    picked = int(incident["true"][:, 0].argmax()) if shower is None else shower
    wanted = incident["true"][picked]
    with style():
        rows, columns = len(parts), len(chosen) + 1
        figure = Figure(figsize=(3.1 * columns + 0.9, 3.0 * rows + 0.5), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        shown = {
            name: [
                *(voxels[name][np.abs(incident[name] - wanted).sum(1).argmin()] for _ in chosen),
                voxels[name].mean(0),
            ]
            for name, part in parts.items()
            if part.num_events
        }
        scales = [
            _colours(detector, places, [cells[column] for cells in shown.values()], part)
            for places, column, part in ((chosen, 0, 1.0), ([most], -1, 0.1))
        ]
        for line, name in zip(grid, parts, strict=True):
            for place, cells in enumerate(shown.get(name, [])):
                is_mean = place == len(chosen)
                _draw(line[place], detector, most if is_mean else chosen[place], cells, scales[is_mean])
            line[0].set_ylabel(f"{plain_text(name)}\n$y$ [mm]")
        for place, layer in enumerate([*chosen, most]):
            what = f"mean, layer {layer + 1}" if place == len(chosen) else f"one shower, layer {layer + 1}"
            grid[0, place].set_title(what)
            grid[-1, place].set_xlabel("$x$ [mm]")
        for column, scale in zip((-2, -1), scales, strict=True):
            colours = ScalarMappable(scale, _COLOURS)
            figure.colorbar(colours, ax=list(grid[:, column]), label="$E$ [GeV]", fraction=0.06, pad=0.02)
        figure.suptitle(
            f"{plain_text(detector.name)}: one shower of {np.exp(wanted[0]):.3g} GeV, and the mean of all", fontsize=12
        )  # fmt: skip
    return figure


def _incident(cloud: ParticleCloud) -> Array:
    """ln of the incident energy in GeV and angle of incidence, (B, 2)."""
    columns = take_columns(
        cloud.context, cloud.context_names, ("log_energy", "angle"), "context of the cloud"
    )
    found: Array = columns.detach().double().cpu().numpy()
    return found


def _colours(detector: Detector, layers: Sequence[int], voxels: Sequence[Array], part: float) -> LogNorm:
    """One scale for showers, from a part of the threshold to the largest cell of some layers."""
    inside = np.isin(detector.grid.layer, layers)
    least = part * detector.threshold
    return LogNorm(least, max(2 * least, *(float(cells[inside].max()) for cells in voxels)))


def _draw(axes: Axes, detector: Detector, layer: int, voxels: Array, scale: LogNorm) -> None:
    """Cells of a layer, coloured by their energy; blank where it is below the scale."""
    start, stop = detector.grid.starts[layer : layer + 2]
    drawn = PolyCollection(
        detector.grid.outlines(layer),
        array=np.ma.masked_less(voxels[start:stop], scale.vmin or 0.0),
        cmap=colormaps[_COLOURS].with_extremes(bad=_EMPTY),
        norm=scale,
        edgecolors=_EDGE,
        linewidths=0.4,
    )
    axes.add_collection(drawn)
    axes.autoscale_view()
    axes.set_aspect("equal")
    axes.tick_params(labelsize=8, which="both", length=2)
