"""CGENN against its equations on a list of edges: same weights, same jets, equal outputs and gradients first.

Nobody publishes the network as a package. What stands beside ours are its equations: messages from the channels
[x_i, x_j, x_i - x_j] of every edge, products by the algebra's 16 x 16 x 16 table with one number a path.

Run ``python benchmarks/cgenn.py``. One thread; CPU time of this process; runs in the order A B A B, medians; peak memory
from torch's own allocator events.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "shared"))

import numpy as np
import torch
import torch.nn.functional as F
from measuring import peak, seconds
from torch import Tensor

import lorentzoo as lz
from lorentzoo.nn import SPACETIME
from lorentzoo.plugins.cgenn.network import CGENN

GRADES = torch.as_tensor(SPACETIME.grades)
INNER = torch.as_tensor(SPACETIME.inner_signs)


def path_table() -> Tensor:
    """Structure constants of each path of grades, in lexicographic order, (35, 16, 16, 16)."""
    table, one = torch.as_tensor(SPACETIME.table), F.one_hot(GRADES, 5).double()
    paths = torch.einsum("ijk,ia,jb,kc->abcijk", table, one, one, one).flatten(0, 2)
    return paths[paths.abs().flatten(1).any(1)]


PATHS = path_table()


class Dense:
    """The equations of arXiv:2305.11141, app. D, with the weights of one of our networks."""

    def __init__(self, network: CGENN, chunk: int = 2000) -> None:
        self.network, self.chunk = network, chunk

    def __call__(self, vectors: Tensor, scalars: Tensor, layout: lz.Packed) -> Tensor:
        """Vectors (P, V, 4) and scalars (P, S) to the mean of (P, out_scalars) over the rows of each event."""
        network, (j, i) = self.network, layout.edges()
        s, p = F.pad(scalars, (0, 1)), F.pad(vectors, (1, 11))
        h = network.embed_scalars(s)
        x = torch.einsum("ov,pvi->poi", network.embed_vectors, p) + F.pad(
            network.embed_bias[:, None], (0, 15)
        )
        partners = (layout.counts() - 1).clamp(min=1).repeat_interleave(layout.counts())[:, None].to(h.dtype)
        for block in network.blocks:
            both = torch.cat([x, p], dim=1)
            m = self._layer(block.message, torch.cat([both[i], both[j], both[i] - both[j]], dim=1))
            mu = block.edge_first(torch.cat([self._squares(m), h[i], h[j], h[i] - h[j]], dim=-1))
            mu = block.edge_second(self._norm(block.edge_norm, mu).relu()).relu()
            m = m * self._gates(block.message_gate, mu)
            mean_m = torch.zeros_like(x).index_add(0, i, m) / partners[:, None]
            mean_mu = torch.zeros_like(h).index_add(0, i, mu) / partners
            updated = self._layer(block.update, torch.cat([x, mean_m, p], dim=1))
            node = block.node_first(torch.cat([h, mean_mu, self._squares(x), s], dim=-1))
            h = block.node_second(self._norm(block.node_norm, node).relu())
            x = updated * self._gates(block.update_gate, h)
        return network.last(layout.pool(torch.cat([h, self._squares(x)], dim=-1), "mean"))

    def _layer(self, layer: torch.nn.Module, x: Tensor) -> Tensor:
        grades, table = GRADES.to(x.device), PATHS.to(x)
        weight = torch.einsum("oct,tijk->ocijk", layer.paths, table)
        out = torch.einsum("eci,oci->eoi", x, layer.left[..., grades])
        right = torch.einsum("eci,oci->eoi", x, layer.right[..., grades])
        out = out + torch.einsum("eci,ecj,ocijk->eok", x, right, weight)
        out = (out + F.pad(layer.bias[:, None], (0, 15))) / math.sqrt(2)
        size = ((out.square() * INNER.to(x)).sum(-1) ** 2 + 1e-16) ** 0.25
        return layer.gain[:, None] * out / (size.mean(-1)[..., None, None] + 1e-6)

    @staticmethod
    def _norm(layer: torch.nn.Module, x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, layer.weight, layer.bias, True)

    @staticmethod
    def _squares(x: Tensor) -> Tensor:
        signed = x.square() * INNER.to(x)
        parts = [x[..., 0], *(signed[..., grade == GRADES].sum(-1) for grade in range(1, 5))]
        return torch.stack(parts, dim=-1).flatten(-2)

    @staticmethod
    def _gates(gate: torch.nn.Module, scalars: Tensor) -> Tensor:
        return gate(scalars).sigmoid().unflatten(-1, (-1, 5))[..., GRADES]


def draw(events: int, seed: int = 0) -> tuple[Tensor, lz.Packed]:
    """Momenta and a beam for each row, (P, 2, 4), of jets with a gamma distribution of multiplicities of mean 44."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    lengths = rng.gamma((44 / 17) ** 2, 17**2 / 44, events).round().astype(int).clip(17, 128)
    p3 = torch.randn(int(lengths.sum()), 3, generator=generator, dtype=torch.float64)
    energy = (p3.square().sum(-1, keepdim=True) + 0.02).sqrt()
    momenta = torch.cat([energy, p3], dim=-1).unsqueeze(-2)
    return momenta, lz.Packed.from_lengths(lengths.tolist())


