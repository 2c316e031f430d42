"""How do edge convolutions on nearest neighbours work between local frames?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout, Reps
from lorentzoo.nn import (
    MaskedBatchNorm,
    PublishedOption,
    WeightReader,
    lorentz_inverse,
    make_published_frames,
    require_package,
)

__all__ = ["ParticleNet"]


class ParticleNet(Backbone):
    """Dynamic graph network (arXiv:1902.08570), in local frames as in arXiv:2508.14898.

    Neighbours are sought in (deta, dphi) first, channels that are found by name, and in feature space
    afterwards; fewer neighbours than wanted are averaged over as many as there are.

    Parameters
    ----------
    neighbours
        Number of nearest neighbours, the particle itself left out.
    channels
        Width of each edge convolution.
    num_layers
        Layers of each convolution's network.
    hidden_reps
        Lorentz representation of the inputs of the second and later convolutions; scalars of their width by
        default in fixed frames.
    """

    requires_scalars = ("deta", "dphi")
    reads_vectors = None
    published_ignored = ("parity_odd",)

    def __init__(
        self,
        neighbours: int = 16,
        channels: Sequence[int] = (64, 128, 256),
        num_layers: int = 3,
        hidden_reps: Sequence[str] = ("32x0n+8x1n", "64x0n+16x1n"),
        *,
        in_scalars: int,
        out_vectors: int = 0,
    ) -> None:
        super().__init__()
        if neighbours < 1:
            raise ValueError(f"neighbours must be at least 1, not {neighbours}")
        reps = [Reps.parse(text) for text in hidden_reps]
        if len(reps) != len(channels) - 1:
            raise ValueError(
                f"{len(channels)} convolutions need {len(channels) - 1} hidden_reps, not {len(reps)}"
            )
        for text, rep, width in zip(hidden_reps, reps, channels, strict=False):
            if rep.dim != width:
                raise ValueError(
                    f"hidden_reps {text!r} has dimension {rep.dim}, but the convolution before it gives {width}"
                )
            if any(term.order > 1 or term.parity != "n" for term in rep):
                raise ValueError(f"hidden_reps may hold scalars (0n) and vectors (1n), not {text!r}")
        self.neighbours = neighbours
        self.norm = MaskedBatchNorm(in_scalars)
        widths = [in_scalars, *channels]
        self.convolutions = nn.ModuleList(
            _EdgeConv(rep, widths[c], widths[c + 1], num_layers) for c, rep in enumerate([None, *reps])
        )
        self.width = channels[-1]
        self._exchanges = any(not rep.is_invariant for rep in reps)
        self.out_vectors = out_vectors
        if out_vectors:
            self.vector_layer = nn.Linear(self.width, 4 * out_vectors)

    @property
    def stages(self) -> dict[str, nn.Module]:
        """The edge convolutions."""
        return {f"blocks.{number}": convolution for number, convolution in enumerate(self.convolutions)}

    @property
    def exchanges_vectors(self) -> bool:
        return self._exchanges

    def read_published(self, reader: WeightReader, package: str) -> list[str]:
        """Weights of ParticleNet in ``lloca`` (1.3, 2.0) and ``weaver-core``."""
        require_package(package, "lloca-1.3", "lloca-2.0", "weaver-0.4", "weaver-0.5")
        reader.copy_module(self.norm, "bn_fts")
        for number, convolution in enumerate(self.convolutions):
            assert isinstance(convolution, _EdgeConv)
            convolution.read_published(reader, f"edge_convs.{number}")
        return reader.list_last_layers("fc")

    def published_options(self, package: str) -> Mapping[str, PublishedOption]:
        """Means are taken over particles that are there, not over places."""
        return {"use_counts": PublishedOption(True, (True,))}

    def run_published(
        self, network: nn.Module, package: str, features: Features, frames: Frames, context: Tensor
    ) -> Tensor:
        points = torch.stack([features.scalar("deta"), features.scalar("dphi")], dim=1)
        given = () if package.startswith("weaver") else (make_published_frames(frames, flat=True),)
        mask = torch.ones_like(points[:, :1])
        events: Tensor = network(points, features.scalars.transpose(1, 2), *given, mask=mask)
        return events

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars (*lead, width); vectors (*lead, out_vectors, 4) in local frames."""
        points = torch.stack([features.scalar("deta"), features.scalar("dphi")], dim=-1)
        x = self.norm(features.scalars, layout.mask)
        for number, convolution in enumerate(self.convolutions):
            index, found = layout.neighbours(points if number == 0 else x, self.neighbours)
            x = convolution(x, index, found, frames, layout.mask)
        if not self.out_vectors:
            return Features.of_scalars(x)
        return Features(x, self.vector_layer(x).unflatten(-1, (self.out_vectors, 4)))


