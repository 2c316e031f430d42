"""How do messages on the complete graph stay cheap?

The message network's first layer is linear in x_i, x_j and the edge, so it is evaluated on particles
and added up on pairs; its last layer is linear too, so it acts after the sum over partners. What
remains on pairs are the hidden layers. Vectors of j reach the frame of i inside that first layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout, Reps, Symmetry
from lorentzoo.nn import (
    PublishedOption,
    WeightReader,
    allowed_pairs,
    make_published_frames,
    pair_hidden,
    pair_masses,
    pair_statistics,
    require_package,
)

__all__ = ["GraphNet"]

_BLOCK_PAIRS: Final = 2**12
_MASS_FLOOR: Final = 1e-10
"""GeV²; smallest pair mass squared whose logarithm is taken (arXiv:2508.14898)."""


class GraphNet(Backbone):
    """Edge convolutions on the complete graph without self-loops (arXiv:2505.20280).

    Parameters
    ----------
    num_blocks
        Edge convolutions.
    hidden_reps
        Lorentz representation of the hidden features: scalars and vectors.
    num_layers
        Hidden layers of the message network.
    edge_features
        Give each message the standardised logarithm of the pair's mass squared; needs momenta.
    aggregate
        ``"sum"`` or ``"mean"`` of the messages that a particle receives.
    """

    reads_vectors = "pairs"
    published_ignored = ("parity_odd",)
    edge_mean: Tensor
    edge_std: Tensor

    def __init__(
        self,
        num_blocks: int = 3,
        hidden_reps: str = "64x0n+16x1n",
        num_layers: int = 3,
        edge_features: bool = False,
        aggregate: Literal["sum", "mean"] = "sum",
        *,
        in_scalars: int,
        in_vectors: int = 0,
        out_vectors: int = 0,
    ) -> None:
        super().__init__()
        reps = Reps.parse(hidden_reps)
        if any(term.order > 1 or term.parity != "n" for term in reps):
            raise ValueError(f"hidden_reps may hold scalars (0n) and vectors (1n), not {hidden_reps!r}")
        if edge_features and in_vectors != 1:
            raise ValueError(
                "edge_features needs the momenta, and nothing else, as vectors: embedding ['...', 'momenta']"
            )
        if not edge_features and in_vectors:
            raise ValueError(
                "without edge_features no vectors are read: leave 'momenta' out of the embedding"
            )
        self.edge_features = edge_features
        self.width = reps.dim
        self._exchanges = not reps.is_invariant
        self.in_layer = nn.Linear(in_scalars, self.width)
        self.blocks = nn.ModuleList(
            _EdgeConv(reps, num_layers, edge_features, aggregate) for _ in range(num_blocks)
        )
        self.out_vectors = out_vectors
        if out_vectors:
            self.vector_layer = nn.Linear(self.width, 4 * out_vectors)
        if edge_features:
            self.register_statistics(edge_mean=torch.tensor(0.0), edge_std=torch.tensor(1.0))

    @property
    def vector_symmetry(self) -> Symmetry:
        """Pair masses keep everything."""
        return Symmetry.full()

    @property
    def exchanges_vectors(self) -> bool:
        return self._exchanges

    def fit_inputs(self, inputs: Iterable[tuple[Features, Frames, Layout]]) -> None:
        """Mean and width of the logarithmic pair masses."""
        if not self.edge_features:
            return
        momenta = (
            (layout, [frames.return_vectors(features.vectors).squeeze(-2)])
            for features, frames, layout in inputs
        )
        found = pair_statistics(
            lambda mask, p: _log_masses(p).unsqueeze(-1), momenta, self_pairs=False, smallest=1e-5
        )
        if found is not None:
            (mean,), (std,) = found
            self.edge_mean.fill_(mean)
            self.edge_std.fill_(std)
        self.fitted.fill_(True)

    def read_published(self, reader: WeightReader, package: str) -> list[str]:
        """Weights of ``lloca.backbone.graphnet.GraphNet`` (1.3, 2.0); edge statistics are part of the experiment."""
        require_package(package, "lloca-1.3", "lloca-2.0")
        reader.copy_module(self.in_layer, "linear_in")
        for number, block in enumerate(self.blocks):
            assert isinstance(block, _EdgeConv)
            places = reader.layers(f"blocks.{number}.mlp1.mlp.", len(block.hidden) + 2, first=0, stride=2)
            for layer, place in zip([block.first, *block.hidden, block.last], places, strict=True):
                reader.copy_module(layer, place)
        return ["linear_out"]

    def published_options(self, package: str) -> Mapping[str, PublishedOption]:
        """How messages are put together."""
        return {"aggr": PublishedOption("add", ("add", "sum", "mean"))}

    def adopt(self, package: str, options: Mapping[str, Any]) -> Mapping[str, object]:
        """How messages are put together."""
        aggregate: Literal["sum", "mean"] = "mean" if options["aggr"] == "mean" else "sum"
        for block in self.blocks:
            assert isinstance(block, _EdgeConv)
            block.aggregate = aggregate
        return {"aggregate": aggregate}

    def run_published(
        self, network: nn.Module, package: str, features: Features, frames: Frames, context: Tensor
    ) -> Tensor:
        """Every particle receives from every other one of its event."""
        events, particles = features.scalars.shape[:2]
        pairs = torch.combinations(torch.arange(particles), 2)
        one = torch.cat([pairs, pairs.flip(-1)])
        index = (one + particles * torch.arange(events).reshape(-1, 1, 1)).flatten(0, 1).T
        masses = None
        if self.edge_features:
            momenta = frames.return_vectors(features.vectors).squeeze(-2)
            sent, received = one.T
            masses = self._standardise(_log_masses(momenta)[:, sent, received]).reshape(-1, 1)
        rows: Tensor = network(
            features.scalars.flatten(0, 1), make_published_frames(frames, flat=True), index, edge_attr=masses
        )
        return rows.unflatten(0, (events, particles))

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars (*lead, width); vectors (*lead, out_vectors, 4) in local frames."""
        x = self.in_layer(features.scalars)
        momenta = None
        if self.edge_features:
            self.require_fitted()
            momenta = frames.return_vectors(features.vectors).squeeze(-2)
        for block in self.blocks:
            x = block(x, momenta, frames, layout, self._standardise)
        if not self.out_vectors:
            return Features.of_scalars(x)
        return Features(x, self.vector_layer(x).unflatten(-1, (self.out_vectors, 4)))

    def _standardise(self, log: Tensor) -> Tensor:
        return (log - self.edge_mean) / self.edge_std