def make(events: int, dtype: torch.dtype) -> tuple[CGENN, Callable[[], Tensor], Callable[[], Tensor]]:
    """The network of the published size, and both ways to evaluate it on fresh layouts."""
    torch.manual_seed(0)
    network = CGENN(pool_rows=True, in_scalars=2, in_vectors=1, out_scalars=1).to(dtype).train()
    momenta, layout = draw(events)
    vectors = momenta.to(dtype)
    scalars = torch.randn(len(vectors), 2, dtype=dtype)
    dense = Dense(network)

    def ours() -> Tensor:
        fresh = lz.Packed.from_lengths(layout.lengths)
        context = scalars.new_zeros(fresh.num_events, 0)
        return network(lz.Features(scalars, vectors), lz.Frames.identity(fresh), fresh, context).scalars

    return network, ours, lambda: dense(vectors, scalars, lz.Packed.from_lengths(layout.lengths))


def difference(events: int) -> tuple[float, float]:
    """Largest relative difference of outputs and of gradients, float64."""
    network, ours, theirs = make(events, torch.float64)
    outputs, gradients = [], []
    for run in (ours, theirs):
        out = run()
        outputs.append(out.detach())
        gradients.append(
            torch.autograd.grad(out.square().sum(), list(network.parameters()), allow_unused=True)
        )
    scale = max(float(x.abs().max()) for x in gradients[1] if x is not None)
    worst = max(
        float((a - b).abs().max()) for a, b in zip(*gradients, strict=True) if a is not None and b is not None
    )
    return float((outputs[0] - outputs[1]).abs().max() / outputs[1].abs().max()), worst / scale


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--events", type=int, default=8, help="jets in a batch")
    parser.add_argument("--dense-events", type=int, default=2, help="of those, how many the equations see")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    outputs, gradients = difference(min(arguments.events, 2))
    print(f"float64, two jets: outputs agree to {outputs:.0e}, gradients to {gradients:.0e}", flush=True)
    if max(outputs, gradients) > 1e-7:
        raise SystemExit("the two sides are not the same function")
    _, ours, _ = make(arguments.events, torch.float32)
    _, same, theirs = make(arguments.dense_events, torch.float32)
    runs = {"ours": (ours, arguments.events), "ours, few": (same, arguments.dense_events)}
    runs["equations"] = (theirs, arguments.dense_events)
    print(
        f"{arguments.events} jets, and {arguments.dense_events} where it says few; CPU-ms a jet, forward and backward"
    )
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for repeat in range(arguments.repeats + 1):
        for name, (run, events) in runs.items():
            with torch.no_grad():
                forward = seconds(run)
            step = seconds(lambda run=run: run().square().sum().backward())
            if repeat:
                times[name].append((1e3 * forward / events, 1e3 * step / events))
    print("| form | forward ms a jet | step ms a jet | least | peak MiB a jet |\n|---|---|---|---|---|")
    for name, (run, events) in runs.items():
        forwards, steps = zip(*times[name], strict=True)
        held = peak(lambda run=run: run().square().sum().backward()) / events
        cells = [f"{statistics.median(forwards):.1f}", f"{statistics.median(steps):.1f}", f"{min(steps):.1f}"]
        print(f"| {name} | " + " | ".join(cells) + f" | {held:.1f} |")
    ratio = statistics.median(
        a[1] / b[1] for a, b in zip(times["equations"], times["ours, few"], strict=True)
    )
    print(f"the equations take {ratio:.1f} times as long as ours on the same jets")


if __name__ == "__main__":
    main()
