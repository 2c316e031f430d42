"""How much faster is one training on two processes, at the same batch, than on one; and what would 10⁸ jets cost?

The first section trains by `lorentzoo.training.train.train` and takes steps a second of wall-clock time, best of some
epochs, and processor time of a step, of all processes together, which other work on the machine changes little; losses
are compared. The second computes from published FLOPs. What data cost is measured by streaming.py.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --section paper --tflops 5
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from typing import Any

import torch

import lorentzoo as lz
from lorentzoo.output.progress import ProgressLine
from lorentzoo.studies import published_flops
from lorentzoo.studies.published_table import PUBLISHED
from lorentzoo.training.train import train

NETWORKS: dict[str, dict[str, Any]] = {
    "small": {"backbone": "transformer:num_blocks=2,num_heads=4,head_reps=8x0n", "embedding": "kinematics"},
    "large": {"backbone": "transformer", "frames": "lloca-polar", "embedding": "kinematics"},
}
"""A Transformer of 26,000 parameters, and the published LLoCa-Transformer."""
STEPS = 4
"""In each epoch."""


class Clock(ProgressLine):
    """Takes the time at the end of each epoch."""

    def __init__(self) -> None:
        super().__init__("benchmark", show=False)
        self.begun = time.perf_counter()
        self.times: list[float] = []

    def step(self, fraction: float, text: str) -> None:
        self.times.append(time.perf_counter())


@dataclass(frozen=True)
class Measured:
    """Steps a second, CPU-seconds of a step, seconds before the first one, and the loss at the end."""

    rate: float
    seconds: float
    start: float
    loss: float
    parameters: int


def measure(network: str, devices: int, batch_size: int, epochs: int) -> Measured:
    """One training."""
    data = lz.load_dataset("toptag", num_jets=4000, max_constituents=50).split("train")
    data = data.subset(torch.arange(min(STEPS * batch_size, len(data))))
    torch.manual_seed(0)
    model = lz.compose(head="classify:num_classes=1", **NETWORKS[network])
    clock = Clock()
    recipe = {"epochs": epochs + 1, "batch_size": batch_size, "num_threads": 1}
    course = train(model, data, None, recipe, devices=devices, progress=clock).course
    # Of the first epoch much is spent on what is there afterwards.
    took = [after - before for before, after in zip(clock.times[1:], clock.times[2:], strict=False)]
    steps = course.steps / course.epochs
    return Measured(
        steps / min(took),
        course.cpu_seconds / course.steps,
        clock.times[0] - clock.begun,
        course.history[-1]["loss"],
        model.num_parameters,
    )


def compare(networks: list[str], batch_size: int, epochs: int, repeats: int) -> None:
    """One process against two, for each network."""
    print(f"one against two processes of one thread each, {batch_size} events a step, {os.cpu_count()} cores")
    columns = ("1 process", "2 processes", "ratio", "efficiency", "CPU-s a step", "with 2")
    print(f"{'network':<10}{'parameters':>12}" + "".join(f"{name:>14}" for name in columns))
    starts = []
    for network in networks:
        found: dict[int, list[Measured]] = {1: [], 2: []}
        for _ in range(repeats):
            for devices, runs in found.items():
                runs.append(measure(network, devices, batch_size, epochs))
        one, two = (max(runs, key=lambda run: run.rate) for runs in found.values())
        if abs(one.loss - two.loss) > 1e-2 * abs(one.loss):
            raise SystemExit(f"{network}: losses differ, {one.loss} and {two.loss}")
        ratio = two.rate / one.rate
        seconds = [min(run.seconds for run in runs) for runs in found.values()]
        print(
            f"{network:<10}{one.parameters:>12,}{one.rate:>12.2f}/s{two.rate:>12.2f}/s{ratio:>14.2f}"
            f"{100 * ratio / 2:>12.0f} %{seconds[0]:>14.3f}{seconds[1]:>14.3f}"
        )
        starts += [run.start for run in found[2]]
    print(f"start of two processes: {min(starts):.1f} s")


def carry(tflops: float, jets: float, seeds: int) -> None:
    """GPU-hours of the eleven published taggers at an assumed rate: a step costs three forward passes."""
    print(f"{jets:.3g} jets seen, {seeds} seeds, {tflops:g} TFLOP/s sustained (assumed)")
    print(f"{'network':<20}{'FLOPs a jet':>14}{'GPU-hours':>12}{'quoted':>10}{'jets/s a GPU':>16}")
    total = [0.0, 0.0]
    for name, quoted in PUBLISHED.items():
        flops = 3 * published_flops(f"{name}-jetclass")
        hours = flops * jets * seeds / (tflops * 1e12) / 3600
        total = [total[0] + hours, total[1] + seeds * quoted.hours]
        rate = tflops * 1e12 / flops
        print(f"{name:<20}{flops / 3:>14.4g}{hours:>12.1f}{seeds * quoted.hours:>10.0f}{rate:>16,.0f}")
    print(f"{'together':<34}{total[0]:>12.0f}{total[1]:>10.0f}")


def main() -> None:
    """Sections, each a comparison in one run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--section", choices=("processes", "paper"))
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=6, help="that are timed")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--tflops", type=float, default=5.0, help="sustained by a GPU, which is assumed")
    parser.add_argument("--jets", type=float, default=5e8, help="that each training sees")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if options.section != "paper":
        compare(options.networks, options.batch_size, options.epochs, options.repeats)
    if options.section != "processes":
        carry(options.tflops, options.jets, options.seeds)


if __name__ == "__main__":
    main()
