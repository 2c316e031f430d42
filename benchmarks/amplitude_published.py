"""Is a Transformer for amplitudes as good here as the published package's, after as many CPU-seconds?

Ours and that of the installed ``lloca``, both without frames and with as many parameters, are trained on the same
points of q q̄ → Z + 2 g by the same loop: AdamW, the same batches, the same rate by the part of its own CPU-seconds that
each has used. They take turns, a step each, so that a busy machine slows both; judged on the same fresh points, by the
squared error of ln |M|² in standard deviations. One thread.

    python benchmarks/amplitude_published.py                   # 90 s for each
    python benchmarks/amplitude_published.py --seconds 30 --batch 64 --rate 2e-3
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

# A script beside this one bears the package's name; its folder must not stand before the installed packages.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

import numpy as np
import torch
from torch import Tensor, nn

import lorentzoo as lz
from lorentzoo.data.batching import make_loader

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lloca.backbone.transformer import Transformer
    from lloca.framesnet.frames import Frames

SCALE = 300.0
"""GeV; the momenta of both are in these units."""


class Published(nn.Module):
    """The package's network on the tokens that ours builds, its outputs averaged over the particles."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Transformer(7, "16x0n", 1, 8, 8, mlp_factor=2)

    def forward(self, tokens: Tensor) -> Tensor:
        frames = Frames(is_identity=True, shape=tokens.shape[:-1], device="cpu", dtype=tokens.dtype)
        return self.net(tokens, frames).mean(1)


class Contestant:
    """A network, its optimiser and the clock of its training."""

    def __init__(self, name: str, net: nn.Module, predict: Callable[[lz.Batch], Tensor], rate: float) -> None:
        self.name, self.net, self.predict, self.rate = name, net, predict, rate
        self.optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-4)
        self.seconds, self.steps = 0.0, 0

    def step(self, batch: lz.Batch, target: Tensor, budget: float) -> None:
        """One step of training; its time counts."""
        begin = time.process_time()
        done = min(self.seconds / budget, 1.0)
        warm = min(1.0, (done + 1e-3) / 0.05)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * warm * 0.5 * (1 + math.cos(math.pi * done))
        self.optimiser.zero_grad()
        (self.predict(batch)[:, 0] - target).square().mean().backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        self.seconds += time.process_time() - begin


def build_ours(known: lz.EventData, rate: float) -> Contestant:
    """`amplitude-transformer`, whose head gives the standardised logarithm."""
    model = lz.create_model("amplitude-transformer")
    model.fit_statistics(make_loader(known, 1000))
    return Contestant("lorentzoo", model, lambda batch: model(batch.cloud), rate)


def build_published(rate: float) -> Contestant:
    """The package's."""
    net = Published()

    def predict(batch: lz.Batch) -> Tensor:
        cloud = batch.cloud
        rows = torch.cat([cloud.momenta.float() / SCALE, cloud.scalars.float()], -1)
        return net(rows.view(len(batch), -1, rows.shape[-1]))

    return Contestant("lloca", net, predict, rate)


def main() -> None:
    """A line for each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=90.0, help="CPU-seconds of each")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--fresh", type=int, default=10_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = lz.load_dataset("amplitudes", multiplicity=2, num_events=options.points + options.fresh)
    known = data.subset(range(options.points))
    fresh = data.subset(range(options.points, len(data)))
    logs = known.target.double().log()
    mean, deviation = float(logs.mean()), float(logs.std())
    torch.manual_seed(0)
    contestants = [build_ours(known, options.rate), build_published(options.rate)]
    sizes = [sum(p.numel() for p in each.net.parameters()) for each in contestants]
    assert len(set(sizes)) == 1, sizes
    loader = make_loader(known, options.batch, shuffle=True, seed=0)
    epochs = itertools.chain.from_iterable(itertools.repeat(loader))
    for number, batch in enumerate(epochs):
        target = ((batch.target.double().log() - mean) / deviation).float()
        due = [each for each in contestants if each.seconds < options.seconds]
        if not due:
            break
        for each in due if number % 2 else reversed(due):
            each.step(batch, target, options.seconds)
    print("| network | MSE | median | steps | ms a step |\n|---|---|---|---|---|")
    for each in contestants:
        each.net.eval()
        with torch.no_grad():
            found = torch.cat([each.predict(batch)[:, 0] for batch in make_loader(fresh, 1000)]).double()
        error = (found - (fresh.target.double().log() - mean) / deviation).square().numpy()
        print(
            f"| {each.name} | {error.mean():.1e} | {np.median(error):.1e} | {each.steps} "
            f"| {1e3 * each.seconds / each.steps:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