class _EdgeConv(nn.Module):
    """ReLU(shortcut(x_i) + mean_j φ(x_i, x_j - x_i)), with x_j moved into the frame of i."""

    def __init__(self, reps: Reps | None, width: int, out: int, num_layers: int) -> None:
        super().__init__()
        self.vectors = 0 if reps is None else sum(term.multiplicity for term in reps if term.order == 1)
        self.first = nn.Linear(2 * width, out, bias=False)
        self.layers = nn.ModuleList(nn.Linear(out, out, bias=False) for _ in range(num_layers - 1))
        self.first_norm = MaskedBatchNorm(out)
        self.norms = nn.ModuleList(MaskedBatchNorm(out) for _ in range(num_layers - 1))
        self.shortcut = nn.Linear(width, out, bias=False) if width != out else None
        self.shortcut_norm = MaskedBatchNorm(out) if width != out else None
        self.width = width

    def read_published(self, reader: WeightReader, prefix: str) -> None:
        """Weights of one published convolution."""
        layers = [self.first, *self.layers]
        for number, (layer, norm) in enumerate(zip(layers, [self.first_norm, *self.norms], strict=True)):
            assert isinstance(layer, nn.Linear)
            reader.copy_pointwise(layer, f"{prefix}.convs.{number}", kernel=2)
            reader.copy_module(norm, f"{prefix}.bns.{number}")
        if self.shortcut is not None and self.shortcut_norm is not None:
            reader.copy_pointwise(self.shortcut, f"{prefix}.sc", kernel=1)
            reader.copy_module(self.shortcut_norm, f"{prefix}.sc_bn")

    def forward(self, x: Tensor, index: Tensor, found: Tensor, frames: Frames, mask: Tensor | None) -> Tensor:
        lead = x.shape[:-1]
        flat, index, found = (
            x.reshape(-1, self.width),
            index.reshape(-1, index.shape[-1]),
            found.reshape(-1, found.shape[-1]),
        )
        rows = None if mask is None else mask.reshape(-1)
        edges = found if rows is None else found & rows.unsqueeze(-1)
        y = self._first_layer(flat, index, frames)
        y = F.relu(self.first_norm(y, edges))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            y = F.relu(norm(layer(y), edges))
        y = torch.where(edges.unsqueeze(-1), y, torch.zeros_like(y)).sum(1)
        y = y / edges.sum(1, keepdim=True).clamp(min=1).to(y.dtype)
        if self.shortcut is not None and self.shortcut_norm is not None:
            flat = self.shortcut_norm(self.shortcut(flat), rows)
        return F.relu(flat + y).reshape(*lead, y.shape[-1])

    def _first_layer(self, x: Tensor, index: Tensor, frames: Frames) -> Tensor:
        """W [x_i, x_j - x_i] = (A - B) x_i + B x_j, evaluated on particles as far as no frame comes between."""
        own, other = self.first.weight.split(self.width, dim=1)
        receive = F.linear(x, own - other).unsqueeze(1)
        matrices = None
        if self.vectors and not (frames.is_identity or frames.is_global):
            matrices = frames.per_particle(dtype=x.dtype).reshape(-1, 4, 4)
        if matrices is None:
            return receive + F.embedding(index, F.linear(x, other))
        scalars = self.width - 4 * self.vectors
        vectors = x[:, scalars:].unflatten(-1, (self.vectors, 4)) @ lorentz_inverse(matrices).transpose(
            -1, -2
        )
        neighbours = F.embedding(index, vectors.flatten(-2))
        moved = neighbours.reshape(x.shape[0], index.shape[1] * self.vectors, 4) @ matrices.transpose(-1, -2)
        moved = moved.reshape(*index.shape, 4 * self.vectors)
        sent = F.embedding(index, F.linear(x[:, :scalars], other[:, :scalars]))
        return receive + sent + F.linear(moved, other[:, scalars:])
