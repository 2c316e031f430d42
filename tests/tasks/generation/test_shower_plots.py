"""Are showers drawn cell by cell, and kept with an evaluation so that a report can draw them?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection

import lorentzoo as lz
from lorentzoo.data.showers.detectors import find_detector
from lorentzoo.data.showers.patches import voxels_of
from lorentzoo.output.figure_numbers import read_numbers
from lorentzoo.tasks.generation.evaluation import GeneratorEvaluation, evaluate_generator
from lorentzoo.tasks.generation.figures import generator_figures
from lorentzoo.tasks.generation.shower_plots import plot_showers

NAMES = ["lead-tungstate", "lar-like"]


@pytest.fixture(scope="module")
def evaluation() -> GeneratorEvaluation:
    """Of a generator of showers in rings and in towers."""
    data = lz.load_dataset("showers", detector=NAMES, num_showers=80, energy_min=2.0, energy_max=5.0)
    model = lz.create_model("vit-showers", generator={"steps": 1}, backbone={"num_blocks": 1, "width": 16})
    model.fit_statistics([data.batch(range(0, 160, 2))])
    return evaluate_generator(
        model,
        data,
        num_samples=160,
        num_log_prob=2,
        classifier={"backbone": "deep-sets", "embedding": "kinematics", "head": "classify"},
        config={"epochs": 1},
        progress=False,
    )


@pytest.mark.parametrize("name", ["lead-argon", "tungsten-hexagons", "tile-like"])
def test_every_cell_of_a_layer_is_drawn_with_its_energy(name: str) -> None:
    detector = find_detector(name)
    data = lz.load_dataset("showers", detector=name, num_showers=20, energy_min=5.0, energy_max=50.0)
    cloud = data.batch(torch.arange(20)).cloud
    figure = plot_showers(detector, cloud, {"the same": cloud}, layers=[0, 1], shower=3)
    panels = [axes for axes in figure.axes if axes.collections and axes.get_label() != "<colorbar>"]
    assert len(panels) == 6
    voxels = voxels_of(cloud, detector)
    for panel, layer, energies in zip(panels[:2], (0, 1), (voxels[3], voxels[3]), strict=True):
        (cells,) = panel.collections
        assert isinstance(cells, PolyCollection)
        start, stop = detector.grid.starts[layer : layer + 2]
        wanted = energies[start:stop]
        drawn = np.ma.filled(np.ma.asarray(cells.get_array(), np.float64), 0.0)
        assert drawn == pytest.approx(np.where(wanted >= detector.threshold, wanted, 0.0))
        assert len(cells.get_paths()) == stop - start
    # Rows have one scale, so that they may be compared.
    assert panels[0].collections[0].norm.vmax == panels[3].collections[0].norm.vmax
    # And its numbers go to CSV: middles of the cells and their energies.
    rows = [row for row in read_numbers(panels[0]) if row["panel"] == 1]
    start, stop = detector.grid.starts[:2]
    wanted = voxels[3][start:stop]
    wanted = wanted[wanted >= detector.threshold]
    assert sorted(row["value"] for row in rows if np.isfinite(row["value"])) == pytest.approx(sorted(wanted))


def test_what_cannot_be_drawn_is_refused() -> None:
    data = lz.load_dataset("showers", detector="lar-like", num_showers=2, energy_max=5.0)
    cloud = data.batch(range(2)).cloud
    with pytest.raises(ValueError, match="no true shower is in 'tile-like'"):
        plot_showers(find_detector("tile-like"), cloud, {})
    with pytest.raises(ValueError, match=r"'lar-like' has layers 0 to 2, not \[3\]"):
        plot_showers(data.detector(), cloud, {}, layers=[3])


def test_an_evaluation_keeps_showers(evaluation: GeneratorEvaluation, tmp_path: Path) -> None:
    assert [detector.name for detector in evaluation.detectors] == NAMES
    assert evaluation.observables[0].name == "energy_ratio"
    evaluation.save(tmp_path / "showers.npz")
    again = GeneratorEvaluation.load(tmp_path / "showers.npz")
    assert again.detectors == evaluation.detectors
    assert again.metrics() == pytest.approx(evaluation.metrics(), nan_ok=True)
    for observable in evaluation.observables:
        assert observable(again.samples) == pytest.approx(observable(evaluation.samples), rel=1e-5, abs=1e-6)
    figures = {figure.name: figure for figure in generator_figures(again)}
    assert {f"showers-{name}" for name in NAMES} <= set(figures)


def test_other_events_have_no_such_figures(tmp_path: Path) -> None:
    data = lz.load_dataset("ttbar", num_events=400)
    model = lz.create_model("rqs-flow-eventgen", generator={"hidden": [8], "num_transforms": 1})
    model.fit_statistics([data.batch(range(100))])
    found = evaluate_generator(
        model,
        data,
        num_samples=200,
        num_log_prob=2,
        classifier={"backbone": "deep-sets:hidden=[8]", "head": "classify:num_classes=2"},
        config={"max_steps": 1},
        progress=False,
    )
    assert found.detectors == ()
    assert found.true.scalars.shape[-1] == 0
    assert not [figure for figure in generator_figures(found) if figure.name.startswith("showers")]
