"""Which linear maps between particles, pairs and events respect permutations, and how are they evaluated cheaply?

There are 15 from pairs to pairs, 5 between particles and pairs and 2 from pairs to an event (arXiv:2211.00454,
sec. 3). Only two of the 15, a pair's own value and its mirror image, differ on every pair; the others are made of row
sums, column sums and diagonals. Those are mixed on particles and on events, so that two products over all pairs
replace fifteen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from lorentzoo.nn import WeightReader, allowed_pairs

__all__ = [
    "Aggregate",
    "Coefficients",
    "PairsToPairs",
    "Scales",
    "pair_sums",
    "particle_sums",
    "pairs_to_particles",
    "particles_to_pairs",
]

Aggregate = Literal["mean", "sum"]


@dataclass(frozen=True)
class Scales:
    """Factors of the sums over particles, broadcastable to (b, 1), and over pairs.

    The sum of the diagonal counts as one over pairs in the mean, as published.
    """

    rows: Tensor | float
    pairs: Tensor | float
    diagonal: Tensor | float

    @classmethod
    def of(cls, aggregate: Aggregate, mask: Tensor | None, x: Tensor) -> Scales:
        """Means over the particles and pairs that exist, or plain sums; x (b, n, ...)."""
        if aggregate == "sum":
            return cls(1.0, 1.0, 1.0)
        if mask is None:
            rows = 1.0 / max(x.shape[1], 1)
            return cls(rows, rows * rows, rows * rows)
        each = 1.0 / mask.sum(1, keepdim=True).clamp(min=1).to(x.dtype)
        return cls(each, each * each, each * each)


class Coefficients(nn.Module):
    """The matrix that mixes the channels of each map.

    Parameters
    ----------
    in_channels, out_channels, num_maps
        Its size.
    factorised
        Σ of two products, a_im b_io + c_om d_io, instead of one number each (arXiv:2307.16506).
    multipliers
        One more factor for each map.
    reshaped
        Read the (in, out, maps) numbers as (out, in, maps) without permuting, as pelican-lite does; the same network
        up to the names of its weights, unless they are factorised.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_maps: int,
        *,
        factorised: bool,
        multipliers: bool = True,
        reshaped: bool = True,
    ) -> None:
        super().__init__()
        self.shape = (in_channels, out_channels, num_maps)
        self.reshaped = reshaped
        self.multipliers = nn.Parameter(torch.ones(num_maps)) if multipliers else None
        if factorised:
            self.in_maps = nn.Parameter(torch.empty(in_channels, num_maps))
            self.out_maps = nn.Parameter(torch.empty(out_channels, num_maps))
            self.mix_in = nn.Parameter(torch.empty(in_channels, out_channels))
            self.mix_out = nn.Parameter(torch.empty(in_channels, out_channels))
        else:
            self.direct = nn.Parameter(torch.empty(self.shape))
        self.factorised = factorised
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw anew, as the published networks do; without a norm between blocks the scale must survive them all."""
        if self.multipliers is not None:
            nn.init.ones_(self.multipliers)
        inputs, _, maps = self.shape
        if self.factorised and not self.reshaped:
            for factor, inner in zip(
                (self.in_maps, self.out_maps, self.mix_in, self.mix_out),
                (maps, maps, inputs, inputs),
                strict=True,
            ):
                nn.init.normal_(factor, std=inner**-0.5)
        elif self.factorised:
            for factor in (self.in_maps, self.out_maps, self.mix_in, self.mix_out):
                nn.init.kaiming_uniform_(factor, nonlinearity="linear")
        else:
            nn.init.kaiming_uniform_(self.direct, nonlinearity="relu")

    def forward(self) -> Tensor:
        """Shape (maps, in, out)."""
        if self.factorised:
            numbers = self.in_maps.unsqueeze(1) * self.mix_in.unsqueeze(2)
            numbers = numbers + self.out_maps.unsqueeze(0) * self.mix_out.unsqueeze(2)
        else:
            numbers = self.direct
        if self.multipliers is not None:
            numbers = numbers * self.multipliers
        inputs, outputs, maps = self.shape
        if self.reshaped:
            return numbers.reshape(outputs, inputs, maps).permute(2, 1, 0)
        return numbers.permute(2, 0, 1)

    def read_published(self, reader: WeightReader, prefix: str) -> None:
        """Weights of an aggregator of ``pelican-lite``."""
        if self.multipliers is not None:
            reader.copy(self.multipliers, f"{prefix}.map_multipliers")
        if self.factorised:
            names = {"00": self.in_maps, "01": self.out_maps, "10": self.mix_in, "11": self.mix_out}
            for name, factor in names.items():
                reader.copy(factor, f"{prefix}.coeffs{name}")
        else:
            reader.copy(self.direct, f"{prefix}.coeffs_direct")


class PairsToPairs(nn.Module):
    """All 15 linear maps from pairs to pairs.

    In order: x_ij, x_ji; on the diagonal x_ii; x_ii, x_jj; on the diagonal column and row sums; column sums of i
    and j, row sums of i and j; the trace, and on the diagonal; the total, and on the diagonal.

    Parameters
    ----------
    coefficients
        What mixes the channels of the maps.
    bias
        Add a constant to all pairs and another to the diagonal, as the original network does.
    """

    def __init__(self, coefficients: Coefficients, bias: bool = False) -> None:
        super().__init__()
        self.coefficients = coefficients
        outputs = coefficients.shape[1]
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.diagonal_bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor, mask: Tensor | None, scales: Scales) -> Tensor:
        """Shape (b, n, n, C) -> (b, n, n, O); what stands at padded pairs takes no part and gives nothing of use."""
        w = self.coefficients()
        if mask is not None:
            real = allowed_pairs(mask, x, self_pairs=True) & mask.unsqueeze(2)
            x = torch.where(real.unsqueeze(-1), x, torch.zeros_like(x))
        diagonal, rows, columns = _diagonal(x), _scaled(x.sum(2), scales.rows), _scaled(x.sum(1), scales.rows)
        trace, total = _scaled(diagonal.sum(1), scales.diagonal), _scaled(x.sum((1, 2)), scales.pairs)
        particles = torch.cat(
            [
                torch.cat([w[3], w[4], w[2]], 1),
                torch.cat([w[9], w[10], w[6]], 1),
                torch.cat([w[7], w[8], w[5]], 1),
            ]
        )
        receive, send, corner = (torch.cat([diagonal, rows, columns], -1) @ particles).chunk(3, -1)
        events = torch.cat([torch.cat([w[11], w[12]], 1), torch.cat([w[13], w[14]], 1)])
        everywhere, on_diagonal = (torch.cat([trace, total], -1) @ events).chunk(2, -1)
        receive = receive + everywhere.unsqueeze(1)
        corner = corner + on_diagonal.unsqueeze(1)
        if self.bias is not None and self.diagonal_bias is not None:
            receive, corner = receive + self.bias, corner + self.diagonal_bias
        own, mirrored = (x @ torch.cat([w[0], w[1]], 1)).chunk(2, -1)
        out = own + mirrored.transpose(1, 2) + receive.unsqueeze(2) + send.unsqueeze(1)
        return out + _on_diagonal(corner)


def particles_to_pairs(x: Tensor, weight: Tensor, mask: Tensor | None, scales: Scales) -> Tensor:
    """All 5 linear maps from particles to pairs: on the diagonal x_i; x_i, x_j; on the diagonal the mean; the mean.

    Parameters
    ----------
    x
        Shape (b, n, C).
    weight
        Shape (5, C, O).
    mask
        Which places hold a particle, (b, n), or None.
    scales
        Factor of the sum over particles.

    Returns
    -------
    Shape (b, n, n, O).
    """
    if mask is not None:
        x = torch.where(mask.unsqueeze(-1), x, torch.zeros_like(x))
    mean = _scaled(x.sum(1), scales.rows)
    corner, receive, send = (x @ torch.cat([weight[0], weight[1], weight[2]], 1)).chunk(3, -1)
    on_diagonal, everywhere = (mean @ torch.cat([weight[3], weight[4]], 1)).chunk(2, -1)
    out = (receive + everywhere.unsqueeze(1)).unsqueeze(2) + send.unsqueeze(1)
    return out + _on_diagonal(corner + on_diagonal.unsqueeze(1))


def pair_sums(x: Tensor, mask: Tensor | None, scales: Scales) -> Tensor:
    """Each particle's share of the total and of the trace, to be summed over the event; (b, n, n, C) -> (b, n, 2C)."""
    if mask is not None:
        x = torch.where(mask[:, None, :, None], x, torch.zeros_like(x))
    return torch.cat([_scaled(x.sum(2), scales.pairs), _scaled(_diagonal(x), scales.diagonal)], -1)


