"""How long does a surrogate of |M|² take for one point, in Python and out of it, against the truth?

q q̄ → Z + n g, one thread, batches of 1, 16 and 256. Every way runs the same network with the same weights; its outputs
are compared with those of the model in Python first. Ways take turns, the numbers are medians of CPU time, and the last
column is the median over the truth's at the largest batch. C has the flags of its Makefile, -march=native among them.
Networks are fitted to their scales only, not trained: that changes no time.

    python benchmarks/latency.py
    python benchmarks/latency.py --models mlp-i --ways eager onnxruntime truth --rounds 5
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import lorentzoo as lz
from lorentzoo.core.compiled import compile_model
from lorentzoo.core.errors import ExportError, LorentzooError
from lorentzoo.core.exportable import find_refusal
from lorentzoo.core.layout import Padded
from lorentzoo.exporting.formats import FORMATS, Choices
from lorentzoo.exporting.given import read_given
from lorentzoo.exporting.graph import load_package
from lorentzoo.exporting.onnx_files import open_session
from lorentzoo.exporting.plain import PlainModel
from lorentzoo.exporting.sofie_files import SofieLibrary
from lorentzoo.exporting.source.compiled import C_FLAGS, CompiledNetwork
from lorentzoo.plugins.amplitudes.processes import PROCESSES

MODELS = ("mlp-i", "sk-dnn", "amplitude-recipe", "lgatr-slim-amplitudes")
FIT = 2000
"""Points to which scales are fitted."""
SAME = 1e-3
"""Largest relative difference of outputs in float32, whose exponential amplifies that of ln |M|²."""


@dataclass(frozen=True)
class Task:
    """A network and points.

    Attributes
    ----------
    model
        As it is in Python.
    plain
        The same for plain tensors.
    data
        Points like those.
    cloud, inputs
        The points, as clouds and as arrays of its files.
    made
        What was made of the network for another batch already, by format.
    """

    model: lz.Model
    plain: PlainModel
    data: lz.JetDataset
    cloud: lz.ParticleCloud
    inputs: dict[str, NDArray[Any]]
    made: dict[str, Any]

    def write(self, name: str) -> bytes:
        """The network as a file of a format, made once."""
        if name not in self.made:
            reason = find_refusal(self.model)
            if reason is not None:
                raise ExportError(reason)
            self.made[name] = FORMATS[name].write(self.plain, Choices(17, 8, "")).payload
        payload: bytes = self.made[name]
        return payload

    def compile_c(self, dtype: str) -> CompiledNetwork:
        """The network as C whose layers are of a type, compiled once."""
        if dtype not in self.made:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "network.c"
                self.made[dtype] = CompiledNetwork(
                    lz.export(self.model, path, "c", like=self.data, dtype=dtype)
                )
        network: CompiledNetwork = self.made[dtype]
        return network


Call = Callable[[], NDArray[Any]]


def call_eager(task: Task) -> Call:
    """The model's own `predict`."""
    return lambda: task.model.predict(task.cloud)


def call_compiled(task: Task) -> Call:
    """The same, compiled for all lengths."""
    compiled = copy.deepcopy(task.model)
    compile_model(compiled)
    return lambda: compiled.predict(task.cloud)


def call_onnxruntime(task: Task) -> Call:
    """onnxruntime from Python."""
    session = open_session(task.write("onnx"), threads=1)
    return lambda: session.run(["prediction"], task.inputs)[0]


def call_aoti(task: Task) -> Call:
    """AOTInductor from Python."""
    module, _ = load_package(task.write("aoti"))
    tensors = [torch.from_numpy(x) for x in task.inputs.values()]
    return lambda: module(*tensors)[1].numpy()


def call_sofie(task: Task) -> Call:
    """C++ of SOFIE, called from Python."""
    run = SofieLibrary(task.write("sofie"), task.plain).prepare(task.inputs)
    return lambda: run()[1]


def call_c(task: Task, dtype: str = "float64") -> Call:
    """C99 by this machine's compiler, called from Python."""
    network = task.compile_c(dtype)
    momenta = task.cloud.layout.pad(task.cloud.momenta).double().numpy()
    return lambda: network(momenta)


