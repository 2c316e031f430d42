"""What do networks learn of the Lorentz group: before, during and after their training?

Small taggers are trained on the shipped top jets with the same batches. At some steps `lorentzoo.symmetry_spectrum`
says how fast their outputs change along each generator, on test jets and with the weights as they are. A figure, all
numbers and a table go to a folder::

    OMP_NUM_THREADS=1 python examples/symmetry_learned.py --out runs/symmetry-learned
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lorentzoo as lz
from lorentzoo.tasks.classification.metrics import auc
from lorentzoo.verification.spectrum import SymmetrySpectrum, combine_spectra

_SMALL = {"num_blocks": 2, "num_heads": 8, "head_reps": "4x0n+1x1n", "mlp_ratio": 2}
_POLAR = {"name": "lloca-polar", "hidden": 32}
NETWORKS: dict[str, dict[str, Any]] = {
    "transformer": {"name": "transformer", "backbone": _SMALL},
    "transformer on momenta": {"name": "transformer", "embedding": "momenta", "backbone": _SMALL},
    "lloca with spurions": {
        "name": "lloca-transformer",
        "frames": {**_POLAR, "lab_scalars": "kinematics"},
        "backbone": _SMALL,
    },
    "lloca without spurions": {"name": "lloca-transformer-full", "frames": _POLAR, "backbone": _SMALL},
    "lgatr with spurions": {
        "name": "lgatr",
        "backbone": {"num_blocks": 2, "hidden_channels": 8, "hidden_scalars": 16, "num_heads": 4},
    },
}
COLUMNS = ("SO(2)_beam", "SO⁺(1,1)_beam", "SO(3)", "SO⁺(1,3)")


def train(
    options: dict[str, Any], steps: list[int], seed: int, data: lz.JetDataset, num_events: int
) -> list[tuple[Any, float]]:
    """Spectra and AUC of one network, before the first step and after each of the given ones."""
    torch.manual_seed(seed)
    model = lz.create_model(**options)
    training, test = data.split("train"), data.split("test")
    loader = lz.make_loader(training, batch_size=64, shuffle=True, seed=seed)
    model.fit_statistics(loader)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    found, done = [_measure(model, test, num_events)], 0
    model.train()
    while done < steps[-1]:
        for batch in loader:
            optimiser.zero_grad(set_to_none=True)
            model.loss(batch).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            done += 1
            if done in steps:
                found.append(_measure(model, test, num_events))
                model.train()
            if done >= steps[-1]:
                break
    return found


def _measure(model: lz.Model, test: lz.JetDataset, num_events: int) -> tuple[SymmetrySpectrum, float]:
    model.eval()
    probabilities = model.predict(test)[:, 1]
    value = float(auc(probabilities, test.target.numpy() == 1, test.weight.numpy()))
    return lz.symmetry_spectrum(model, test, num_events=num_events), value


def write_table(found: dict[str, list[tuple[SymmetrySpectrum, list[float]]]], steps: list[int]) -> str:
    """Markdown: a row for every network and step."""
    lines = [
        f"| network | steps | AUC | {' | '.join(COLUMNS)} |",
        f"|:--|--:|--:|{'--:|' * len(COLUMNS)}",
    ]
    for name, course in found.items():
        for step, (spectrum, values) in zip([0, *steps], course, strict=True):
            cells = [
                f"{value:.2g} ± {error:.1g}" for value, error in (spectrum.subgroups[c] for c in COLUMNS)
            ]
            lines.append(
                f"| {name} | {step} | {np.mean(values):.3f} ± {np.std(values, ddof=1):.3f} | {' | '.join(cells)} |"
            )
    return "\n".join(lines) + "\n"


def plot(found: dict[str, list[tuple[SymmetrySpectrum, list[float]]]], steps: list[int], path: Path) -> None:
    """Breaking of four subgroups against the number of steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(COLUMNS), figsize=(13, 3.6), sharey=True, layout="constrained")
    for axis, column in zip(axes, COLUMNS, strict=True):
        for number, (name, course) in enumerate(found.items()):
            values, errors = np.array([spectrum.subgroups[column] for spectrum, _ in course]).T
            # Steps on a logarithmic axis have no place for zero.
            places = np.array([0.5 * steps[0], *steps]) * (1 + 0.04 * number)
            axis.errorbar(
                places, np.maximum(values, 1e-16), yerr=errors, marker="o", ms=4, capsize=2, label=name
            )
        axis.axhline(6**-0.5, color="0.6", linestyle=":")
        axis.set(title=column, xlabel="optimiser steps", xscale="log", yscale="log", ylim=(1e-5, 2))
        axis.set_xticks([0.5 * steps[0], *steps], ["0", *map(str, steps)])
        axis.minorticks_off()
    axes[0].set_ylabel("relative derivative")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/symmetry-learned"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 30, 100, 400])
    parser.add_argument("--events", type=int, default=128)
    parser.add_argument("--jets", type=int, default=None)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    data = lz.load_dataset("toptag", num_jets=arguments.jets, max_constituents=40)
    found: dict[str, list[tuple[SymmetrySpectrum, list[float]]]] = {}
    for name in arguments.networks:
        courses = []
        for seed in range(arguments.seeds):
            courses.append(train(NETWORKS[name], arguments.steps, seed, data, arguments.events))
            print(f"{name}, seed {seed}: AUC {courses[-1][-1][1]:.4f}", flush=True)
        found[name] = [
            (combine_spectra([spectrum for spectrum, _ in moment]), [value for _, value in moment])
            for moment in zip(*courses, strict=True)
        ]
        stated = {
            key: [{**spectrum.to_data(), "auc": values} for spectrum, values in course]
            for key, course in found.items()
        }
        (arguments.out / "spectra.json").write_text(json.dumps(stated, indent=1))
    (arguments.out / "table.md").write_text(write_table(found, arguments.steps))
    plot(found, arguments.steps, arguments.out / "symmetry-learned.png")
    print((arguments.out / "table.md").read_text())


if __name__ == "__main__":
    main()