def pairs_to_particles(x: Tensor, weight: Tensor, mask: Tensor | None, scales: Scales) -> Tensor:
    """All 5 linear maps from pairs to particles: x_ii, row sums, column sums, total, trace.

    Parameters
    ----------
    x
        Shape (b, n, n, C).
    weight
        Shape (5, C, O).
    mask, scales
        As in `particles_to_pairs`.

    Returns
    -------
    Shape (b, n, O).
    """
    particles, events = _list_sums(x, mask, scales)
    return particles @ weight[:3].flatten(0, 1) + (events @ weight[3:].flatten(0, 1)).unsqueeze(1)


def particle_sums(x: Tensor, mask: Tensor | None, scales: Scales) -> Tensor:
    """What those maps mix, side by side; (b, n, n, C) -> (b, n, 5C)."""
    particles, events = _list_sums(x, mask, scales)
    return torch.cat([particles, events.unsqueeze(1).expand(-1, x.shape[1], -1)], -1)


def _list_sums(x: Tensor, mask: Tensor | None, scales: Scales) -> tuple[Tensor, Tensor]:
    """x_ii, row and column sums (b, n, 3C); total and trace (b, 2C)."""
    if mask is not None:
        real = allowed_pairs(mask, x, self_pairs=True) & mask.unsqueeze(2)
        x = torch.where(real.unsqueeze(-1), x, torch.zeros_like(x))
    diagonal = _diagonal(x)
    sums = [diagonal, _scaled(x.sum(2), scales.rows), _scaled(x.sum(1), scales.rows)]
    trace, total = _scaled(diagonal.sum(1), scales.diagonal), _scaled(x.sum((1, 2)), scales.pairs)
    return torch.cat(sums, -1), torch.cat([total, trace], -1)


def _diagonal(x: Tensor) -> Tensor:
    return x.diagonal(dim1=1, dim2=2).transpose(1, 2)


def _on_diagonal(x: Tensor) -> Tensor:
    """Shape (b, n, C) -> (b, n, n, C), zero off the diagonal."""
    n = x.shape[1]
    eye = torch.eye(n, dtype=x.dtype, device=x.device).unsqueeze(-1)
    return x.unsqueeze(2) * eye


def _scaled(x: Tensor, scale: Tensor | float) -> Tensor:
    """Sums (b, n, C) or (b, C) times a factor (b, 1) or a number."""
    if isinstance(scale, Tensor) and x.ndim == 3:
        return x * scale.unsqueeze(-1)
    return x * scale