class _EdgeConv(nn.Module):
    """x_i <- Σ_j φ(ρ(L_i L_j⁻¹) x_j, x_i, e_ij), or the mean over j."""

    def __init__(
        self, reps: Reps, num_layers: int, edge_features: bool, aggregate: Literal["sum", "mean"]
    ) -> None:
        super().__init__()
        self.aggregate = aggregate
        self.scalars = sum(term.multiplicity for term in reps if term.order == 0)
        self.vectors = sum(term.multiplicity for term in reps if term.order == 1)
        width = reps.dim
        self.first = nn.Linear(2 * width + edge_features, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(num_layers - 1))
        self.last = nn.Linear(width, width)
        self.width = width

    def forward(
        self,
        x: Tensor,
        momenta: Tensor | None,
        frames: Frames,
        layout: Layout,
        standardise: Callable[[Tensor], Tensor],
    ) -> Tensor:
        weight, bias = self.first.weight, self.first.bias
        width, s = self.width, self.scalars
        receive = F.linear(x, weight[:, width : 2 * width], bias)
        local = self.vectors > 0 and not (frames.is_identity or frames.is_global)
        inputs = [receive]
        if local:
            inputs.append(F.linear(x[..., :s], weight[:, :s]))
            vectors = x[..., s:].unflatten(-1, (self.vectors, 4))
            inputs.append(frames.return_vectors(vectors).transpose(-1, -2).flatten(-2))
            inputs.append(frames.per_particle(dtype=x.dtype))
        else:
            inputs.append(F.linear(x, weight[:, :width]))
        if momenta is not None:
            inputs.append(momenta)
        fn = _Messages(self, local, momenta is not None, standardise)
        summed = layout.map_blocks(fn, *inputs, max_pairs=_BLOCK_PAIRS)
        total, partners = summed[..., :-1], summed[..., -1:]
        if self.aggregate == "mean":
            total, partners = total / partners.clamp(min=1), (partners > 0).to(partners.dtype)
        return F.linear(total, self.last.weight) + partners * self.last.bias


class _Messages:
    """The hidden layers on all pairs of a block, summed over partners, and the number of partners."""

    def __init__(
        self, conv: _EdgeConv, local: bool, edges: bool, standardise: Callable[[Tensor], Tensor]
    ) -> None:
        self.conv, self.local, self.edges, self.standardise = conv, local, edges, standardise

    def __call__(self, mask: Tensor | None, receive: Tensor, send: Tensor, *rest: Tensor) -> Tensor:
        conv = self.conv
        left = right = edge = edge_weight = None
        if self.local:
            vectors, matrices = rest[0], rest[1]
            # W (L_i g_j) is linear in the sixteen numbers of L_i, and what each of them is multiplied with belongs to j
            # alone: one product with sixteen terms an event takes the place of one with 4 V, and no vector is moved.
            weight = conv.first.weight[:, conv.scalars : conv.width].unflatten(1, (conv.vectors, 4))
            left = matrices.transpose(-1, -2).flatten(-2)
            right = (vectors.unflatten(-1, (4, conv.vectors)) @ weight.permute(1, 2, 0).flatten(1)).transpose(
                1, 2
            )
            right = right.unflatten(-1, (4, conv.width)).transpose(2, 3).flatten(1, 2)
        if self.edges:
            edge = self.standardise(_log_masses(rest[-1])).to(receive.dtype)
            edge_weight = conv.first.weight[:, -1]
        hidden = [(layer.weight, layer.bias) for layer in conv.hidden if isinstance(layer, nn.Linear)]
        x = pair_hidden(receive, send, edge, edge_weight, left, right, hidden)
        if mask is None:
            # All pairs but i = j: one subtraction instead of a pass over all pairs.
            summed = x.sum(2) - x.diagonal(dim1=1, dim2=2).transpose(1, 2)
            partners = torch.full_like(summed[..., :1], x.shape[1] - 1)
        else:
            allowed = allowed_pairs(mask, receive, self_pairs=False).unsqueeze(-1)
            summed = torch.where(allowed, x, torch.zeros_like(x)).sum(2)
            partners = allowed.sum(2).to(summed.dtype)
        return torch.cat([summed, partners], dim=-1)


def _log_masses(p: Tensor) -> Tensor:
    """log (p_i + p_j)², shape (b, n, 4) -> (b, n, n)."""
    return torch.log(pair_masses(p).clamp(min=_MASS_FLOOR))
