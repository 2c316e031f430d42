"""L-GATr and L-GATr-slim side by side with the published package, in one process.

Both sides hold the same weights, and their float64 outputs are compared before anything is timed. Runs alternate
(A B A B ...), process time of one thread, medians. Peak memory is that of one forward and backward pass in a process
of its own.

    python benchmarks/lgatr.py                    # the table of ratios
    python benchmarks/lgatr.py --only amplitudes  # one row
    python benchmarks/lgatr.py --curve            # time against the number of particles, with the GEMM limit
"""

from __future__ import annotations

import sys
from pathlib import Path

# This file has the name of the package that it measures: its own folder must not be searched for it.
sys.path = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import lgatr
import numpy as np
import torch
from lgatr.primitives.bilinear import geometric_product as published_product
from lgatr.primitives.config import PrimitivesConfig
from torch import Tensor, nn

from lorentzoo.core.layout import Packed
from lorentzoo.plugins.lgatr.linear import EquivariantLinear
from lorentzoo.plugins.lgatr.options import Options
from lorentzoo.plugins.lgatr.paired import Paired
from lorentzoo.plugins.lgatr.product import product_of_halves
from lorentzoo.plugins.lgatr.slim_layers import SlimOptions, SlimStream
from lorentzoo.plugins.lgatr.slim_transformer import SlimTransformer
from lorentzoo.plugins.lgatr.slim_weights import import_slim_state
from lorentzoo.plugins.lgatr.stream import Widths
from lorentzoo.plugins.lgatr.transformer import MultivectorTransformer
from lorentzoo.plugins.lgatr.weights import import_multivector_state

SPURIONS = 4
"""Three spurions and a class token join every jet."""


@dataclass(frozen=True)
class Case:
    """One comparison: how many events of which lengths, which network, how the published one is fed."""

    network: str
    events: int
    form: str
    target: float
    memory_target: float | None = None


CASES = {
    "tagger, 16 jets, padded to 128": Case("tagger", 16, "pad-128", 15.0, 0.2),
    "tagger, 16 jets, padded to longest": Case("tagger", 16, "pad-longest", 7.5),
    "tagger, 16 jets, packed": Case("tagger", 16, "packed", 4.0, 0.5),
    "tagger, 64 jets, packed": Case("tagger", 64, "packed", 6.0, 0.5),
    "amplitudes, 256 events of 6": Case("amplitudes", 256, "pad-longest", 8.0, 0.4),
    "slim tagger, 64 jets, padded to 128": Case("slim", 64, "pad-128", 4.0, 0.35),
}
Run = Callable[[], Tensor]


def multiplicities(events: int, seed: int = 0) -> np.ndarray:
    """Particles of jets: a gamma distribution of mean 44, between 8 and 124."""
    shape = (44 / 17) ** 2
    drawn = np.random.default_rng(seed).gamma(shape, 44 / shape, size=events)
    return np.clip(drawn.round().astype(int), 8, 128 - SPURIONS)


