"""What does it cost to sort training batches by the number of particles?

A small ParticleNet, which has batch norms, on all constituents of the shipped jets, at equal CPU-seconds: batches
shuffled, as training does it, and sorted by length within runs of 32. Prints a Markdown table of the test AUC.

    OMP_NUM_THREADS=1 python benchmarks/batch_order.py --cpu-seconds 60
"""

from __future__ import annotations

import argparse
from functools import partial
from unittest import mock

import lorentzoo as lz
from lorentzoo.data.batching import make_loader
from lorentzoo.studies import evaluate, train
from lorentzoo.training import train as training


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpu-seconds", type=float, default=60.0)
    recipe = {"cpu_seconds": parser.parse_args().cpu_seconds, "batch_size": 64, "learning_rate": 2e-3}
    events, test = lz.load_dataset("toptag", split="train"), lz.load_dataset("toptag", split="test")
    print("| batches | epochs | AUC |\n|---|---|---|")
    for name, runs in (("shuffled", 1), ("sorted by length", 32)):
        model = lz.create_model(
            "particlenet",
            backbone={"neighbours": 8, "channels": [32, 64], "num_layers": 2, "hidden_reps": ["16x0n+4x1n"]},
            head={"hidden": [64]},
        )
        with mock.patch.object(training, "make_loader", partial(make_loader, sort_within=runs)):
            result = train(model, events, None, recipe, progress=False)
        auc = evaluate(model, test).metrics()["auc"]
        print(f"| {name} | {result.course.events / len(events):.1f} | {auc:.4f} |", flush=True)


if __name__ == "__main__":
    main()
