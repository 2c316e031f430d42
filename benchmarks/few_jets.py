"""Does a network with few jets for training beat trees on jet observables, alone, averaged, or together with them?

Reads the directory of a finished study (`examples/studies/small-data.yaml`) whose first row is the trees. Prints a
Markdown table: AUC of one training (mean and spread over seeds), of the mean of all seeds, and of these with the trees;
and how much the last two differ from the trees' own mean, with the error of a paired bootstrap over test jets.

    python benchmarks/few_jets.py studies/small-data-1000
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from lorentzoo.studies import ClassPredictions, show_study
from lorentzoo.tasks.predictions import average_predictions

RESAMPLINGS = 400


def difference(ours: ClassPredictions, theirs: ClassPredictions) -> str:
    """Difference of two AUCs on the same jets."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLINGS):
        chosen = rng.integers(0, len(ours), len(ours))
        target = ours.target[chosen]
        found.append(
            roc_auc_score(target, ours.values[chosen, 1]) - roc_auc_score(target, theirs.values[chosen, 1])
        )
    return f"{np.mean(found):+.4f} ± {np.std(found):.4f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, nargs="?", default=Path("studies/small-data-1000"))
    study = parser.parse_args().study
    if not study.exists():
        print(f"nothing to compare: run the study first, {study} does not exist")
        return
    rows = {row.label: [run.evaluation for run in row.runs] for row in show_study(study).finished}
    trees = next(iter(rows.values()))
    print("| row | one training | averaged | with trees | averaged - trees | with trees - trees |")
    print("|---|---|---|---|---|---|")
    for label, runs in rows.items():
        single = [run.metrics()["auc"] for run in runs]
        mean, both, base = (
            average_predictions(runs),
            average_predictions([*runs, *trees]),
            average_predictions(trees),
        )
        spread = np.std(single, ddof=1) if len(single) > 1 else float("nan")
        print(
            f"| {label} | {np.mean(single):.4f} ± {spread:.4f} | {mean.metrics()['auc']:.4f} "
            f"| {both.metrics()['auc']:.4f} | {difference(mean, base)} | {difference(both, base)} |"
        )


if __name__ == "__main__":
    main()
