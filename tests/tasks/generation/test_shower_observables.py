"""Are observables of clouds of showers those of their voxels?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.data.showers.observables import OBSERVABLES, shower_observables
from lorentzoo.tasks.generation.evaluation import evaluate_generator
from lorentzoo.tasks.generation.plots import plot_marginals
from lorentzoo.tasks.generation.shower_observables import layer_observables, observables_of_showers


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
    assert len(figure.axes) >= 2 * len(found)


def test_a_generator_without_density_is_evaluated_all_the_same() -> None:
    data = lz.load_dataset("showers", detector="lead-tungstate", num_showers=120, energy_max=5.0)
    model = lz.create_model("vit-showers", generator={"steps": 1}, backbone={"num_blocks": 1, "width": 16})
    model.fit_statistics([data.split("train").batch(range(60))])
    found = evaluate_generator(
        model,
        data,
        num_samples=120,
        num_log_prob=5,
        observables=observables_of_showers(data.detector()),
        classifier={"backbone": "deep-sets", "embedding": "kinematics", "head": "classify"},
        config={"epochs": 1},
        progress=False,
    ).metrics()
    # No density is none that failed.
    assert found["nll_events"] == 0
    assert not {"nll_failed", "nll_infinite"} & set(found)
    assert np.isfinite([found["fpd"], found["c2st_auc"]]).all()
