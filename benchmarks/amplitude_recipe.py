"""What does each step of the recipe for amplitudes gain at equal CPU time?

Every row is trained on the same points of q q̄ → Z + n g for the same CPU-seconds, fitting and loading included, and
judged on fresh points: mean and median squared error of ln |M|² in standard deviations of the training set. One thread.

    python benchmarks/amplitude_recipe.py                      # n = 2 and 3, 30 s a row
    python benchmarks/amplitude_recipe.py --seconds 90 --rows recipe
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import lorentzoo as lz
from lorentzoo.studies import train

EVENTS = {2: 20_000, 3: 10_000}
"""Training points by number of gluons."""
_LOG = {"head": {"name": "regress", "transform": "log"}}
_BARE = {"name": "invariant-mlp", "hidden": [128, 128, 128], "masses": False}
_RATIO: Mapping[str, Any] = {"name": "amplitude-ratio"}
ROWS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "poly3": ("log-polynomial, degree 3", "log-polynomial", {}),
    "poly4": ("log-polynomial, degree 4", "log-polynomial", {"degree": 4, "identical": "averaged"}),
    "bdt": ("boosted trees", "amplitude-bdt", {}),
    "mlp-i": (
        "perceptron on ln p_i·p_j, as given",
        "amplitude-recipe",
        {"backbone": {**_BARE, "order": "input", "read_scalars": False}, **_LOG},
    ),
    "order": ("+ identical particles in order", "amplitude-recipe", {"backbone": _BARE, **_LOG}),
    "ratio": ("+ ratio to fitted factors", "amplitude-recipe", {"backbone": _BARE}),
    "recipe": ("+ virtualities: `amplitude-recipe`", "amplitude-recipe", {}),
    "skip2": (
        "+ log-polynomial of degree 2 as fitted skip",
        "amplitude-recipe",
        {"head": {**_RATIO, "reference": ["factorised", "log-polynomial"], "degree": 2}},
    ),
    "skip3": (
        "the same of degree 3",
        "amplitude-recipe",
        {"head": {**_RATIO, "reference": ["factorised", "log-polynomial"], "degree": 3}},
    ),
    "dipoles": (
        "ratio to dipoles on lower amplitudes instead",
        "amplitude-recipe",
        {"head": {**_RATIO, "reference": "dipoles"}},
    ),
    "fitted-dipoles": (
        "ratio to fitted factors and dipoles instead",
        "amplitude-recipe",
        {"head": {**_RATIO, "reference": "fitted-dipoles"}},
    ),
    "momenta": (
        "+ momenta besides",
        "amplitude-recipe",
        {"backbone": {"read_momenta": True}, "embedding": {"name": "momenta", "scale": 300.0}},
    ),
    "narrow": ("layers of 64 instead of 128", "amplitude-recipe", {"backbone": {"hidden": [64, 64, 64]}}),
}
"""Description, model and what is different in it."""


def measure(row: str, n: int, seconds: float, fresh: int) -> None:
    """Print one row of the table."""
    text, name, overrides = ROWS[row]
    data = lz.load_dataset("amplitudes", multiplicity=n, num_events=EVENTS[n] + fresh)
    known, test = data.subset(range(EVENTS[n])), data.subset(range(EVENTS[n], EVENTS[n] + fresh))
    recipe = dict(lz.describe("model", "amplitude-recipe").component.recipe)
    torch.manual_seed(0)
    model = lz.create_model(name, **overrides)
    begin = time.process_time()
    # Loading of batches takes time that the budget of training steps does not count.
    train(model, known, None, {**recipe, "cpu_seconds": 0.85 * seconds}, progress=False)
    used = time.process_time() - begin
    begin = time.process_time()
    found = model.predict(test, batch_size=1000)[:, 0]
    each = (time.process_time() - begin) / len(test)
    deviation = float(known.target.log().std())
    error = np.square((np.log(found) - test.target.log().numpy()) / deviation)
    print(
        f"| {text} | {n} | {error.mean():.1e} | {np.median(error):.1e} | {used:.0f} | {1e6 * each:.0f} |",
        flush=True,
    )


def main() -> None:
    """A row for each step and number of gluons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--gluons", nargs="+", type=int, choices=list(EVENTS), default=list(EVENTS))
    parser.add_argument("--seconds", type=float, default=30.0, help="CPU-seconds of each row")
    parser.add_argument("--fresh", type=int, default=20_000, help="points to judge on")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| | n | MSE | median | CPU s | µs a point |\n|---|---|---|---|---|---|")
    for n in options.gluons:
        for row in options.rows:
            measure(row, n, options.seconds, options.fresh)


if __name__ == "__main__":
    main()
