"""How long do surrogates and exact matrix elements take as C source, called from C?

Networks with fitted statistics, and the exact |M|² of q q̄ → Z + n g, are exported as C, compiled with a program that
evaluates batches in a loop, and timed by the processor time of that process: the least of some runs. One thread.

    python benchmarks/generated_c.py                            # q q̄ → Z + 2 g, native instructions; truth for n = 1..4
    python benchmarks/generated_c.py --flags=-O3 --models amplitude-recipe
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

import lorentzoo as lz
from lorentzoo.exporting.source.compiled import C_FLAGS, find_compiler

MODELS = ("amplitude-recipe", "mlp-i", "sk-dnn", "log-polynomial")
BATCHES = (1, 16, 256)
DRIVER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "network.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e6 * t.tv_sec + 1e-3 * t.tv_nsec;
}

int main(int argc, char **argv)
{
    enum { POINTS = 256, NUMBERS = 4 * LZ_PARTICLES };
    static double p[POINTS * NUMBERS], ans[POINTS * LZ_OUTPUTS];
    lz_network *network;
    FILE *file = fopen("points.bin", "rb");
    if (argc != 3 || !file || fread(p, sizeof *p, POINTS * NUMBERS, file) != POINTS * NUMBERS) return 1;
    if (lz_load(&network, "network.par")) return 2;
    const int repeats = atoi(argv[1]), size = atoi(argv[2]);
    double least = 1e300;
    for (int r = 0; r < repeats; ++r) {
        const double begin = now();
        /* Everything again and again, until the clock has something to measure. */
        int rounds = 0;
        while (now() - begin < 2000.0 || !rounds) {
            for (int first = 0; first < POINTS; first += size)
                lz_evaluate(network, (size_t)size, p + (size_t)first * NUMBERS, ans + (size_t)first * LZ_OUTPUTS);
            ++rounds;
        }
        const double each = (now() - begin) / ((double)rounds * POINTS);
        if (each < least) least = each;
    }
    printf("%.6g\n", least);
    lz_free(network);
    return 0;
}
"""


def build(name: str, gluons: int) -> tuple[lz.Model, lz.EventData]:
    """A model with fitted statistics, and events of its particles; ``truth`` is the matrix element itself."""
    data = lz.load_dataset("amplitudes", multiplicity=gluons, num_events=1000)
    torch.manual_seed(0)
    if name == "truth":
        model = lz.compose(
            backbone="nothing",
            embedding="momenta",
            head={"name": "amplitude-ratio", "reference": "tree", "process": "qq-Zng"},
            in_scalars=3,
        )
    else:
        model = lz.create_model(name)
    model.fit_statistics([data.batch(slice(0, 1000))])
    return model, data


def measure(name: str, gluons: int, dtype: str, flags: Sequence[str], repeats: int) -> list[float]:
    """Microseconds a point for each size of batches."""
    model, data = build(name, gluons)
    compiler = find_compiler("c")
    assert compiler is not None, "there is no C compiler; on Debian: apt-get install gcc"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        lz.export(model, place / "network.c", "c", like=data, dtype=dtype)
        (place / "driver.c").write_text(DRIVER)
        cloud = data.batch(slice(0, 256)).cloud
        (place / "points.bin").write_bytes(cloud.layout.pad(cloud.momenta).double().numpy().tobytes())
        sources = ["driver.c", "network.c", "-o", "driver", "-lm"]
        # The clock of a process is POSIX's, not C99's.
        standard = ["-std=c99", "-D_POSIX_C_SOURCE=200809L"]
        subprocess.run([compiler, *standard, *flags, *sources], cwd=place, check=True)
        return [
            float(subprocess.check_output(["./driver", str(repeats), str(size)], cwd=place))
            for size in BATCHES
        ]


def main() -> None:
    """A row for each network and precision, and for each multiplicity of the truth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--gluons", type=int, default=2, help="of the networks")
    parser.add_argument("--truth", nargs="*", type=int, default=[1, 2, 3, 4], help="gluons of the truth")
    parser.add_argument("--flags", default=" ".join(C_FLAGS))
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    flags = options.flags.split()
    print(f"µs a point, {options.flags}")
    print("| | n | precision | alone | in 16 | in 256 |\n|---|---|---|---|---|---|")
    rows = [(name, options.gluons, dtype) for name in options.models for dtype in ("float64", "float32")]
    for name, gluons, dtype in [*rows, *(("truth", n, "float64") for n in options.truth)]:
        found = measure(name, gluons, dtype, flags, options.repeats)
        print(f"| {name} | {gluons} | {dtype} | " + " | ".join(f"{x:.3g}" for x in found) + " |", flush=True)


if __name__ == "__main__":
    main()