def call_c_single(task: Task) -> Call:
    """The same with layers in single precision."""
    return call_c(task, "float32")


def call_truth(momenta: torch.Tensor) -> Call:
    """The exact |M|² in Python."""
    return lambda: PROCESSES["qq-Zng"].squared(momenta).numpy()


WAYS: dict[str, Callable[[Task], Call]] = {
    "eager": call_eager,
    "compiled": call_compiled,
    "onnxruntime": call_onnxruntime,
    "aoti": call_aoti,
    "sofie": call_sofie,
    "c": call_c,
    "c-single": call_c_single,
}
"""Each way out of Python is one small function from a task to a call without arguments."""


def make_task(model: lz.Model, data: lz.JetDataset, batch: int, made: dict[str, Any]) -> Task:
    """The first points of a data set for a network."""
    plain = PlainModel(model, torch.float32, name="network", given=read_given(data))
    cloud = data.batch(np.arange(batch)).cloud
    padded = cloud.to_padded(int(cloud.layout.counts().max()))
    assert isinstance(padded.layout, Padded)
    tensors = plain.pack(padded.momenta, padded.layout.mask, padded.scalars, padded.context)
    inputs = {name: x.numpy() for name, x in zip(plain.input_names, tensors, strict=True)}
    return Task(model, plain, data, cloud, inputs, made)


def take_turns(calls: dict[str, Call], rounds: int, least: float = 0.01) -> dict[str, float]:
    """Median CPU seconds of each call; in each round all of them, so often that it takes a while."""
    repeats = {}
    for name, call in calls.items():
        call()
        begin = time.process_time()
        call()
        repeats[name] = max(1, min(1000, int(least / max(time.process_time() - begin, 1e-7))))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.process_time()
            for _ in range(repeats[name]):
                call()
            seconds[name].append((time.process_time() - begin) / repeats[name])
    return {name: float(np.median(values)) for name, values in seconds.items()}


def measure(name: str, gluons: int, batches: list[int], ways: list[str], rounds: int) -> None:
    """Print the rows of one network."""
    data = lz.load_dataset("amplitudes", multiplicity=gluons, num_events=FIT)
    torch.manual_seed(0)
    model = lz.create_model(name)
    model.fit_statistics([data.batch(np.arange(FIT))])
    model.eval()
    rows: dict[str, list[float]] = {way: [] for way in ways}
    refused: dict[str, str] = {}
    made: dict[str, Any] = {}
    for batch in batches:
        task = make_task(model, data, batch, made)
        wanted = model.predict(task.cloud)
        calls: dict[str, Call] = {}
        for way in ways:
            if way == "truth":
                calls[way] = call_truth(task.cloud.momenta.reshape(batch, -1, 4))
                continue
            if way in refused:
                continue
            try:
                call = WAYS[way](task)
            except (LorentzooError, ImportError) as error:
                refused[way] = str(error)
                continue
            difference = np.abs(call() / wanted - 1).max()
            if not difference < SAME:
                raise SystemExit(f"{way} of {name} gives other numbers: {difference:.1e}")
            calls[way] = call
        for way, value in take_turns(calls, rounds).items():
            rows[way].append(1e6 * value / batch)
    for way, values in rows.items():
        if values:
            ratio = f"{values[-1] / rows['truth'][-1]:.3f}" if rows.get("truth") else "–"
            cells = " | ".join(f"{value:.2f}" for value in values)
            print(f"| {name} | {way} | {cells} | {ratio} |", flush=True)
        else:
            print(f"| {name} | {way} | {' | '.join('–' * len(batches))} | – |", flush=True)
    for way, reason in refused.items():
        print(f"{way} of {name}: {reason}", flush=True)


def main() -> None:
    """A table of all networks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--gluons", type=int, default=3)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 256])
    parser.add_argument("--ways", nargs="+", choices=[*WAYS, "truth"], default=[*WAYS, "truth"])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"C is compiled with {' '.join(C_FLAGS)}\n")
    print(f"| network | way | {' | '.join(f'µs a point, {b}' for b in options.batches)} | over truth |")
    print("|---|---|" + "---|" * (len(options.batches) + 1))
    for name in options.models:
        measure(name, options.gluons, options.batches, options.ways, options.rounds)


if __name__ == "__main__":
    main()
