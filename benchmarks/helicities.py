"""How well does a network know |M|² of q q̄ → V V with decays, eight coordinates, by its helicity amplitudes?

The network learns the nine amplitudes as functions of four coordinates; they are contracted with the decays. A row for
each seed, and their mean; errors of the total are of Monte Carlo. Integrated over the decays, interferences of helicities
vanish, so that Σ |A|² of the training points normalises the total in eight dimensions, too: the last column but one.

    python benchmarks/helicities.py
    python benchmarks/helicities.py --points 300000 --seconds 150 --seeds 3
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import lorentzoo as lz
from lorentzoo.plugins.amplitudes.data.decays import square_with_decays, without_decays
from lorentzoo.plugins.amplitudes.task.metrics import cross_section_bias
from lorentzoo.training.train import train


def measure(points: int, seconds: float, events: int, seed: int) -> tuple[float, ...]:
    """Median and 90 % of |δ|, bias of the total, its error, the bias once it is normalised, CPU-seconds."""
    data = lz.load_dataset(
        "vector-pairs", dimensions=4, target="helicities", num_events=points, seed=100 + seed
    )
    torch.manual_seed(seed)
    model = lz.create_model("sk-dnn-helicities")
    recipe = dict(lz.describe("model", "sk-dnn-helicities").component.recipe)
    recipe = {key: value for key, value in recipe.items() if not key.startswith(("max_", "cpu_"))}
    begin = time.process_time()
    train(model, data, None, {**recipe, "cpu_seconds": seconds, "seed": seed}, progress=False)
    spent = time.process_time() - begin
    learned = np.square(model.predict(data)).sum()
    factor = float(data.target.double().square().sum()) / learned
    decays = lz.load_dataset("vector-pairs", dimensions=8, num_events=events, seed=5)
    found = square_with_decays(decays, torch.from_numpy(model.predict(without_decays(decays)))).numpy()
    truth, weight = decays.target.double().numpy().reshape(-1), decays.weight.double().numpy()
    delta = np.abs(found.reshape(-1) / truth - 1)
    bias, error = cross_section_bias(found.reshape(-1), truth, weight)
    normalised, _ = cross_section_bias(factor * found.reshape(-1), truth, weight)
    return float(np.median(delta)), float(np.quantile(delta, 0.9)), bias, error, normalised, spent


def main() -> None:
    """A table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=75.0)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| seed | median \\|δ\\| [%] | 90 % [%] | bias of the total [%] | normalised | CPU-s |")
    print("|---|---|---|---|---|---|")
    rows = []
    for seed in range(options.seeds):
        row = measure(options.points, options.seconds, options.events, seed)
        rows.append(row)
        median, most, bias, error, normalised, spent = row
        print(
            f"| {seed} | {100 * median:.3f} | {100 * most:.2f} | {100 * bias:+.3f} ± {100 * error:.3f} | "
            f"{100 * normalised:+.3f} | {spent:.0f} |",
            flush=True,
        )
    mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1 if len(rows) > 1 else 0)
    print(
        f"| mean, spread of seeds | {100 * mean[0]:.3f} | {100 * mean[1]:.2f} | {100 * mean[2]:+.3f} ± "
        f"{100 * spread[2]:.3f} | {100 * mean[4]:+.3f} ± {100 * spread[4]:.3f} | {mean[5]:.0f} |"
    )


if __name__ == "__main__":
    main()
