"""A surrogate of |M|² as a matrix element of MadGraph 7: cross-section, unweighted events, a Les Houches file.

    python examples/madspace_client.py --points 200000 --out runs/madspace
    python examples/madspace_client.py --run runs/surrogate --points 200000 --out runs/madspace

The process is u ū → Z + 2 g at √s = 1 TeV. Phase space, flux and units are madspace's (`pip install
"lorentzoo[generators]"`); the matrix elements are two libraries that `lz.export(..., "umami")` writes, the surrogate and
the exact one. A C compiler is needed.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lorentzoo as lz

SQRT_S = 1000.0
"""GeV."""
PIDS = (2, -2, 23, 21, 21)
MASSES = (0.0, 0.0, 91.188, 0.0, 0.0)
LINES = ((501, 0), (0, 502), (0, 0), (501, 503), (503, 502))
"""Colour and anticolour for one order of the gluons along the quark line."""


@dataclass(frozen=True)
class Points:
    """Points of phase space within the cuts, and ∫ dΦ as the mean of their weights; zero outside."""

    momenta: NDArray[np.float64]
    weight: NDArray[np.float64]


def main() -> None:
    """Train, export, integrate, unweight, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a trained run; by default a polynomial is fitted here")
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--train", type=int, default=20_000, help="training points of the polynomial")
    parser.add_argument("--out", type=Path, default=Path("runs/madspace"))
    given = parser.parse_args()
    data = lz.load_dataset(
        "amplitudes", multiplicity=2, num_events=given.train, sqrt_s_min=SQRT_S - 50, sqrt_s_max=SQRT_S + 50
    )
    surrogate = lz.load(given.run) if given.run else fit(data, reference=["factorised", "log-polynomial"])
    truth = fit(data, reference="tree", process="qq-Zng")
    libraries = {
        name: lz.export(model, given.out / f"{name}.so", "umami", like=data)
        for name, model in (("surrogate", surrogate), ("truth", truth))
    }
    points = draw_points(given.points, seed=0)
    weights = {name: integrand(library, points) for name, library in libraries.items()}
    for name, weight in weights.items():
        print(f"{name:<10} {weight.mean():.4f} +- {error(weight):.4f} pb")
    difference = weights["surrogate"] - weights["truth"]
    print(f"difference {difference.mean():+.4f} +- {error(difference):.4f} pb")
    chosen = unweight(weights["surrogate"], seed=1)
    path = write_lhe(given.out / "events.lhe", points.momenta[chosen], weights["surrogate"])
    print(f"{len(chosen)} unweighted events of {given.points} points in {path}")


def fit(data: Any, **head: Any) -> lz.Model:
    """What needs no training: the head alone, fitted in closed form."""
    model = lz.compose(
        backbone="nothing",
        embedding="momenta",
        head={"name": "amplitude-ratio", **head},
        in_scalars=data.num_scalars,
    )
    model.fit_statistics([data.batch(slice(0, len(data)))])
    return model


def draw_points(count: int, seed: int) -> Points:
    """Points that madspace draws along a chain of the gluons, within cuts on pT, η and ΔR of all outgoing particles."""
    import madspace as ms

    observable, some = ms.Observable, [[23, 21]]
    cuts = ms.Cuts(
        [
            ms.CutItem(observable(PIDS, observable.obs_pt, some, name="pt"), min=20.0),
            ms.CutItem(observable(PIDS, observable.obs_eta_abs, some, name="eta"), max=5.0),
            ms.CutItem(observable(PIDS, observable.obs_delta_r, some * 2, name="delta_r"), min=0.4),
        ]
    )
    mapping = ms.PhaseSpaceMapping(
        MASSES,
        SQRT_S,
        leptonic=True,
        mode=ms.PhaseSpaceMapping.TChannelMode.color_ordered,
        cuts=cuts,
        color_order=[0, 3, 4, 1, 2],
    )
    rng = np.random.default_rng(seed)
    inputs = [rng.random((count, mapping.random_dim()))]
    if mapping.discrete_dim():
        inputs.append(rng.integers(0, 2, (count, mapping.discrete_dim())).astype(np.int32))
    found = mapping.map_forward(inputs)
    weight = np.asarray(found.det) * np.asarray(cuts(found.momenta))
    good = np.isfinite(weight) & (weight > 0)
    return Points(np.array(found.momenta), np.where(good, weight, 0.0))


def integrand(library: Path, points: Points) -> NDArray[np.float64]:
    """dσ of each point times its weight, in pb: their mean is the cross-section."""
    import madspace as ms

    api = ms.default_context().load_matrix_element(str(library), str(library.with_suffix(".par")))
    kind = ms.MatrixElement
    element = kind(api, [kind.momenta_in], [kind.matrix_element_out])
    differential = ms.DifferentialCrossSection(
        element, SQRT_S, None, None, pid_options=[PIDS[:2]], input_momentum_fraction=False
    )
    inside = points.weight > 0
    momenta = np.ascontiguousarray(points.momenta[inside])
    values = np.zeros_like(points.weight)
    values[inside] = np.asarray(differential(momenta, np.zeros(len(momenta), dtype=np.int32)))
    return values * points.weight


def error(weight: NDArray[np.float64]) -> float:
    """Of a mean."""
    return float(weight.std() / len(weight) ** 0.5)


def unweight(weight: NDArray[np.float64], seed: int, quantile: float = 0.999) -> NDArray[np.int64]:
    """Places of points that are kept with a probability in proportion to their weight.

    The maximum leaves the part 1 - quantile of the cross-section above it.
    """
    rising = np.sort(weight)
    share = np.cumsum(rising) / rising.sum()
    maximum = rising[np.searchsorted(share, quantile)]
    return np.flatnonzero(np.random.default_rng(seed).random(len(weight)) * maximum < weight)


def write_lhe(path: Path, momenta: NDArray[np.float64], weight: NDArray[np.float64]) -> Path:
    """Unweighted events as a Les Houches file; the colour flow of either order of the gluons has probability 1/2."""
    import madspace as ms

    path.parent.mkdir(parents=True, exist_ok=True)
    cross_section = float(weight.mean())
    process = ms.LHEProcess(cross_section, error(weight), cross_section, 1)
    meta = ms.LHEMeta(2, -2, SQRT_S / 2, SQRT_S / 2, weight_mode=3, processes=[process])
    writer = ms.LHEFileWriter(str(path), meta)
    swapped = np.random.default_rng(2).random(len(momenta)) < 0.5
    for event, exchange in zip(momenta, swapped, strict=True):
        lines = (*LINES[:3], LINES[4], LINES[3]) if exchange else LINES
        particles = [
            ms.LHEParticle(
                pid,
                -1 if place < 2 else 1,
                *((0, 0) if place < 2 else (1, 2)),
                *line,
                *p[1:],
                p[0],
                mass,
                0.0,
                9.0,
            )
            for place, (pid, line, p, mass) in enumerate(zip(PIDS, lines, event, MASSES, strict=True))
        ]
        writer.write(ms.LHEEvent(1, cross_section, SQRT_S, 1 / 132.5, 0.118, particles))
    # The file ends when the writer does.
    del writer
    return path


if __name__ == "__main__":
    main()
