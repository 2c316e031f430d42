"""Do showers of two detectors help to learn those of a third?

One network learns parametrised showers in lead-argon and tungsten-silicon calorimeters. It is then fine-tuned to
iron-scintillator with few showers, beside networks that begin from nothing with the same showers and the same processor
time. Figures, a table and the weights go to a folder::

    OMP_NUM_THREADS=1 python examples/showers.py --out runs/showers
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lorentzoo as lz
from lorentzoo.core.generator import Generator
from lorentzoo.data.showers.dataset import ShowerData
from lorentzoo.data.showers.detectors import Detector
from lorentzoo.data.showers.observables import shower_observables
from lorentzoo.data.showers.patches import voxels_of
from lorentzoo.densities.solvers import counting_evaluations
from lorentzoo.tasks.generation.frechet import frechet_physics_distance
from lorentzoo.tasks.generation.observables import observable_table
from lorentzoo.tasks.generation.plots import plot_marginals
from lorentzoo.tasks.generation.shower_observables import layer_observables, observables_of_showers
from lorentzoo.tasks.generation.two_sample import two_sample_test
from lorentzoo.training.averaging import WeightAverage
from lorentzoo.training.schedules import learning_rate_factor

SEEN = ("lead-argon", "tungsten-silicon")
NEW = "iron-scintillator"
ENERGIES = {"energy_min": 2.0, "energy_max": 50.0}
CLASSIFIER = {"backbone": "deep-sets", "embedding": "kinematics", "head": "classify:num_classes=2"}
CLASSIFIER_CONFIG = {"epochs": 10, "batch_size": 64}


def showers(detector: Any, count: int, seed: int) -> ShowerData:
    return lz.load_dataset("showers", detector=detector, num_showers=count, seed=seed, **ENERGIES)


def train(
    model: Generator, data: ShowerData, seconds: float, learning_rate: float, seed: int, batch_size: int = 128
) -> int:
    """Train for so many seconds of processor time; keep an average of the weights. Returns the number of steps."""
    optimiser = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=learning_rate, weight_decay=1e-4
    )
    average, rng = WeightAverage(model, 0.99), torch.Generator().manual_seed(seed)
    started, steps, shown = time.process_time(), 0, 0.0
    while (spent := time.process_time() - started) < seconds:
        for group in optimiser.param_groups:
            factor = learning_rate_factor("warmup-cosine", spent / seconds)
            group["lr"] = learning_rate * factor
        batch = data.batch(torch.randint(len(data), (batch_size,), generator=rng))
        loss = model.loss(batch.cloud, batch.weight, rng=rng)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average.update(model)
        steps += 1
        if spent > shown:
            print(f"  {spent:6.0f} s, step {steps}, loss {float(loss.detach()):.3f}", flush=True)
            shown += seconds / 8
    average.swap(model)
    return steps


def judged(
    model: Generator, test: ShowerData, detector: Detector, seed: int = 0
) -> tuple[dict[str, float], lz.ParticleCloud, lz.ParticleCloud]:
    """Numbers of a generator on true showers that it has not seen, its showers and the true ones."""
    true = test.batch(torch.arange(len(test))).cloud
    started = time.process_time()
    with counting_evaluations() as count:
        made = model.sample(len(test), true, rng=torch.Generator().manual_seed(seed))
    spent = time.process_time() - started
    energy = true.context[:, 0].exp().numpy()
    columns = [shower_observables(voxels_of(cloud, detector), energy, detector) for cloud in (made, true)]
    table = [
        observable_table(cloud, [*observables_of_showers(detector), *layer_observables(detector, LAYERS)])
        for cloud in (made, true)
    ]
    ratio = [column["energy_ratio"] for column in columns]
    found = two_sample_test(
        made, true, classifier=CLASSIFIER, config={**CLASSIFIER_CONFIG, "seed": seed}, seed=seed
    )
    distance = frechet_physics_distance(*table)
    numbers = {
        "response": ratio[0].mean() / ratio[1].mean(),
        "resolution": (ratio[0].std() / ratio[0].mean()) / (ratio[1].std() / ratio[1].mean()),
        "fpd": distance.value,
        "fpd_error": distance.error,
        "c2st_auc": found.auc,
        "c2st_auc_error": found.auc_error,
        "evaluations": count.per_event,
        "milliseconds": 1e3 * spent / len(test),
        "conserved": conserved(made, detector),
    }
    return {name: float(value) for name, value in numbers.items()}, made, true


LAYERS = (2, 5, 8)


def conserved(made: lz.ParticleCloud, detector: Detector) -> float:
    """Largest part of the allowed energy that a shower deposits."""
    incident = made.context[:, 0].exp()
    return float(made.total()[:, 0].div(incident * detector.max_ratio).max())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/showers"))
    parser.add_argument(
        "--seconds", type=float, default=330.0, help="processor time of the training on two detectors"
    )
    parser.add_argument(
        "--fine-tuning", type=float, default=40.0, help="processor time of each row on the third"
    )
    parser.add_argument(
        "--showers", type=int, default=6000, help="training showers of each of the two detectors"
    )
    parser.add_argument(
        "--test", type=int, default=1000, help="true showers of each detector to compare with"
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    began = time.process_time()

    model = lz.create_model("vit-showers")
    data = showers(SEEN, given.showers, seed=1)
    model.fit_statistics([data.batch(torch.arange(0, len(data), 4))])
    rows: dict[str, Any] = {}
    print(f"two detectors, {len(data)} showers, {model.num_parameters} parameters", flush=True)
    steps = train(model, data, given.seconds, 2e-3, seed=0)
    lz.save(model, given.out / "two-detectors")
    for name in SEEN:
        test = showers(name, given.test, seed=2)
        detector = test.detector()
        numbers, made, true = judged(model, test, detector)
        rows[name] = {"steps": steps, **numbers}
        print(name, json.dumps(rows[name]), flush=True)
        chosen = [*observables_of_showers(detector), *layer_observables(detector, LAYERS)]
        figure = plot_marginals(chosen, true, {"vit-showers": made})
        figure.savefig(given.out / f"showers-{name}.png", dpi=80)
        profile(given.out / f"showers-{name}-profile.png", detector, true, made)

    test = showers(NEW, given.test, seed=2)
    detector = test.detector()
    rows[f"{NEW}, not seen"], _, true = judged(model, test, detector)
    print(NEW, json.dumps(rows[f"{NEW}, not seen"]), flush=True)
    shown = {}
    for count in (100, 1000):
        few = showers(NEW, count, seed=3)
        for start in ("two detectors", "nothing"):
            if start == "nothing":
                torch.manual_seed(1)
                tuned = lz.create_model("vit-showers")
                tuned.fit_statistics([few.batch(torch.arange(len(few)))])
                rate = 2e-3
            else:
                tuned, rate = copy.deepcopy(model), 1e-3
            steps = train(tuned, few, given.fine_tuning, rate, seed=1)
            numbers, made, _ = judged(tuned, test, detector)
            label = f"{NEW}, {count} showers, from {start}"
            rows[label] = {"steps": steps, **numbers}
            print(label, json.dumps(rows[label]), flush=True)
            if count == 100:
                shown[f"from {start}"] = made
    chosen = [*observables_of_showers(detector), *layer_observables(detector, LAYERS)]
    plot_marginals(chosen, true, shown).savefig(given.out / f"showers-{NEW}.png", dpi=80)
    rows["processor_seconds"] = time.process_time() - began
    (given.out / "table.json").write_text(json.dumps(rows, indent=1))
    (given.out / "table.md").write_text(as_markdown(rows))
    print(as_markdown(rows), f"{rows['processor_seconds']:.0f} seconds of processor time", flush=True)


def profile(path: Path, detector: Detector, true: lz.ParticleCloud, made: lz.ParticleCloud) -> None:
    """Mean energy by layer, and by radius."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from lorentzoo.output.style import style

    grid = detector.grid
    with style():
        figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
        edges = np.array([layer.z_low for layer in grid.layers] + [grid.layers[-1].z_high])
        radii = np.array(grid.layers[0].r_edges)
        for name, cloud in (("parametrisation", true), ("vit-showers", made)):
            voxels = voxels_of(cloud, detector)
            total = voxels.sum()
            depth = grid.layer_energies(voxels).sum(0) / total
            bins = np.searchsorted(radii, grid.radius) - 1
            across = np.bincount(bins, voxels.sum(0), len(radii) - 1) / total / np.diff(radii**2)
            axes[0].stairs(depth, edges / detector.medium.radiation_length, label=name, linewidth=1.5)
            axes[1].stairs(across, radii / detector.medium.moliere_radius, label=name, linewidth=1.5)
        axes[0].set(xlabel="depth [$X_0$]", ylabel="part of the energy")
        axes[1].set(xlabel="radius [$R_M$]", ylabel="energy / area [a.u.]", yscale="log")
        axes[0].legend()
        figure.savefig(path, dpi=80)
        pyplot.close(figure)


def as_markdown(rows: dict[str, Any]) -> str:
    lines = [
        "| showers | steps | response | resolution | FPD | C2ST AUC | evaluations | ms a shower |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if not isinstance(row, dict):
            continue
        lines.append(
            f"| {name} | {row.get('steps', '-')} | {row['response']:.3f} | {row['resolution']:.2f} "
            f"| {row['fpd']:.3f} ± {row['fpd_error']:.3f} | {row['c2st_auc']:.3f} ± {row['c2st_auc_error']:.3f} "
            f"| {row['evaluations']:.0f} | {row['milliseconds']:.0f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
