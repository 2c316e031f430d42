"""What happens in one round of messages of CGENN?"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Layout
from lorentzoo.nn import MaskedBatchNorm
from lorentzoo.plugins.cgenn.pairs import exchange
from lorentzoo.plugins.cgenn.passes import PairTensors
from lorentzoo.plugins.cgenn.product import (
    GRADES,
    NUM_GRADES,
    NUM_PATHS,
    ProductTable,
    from_planes,
    grade_linear,
    grade_squares,
    normalise,
    operator_weights,
    pad_planes,
    path_grades,
    product_table,
    to_planes,
    weighted_product,
)

__all__ = ["CliffordBlock"]


class _Product(nn.Module):
    """A linear map plus a weighted geometric product with another linear map of the same, then a layer norm.

    Parameters
    ----------
    in_channels, out_channels
        Multivectors.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.empty(out_channels, in_channels, NUM_GRADES))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.right = nn.Parameter(torch.empty(in_channels, in_channels, NUM_GRADES))
        self.paths = nn.Parameter(torch.empty(out_channels, in_channels, NUM_PATHS))
        self.gain = nn.Parameter(torch.empty(out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal of unit variance at the output, as published."""
        channels = self.right.shape[0]
        nn.init.normal_(self.left, std=1 / math.sqrt(channels))
        nn.init.normal_(self.right, std=1 / math.sqrt(channels))
        nn.init.normal_(self.paths, std=1 / math.sqrt(channels * NUM_GRADES))
        nn.init.zeros_(self.bias)
        nn.init.ones_(self.gain)

    def forward(self, planes: Tensor) -> Tensor:
        """Planes (inputs, in_channels, P) -> (results, out_channels, P), see `ProductTable`."""
        right, linear = grade_linear(planes, torch.cat([self.right, self.left])).split(
            [len(self.right), len(self.left)], dim=1
        )
        product = weighted_product(planes[None], right[None], self.paths[None])[0]
        total = self.add_bias(pad_planes(linear, len(product))) + product
        # The root of two is that of a sum of two.
        return normalise(total / math.sqrt(2), self.gain)

    def add_bias(self, planes: Tensor) -> Tensor:
        """A constant on scalar parts: nothing else is invariant."""
        return planes + pad_planes(self.bias.reshape(1, -1, 1), len(planes))


class _PairProduct(_Product):
    """The same for pairs, of the channels [x_i, x_j, x_i - x_j].

    The product is bilinear, so it falls into a share of i alone, a share of j alone, and one of both that is a
    product of matrices: no channel of a pair is ever formed.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(3 * channels, out_channels)

    def shares(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """What i and j give by themselves, planes (inputs, C, P) -> (results, O, P) twice."""
        own, other, both = self.paths.chunk(3, dim=1)
        to_i, to_j = self._columns()
        first, second, third = self.left.chunk(3, dim=1)
        maps = [to_i[0], to_i[2], to_j[1], to_j[2], first + third, second - third]
        channels = planes.shape[1]
        mapped = grade_linear(planes, torch.cat(maps)).split([4 * channels, 2 * len(self.bias)], dim=1)
        rights = torch.stack(mapped[0].chunk(2, dim=1))
        paths = torch.stack([torch.cat([own, both], dim=1), torch.cat([other, -both], dim=1)])
        lefts = torch.cat([planes, planes], dim=1).expand_as(rights)
        products = weighted_product(lefts, rights, paths)
        receive, send = (
            pad_planes(linear, len(product)) + product
            for linear, product in zip(mapped[1].chunk(2, dim=1), products.unbind(0), strict=True)
        )
        return self.add_bias(receive), send

    def operators(self, table: ProductTable) -> Tensor:
        """Weights of the share of both, see `operator_weights`."""
        own, other, both = self.paths.chunk(3, dim=1)
        to_i, to_j = self._columns()
        grades = path_grades(self.paths.device)

        def weights(paths: Tensor, right: Tensor) -> Tensor:
            """Weights of left channel c and right channel d, (O, C, C, 35)."""
            return paths.unsqueeze(2) * right[..., grades]

        return operator_weights(
            own_left=weights(own, to_j[0]) + weights(both, to_j[2]),
            own_right=weights(other, to_i[1]) - weights(both, to_i[2]),
            table=table,
        )

    def _columns(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Columns of the right factor's map that x_i meets, and x_j, for each of the three kinds of channels."""
        first, second, third = self.right.chunk(3, dim=1)
        return (first + third).chunk(3), (second - third).chunk(3)


class CliffordBlock(nn.Module):
    """One round of messages between multivectors x and scalars h (arXiv:2305.11141, app. D).

    m_ij = φ_x(x_i, x_j, x_i - x_j, p_i, p_j, p_i - p_j), μ_ij = φ_h(invariants of m_ij, h_i, h_j, h_i - h_j);
    x_i <- θ_x(x_i, mean_j σ(ψ μ_ij) m_ij, p_i), h_i <- θ_h(h_i, mean_j μ_ij, invariants of x_i, s_i), and
    x_i <- σ(χ h_i) x_i, with gates σ for each grade.

    Parameters
    ----------
    channels, hidden
        Multivectors and scalars.
    in_vectors, in_scalars
        Vectors p and scalars s of the input.
    """

    def __init__(self, channels: int, hidden: int, in_vectors: int, in_scalars: int) -> None:
        super().__init__()
        self.channels, self.hidden = channels, hidden
        invariants = channels * NUM_GRADES
        self.message = _PairProduct(channels + in_vectors, channels)
        self.update = _Product(2 * channels + in_vectors, channels)
        self.edge_first = nn.Linear(invariants + 3 * hidden, hidden, bias=False)
        self.edge_norm = MaskedBatchNorm(hidden)
        self.edge_second = nn.Linear(hidden, hidden)
        self.node_first = nn.Linear(2 * hidden + invariants + in_scalars, hidden)
        self.node_norm = MaskedBatchNorm(hidden)
        self.node_second = nn.Linear(hidden, hidden)
        self.message_gate, self.update_gate = (
            nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, invariants))
            for _ in range(2)
        )

    def forward(
        self, h: Tensor, x: Tensor, p: Tensor, scalars: Tensor, layout: Layout
    ) -> tuple[Tensor, Tensor]:
        """Shapes (*lead, hidden), (*lead, channels, K), (*lead, V, 5), (*lead, S) -> those of the first two.

        Multivectors have the components that are not known to be zero, those up to some grade; the new ones may
        have more.
        """
        invariants = self.channels * NUM_GRADES
        weight, mine, theirs, difference = self.edge_first.weight.split(
            [invariants, self.hidden, self.hidden, self.hidden], dim=1
        )
        lead = layout.lead
        own, vectors = to_planes(x), to_planes(p)
        table = product_table(len(own))
        planes = torch.cat([own, pad_planes(vectors, len(own))], dim=1)
        receive, send = self.message.shares(planes)
        enter, leave = (layer for layer in self.message_gate if isinstance(layer, nn.Linear))
        sums = exchange(
            self.edge_norm,
            layout,
            PairTensors(
                from_planes(planes, lead),
                from_planes(receive, lead),
                from_planes(send, lead),
                F.linear(h, mine + difference),
                F.linear(h, theirs - difference),
                self.message.operators(table),
                self.message.gain,
                self._grade_by_grade(weight.T, table).T,
                self.edge_second.weight,
                self.edge_second.bias,
                enter.weight,
                enter.bias,
                self._grade_by_grade(leave.weight, table),
                self._grade_by_grade(leave.bias, table),
            ),
        )
        partners = (layout.counts() - 1).clamp(min=1).to(sums.dtype)
        means = sums / layout.spread(partners).unsqueeze(-1)
        scalar_means, heard = means.split([self.hidden, table.results * self.channels], dim=-1)
        heard = heard.unflatten(-1, (table.results, self.channels)).transpose(-1, -2)
        parts = (pad_planes(part, table.results) for part in (own, to_planes(heard), vectors))
        updated = self.update(torch.cat(list(parts), dim=1))
        node = torch.cat([h, scalar_means, grade_squares(x).flatten(-2), scalars], dim=-1)
        h = self.node_second(torch.relu(self.node_norm(self.node_first(node), layout.mask)))
        factors = torch.sigmoid(self.update_gate(h)).unflatten(-1, (self.channels, NUM_GRADES))
        return h, from_planes(updated, lead) * factors[..., GRADES[: len(updated)].to(x.device)]

    def _grade_by_grade(self, rows: Tensor, table: ProductTable) -> Tensor:
        """Rows that are (channel, grade) in turn as (grade, channel), of the grades that messages have."""
        rows = rows.unflatten(0, (self.channels, NUM_GRADES)).transpose(0, 1)
        return rows[: table.result_grades].flatten(0, 1)
