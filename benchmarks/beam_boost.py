"""How far do outputs move under a boost along the beam, where two light-like beam vectors are said to allow it?

Relative change of the logits of models with weights drawn anew at unit scale, on shipped jets, float64; the median over
jets. Prints a Markdown table.

    python benchmarks/beam_boost.py
"""

from __future__ import annotations

import argparse

import torch

import lorentzoo as lz
from lorentzoo.core.minkowski import GENERATOR_NAMES, exp
from lorentzoo.verification import fit_if_needed, redraw_weights

RAPIDITIES = (0.01, 0.1, 1.0, 2.0)
SMALL = {"num_blocks": 2}


def cases() -> dict[str, lz.Model]:
    """Models by what breaks their symmetry."""
    return {
        "two light-like beam vectors (`lloca-transformer-input-beam`)": lz.create_model(
            "lloca-transformer-input-beam", backbone=SMALL
        ),
        "beam plane, M = diag(1,0,0,1) (L-GATr, `spurions=beam-plane`)": lz.compose(
            spurions="beam-plane",
            embedding="momenta:scale=20",
            backbone={
                "name": "lgatr",
                "num_blocks": 2,
                "hidden_channels": 8,
                "hidden_scalars": 16,
                "num_heads": 4,
            },
        ),
        "frames of the subgroup (`lloca-transformer-arch-beam`)": lz.create_model(
            "lloca-transformer-arch-beam", backbone=SMALL
        ),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jets", type=int, default=64)
    count = parser.parse_args().jets
    jets = lz.load_dataset("toptag", split="test", num_jets=count, max_constituents=40)
    batch = jets.batch(torch.arange(len(jets)))
    along = torch.zeros(6, dtype=torch.float64)
    along[GENERATOR_NAMES.index("Kz")] = 1.0
    print("| what is said to leave it | computed | " + " | ".join(f"r = {r:g}" for r in RAPIDITIES) + " |")
    print("|---|---|" + "---|" * len(RAPIDITIES))
    for name, model in cases().items():
        torch.manual_seed(0)
        model = model.double().eval()
        redraw_weights(model)
        fit_if_needed(model, batch.cloud)
        with torch.no_grad():
            before = model(batch.cloud)
            scale = before.std(0, keepdim=True)
            changes = []
            for rapidity in RAPIDITIES:
                boosted = batch.cloud.transform(exp(rapidity * along))
                changes.append(float(((model(boosted) - before) / scale).abs().amax(-1).median()))
        print(
            f"| {name} | {model.symmetry.name} | " + " | ".join(f"{change:.1g}" for change in changes) + " |"
        )


if __name__ == "__main__":
    main()
