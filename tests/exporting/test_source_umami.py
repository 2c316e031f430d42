"""Matrix elements of MadGraph 7: the interface, and its generator as a client."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from surrogates import make_amplitude, make_surrogate

import lorentzoo as lz
from lorentzoo.core.errors import ExportError
from lorentzoo.exporting.source.compiled import find_compiler
from lorentzoo.plugins.amplitudes.processes import find_process
from lorentzoo.studies import train_model

pytestmark = pytest.mark.skipif(find_compiler("c") is None, reason="there is no C compiler")
EXAMPLE = Path(__file__).parents[2] / "examples" / "madspace_client.py"


def call(
    library: Any, handle: Any, inputs: dict[int, Any], outputs: dict[int, Any], count: int, offset: int
) -> int:
    """The function of the interface on arrays by key."""
    keys = [(ctypes.c_int * max(len(given), 1))(*given) for given in (inputs, outputs)]
    arrays = [
        (ctypes.c_void_p * max(len(given), 1))(*[x.ctypes.data for x in given.values()])
        for given in (inputs, outputs)
    ]
    sizes = [ctypes.c_size_t(n) for n in (count, len(next(iter(inputs.values()))) if inputs else 1, offset)]
    stride = ctypes.c_size_t(7)
    return library.umami_matrix_element(
        handle,
        sizes[0],
        stride,
        sizes[2],
        ctypes.c_size_t(len(inputs)),
        keys[0],
        arrays[0],
        ctypes.c_size_t(len(outputs)),
        keys[1],
        arrays[1],
    )


def test_every_answer_of_the_interface(tmp_path: Path) -> None:
    model, data = make_surrogate("log-polynomial:degree=2", multiplicity=2)
    path = lz.export(model, tmp_path / "zgg.so", "umami", like=data)
    library = ctypes.CDLL(str(path))
    number, masses = ctypes.c_int(-1), (ctypes.c_double * 5)()
    for key, wanted in ((0, 0), (1, 5), (2, 1), (3, 1), (4, 1)):
        assert library.umami_get_meta(key, ctypes.byref(number)) == 0
        assert number.value == wanted
    assert library.umami_get_meta(5, masses) == 0
    assert np.allclose(masses, [0, 0, 91.188, 0, 0])
    assert library.umami_get_meta(6, masses) == 6
    handle = ctypes.c_void_p()
    assert library.umami_initialize(ctypes.byref(handle), str(path).encode()) == 1
    assert call(library, handle, {0: np.zeros(1)}, {0: np.zeros(1)}, 1, 0) == 5
    assert library.umami_initialize(ctypes.byref(handle), str(path.with_suffix(".par")).encode()) == 0
    # Seven places of which four events from the third on are evaluated; components and particles are strided.
    cloud = data.batch(slice(0, 7)).cloud
    momenta = cloud.layout.pad(cloud.momenta).numpy()
    given, answers = np.ascontiguousarray(momenta.transpose(2, 1, 0)), np.full(7, -1.0)
    assert call(library, handle, {0: given}, {0: answers}, 4, 2) == 0
    wanted = model.predict(cloud)[:, 0]
    assert np.abs(answers[2:6] / wanted[2:6] - 1).max() < 1e-12
    assert (answers[[0, 1, 6]] == -1).all()
    coupling, flavour = np.full(7, 0.236), np.zeros(7, dtype=np.int32)
    assert call(library, handle, {2: flavour, 1: coupling, 0: given}, {0: answers}, 7, 0) == 0
    assert np.abs(answers / wanted / 4 - 1).max() < 1e-12
    flavour[4] = 1
    assert call(library, handle, {0: given, 2: flavour}, {0: answers}, 7, 0) == 3
    assert call(library, handle, {0: given, 4: coupling}, {0: answers}, 7, 0) == 3
    assert call(library, handle, {0: given}, {1: answers}, 7, 0) == 4
    assert call(library, handle, {1: coupling}, {0: answers}, 7, 0) == 7
    given[0, 0, 1] = np.nan
    assert call(library, handle, {0: given}, {0: answers}, 7, 0) == 0
    assert np.flatnonzero(np.isnan(answers)).tolist() == [1]
    assert library.umami_free(handle) == 0


def test_a_coupling_that_is_not_known_is_refused(tmp_path: Path) -> None:
    model, data = make_surrogate("log-polynomial:degree=1", multiplicity=2)
    cloud = data.batch(slice(0, 7)).cloud
    path = lz.export(model, tmp_path / "zgg.so", "umami", like=cloud)
    library, handle = ctypes.CDLL(str(path)), ctypes.c_void_p()
    assert library.umami_initialize(ctypes.byref(handle), str(path.with_suffix(".par")).encode()) == 0
    given = np.ascontiguousarray(cloud.layout.pad(cloud.momenta).numpy().transpose(2, 1, 0))
    assert call(library, handle, {0: given, 1: np.ones(7)}, {0: np.zeros(7)}, 7, 0) == 3


def test_amplitudes_of_coordinates_are_no_matrix_elements(tmp_path: Path) -> None:
    model, data = make_amplitude()
    with pytest.raises(
        ExportError, match=r"reads 8 further numbers of an event \(log_sqrt_s, .*; format='c' takes it"
    ):
        lz.export(model, tmp_path / "net.so", "umami", like=data)


def load_example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("madspace_client", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["madspace_client"] = module
    spec.loader.exec_module(module)
    return module


def test_madspace_integrates_the_surrogate_and_writes_its_events(tmp_path: Path) -> None:
    pytest.importorskip("madspace", reason='pip install "lorentzoo[generators]"')
    pylhe = pytest.importorskip("pylhe", reason='pip install "lorentzoo[readers]"')
    client = load_example()
    data = lz.load_dataset(
        "amplitudes", multiplicity=2, num_events=20_000, sqrt_s_min=950.0, sqrt_s_max=1050.0
    )
    truth = client.fit(data, reference="tree", process="qq-Zng")
    surrogate = client.fit(data, reference=["factorised", "log-polynomial"])
    points = client.draw_points(30_000, seed=3)
    exact = client.integrand(lz.export(truth, tmp_path / "truth.so", "umami", like=data), points)
    inside = points.weight > 0
    process = find_process("qq-Zng")
    squares = process.squared(torch.from_numpy(points.momenta[inside][:500])).numpy()
    ratio = exact[inside][:500] / (squares * points.weight[inside][:500])
    assert np.abs(ratio / ratio[0] - 1).max() < 1e-10
    # Flux and conversion to pb.
    assert abs(ratio[0] / (0.3893793721e9 / (2 * client.SQRT_S**2)) - 1) < 1e-6
    learned = client.integrand(lz.export(surrogate, tmp_path / "learned.so", "umami", like=data), points)
    difference = abs(learned.mean() - exact.mean())
    assert difference < np.hypot(client.error(learned), client.error(exact))
    # That of an independent program: points of RAMBO, 300,000 of them, gave 7.24.
    assert abs(exact.mean() - 7.24) < 4 * client.error(exact)
    chosen = client.unweight(learned, seed=1)
    path = client.write_lhe(tmp_path / "events.lhe", points.momenta[chosen], learned)
    events = list(pylhe.LHEFile.fromfile(path).events)
    assert len(events) == len(chosen) > 20
    assert [particle.id for particle in events[0].particles] == [2, -2, 23, 21, 21]
    ours = lz.load_dataset("amplitudes-lhe", path=str(path), process="qq-Zng", multiplicity=2)
    assert len(ours) == len(chosen)


@pytest.mark.slow
def test_a_trained_perceptron_has_the_cross_section_of_the_truth(tmp_path: Path) -> None:
    pytest.importorskip("madspace", reason='pip install "lorentzoo[generators]"')
    client = load_example()
    events = {
        "name": "amplitudes",
        "multiplicity": 2,
        "num_events": 33_334,
        "sqrt_s_min": 950.0,
        "sqrt_s_max": 1050.0,
    }
    train_model(
        "amplitude-recipe",
        dataset=events,
        config={"cpu_seconds": 30},
        out=tmp_path / "run",
        test={"times": False},
        progress=False,
    )
    data = lz.load_dataset(events.pop("name"), **events)
    models = {
        "learned": lz.load(tmp_path / "run"),
        "exact": client.fit(data, reference="tree", process="qq-Zng"),
    }
    points = client.draw_points(200_000, seed=3)
    found = {
        name: client.integrand(lz.export(model, tmp_path / f"{name}.so", "umami", like=data), points)
        for name, model in models.items()
    }
    exact, difference = found["exact"], found["learned"] - found["exact"]
    assert abs(difference.mean()) < client.error(exact)
    assert abs(difference.mean()) < 0.005 * exact.mean()
