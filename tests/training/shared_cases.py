"""Trainings that several processes share, as one has them: ``python shared_cases.py OUT NAMES`` is one of several."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lorentzoo as lz
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.events import EventData
from lorentzoo.data.showers.dataset import ShowerArrays, ShowerData
from lorentzoo.data.showers.detectors import find_detector
from lorentzoo.data.showers.simulate import simulate_showers
from lorentzoo.registry.composition import build
from lorentzoo.registry.specs import Spec
from lorentzoo.training.train import TrainResult, train

JETS = {"num_jets": 220, "max_constituents": 12}
FLOW = "flow-matching:pt_min=22,mass_min=1,eta_max=5,noise=0.05"
TRANSFORMER = {"backbone": "transformer:num_blocks=1,num_heads=2,head_reps=4x0n", "embedding": "kinematics"}
ONE = {"head": "classify:num_classes=1"}
SPECS: dict[str, dict[str, Any]] = {
    "plain": TRANSFORMER | ONE,
    "lloca": TRANSFORMER | ONE | {"frames": "lloca-polar:hidden=8"},
    "batch norms": {
        "backbone": "part:num_blocks=1,dropout=0,embed_dims=[8],pair_dims=[8],num_heads=2,head_reps=4x0n",
        "embedding": ["kinematics", "momenta"],
    }
    | ONE,
    "batch norms on pairs": {"backbone": "lorentznet:num_blocks=2,hidden_channels=8", "embedding": "momenta"}
    | ONE,
    "convolutions": {"backbone": "pcnn:num_particles=12,stem=4,stages=[8],units=1", "embedding": "kinematics"}
    | ONE,
    "augmentation": TRANSFORMER | ONE | {"frames": "random-lorentz"},
    "redrawn frames": TRANSFORMER | ONE | {"frames": "lloca-polar:hidden=8,redraw=true"},
    "two means": TRANSFORMER | {"head": "likelihood-ratio"},
    "adapters": TRANSFORMER | ONE,
    "showers": {},
    "generator": {
        "generator": FLOW,
        "backbone": TRANSFORMER["backbone"],
        "embedding": "momenta",
        "in_scalars": 6,
    },
}
QUICK = ("plain", "lloca", "generator", "adapters")
RECIPE = {"epochs": 2, "batch_size": 45, "learning_rate": 1e-4, "ema": 0.9}
RECIPES: dict[str, dict[str, Any]] = {
    "adapters": {"adapters": "low-rank:rank=2", "freeze": ["backbone.in_layer"]}
}


def make(name: str) -> Trainable:
    """The model of a case, in float64."""
    torch.manual_seed(3)
    if name == "showers":
        small = {"num_blocks": 1, "width": 16}
        return lz.create_model("vit-showers", generator={"steps": 5}, backbone=small).double()
    return build(Spec.from_data(SPECS[name])).double()


def showers() -> EventData:
    """Of one detector at one energy."""
    detector, count = find_detector("lead-tungstate"), 46
    energy, angle = np.full(count, 10.0), np.zeros(count)
    voxels = simulate_showers(detector, energy, angle, np.random.default_rng(0))
    return ShowerData([ShowerArrays(detector, voxels, energy, angle)])


def events(name: str) -> EventData:
    """Events of different weights, of which the last batch has one event alone."""
    if name == "showers":
        return showers()
    data = (
        lz.load_dataset("ttbar", num_events=160) if name == "generator" else lz.load_dataset("toptag", **JETS)
    )
    kept = 91 if name != "generator" else 46
    found = data.split("train")
    found = found.subset(torch.arange(kept))
    found.weight = 0.5 + torch.rand(kept, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return found


def run(name: str, directory: Path | None = None, **options: Any) -> TrainResult:
    """Train one of the cases in float64."""
    model = make(name)
    found = events(name)
    recipe = RECIPE | RECIPES.get(name, {}) | options.pop("recipe", {})
    held = found.subset(torch.arange(37))
    return train(model, found, held, recipe, directory, progress=False, **options)


def rows(result: TrainResult) -> list[dict[str, float]]:
    """What is to be the same."""
    return [
        {key: value for key, value in row.items() if key != "cpu_seconds"} for row in result.course.history
    ]


def main() -> None:
    """Train cases as one of several processes, and write what it found."""
    torch.set_num_threads(1)
    found = {name: rows(run(name)) for name in sys.argv[2:]}
    found["pieces"] = rows(run("plain", recipe={"accumulate": 2}))
    budget = run("plain", recipe={"epochs": None, "cpu_seconds": 0.3})
    found["budget"] = [{"steps": budget.course.steps, "seconds": budget.course.cpu_seconds}]
    Path(f"{sys.argv[1]}-{os.environ['RANK']}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
