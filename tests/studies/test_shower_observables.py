"""Are observables of clouds of showers those of their voxels?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.data.showers.observables import OBSERVABLES, shower_observables
from lorentzoo.studies.generative_plots import plot_marginals
from lorentzoo.studies.shower_observables import layer_observables, observables_of_showers


def test_clouds_give_what_voxels_give() -> None:
    data = lz.load_dataset("showers", detector="lead-tungstate", num_showers=50, energy_max=5.0)
    detector, cloud = data.detector(), data.batch(torch.arange(50)).cloud
    voxels, energy, _ = data.showers()
    wanted = shower_observables(voxels, energy, detector)
    found = observables_of_showers(detector)
    assert [one.name for one in found] == list(OBSERVABLES)
    for one in found:
        assert one(cloud)[:, 0] == pytest.approx(wanted[one.name])
    layers = layer_observables(detector, (0, 3))
    expected = np.maximum(detector.grid.layer_energies(voxels)[:, [0, 3]], detector.threshold)
    assert np.concatenate([one(cloud) for one in layers], axis=1) == pytest.approx(expected)
    figure = plot_marginals([*found, *layers], cloud, {"the same": cloud})
    assert len([axes for part in figure.subfigs for axes in part.axes]) >= 2 * len(found)
