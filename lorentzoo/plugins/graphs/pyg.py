"""How does any torch-geometric convolution become a backbone of the zoo?"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout, Reps
from lorentzoo.plugins.graphs.transport import FrameConv, sender_arguments

__all__ = ["PygNet"]

_FEATURES: Final = frozenset({"x", "key", "value", "query", "k", "q", "v"})
_INVARIANT: Final = frozenset({"alpha", "norm", "deg"})
"""Usual names of senders' arguments; of any other the representation must be declared, since a wrong guess
would still be invariant and go unnoticed."""

_REFUSED: Final[dict[str, str]] = {
    "DynamicEdgeConv": "it seeks neighbours in feature space, comparing features of different frames",
    "XConv": "it seeks neighbours in feature space, comparing features of different frames",
    "GravNetConv": "it seeks neighbours in a learned space, comparing features of different frames",
    "HypergraphConv": "a hyperedge mixes features of many frames and has no frame of its own",
}


class PygNet(Backbone):
    """Residual layers of a torch-geometric convolution, messages moved between local frames.

    Parameters
    ----------
    conv
        Class in `torch_geometric.nn`, e.g. ``"GATv2Conv"``, ``"SAGEConv"``, ``"TransformerConv"``, ``"EdgeConv"``.
    num_layers
        Number of layers.
    hidden_reps
        Lorentz representation of the features (of each head, where the convolution has heads).
    conv_parameters
        Further parameters of the convolution.
    graph
        ``"complete"``, or ``"neighbours"`` for the nearest ones in (deta, dphi).
    neighbours
        Number of nearest neighbours.
    transport
        Representation of ``*_j`` arguments beyond the usual ones (``x``, ``key``, ``value``, ``q``, ``k``, ``v``:
        features; ``alpha``, ``norm``: invariant), as text, or None for an invariant.
    """

    exportable = "the graph's size depends on the data"
    reads_vectors = "inputs"

    def __init__(
        self,
        conv: str = "GATv2Conv",
        num_layers: int = 3,
        hidden_reps: str = "64x0n+16x1n",
        conv_parameters: Mapping[str, Any] | None = None,
        graph: Literal["complete", "neighbours"] = "complete",
        neighbours: int = 16,
        transport: Mapping[str, str | None] | None = None,
        *,
        in_scalars: int,
        in_vectors: int = 0,
        out_vectors: int = 0,
    ) -> None:
        super().__init__()
        if neighbours < 1:
            raise ValueError(f"neighbours must be at least 1, not {neighbours}")
        cls = _find(conv)
        reps = Reps.parse(hidden_reps)
        parameters = dict(conv_parameters or {})
        heads = int(parameters.get("heads", 1))
        self.width = heads * reps.dim
        self.graph, self.neighbours = graph, neighbours
        self.requires_scalars = ("deta", "dphi") if graph == "neighbours" else ()
        self._exchanges = not reps.is_invariant
        self.in_layer = nn.Linear(in_scalars + 4 * in_vectors, self.width)
        self.layers = nn.ModuleList()
        for _ in range(num_layers):
            made = _make(cls, self.width, reps.dim, heads, parameters)
            self.layers.append(FrameConv(made, _representations(made, reps, transport or {})))
        self.norms = nn.ModuleList(nn.LayerNorm(self.width) for _ in range(num_layers))
        self.out_vectors = out_vectors
        if out_vectors:
            self.vector_layer = nn.Linear(self.width, 4 * out_vectors)

    @property
    def exchanges_vectors(self) -> bool:
        return self._exchanges

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars (*lead, width); vectors (*lead, out_vectors, 4) in local frames."""
        edges = layout.edges() if self.graph == "complete" else self._nearest(features, layout)
        inputs = torch.cat([features.scalars, features.vectors.flatten(-2)], dim=-1)
        x = self.in_layer(inputs).reshape(-1, self.width)
        matrices = None
        if not (frames.is_identity or frames.is_global):
            matrices = frames.per_particle().reshape(-1, 4, 4)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = x + F.gelu(layer(norm(x), edges, matrices))
        x = x.reshape(*layout.lead, self.width)
        if not self.out_vectors:
            return Features.of_scalars(x)
        return Features(x, self.vector_layer(x).unflatten(-1, (self.out_vectors, 4)))

    def _nearest(self, features: Features, layout: Layout) -> Tensor:
        points = torch.stack([features.scalar("deta"), features.scalar("dphi")], dim=-1)
        index, found = layout.neighbours(points, self.neighbours)
        sources, found = index.reshape(-1, self.neighbours), found.reshape(-1, self.neighbours)
        if layout.mask is not None:
            found = found & layout.mask.reshape(-1, 1)
        targets = torch.arange(len(sources), device=sources.device).unsqueeze(1).expand_as(sources)
        return torch.stack([sources[found], targets[found]])


def _find(name: str) -> type:
    import torch_geometric.nn as geometric

    cls = getattr(geometric, name, None)
    if not (inspect.isclass(cls) and issubclass(cls, geometric.MessagePassing)):
        raise ValueError(f"torch_geometric.nn has no convolution {name!r}")
    if name in _REFUSED:
        raise ValueError(f"{name} cannot work between local frames: {_REFUSED[name]}")
    return cls


def _make(cls: type, width: int, per_head: int, heads: int, parameters: Mapping[str, Any]) -> nn.Module:
    """Construct the convolution from its signature: widths, or an inner network where it takes one."""
    signature = inspect.signature(cls).parameters
    given = dict(parameters)
    if "in_channels" in signature:
        given.setdefault("in_channels", width)
        given.setdefault("out_channels", per_head if heads > 1 else width)
    if "nn" in signature:
        inner = 2 * width if cls.__name__ == "EdgeConv" else width
        given.setdefault("nn", nn.Sequential(nn.Linear(inner, width), nn.GELU(), nn.Linear(width, width)))
    if "channels" in signature:
        given.setdefault("channels", width)
    try:
        made: nn.Module = cls(**given)
    except TypeError as error:
        raise ValueError(f"{cls.__name__}: {error}; give what it needs as conv_parameters") from error
    return made


def _representations(
    conv: nn.Module, reps: Reps, transport: Mapping[str, str | None]
) -> dict[str, Reps | None]:
    """A representation for every sender's argument."""
    found: dict[str, Reps | None] = {}
    for name in sender_arguments(conv):
        if name in transport:
            text = transport[name]
            found[name] = None if text is None else Reps.parse(text)
        else:
            if name not in _FEATURES | _INVARIANT:
                raise ValueError(
                    f"{type(conv).__name__} sends {name!r}: declare its representation in transport, e.g. "
                    f"{{'{name}': '{reps}'}}, or None if it is invariant"
                )
            found[name] = reps if name in _FEATURES else None
    unknown = sorted(set(transport) - set(found))
    if unknown:
        raise ValueError(f"{type(conv).__name__} sends {sorted(found)}; transport names {unknown}")
    return found