def momenta(number: int, seed: int = 0) -> Tensor:
    """Massive four-momenta over 20 GeV, shape (number, 4), float64."""
    space = torch.randn(number, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.cat([(space.square().sum(-1, keepdim=True) + 0.02).sqrt(), space], dim=-1)


def networks(kind: str) -> tuple[nn.Module, nn.Module, int]:
    """The published network, ours with the same weights, and the number of input scalars."""
    if kind == "slim":
        scalars = 8
        published = lgatr.LGATrSlim(
            num_blocks=12,
            in_v_channels=1,
            out_v_channels=0,
            hidden_v_channels=32,
            in_s_channels=scalars,
            out_s_channels=1,
            hidden_s_channels=96,
            num_heads=8,
            mlp_ratio=4,
            norm_elementwise_affine=False,
        )
        slim = SlimTransformer(
            12, Widths(1, scalars), Widths(32, 96), Widths(0, 1), SlimOptions(qkv_bias=False)
        )
        import_slim_state(slim, published.state_dict(), "lgatr-2.0")
        return published, slim, scalars
    tagger = kind == "tagger"
    blocks, channels, scalars, ratio, expansion = (12, 16, 1, 2, 2) if tagger else (8, 20, 3, 1, 4)
    published = lgatr.LGATr(
        num_blocks=blocks,
        in_mv_channels=1,
        out_mv_channels=1,
        hidden_mv_channels=channels,
        in_s_channels=scalars,
        out_s_channels=0,
        hidden_s_channels=32,
        attention={"num_heads": 8, "attn_ratio": ratio, "head_scale": tagger},
        mlp={"mlp_ratio": expansion},
        norm_elementwise_affine=False,
    )
    options = Options(
        attention_ratio=ratio,
        mlp_ratio=expansion,
        head_scale=tagger,
        qkv_bias=False,
        head_channels=None if tagger else 2,
    )
    ours = MultivectorTransformer(blocks, Widths(1, scalars), Widths(channels, 32), Widths(1, 0), options)
    import_multivector_state(ours, published.state_dict(), "lgatr-2.0")
    return published, ours, scalars


def prepare(case: Case, dtype: torch.dtype) -> tuple[nn.Module, Run, nn.Module, Run]:
    """Both networks and a function for each that gives the scalar output of every real token, (P,)."""
    published, ours, width = networks(case.network)
    published, ours = published.to(dtype), ours.to(dtype)
    amplitudes = case.network == "amplitudes"
    lengths = np.full(case.events, 6) if amplitudes else multiplicities(case.events) + SPURIONS
    number = int(lengths.sum())
    p, scalars = momenta(number).to(dtype), torch.randn(number, width, dtype=torch.float64).to(dtype)
    layout = Packed.from_lengths(lengths.tolist())
    mask, attention = _published_mask(case.form, lengths)
    shape = (1, number) if case.form == "packed" else tuple(mask.shape)

    def padded(x: Tensor) -> Tensor:
        out = x.new_zeros(*shape, *x.shape[1:])
        out[mask] = x
        return out

    keywords = {} if attention is None else {"attn_mask": attention}
    if case.network == "slim":
        vectors, extra = padded(p[:, None]), padded(scalars)
        stream = SlimStream(scalars, p.T.unsqueeze(-1).contiguous())
        return (
            published,
            lambda: published(vectors, extra, **keywords)[1][mask][:, 0],
            ours,
            lambda: ours(stream, [layout]).scalars[:, 0],
        )
    multivectors, extra = padded(lgatr.embed_vector(p[:, None])), padded(scalars)
    paired = Paired.from_vectors(p[:, None], scalars)
    return (
        published,
        lambda: published(multivectors, scalars=extra, **keywords)[0][mask][:, 0, 0],
        ours,
        lambda: ours(paired, [layout]).scalars[:, 0],
    )


def _published_mask(form: str, lengths: np.ndarray) -> tuple[Tensor, Tensor | None]:
    """Which places hold a token, and the attention mask that the published network needs for it."""
    if form == "packed":
        event = torch.repeat_interleave(torch.arange(len(lengths)), torch.as_tensor(lengths))
        return torch.ones(1, len(event), dtype=torch.bool), event[:, None] == event[None]
    longest = 128 if form == "pad-128" else int(lengths.max())
    mask = torch.arange(longest)[None] < torch.as_tensor(lengths)[:, None]
    return mask, None if mask.all() else mask[:, None, None, :]


def step(network: nn.Module, run: Run) -> Callable[[], None]:
    """One forward and backward pass."""

    def forward_backward() -> None:
        network.zero_grad(set_to_none=True)
        run().square().mean().backward()

    return forward_backward


def alternate(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Medians in milliseconds of two functions that run in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    first(), second()
    for _ in range(rounds):
        for function, found in zip((first, second), times, strict=True):
            start = time.process_time()
            function()
            found.append(1e3 * (time.process_time() - start))
    return statistics.median(times[0]), statistics.median(times[1])


def peak_memory(name: str, side: str) -> float:
    """MiB above the process's own size that one forward and backward pass needs; NaN where unknown."""
    if not Path("/proc/self/clear_refs").exists():
        return float("nan")
    command = [sys.executable, __file__, "--memory", name, side, "--events", str(CASES[name].events)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def _measure_memory(name: str, side: str) -> None:
    torch.set_num_threads(1)
    published, their_run, ours, our_run = prepare(CASES[name], torch.float32)
    function = step(published, their_run) if side == "published" else step(ours, our_run)
    Path("/proc/self/clear_refs").write_text("5")

    def status(key: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))

    before = status("VmRSS")
    function()
    print(status("VmHWM") - before)


def compare(name: str, rounds: int) -> dict[str, float | str]:
    """One row of the table."""
    case = CASES[name]
    with torch.no_grad():
        _, theirs, _, mine = prepare(case, torch.float64)
        expected = theirs()
        error = ((mine() - expected).abs().max() / expected.abs().max()).item()
    if error > 1e-10:
        raise SystemExit(f"{name}: outputs differ by {error:.1e} in float64, nothing was timed")
    published, their_run, ours, our_run = prepare(case, torch.float32)
    with torch.no_grad():
        forward = alternate(their_run, our_run, rounds)
    both = alternate(step(published, their_run), step(ours, our_run), rounds)
    memory = peak_memory(name, "published"), peak_memory(name, "ours")
    return {
        "case": name,
        "float64 difference": error,
        "published forward": forward[0],
        "forward": forward[0] / forward[1],
        "published forward+backward": both[0],
        "ours forward+backward": both[1],
        "ratio": both[0] / both[1],
        "target": case.target,
        "memory": memory[1] / memory[0],
        "memory target": case.memory_target or float("nan"),
    }


def primitives(rounds: int) -> list[dict[str, float | str]]:
    """The geometric product and the equivariant linear map alone, 2816 tokens."""
    tokens, channels = 2816, 32
    config = PrimitivesConfig()
    left, right = (torch.randn(tokens, channels, 16, requires_grad=True) for _ in range(2))
    joined = [Paired.from_components(x.detach()) for x in (left, right)]
    factors = [torch.cat(pair, dim=-1).requires_grad_() for pair in zip(*joined, strict=True)]
    upstream = torch.randn(tokens, channels, 16)
    paired_upstream = list(Paired.from_components(upstream))
    rows = []

    def row(name: str, target: float, theirs: Callable[[], object], mine: Callable[[], object]) -> None:
        times = alternate(theirs, mine, rounds)
        rows.append(
            {"case": name, "published forward+backward": times[0], "ours forward+backward": times[1]}
            | {"ratio": times[0] / times[1], "target": target}
        )

    row(
        "geometric product",
        18.0,
        lambda: torch.autograd.grad(published_product(left, right, config=config), (left, right), upstream),
        lambda: torch.autograd.grad(list(product_of_halves(Paired(*factors))), factors, paired_upstream),
    )
    published = lgatr.layers.EquiLinear(channels, channels, config, in_s_channels=32, out_s_channels=32)
    ours = EquivariantLinear(channels, channels, 32, 32)
    scalars = torch.randn(tokens, 32)
    x = left.detach().requires_grad_()
    stream = Paired(*(part.detach().requires_grad_() for part in Paired.from_components(x.detach(), scalars)))
    row(
        "equivariant linear map",
        5.0,
        lambda: torch.autograd.grad(
            published(x, scalars=scalars), (x, *published.parameters()), (upstream, scalars)
        ),
        lambda: torch.autograd.grad(list(ours(stream)), (*stream, *ours.parameters()), _like(ours(stream))),
    )
    return rows


def _like(stream: Paired) -> list[Tensor]:
    return [torch.ones_like(part) for part in stream]


def curve(rounds: int, longest: int) -> None:
    """Time per event against the number of particles for four networks, and the GEMM limit of this machine."""
    from lorentzoo import Features, Frames
    from lorentzoo.plugins.lgatr.network import LGATr
    from lorentzoo.plugins.lgatr.slim import LGATrSlim
    from lorentzoo.registry.catalogue import catalogue

    makers: dict[str, Callable[[], nn.Module]] = {
        "L-GATr": lambda: LGATr(in_vectors=1, in_scalars=1),
        "L-GATr-slim": lambda: LGATrSlim(in_vectors=1, in_scalars=1),
    }
    for title, name in (("Transformer", "transformer"), ("GraphNet", "graphnet")):
        try:
            kind = catalogue().target(catalogue().find("backbone", name))
        except LookupError:
            print(f"{title}: not installed")
            continue
        # GraphNet without edge features reads no vectors.
        makers[title] = lambda kind=kind, vectors=int(name != "graphnet"): kind(
            in_scalars=1, in_vectors=vectors
        )
    a = torch.randn(1024, 1024)
    limit = 2 * 1024**3 / min(alternate(lambda: a @ a, lambda: a @ a, rounds)) / 1e6
    print(
        f"GEMM limit {limit:.0f} GFLOP/s\n\n| particles | "
        + " | ".join(f"{name} / ms" for name in makers)
        + " |"
    )
    print("|---" * (1 + len(makers)) + "|")
    made = {name: make().eval() for name, make in makers.items()}
    for particles in (n for n in (4, 8, 16, 32, 64, 128, 256, 512, 1024) if n <= longest):
        events = max(1, 512 // particles)
        layout = Packed.from_lengths([particles] * events)
        features = Features(torch.randn(events * particles, 1), momenta(events * particles)[:, None].float())
        frames, context = Frames.identity(layout), torch.zeros(events, 0)
        cells = []
        for network in made.values():
            run = partial(network, features, frames, layout, context)
            with torch.no_grad():
                cells.append(f"{alternate(run, run, rounds)[1] / events:.2f}")
        print(f"| {particles} | " + " | ".join(cells) + " |", flush=True)


COLUMNS = [
    "case",
    "published forward+backward",
    "ours forward+backward",
    "ratio",
    "target",
    "memory",
    "memory target",
]


def show(row: dict[str, float | str]) -> None:
    """Print one row of the table."""
    cells = [row.get(column, "") for column in COLUMNS]
    print(
        "| " + " | ".join(cell if isinstance(cell, str) else f"{cell:.3g}" for cell in cells) + " |",
        flush=True,
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the name of the cases to run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--output", type=Path, help="write the rows as JSON")
    parser.add_argument("--events", type=int, help="events of each case; by default as the names say")
    parser.add_argument("--longest", type=int, default=1024, help="particles up to which the curve goes")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.events:
        CASES.update({name: replace(case, events=arguments.events) for name, case in CASES.items()})
    if arguments.memory:
        return _measure_memory(*arguments.memory)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if arguments.curve:
        return curve(arguments.rounds, arguments.longest)
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    rows = []
    for name in CASES:
        if arguments.only in name:
            rows.append(compare(name, arguments.rounds))
            show(rows[-1])
    if arguments.only in "primitives":
        for row in primitives(4 * arguments.rounds):
            rows.append(row)
            show(row)
    if arguments.output:
        arguments.output.write_text(json.dumps(rows, indent=1))
    return None


if __name__ == "__main__":
    main()
