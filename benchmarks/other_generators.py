"""What is a surrogate worth on the points of another generator?

A model is trained on our own flat points of a process, and judged on fresh ones and on the events of Les Houches files:
errors of |M|², the part of the events outside of the training region, and the cross-section on our points. One thread.

    python benchmarks/other_generators.py zjj.lhe                                       # q q̄ → Z + 2 g
    python benchmarks/other_generators.py jj.lhe.gz --process gg-ng --model log-polynomial
"""

from __future__ import annotations

import argparse

import torch

import lorentzoo as lz
from lorentzoo.studies import evaluate, train


def main() -> None:
    """A row for our own points, and one for each file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+")
    parser.add_argument("--model", default="amplitude-recipe")
    parser.add_argument("--process", default="qq-Zng")
    parser.add_argument("--gluons", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=40.0, help="CPU-seconds of training")
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--fresh", type=int, default=10_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    channel = {"process": options.process, "multiplicity": options.gluons}
    data = lz.load_dataset("amplitudes", **channel, num_events=options.points + options.fresh)
    known, fresh = (
        data.subset(range(options.points)),
        data.subset(range(options.points, options.points + options.fresh)),
    )
    recipe = dict(lz.describe("model", options.model).component.recipe)
    torch.manual_seed(0)
    model = lz.create_model(options.model, in_scalars=data.num_scalars)
    train(model, known, None, {**recipe, "cpu_seconds": options.seconds}, progress=False)
    print(
        "| judged on | events | outside | median δ | 90 % of δ | bias of the sum |\n|---|---|---|---|---|---|"
    )
    # Another generator's bosons may be off their mass shell.
    files = {path: ("amplitudes-lhe", {"path": path, "shell_tolerance": None}) for path in options.files}
    judged = {"own points": fresh} | {
        path: lz.load_dataset(name, **channel, **settings) for path, (name, settings) in files.items()
    }
    for label, events in judged.items():
        found = evaluate(model, events, task="amplitudes", times=False, progress=False).metrics()
        bias = found["cross_section_bias"]
        print(
            f"| {label} | {len(events)} | {found['outside_region']:.2%} | {found['delta_50']:.2%} "
            f"| {found['delta_90']:.2%} | {bias['value']:+.1%} ± {bias['error']:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
