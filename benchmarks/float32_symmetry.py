"""How far do outputs move in float32 when an event is boosted? With and without the anchor, and as ONNX files.

Run ``python benchmarks/float32_symmetry.py``. For each network, kind of input and γ: the median and the 99 %
quantile over events of the relative change of the output under a random boost along the residual group,
float32 network, float64 momenta; beside it the same in float64, which shows what the boosted momenta
themselves have lost. Networks of nearest neighbours jump where rounding turns the order of two neighbours: such events
are counted apart, and the other columns are of the rest.

With ``--exported`` the anchored networks run as ONNX files, and momenta are stored in float32 before and after the boost,
as experiments have them; beside it the same stored momenta in the network in float64, which is what the storage costs.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

import lorentzoo as lz
from lorentzoo.core.layout import Packed
from lorentzoo.core.minkowski import boost
from lorentzoo.exporting.formats import FORMATS, Choices
from lorentzoo.exporting.plain import PlainModel
from lorentzoo.verification import fit_if_needed, redraw_weights

KINDS = ("massive", "massless", "nearly collinear", "soft")
GAMMAS = (10.0, 100.0, 1000.0)
EXPORTED = {
    "lorentznet": {"backbone": "lorentznet:num_blocks=4", "embedding": ["momenta", "invariants"]},
    "pelican": {"backbone": "pelican:num_blocks=2", "embedding": ["momenta", "invariants"]},
}
"""Symmetric networks beside those of the first table."""


def events(kind: str, count: int, particles: int = 20, seed: int = 0) -> lz.ParticleCloud:
    """Jets of mass around 100 GeV at transverse momentum 600 GeV, in the laboratory."""
    rng = torch.Generator().manual_seed(seed)
    p3 = torch.randn(count, particles, 3, generator=rng, dtype=torch.float64)
    if kind == "nearly collinear":
        axis = torch.randn(count, 1, 3, generator=rng, dtype=torch.float64)
        p3 = axis * torch.rand(count, particles, 1, generator=rng, dtype=torch.float64) + 1e-3 * p3
    if kind == "soft":
        p3[:, particles // 2 :] *= 1e-4
    p3 = 5.0 * p3
    mass = 0.14 if kind == "massive" else 0.0
    energy = (p3.square().sum(-1, keepdim=True) + mass**2).sqrt()
    momenta = torch.cat([energy, p3], dim=-1)
    cloud = lz.ParticleCloud.from_padded(
        momenta, torch.ones(count, particles, dtype=torch.bool), validate=False
    )
    return cloud.transform(boost([1.0, 0.3, 0.5], math.acosh(6.0))).to_packed()


@contextmanager
def recorded_neighbours() -> Iterator[list[Tensor]]:
    """The neighbours that networks find inside, search by search, each (P, k) in order of their numbers."""
    found: list[Tensor] = []
    search = Packed.neighbours

    def record(self: Packed, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
        index, mask = search(self, points, k)
        found.append(index.sort(-1).values)
        return index, mask

    Packed.neighbours = record  # type: ignore[method-assign]
    try:
        yield found
    finally:
        Packed.neighbours = search  # type: ignore[method-assign]


def changes(model: lz.Model, cloud: lz.ParticleCloud, gamma: float) -> tuple[Tensor, Tensor]:
    """Relative change of the output of each event under one boost of all events, and in which a neighbour changed."""
    rng = torch.Generator().manual_seed(int(gamma))
    direction = torch.randn(3, generator=rng, dtype=torch.float64)
    with torch.no_grad():
        with recorded_neighbours() as found:
            before = model(cloud).double()
        with recorded_neighbours() as found_after:
            after = model(cloud.transform(boost(direction, math.acosh(gamma)))).double()
    flipped = torch.zeros(len(before), dtype=torch.bool)
    assert isinstance(cloud.layout, Packed)
    for one, other in zip(found, found_after, strict=True):
        flipped[cloud.layout.event[(one != other).any(-1)]] = True
    return (after - before).abs().amax(-1) / before.abs().mean(), flipped


def stored(cloud: lz.ParticleCloud) -> lz.ParticleCloud:
    """The cloud with momenta as float32 holds them."""
    return replace(cloud, momenta=cloud.momenta.float().double())


def exported_rows(name: str, kind: str, model: lz.Model, exact: lz.Model, cloud: lz.ParticleCloud) -> None:
    """Print the rows of a network as an ONNX file."""
    plain = PlainModel(model, torch.float32)
    written = FORMATS["onnx"].write(plain, Choices(17, 8, ""))

    def run(events: lz.ParticleCloud) -> Tensor:
        padded = events.to_padded(int(events.layout.counts().max()))
        given = plain.pack(padded.momenta, padded.layout.mask, padded.scalars, padded.context)
        arrays = {key: x.numpy() for key, x in zip(plain.input_names, given, strict=True)}
        return torch.from_numpy(written.run(arrays)[0]).double()

    def evaluate(events: lz.ParticleCloud) -> Tensor:
        with torch.no_grad():
            return exact(events).double()  # type: ignore[no-any-return]

    for gamma in (1.0, *GAMMAS):
        rng = torch.Generator().manual_seed(int(gamma))
        direction = torch.randn(3, generator=rng, dtype=torch.float64)
        boosted = cloud.transform(boost(direction, math.acosh(gamma)))
        cells = []
        for function in (run, evaluate):
            before, after = function(stored(cloud)), function(stored(boosted))
            change = (after - before).abs().amax(-1) / before.abs().mean()
            cells += [change.median(), change.quantile(0.99)]
        print(f"| {name} | {kind} | {gamma:.0f} | {' | '.join(f'{x:.0e}' for x in cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--only", help="one network")
    parser.add_argument("--exported", action="store_true", help="as ONNX files fed with float32")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    networks = {
        "lgatr": {"backbone": "lgatr:num_blocks=4", "embedding": "momenta"},
        "lgatr-slim": {
            "backbone": "lgatr-slim:num_blocks=4",
            "embedding": ["invariants", "momenta"],
        },
        "lloca-transformer": {
            "backbone": "transformer:num_blocks=4",
            "frames": "lloca-polar",
            "embedding": ["kinematics", "momenta"],
        },
        "lloca-particlenet": {"backbone": "particlenet:neighbours=8", "frames": "lloca-polar"},
    }
    if arguments.exported:
        networks = {**networks, **EXPORTED}
        print("| network | input | γ | ONNX median | 99 % | float64 network: median | 99 % |")
        print("|---|---|---|---|---|---|---|")
    else:
        print(
            "| network | input | γ | float32 median | 99 % | without anchor | float64 median | neighbour flips |"
        )
        print("|---|---|---|---|---|---|---|---|")
    for name, parts in networks.items():
        if arguments.only not in (None, name):
            continue
        pooling = "global-token" if name.startswith("lgatr") else "mean"
        for kind in KINDS:
            cloud = events(kind, arguments.events)
            made = {}
            for anchor in ("auto", "none"):
                torch.manual_seed(0)
                model = lz.compose(
                    **parts, head={"name": "classify", "pooling": pooling}, anchor=anchor
                ).eval()
                fit_if_needed(model, cloud)
                redraw_weights(model)
                made[anchor] = model
            exact = lz.compose(**parts, head={"name": "classify", "pooling": pooling}).double().eval()
            exact.load_state_dict(made["auto"].state_dict())
            if arguments.exported:
                exported_rows(name, kind, made["auto"], exact, cloud)
                continue
            for gamma in GAMMAS:
                anchored, flipped = changes(made["auto"], cloud, gamma)
                free, flipped_free = changes(made["none"], cloud, gamma)
                double, flipped_double = changes(exact, cloud, gamma)
                cells = [
                    "all flip" if x.isnan() else f"{x:.0e}"
                    for x in (
                        anchored[~flipped].median(),
                        anchored[~flipped].quantile(0.99)
                        if bool((~flipped).any())
                        else torch.tensor(math.nan),
                        free[~flipped_free].median(),
                        double[~flipped_double].median(),
                    )
                ]
                searches = "particlenet" in name
                flips = f"{100 * flipped.double().mean():.0f} % of events" if searches else "–"
                print(f"| {name} | {kind} | {gamma:.0f} | {' | '.join(cells)} | {flips} |", flush=True)


if __name__ == "__main__":
    main()
