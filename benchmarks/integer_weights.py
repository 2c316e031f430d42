"""What do integer weights cost a tagger, learned as such or rounded after the training?

Reads the directory of a finished study (`examples/studies/small-taggers.yaml`) with rows in float32 and rows that were
trained with ``quantise``. Prints a Markdown table: bytes of the saved tensors, and area under the curve and background
rejection at half the signal on the test split, mean and spread over seeds. Rows "rounded" are the float32 ones after
`lorentzoo.quantise`, without further training.

    lorentzoo study run examples/studies/small-taggers.yaml --out studies/small-taggers
    python benchmarks/integer_weights.py studies/small-taggers
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lorentzoo as lz
from lorentzoo.registry.quantisation import count_bytes

KINDS = ("int8", "int4")


def measure(model: Any, data: Any) -> tuple[float, float, float]:
    """Bytes, area under the curve, and rejection at half the signal."""
    found = lz.evaluate(model, data, progress=False).metrics()
    rejection = found["rejection_0.5"]
    return float(count_bytes(model)), float(found["auc"]), float(rejection["value"])


def spread(values: list[float], digits: int) -> str:
    """Mean and spread over seeds."""
    error = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{error}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, nargs="?", default=Path("studies/small-taggers"))
    study = parser.parse_args().study
    runs = sorted(study.glob("runs/*/finished.json"))
    if not runs:
        print(f"nothing to compare: run the study first, {study} has no finished runs")
        return
    torch.set_num_threads(1)
    rows: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    for path in runs:
        run = json.loads((path.parent / "run.json").read_text())
        name = run["spec"]["model"] or run["spec"]["backbone"]["name"]
        rounded = run["config"].get("quantise") or {"name": "float32"}
        trained = rounded["name"] + (f" of `{rounded['parameters']}`" if "parameters" in rounded else "")
        data = lz.load_dataset(run["dataset"], split="test")
        model = lz.load(path.parent)
        rows[name, trained].append(measure(model, data))
        for kind in KINDS if trained == "float32" else ():
            rows[name, f"{kind}, rounded"].append(measure(lz.quantise(lz.load(path.parent), kind), data))
    print("| model | weights | bytes | AUC | 1/ε_B (ε_S = 0.5) |")
    print("|:--|:--|--:|--:|--:|")
    for name in dict.fromkeys(name for name, _ in rows):
        of_model = {weights: seeds for (one, weights), seeds in rows.items() if one == name}
        for weights in sorted(of_model, key=lambda text: (text != "float32", "int4" in text, text)):
            size, auc, rejection = (list(column) for column in zip(*of_model[weights], strict=True))
            print(f"| `{name}` | {weights} | {size[0]:,.0f} | {spread(auc, 4)} | {spread(rejection, 1)} |")


if __name__ == "__main__":
    main()
