"""Write checkpoints of a few small networks with their outputs, by the version that is imported; see README.md."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

import lorentzoo as lz
from lorentzoo.core.cloud import Batch, ParticleCloud

COMPOSITIONS = {
    "deep-sets": {"backbone": "deep-sets:hidden=[8]", "head": "regress"},
    "deep-sets-momenta": {"backbone": "deep-sets:hidden=[8]", "embedding": ["kinematics", "momenta"]},
    "lgatr-slim": {
        "backbone": "lgatr-slim:num_blocks=1,hidden_scalars=4,hidden_vectors=2,num_heads=1",
        "embedding": "momenta",
    },
    "polar-graphnet": {
        "backbone": "graphnet:num_blocks=1,hidden_reps=4x0n+1x1n",
        "frames": "lloca-polar:hidden=4",
    },
    "spurions-transformer": {
        "backbone": "transformer:num_blocks=1,num_heads=1,head_reps=4x0n+1x1n",
        "frames": "lloca-so3:hidden=4",
        "spurions": ["beam-lightlike", "time"],
    },
}


def draw_events() -> ParticleCloud:
    """Four events in GeV."""
    rng = np.random.default_rng(7)
    offsets = np.array([0, 5, 8, 14, 18])
    p, mass = rng.normal(size=(18, 3)) * [40, 40, 90], rng.uniform(0.1, 3, size=18)
    momenta = np.concatenate([np.sqrt((p**2).sum(1) + mass**2)[:, None], p], 1)
    return ParticleCloud.from_packed(torch.tensor(momenta), torch.tensor(offsets))


def record(folder: Path) -> None:
    """One folder a network, ``outputs.npz`` and, in float64, ``outputs-float64.npz``."""
    cloud, outputs, exact = draw_events(), {}, {}
    batch = Batch(cloud, torch.tensor([0, 1, 0, 1]), torch.ones(4, dtype=torch.float64), torch.arange(4))
    for name, slots in COMPOSITIONS.items():
        torch.manual_seed(3)
        model = lz.compose(**slots)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        model.fit_statistics([batch])
        model.eval()
        lz.save(model, folder / name)
        with torch.no_grad():
            outputs[name] = model(cloud).double().numpy()
            exact[name] = model.double()(cloud).numpy()
    np.savez(folder / "outputs.npz", **outputs)
    np.savez(folder / "outputs-float64.npz", **exact)


if __name__ == "__main__":
    record(Path(sys.argv[1]))
