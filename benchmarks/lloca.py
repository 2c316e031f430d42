"""LLoCa networks against the installed ``lloca``: same weights, same inputs, equal outputs checked first.

Run ``python benchmarks/lloca.py``. One thread; CPU time of this process; runs in the order A B A B,
medians; peak memory from torch's own allocator events. Their forms: padded to 128, padded to the
batch's longest jet, and packed with their block-diagonal mask.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# This script bears the package's name; its folder must not stand before the installed packages.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]
sys.path.insert(0, str(Path(__file__).resolve().parent / "shared"))

import numpy as np
import torch
from measuring import peak, seconds
from torch import Tensor

import lorentzoo as lz

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lloca.backbone.attention_backends.mask import get_sparse_attention_mask
    from lloca.backbone.graphnet import GraphNet
    from lloca.backbone.particlenet import ParticleNet
    from lloca.backbone.particletransformer import ParticleTransformer
    from lloca.backbone.transformer import Transformer
    from lloca.equivectors.mlp import MLPVectors
    from lloca.framesnet.equi_frames import LearnedPDFrames
    from lloca.utils.utils import get_edge_index_from_ptr

SCALARS = 7
OPTIONS = {
    "transformer": {"preserve_variance": False},
    "part": {"preserve_variance": False, "use_pre_activation_pair": False},
}


@dataclass(frozen=True)
class Jets:
    """Packed jets, and the same padded."""

    momenta: Tensor
    ptr: Tensor
    lengths: list[int]

    @classmethod
    def draw(cls, events: int, mean: float = 44.0, longest: int = 128, seed: int = 0) -> Jets:
        """Multiplicities of QCD and top jets; momenta as in a jet's rest frame."""
        rng = np.random.default_rng(seed)
        width = 17.0
        lengths = (
            rng.gamma((mean / width) ** 2, width**2 / mean, events).round().astype(int).clip(17, longest)
        )
        g = torch.Generator().manual_seed(seed)
        p3 = torch.randn(int(lengths.sum()), 3, generator=g, dtype=torch.float64)
        p3 = p3 * torch.exp(0.8 * torch.randn(len(p3), 1, generator=g, dtype=torch.float64))
        energy = (p3.square().sum(-1, keepdim=True) + 0.14**2).sqrt()
        ptr = torch.tensor([0, *np.cumsum(lengths).tolist()])
        return cls(torch.cat([energy, p3], -1), ptr, lengths.tolist())

    def pad(self, x: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Rows of events padded with zeros, and the mask."""
        mask = torch.arange(length)[None] < torch.tensor(self.lengths)[:, None]
        out = x.new_zeros(len(self.lengths), length, *x.shape[1:])
        out[mask] = x
        return out, mask


@dataclass(frozen=True)
class Case:
    """One comparison."""

    name: str
    ours: Callable[[], Tensor]
    theirs: dict[str, Callable[[], Tensor]]
    parameters: tuple[list[Tensor], list[Tensor]]


def published_frames(precision: torch.dtype) -> LearnedPDFrames:
    def equivectors(n_vectors: int) -> MLPVectors:
        return MLPVectors(n_vectors, num_scalars=SCALARS, hidden_channels=128, num_layers_mlp=2)

    return LearnedPDFrames(equivectors).to(precision)


def make_case(kind: str, events: int, precision: torch.dtype) -> Case:
    """Networks of the papers, learned frames included."""
    torch.manual_seed(0)
    jets = Jets.draw(events)
    scalars = torch.randn(len(jets.momenta), SCALARS, dtype=precision)
    names = {"transformer": "lloca-transformer", "part": "lloca-part", "particlenet": "lloca-particlenet"}
    frames = {"name": "lloca-polar", "gamma_max": 1e5, "lab_scalars": "kinematics"}
    ours = lz.create_model(names.get(kind, "lloca-graphnet"), frames=frames, spurions=[], anchor="none").to(
        precision
    )
    # Their networks take scalars as they are given; so does ours here, in place of its own kinematics.
    given = ours.embedding.scalar_names
    ours.in_scalars, ours.frames_net.lab, ours.embedding = SCALARS, None, Given(ours.embedding)
    net, call = _published(kind, precision)
    framesnet = published_frames(precision)
    framesnet.equivectors.init_standardization(jets.momenta, ptr=jets.ptr)
    lz.import_weights(ours, framesnet.state_dict(), "lloca-2.0", part="frames")
    lz.import_weights(ours, net.state_dict(), "lloca-2.0", options=OPTIONS.get(kind, {}))
    ours.eval(), net.eval(), framesnet.eval()

    def run_ours() -> Tensor:
        # A fresh layout, as every batch of a training brings one.
        fresh = lz.ParticleCloud.from_packed(
            jets.momenta, jets.ptr, scalars=scalars, scalar_names=given, validate=False
        )
        return ours(fresh)

    def run_padded(length: int) -> Callable[[], Tensor]:
        p, mask = jets.pad(jets.momenta, length)
        s, _ = jets.pad(scalars, length)

        def run() -> Tensor:
            flat = framesnet(jets.momenta, scalars=scalars, ptr=jets.ptr)
            matrices, _ = jets.pad(flat.matrices, length)
            matrices = torch.where(mask[..., None, None], matrices, torch.eye(4, dtype=matrices.dtype))
            return call(net, p, s, matrices.to(precision), mask)

        return run

    def run_packed() -> Tensor:
        flat = framesnet(jets.momenta, scalars=scalars, ptr=jets.ptr)
        return _call_packed(kind, net, jets, scalars, flat.matrices.to(precision))

    theirs = {}
    if kind != "graphnet":
        theirs = {"padded 128": run_padded(128), "padded longest": run_padded(max(jets.lengths))}
    if kind in ("transformer", "graphnet"):
        theirs["packed"] = run_packed
    parameters = ([*ours.parameters()], [*net.parameters(), *framesnet.parameters()])
    return Case(f"LLoCa-{kind}, {events} jets", run_ours, theirs, parameters)


class Given(lz.Embedding):
    """An embedding's momenta without its scalars: the cloud's own stand in their place."""

    def __init__(self, embedding: lz.Embedding) -> None:
        super().__init__()
        self._vector_names = embedding.vector_names

    @property
    def scalar_names(self) -> tuple[str, ...]:
        return ()

    @property
    def vector_names(self) -> tuple[str, ...]:
        return self._vector_names

    @property
    def scalar_symmetry(self) -> lz.Symmetry:
        return lz.Symmetry.full()

    def forward(self, cloud: lz.ParticleCloud, frames: lz.Frames) -> lz.Features:
        vectors = cloud.momenta.unsqueeze(-2)[..., : len(self.vector_names), :]
        return lz.Features(vectors.new_zeros(*cloud.layout.lead, 0), vectors, (), self.vector_names)


def _published(kind: str, precision: torch.dtype):
    from lloca.framesnet.frames import Frames

    if kind == "transformer":
        net = Transformer(SCALARS, "8x0n+2x1n", 1, 10, 8, preserve_variance=False)

        def call(net, p, s, matrices, mask):
            bias = torch.zeros(mask.shape[0], 1, 1, mask.shape[1], dtype=s.dtype)
            bias = bias.masked_fill(~mask[:, None, None], float("-inf"))
            out = net(s, Frames(matrices), attn_mask=bias)
            return (out * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)

    elif kind == "part":
        net = ParticleTransformer(
            SCALARS, "8x0n+2x1n", 1, pair_input_dim=4, use_pre_activation_pair=False, preserve_variance=False
        )

        def call(net, p, s, matrices, mask):
            local = (matrices @ p.to(s.dtype).unsqueeze(-1)).squeeze(-1)[..., [1, 2, 3, 0]]
            return net(
                s.transpose(1, 2),
                Frames(matrices),
                v=local.transpose(1, 2),
                mask=mask.unsqueeze(1).to(s.dtype),
            )

    elif kind == "particlenet":
        net = ParticleNet(
            SCALARS,
            ["7x0n", "32x0n+8x1n", "64x0n+16x1n"],
            1,
            conv_params=[(16, (64,) * 3), (16, (128,) * 3), (16, (256,) * 3)],
            fc_params=[(256, 0.1)],
            use_fusion=False,
            for_inference=False,
        )

        def call(net, p, s, matrices, mask):
            points = s[..., [5, 4]].transpose(1, 2)
            return net(points, s.transpose(1, 2), Frames(matrices.flatten(0, 1)), mask=mask.unsqueeze(1))

    else:
        net = GraphNet(SCALARS, "64x0n+16x1n", 1, 3, num_layers_mlp1=3, num_layers_mlp2=0)
        call = None
    return net.to(precision), call


def _call_packed(kind: str, net, jets: Jets, scalars: Tensor, matrices: Tensor) -> Tensor:
    from lloca.framesnet.frames import Frames

    batch = torch.repeat_interleave(torch.arange(len(jets.lengths)), torch.tensor(jets.lengths))
    if kind == "transformer":
        mask = get_sparse_attention_mask(batch, attention_backend="varlen", dtype=scalars.dtype)
        out = net(scalars[None], Frames(matrices[None]), **mask)[0]
    else:
        index = get_edge_index_from_ptr(jets.ptr, shape=scalars.shape, remove_self_loops=True)
        out = net(scalars, Frames(matrices), index)
    total = torch.zeros(len(jets.lengths), 1, dtype=out.dtype).index_add_(0, batch, out)
    return total / torch.tensor(jets.lengths)[:, None]


def step(run: Callable[[], Tensor], parameters: list[Tensor]) -> None:
    """Forward and backward."""
    for parameter in parameters:
        parameter.grad = None
    run().square().sum().backward()


def compare(kind: str, events: int, repeats: int) -> dict[str, object]:
    """Check equality in float64, then time in float32."""
    exact = make_case(kind, events, torch.float64)
    ours = exact.ours().detach()
    worst = {}
    for form, run in exact.theirs.items():
        theirs = run().detach()
        worst[form] = float((ours - theirs).abs().max() / theirs.abs().max())
    del exact
    case = make_case(kind, events, torch.float32)
    mine, others = case.parameters
    runs = {"ours": (case.ours, mine)} | {form: (run, others) for form, run in case.theirs.items()}
    times: dict[str, dict[str, list[float]]] = {form: {"forward": [], "step": []} for form in runs}
    for repeat in range(repeats + 1):
        for form, (run, parameters) in runs.items():
            with torch.no_grad():
                forward = seconds(run)
            both = seconds(lambda run=run, parameters=parameters: step(run, parameters))
            if repeat:
                times[form]["forward"].append(forward)
                times[form]["step"].append(both)
    memory = {form: peak(lambda run=run, p=p: step(run, p)) for form, (run, p) in runs.items()}
    rows = {}
    for form in runs:
        row = {key: statistics.median(values) * 1e3 for key, values in times[form].items()} | {
            "peak": memory[form]
        }
        if form != "ours":
            for key in ("forward", "step"):
                row[f"{key} ratio"] = statistics.median(
                    a / b for a, b in zip(times[form][key], times["ours"][key], strict=True)
                )
            row["peak ratio"] = memory["ours"] / memory[form]
            row["difference"] = worst[form]
        rows[form] = row
    return {"name": case.name, "rows": rows}


def report(result: dict[str, object]) -> str:
    lines = [
        f"## {result['name']}",
        "",
        "| form | forward ms | step ms | peak MiB | forward × | step × | peak × | float64 difference |",
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for form, row in result["rows"].items():
        ratios = ["forward ratio", "step ratio", "peak ratio"]
        cells = [f"{row['forward']:.0f}", f"{row['step']:.0f}", f"{row['peak']:.0f}"]
        cells += [f"{row[key]:.2f}" if key in row else "" for key in ratios]
        cells.append(f"{row['difference']:.0e}" if "difference" in row else "")
        lines.append(f"| {form} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--only", help="one of transformer, part, particlenet, graphnet")
    parser.add_argument("--events", type=int, help="jets of each case; by default as in the documentation")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    results = []
    for kind, events in (("transformer", 64), ("part", 16), ("particlenet", 16), ("graphnet", 16)):
        if arguments.only in (None, kind):
            results.append(compare(kind, arguments.events or events, arguments.repeats))
            print(report(results[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
