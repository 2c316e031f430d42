"""How long does the truth take for one point, and how many points of phase space come in a second?

Process time of one thread, the best of a few repeats, in batches. Points are those of RAMBO within cuts.

    python benchmarks/amplitudes.py                 # n = 1 ... 4 gluons beside the Z, and the closed forms
    python benchmarks/amplitudes.py --gluons 5      # the optional one as well
"""

from __future__ import annotations

import argparse
import time

import torch

from lorentzoo.densities import Cuts
from lorentzoo.plugins.amplitudes.phase_space.points import draw_points
from lorentzoo.plugins.amplitudes.processes import PROCESSES, Process

CUTS = Cuts(pt_min=20, eta_max=5, delta_r_min=0.4)


def measure(process: Process, multiplicity: int, seconds: float, repeats: int) -> None:
    """Print one row: microseconds a point for phase space and for the truth."""
    rng = torch.Generator().manual_seed(0)
    masses = process.outgoing_masses(multiplicity)
    count = 16
    process.squared(draw_points(masses, count, rng, cuts=CUTS).momenta)
    while True:
        begin = time.process_time()
        momenta = draw_points(masses, count, rng, cuts=CUTS).momenta
        drawn = time.process_time() - begin
        begin = time.process_time()
        process.squared(momenta)
        best = time.process_time() - begin
        if drawn + best > seconds / (repeats + 2) or count >= 1 << 17:
            break
        count *= 2
    for _ in range(repeats - 1):
        begin = time.process_time()
        process.squared(momenta)
        best = min(best, time.process_time() - begin)
    name = process.name.replace("n", str(multiplicity)) if process.repeated else process.name
    print(f"{name:10} {count:8} {1e6 * drawn / count:14.2f} {1e6 * best / count:14.2f}", flush=True)


def main() -> None:
    """A row for each process and multiplicity."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gluons", type=int, default=4, help="most gluons beside a Z")
    parser.add_argument("--seconds", type=float, default=5.0, help="about so long for each row")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'process':10} {'points':>8} {'draw µs/point':>14} {'truth µs/point':>14}")
    for process in PROCESSES.values():
        for multiplicity in process.multiplicities:
            if process.name != "qq-Zng" or multiplicity <= options.gluons:
                measure(process, multiplicity, options.seconds, options.repeats)


if __name__ == "__main__":
    main()
