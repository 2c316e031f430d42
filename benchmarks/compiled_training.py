"""Training steps compiled by torch: how long does it take to compile, how often, and what is won?

Both sides of `benchmarks/lgatr.py` are compiled with free lengths (`torch.compile` with `dynamic=True`, which is what the
published `compile` option calls), for forward and backward passes of padded batches of different lengths. Every side runs
in a process of its own with a limit of time. Printed: seconds of the first step, graphs compiled by the first batch and
by seven others (a few at most, not one a batch), and milliseconds of a step, eager and compiled. `--backend
aot_eager` counts graphs without the compiler of code, which takes nearly all of the time.

    python benchmarks/compiled_training.py                      # twelve blocks, 300 seconds for each
    python benchmarks/compiled_training.py --blocks 2 --only slim
    python benchmarks/compiled_training.py --backend aot_eager  # how many graphs?
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parent
sys.path = [entry for entry in sys.path if Path(entry).resolve() != FOLDER]

import numpy as np
import torch
from torch import Tensor, nn

SIDES = ("ours", "published")


def side_by_side() -> ModuleType:
    """The neighbouring script, which has the name of the package that it measures."""
    spec = importlib.util.spec_from_file_location("lgatr_side_by_side", FOLDER / "lgatr.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def make(
    kind: str, side: str, blocks: int
) -> tuple[nn.Module, Callable[[Tensor, Tensor, Tensor], Tensor], int]:
    """A network of so many blocks, a function of padded momenta, scalars and mask that runs it, and its scalars."""
    import lgatr

    from lorentzoo.core.layout import Padded
    from lorentzoo.plugins.lgatr.paired import Paired
    from lorentzoo.plugins.lgatr.slim_layers import SlimStream

    published, ours, width = side_by_side().networks(kind)
    network = published if side == "published" else ours
    network.blocks = nn.ModuleList(list(network.blocks)[:blocks])

    def run_ours(momenta: Tensor, scalars: Tensor, mask: Tensor) -> Tensor:
        layout = Padded(mask)
        if kind == "slim":
            stream = SlimStream(scalars, momenta.movedim(-1, 0).unsqueeze(-1))
            return torch.where(mask, network(stream, [layout]).scalars[..., 0], 0.0)
        paired = Paired.from_vectors(momenta.unsqueeze(-2), scalars)
        return torch.where(mask, network(paired, [layout]).scalars[..., 0], 0.0)

    def run_published(momenta: Tensor, scalars: Tensor, mask: Tensor) -> Tensor:
        attention = mask[:, None, None, :]
        if kind == "slim":
            result = network(momenta.unsqueeze(-2), scalars, attn_mask=attention)[1][..., 0]
        else:
            multivectors = lgatr.embed_vector(momenta.unsqueeze(-2))
            result = network(multivectors, scalars=scalars, attn_mask=attention)[0][..., 0, 0]
        return torch.where(mask, result, 0.0)

    return network, run_published if side == "published" else run_ours, width


def batches(events: int, width: int, count: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Padded batches of jets, each with a longest jet and a number of jets of its own."""
    bench, found = side_by_side(), []
    for seed in range(count):
        lengths = bench.multiplicities(events + seed, seed) + bench.SPURIONS
        longest = int(lengths.max())
        mask = torch.arange(longest)[None] < torch.as_tensor(lengths)[:, None]
        momenta = bench.momenta(mask.numel(), seed).float().view(*mask.shape, 4)
        found.append((momenta, torch.randn(*mask.shape, width), mask))
    return found


def measure(kind: str, side: str, blocks: int, events: int, rounds: int, backend: str) -> dict[str, float]:
    """The numbers of one side."""
    from torch._dynamo.utils import counters

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, run, width = make(kind, side, blocks)
    data = batches(events, width, 8)

    def seconds(function: Callable[..., Tensor], batch: tuple[Tensor, Tensor, Tensor]) -> float:
        start = time.process_time()
        network.zero_grad(set_to_none=True)
        function(*batch).square().mean().backward()
        return time.process_time() - start

    def median(function: Callable[..., Tensor]) -> float:
        return 1e3 * statistics.median(seconds(function, data[0]) for _ in range(rounds))

    seconds(run, data[0])
    eager = median(run)
    compiled = torch.compile(run, dynamic=True, backend=backend)
    start = time.perf_counter()
    seconds(compiled, data[0])
    first = time.perf_counter() - start
    graphs = counters["stats"]["unique_graphs"]
    for batch in data[1:]:
        seconds(compiled, batch)
    with torch.no_grad():
        error = max((compiled(*batch) - run(*batch)).abs().max().item() for batch in data)
    return {
        "compile s": first,
        "graphs": graphs,
        "more graphs": counters["stats"]["unique_graphs"] - graphs,
        "eager ms": eager,
        "compiled ms": median(compiled),
        "difference": float(np.float64(error)),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the network's name: tagger or slim")
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--events", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for each network and side")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = arguments.blocks, arguments.events, arguments.rounds, arguments.backend
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure, *sizes)))
        return
    columns = ("compile s", "graphs", "more graphs", "eager ms", "compiled ms", "difference")
    print("| network | side | " + " | ".join(columns) + " |\n" + "|---" * (2 + len(columns)) + "|")
    for kind in ("slim", "tagger"):
        for side in SIDES if arguments.only in kind else ():
            options = [
                f"--{name}={getattr(arguments, name)}" for name in ("blocks", "events", "rounds", "backend")
            ]
            command = [sys.executable, __file__, "--measure", kind, side, *options]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=arguments.timeout)
            except subprocess.TimeoutExpired:
                print(f"| {kind} | {side} | not finished in {arguments.timeout:.0f} s |", flush=True)
                continue
            if done.returncode:
                raise SystemExit(f"{kind}, {side}: {done.stderr.strip().splitlines()[-1]}")
            row = json.loads(done.stdout.splitlines()[-1])
            print(f"| {kind} | {side} | " + " | ".join(f"{row[c]:.3g}" for c in columns) + " |", flush=True)


if __name__ == "__main__":
    main()
