"""What does PELICAN make of the masses of all pairs of particles?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import torch
from torch import Tensor, nn

from lorentzoo import Features, Frames, Layout
from lorentzoo.nn import (
    PairBackbone,
    WeightReader,
    mass_squared,
    pair_masses,
    pair_statistics,
    require_package,
)
from lorentzoo.plugins.pelican.aggregation import (
    Aggregate,
    Coefficients,
    PairsToPairs,
    Scales,
    pair_sums,
    pairs_to_particles,
    particle_sums,
    particles_to_pairs,
)

__all__ = ["BLOCK_PAIRS", "PELICAN", "Activation"]

BLOCK_PAIRS: Final = 2**12
"""Pairs evaluated together: what the network keeps for one backward pass follows this and not the batch."""
_FLOORS: Final = (1e-12, 1e-10)
"""Floors of pair masses squared: relative to the event's own, and absolute (the published one)."""

Activation = Literal["gelu", "leaky-relu", "relu", "silu", "tanh"]
_ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {
    "gelu": nn.GELU,
    "leaky-relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class PELICAN(PairBackbone):
    """A network on pairs: permutation-equivariant maps of Lorentz-invariant masses (arXiv:2211.00454, 2307.16506).

    The input is log (p_i+p_j)², standardised, with i = j; scalars enter through the maps from particles to pairs.
    Each block mixes channels (linear, activation, RMS norm) and then particles (all 15 maps of pairs). Whole networks
    run in blocks of events and again in the backward pass.

    Parameters
    ----------
    num_blocks
        Blocks.
    hidden_channels
        Channels of pairs.
    message_ratio
        Channels inside a block, relative to those.
    factorised
        Whether the maps' coefficients are sums of two products, which costs few parameters.
    multipliers
        One more learned factor for each map.
    activation
        Nonlinearity.
    aggregate
        Means over particles, or sums.
    pool_rows
        One row an event by the maps from pairs to events, spurions included, as the published tagger has it;
        otherwise one row a particle.
    in_scalars, in_vectors
        Scalars and vectors of each particle; several vectors give the masses of each.
    out_scalars
        Numbers of each event, or of each particle.
    out_vectors
        Vectors of each particle, v_i = mean_j f_ij p_j.
    out_pairs
        Numbers of each pair instead, for parts that are made of this network; see `PairBackbone`.

    Raises
    ------
    ValueError
        If the network is empty, or vectors are wanted of whole events.
    """

    equivariant = True
    projects = True
    reads_vectors = "pairs"
    spurion_mode = "tokens"
    # Pairs are compared channel by channel: of a channel that is the same for all particles nothing would be seen.
    spurion_modes = ("tokens", "drop")
    published_ignored = ("edge_inited",)
    edge_mean: Tensor
    edge_std: Tensor
    floors: Tensor

    def __init__(
        self,
        num_blocks: int = 5,
        hidden_channels: int = 132,
        message_ratio: float = 0.59,
        factorised: bool = True,
        multipliers: bool = True,
        activation: Activation = "gelu",
        aggregate: Aggregate = "mean",
        pool_rows: bool = True,
        *,
        in_scalars: int,
        in_vectors: int,
        out_scalars: int,
        out_vectors: int = 0,
        out_pairs: int = 0,
    ) -> None:
        super().__init__()
        inside = int(message_ratio * hidden_channels)
        if num_blocks < 0 or inside < 1:
            raise ValueError(
                f"num_blocks must not be negative and message_ratio * hidden_channels at least 1, not {num_blocks} "
                f"and {message_ratio} * {hidden_channels}"
            )
        if pool_rows and out_vectors:
            raise ValueError(
                "pool_rows gives numbers of whole events; set it to false where vectors are wanted"
            )

        def coefficients(inputs: int, outputs: int, maps: int) -> Coefficients:
            return Coefficients(inputs, outputs, maps, factorised=factorised, multipliers=multipliers)

        self.aggregate = aggregate
        self.pools = pool_rows and not out_pairs
        self.in_vectors, self.out_vectors, self.width = in_vectors, out_vectors, out_scalars
        self.embed_scalars = coefficients(in_scalars, in_scalars, 5) if in_scalars else None
        self.embed = PairsToPairs(coefficients(in_vectors + in_scalars, hidden_channels, 15))
        self.blocks = nn.ModuleList(
            _Block(hidden_channels, inside, coefficients(inside, hidden_channels, 15), activation)
            for _ in range(num_blocks)
        )
        self.read_pairs = PairsToPairs(coefficients(hidden_channels, out_pairs, 15)) if out_pairs else None
        self.read_out = (
            None if out_pairs else coefficients(hidden_channels, out_scalars, 2 if pool_rows else 5)
        )
        self.read_vectors = (
            PairsToPairs(coefficients(hidden_channels, out_vectors * in_vectors, 15)) if out_vectors else None
        )
        if not out_pairs:
            self.register_statistics(edge_mean=torch.zeros(in_vectors), edge_std=torch.ones(in_vectors))
            self.register_buffer("floors", torch.tensor(_FLOORS))

    # ---- statistics and weights -----------------------------------------------------------

    def fit_inputs(self, inputs: Iterable[tuple[Features, Frames, Layout]]) -> None:
        """Mean and width of the logarithmic masses, over all pairs and particles with themselves."""
        found = pair_statistics(
            self._log_masses,
            ((layout, [features.vectors]) for features, _, layout in inputs),
            self_pairs=True,
            smallest=1e-5,
        )
        if found is not None:
            self.edge_mean.copy_(torch.tensor(found[0], dtype=torch.float64))
            self.edge_std.copy_(torch.tensor(found[1], dtype=torch.float64))
        self.fitted.fill_(True)

    def read_published(self, reader: WeightReader, package: str) -> list[str]:
        """Weights of ``pelican.nets.PELICAN`` (pelican-lite 1.1), and the edge statistics if they stand beside them."""
        require_package(package, "pelican-lite-1.1")
        if self.embed_scalars is not None:
            self.embed_scalars.read_published(reader, "in_aggregator_rank1")
        self.embed.coefficients.read_published(reader, "in_aggregator_rank2")
        for number, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            block.read_published(reader, f"blocks.{number}")
        out = self.read_out if self.read_pairs is None else self.read_pairs.coefficients
        assert out is not None
        out.read_published(reader, "out_aggregator")
        if self.read_pairs is None:
            reader.assign(self.floors, torch.tensor([0.0, _FLOORS[1]]))
            if "edge_mean" in reader.state:
                reader.assign(self.edge_mean, reader.take("edge_mean").expand_as(self.edge_mean))
                reader.assign(self.edge_std, reader.take("edge_std").expand_as(self.edge_std))
                reader.assign(self.fitted, torch.tensor(True))
        return []

    # ---- running --------------------------------------------------------------------------

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars (B, out_scalars), or (*lead, out_scalars) and vectors (*lead, out_vectors, 4)."""
        if self.pools:
            return self.project(self.last_features(features, frames, layout, context), layout)
        assert self.read_out is not None
        return self._read_rows(features, layout, self.read_out())

    @property
    def stages(self) -> dict[str, nn.Module]:
        """None: blocks act on pairs."""
        return {}

    @property
    def last_map(self) -> nn.Module | None:
        return self.read_out

    def last_features(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """The sums over pairs that the maps to events, or to particles, mix; vectors as they are emitted."""
        return self._read_rows(features, layout, None)

    def project(self, features: Features, layout: Layout) -> Features:
        """The maps from pairs to events, or to particles."""
        assert self.read_out is not None
        scalars = features.scalars @ self.read_out().flatten(0, 1)
        return Features(scalars, features.vectors)

    def _read_rows(self, features: Features, layout: Layout, weight: Tensor | None) -> Features:
        """What blocks of events give; without a weight the sums that it is to mix."""
        self.require_fitted()
        rows = layout.map_blocks(
            lambda mask, vectors, scalars: self._rows(mask, vectors, scalars, weight),
            features.vectors,
            features.scalars,
            recompute=True,
            max_pairs=BLOCK_PAIRS,
        )
        if self.pools:
            return Features.of_scalars(layout.pool(rows, "sum"))
        if self.read_vectors is None:
            return Features.of_scalars(rows)
        scalars, vectors = rows.tensor_split([rows.shape[-1] - 4 * self.out_vectors], dim=-1)
        return Features(scalars, vectors.unflatten(-1, (self.out_vectors, 4)))

    def pair_numbers(self, mask: Tensor | None, edges: Tensor, scalars: Tensor) -> Tensor:
        assert self.read_pairs is not None
        return self.read_pairs(*self._pairs(mask, edges, scalars))

    def _rows(self, mask: Tensor | None, vectors: Tensor, scalars: Tensor, weight: Tensor | None) -> Tensor:
        """What a block of events gives to each row, (b, n, ...)."""
        edges = (self._log_masses(mask, vectors) - self.edge_mean) / self.edge_std
        x, mask, scales = self._pairs(mask, edges.to(scalars.dtype), scalars)
        if self.pools:
            return pair_sums(x, mask, scales)
        if weight is None:
            numbers = particle_sums(x, mask, scales)
        else:
            numbers = pairs_to_particles(x, weight, mask, scales)
        if self.read_vectors is None:
            return numbers
        factors = self.read_vectors(x, mask, scales)
        if mask is not None:
            factors = torch.where(mask[:, None, :, None], factors, torch.zeros_like(factors))
        factors = factors.unflatten(-1, (self.out_vectors, self.in_vectors)).to(vectors.dtype)
        summed = torch.einsum("bijkv,bjvd->bikd", factors, vectors).flatten(2)
        rows = scales.rows.unsqueeze(-1) if isinstance(scales.rows, Tensor) else scales.rows
        return torch.cat([numbers, (summed * rows).to(numbers.dtype)], dim=-1)

    def _pairs(
        self, mask: Tensor | None, edges: Tensor, scalars: Tensor
    ) -> tuple[Tensor, Tensor | None, Scales]:
        """The last hidden pairs (b, n, n, C) of a block, with what sums over them need."""
        scales = Scales.of(self.aggregate, mask, scalars)
        if self.embed_scalars is not None:
            edges = torch.cat(
                [edges, particles_to_pairs(scalars, self.embed_scalars(), mask, scales)], dim=-1
            )
        x = self.embed(edges, mask, scales)
        for block in self.blocks:
            x = block(x, mask, scales)
        return x, mask, scales

    def _log_masses(self, mask: Tensor | None, vectors: Tensor) -> Tensor:
        """log |(v_i + v_j)²| with its floor, shape (b, n, V, 4) -> (b, n, n, V)."""
        square = pair_masses(vectors.transpose(1, 2)).permute(0, 2, 3, 1).abs()
        real = vectors if mask is None else torch.where(mask[:, :, None, None], vectors, 0.0)
        event = mass_squared(real.sum(1)).abs().detach()
        floor = torch.maximum(self.floors[0] * event, self.floors[1])[:, None, None]
        return torch.log(torch.maximum(square, floor))


class _Block(nn.Module):
    """Channels, then particles: linear, activation, RMS norm, all maps of pairs, activation."""

    def __init__(
        self, channels: int, inside: int, coefficients: Coefficients, activation: Activation
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, inside)
        self.activation = _ACTIVATIONS[activation]()
        self.norm = nn.RMSNorm(inside)
        self.mix = PairsToPairs(coefficients)

    def forward(self, x: Tensor, mask: Tensor | None, scales: Scales) -> Tensor:
        x = self.activation(self.linear(x))
        # In the weight's own precision: what autocast gives has too few digits for a mean of squares.
        x = self.norm(x.to(self.norm.weight.dtype))
        return self.activation(self.mix(x, mask, scales))

    def read_published(self, reader: WeightReader, prefix: str) -> None:
        reader.copy_module(self.linear, f"{prefix}.mlp.0")
        reader.copy_module(self.norm, f"{prefix}.mlp.2")
        self.mix.coefficients.read_published(reader, f"{prefix}.aggregator")
