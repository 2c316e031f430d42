"""How do splines of the numbers of each particle get their knots from a network over all particles?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lorentzoo.core.errors import CompositionError
from lorentzoo.core.features import Features
from lorentzoo.core.frames import Frames
from lorentzoo.core.interfaces import Backbone
from lorentzoo.core.layout import Layout, Packed
from lorentzoo.densities.splines.numbers import NumberFeatures, Splines, Tails, UnitBase
from lorentzoo.registry.composition import make_part

__all__ = ["CouplingFlow", "RowNetwork", "coupled_numbers"]


def coupled_numbers(number: int, dim: int) -> list[int]:
    """Which of D numbers the n-th coupling layer changes.

    Those whose place has one binary digit set or not set, digit by digit: after two layers for each digit every number
    has met every other.

    >>> [coupled_numbers(n, 4) for n in range(4)]
    [[0, 2], [1, 3], [0, 1], [2, 3]]
    """
    digit = number // 2 % max(1, (dim - 1).bit_length())
    return [i for i in range(dim) if (i >> digit) & 1 == number % 2]


class RowNetwork(nn.Module):
    """A backbone over rows (particles, patches, layers of a calorimeter), and M numbers for each.

    Parameters
    ----------
    backbone
        Name, inline text or mapping.
    in_scalars, in_context
        Numbers of each row and of each event.
    outputs
        Numbers M that come out.

    Raises
    ------
    CompositionError
        If the backbone gives nothing for single rows, or wants vectors.
    """

    def __init__(
        self, backbone: str | Mapping[str, Any], in_scalars: int, in_context: int, outputs: int
    ) -> None:
        super().__init__()
        made = make_part(
            "backbone",
            backbone,
            Backbone,
            in_scalars=in_scalars + in_context,
            in_vectors=0,
            in_context=in_context,
            out_scalars=outputs,
            out_vectors=0,
        )
        if made.pools or made.equivariant:
            raise CompositionError(
                f"the backbone {backbone!r} must give numbers of each row and read no vectors; take e.g. 'vit' or "
                "'transformer'"
            )
        self.backbone = made
        self.layer = nn.Identity() if made.projects else nn.Linear(made.width, outputs)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next(self.parameters()).dtype

    def forward(self, scalars: Tensor, context: Tensor, layout: Layout) -> Tensor:
        """Shapes (P, in_scalars), (B, in_context) to (P, M)."""
        context = context.to(self.dtype)
        features = Features.of_scalars(torch.cat([scalars.to(self.dtype), layout.spread(context)], dim=-1))
        out = self.backbone(features, Frames.identity(layout), layout, context)
        numbers: Tensor = self.layer(out.scalars)
        return numbers


class CouplingFlow(UnitBase):
    """A density of D numbers of each row of an event, given others, by rational-quadratic splines (arXiv:1906.04032).

    A layer changes some of the numbers of every row. The knots of their splines come from a backbone that sees the
    other numbers of all rows: 3 K - 1 outputs for each number with linear tails and K bins. The density is as symmetric
    under permutations of rows as the backbone is, and of any number of rows.

    Parameters
    ----------
    circular
        Which of the D numbers are angles.
    backbone
        Of each layer, by name, inline text or mapping.
    in_scalars, in_context
        What is given of each row and of each event.
    tails, bins, bound
        Of the splines, see `UnitBase`.
    num_transforms
        How many layers.

    Raises
    ------
    CompositionError
        If the backbone does not fit, see `RowNetwork`.
    ValueError
        If a number makes no sense.

    Notes
    -----
    With one number a row there is nothing else in the row to see: every second row is changed then, in the order in which
    rows stand, which is no longer symmetric under permutations.
    """

    def __init__(
        self,
        circular: Sequence[bool],
        backbone: str | Mapping[str, Any],
        in_scalars: int = 0,
        in_context: int = 0,
        tails: Tails = "linear",
        bins: int = 8,
        bound: float = 5.0,
        num_transforms: int = 4,
    ) -> None:
        super().__init__(circular, tails, bound)
        if num_transforms < 1:
            raise ValueError(f"num_transforms must be positive, not {num_transforms}")
        if not self.dim:
            raise ValueError("a flow is of one number or more")
        self.layers = nn.ModuleList(
            _CouplingLayer(self, number, backbone, in_scalars, in_context, bins)
            for number in range(num_transforms)
        )

    @property
    def permutation_symmetric(self) -> bool:
        """Whether the order of rows has no meaning."""
        backbones = (module for module in self.modules() if isinstance(module, Backbone))
        return self.dim > 1 and all(backbone.permutation_symmetric for backbone in backbones)

    def log_prob(
        self, x: Tensor, scalars: Tensor, context: Tensor, layout: Layout, real: Tensor | None = None
    ) -> Tensor:
        """Logarithm of the density of each event.

        Parameters
        ----------
        x
            Numbers of rows, (P, D).
        scalars, context
            What is given, (P, S) and (B, C).
        layout
            Which row belongs to which event.
        real
            Which numbers there are, (P, D), bool; by default all.

        Returns
        -------
        Shape (B,); -inf where something cannot be drawn.
        """
        real = torch.ones_like(x, dtype=torch.bool) if real is None else real
        good = self.inside(x) | ~real
        z = torch.where(good & real, x, torch.zeros_like(x))
        total = torch.zeros_like(z)
        for layer in self.layers:
            z, log_det = layer(z, scalars, context, layout, real)
            total = total + log_det
        total = total + torch.where(real, self.base_log_prob(z), torch.zeros_like(z))
        density = layout.pool(total.sum(-1, keepdim=True), "sum").squeeze(-1)
        outside = layout.pool((~good).to(x).sum(-1, keepdim=True), "sum").squeeze(-1) > 0
        return torch.where(outside, -math.inf, density)

    def transported(
        self, z: Tensor, scalars: Tensor, context: Tensor, layout: Layout, real: Tensor | None = None
    ) -> Tensor:
        """Draws (P, D) of the density from draws z (P, D) of the base, see `log_prob`; zero where nothing is real."""
        real = torch.ones_like(z, dtype=torch.bool) if real is None else real
        z = torch.where(real, z, torch.zeros_like(z))
        for layer in reversed(self.layers):
            z = layer.inverse(z, scalars, context, layout, real)  # type: ignore[operator]
        return z


class _CouplingLayer(nn.Module):
    """Splines of some numbers of every row, or of all numbers of every second row."""

    active: Tensor
    seen: Tensor

    def __init__(
        self,
        base: UnitBase,
        number: int,
        backbone: str | Mapping[str, Any],
        in_scalars: int,
        in_context: int,
        bins: int,
    ) -> None:
        super().__init__()
        ends, by_row = base.ends, base.dim == 1
        active = [0] if by_row else coupled_numbers(number, base.dim)
        seen = [0] if by_row else [i for i in range(base.dim) if i not in active]
        self.parity = number % 2 if by_row else None
        self.register_buffer("active", torch.tensor(active), persistent=False)
        self.register_buffer("seen", torch.tensor(seen), persistent=False)
        self.features = NumberFeatures([ends[i] == "circular" for i in seen])
        # A number is changed in every second layer or more rarely: its circle is turned each time.
        shift = math.pi * (number // 2 % 2)
        self.splines = Splines([ends[i] for i in active], bins, base.bound, shift)
        inputs = self.features.width + in_scalars + by_row
        self.network = RowNetwork(backbone, inputs, in_context, sum(self.splines.outputs))
        if isinstance(self.network.layer, nn.Linear):
            # Of zeros, splines are the identity.
            nn.init.zeros_(self.network.layer.weight)
            nn.init.zeros_(self.network.layer.bias)

    def forward(
        self, x: Tensor, scalars: Tensor, context: Tensor, layout: Layout, real: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Values and logarithms of the derivatives, (P, D) each."""
        changed = self._changed(layout, real)
        parameters = self._give_parameters(x, scalars, context, layout, changed)
        old = x[..., self.active]
        y, log_det = self.splines(old, parameters)
        y = torch.where(changed, y, old)
        log_det = torch.where(changed, log_det, torch.zeros_like(log_det))
        return (
            x.index_copy(-1, self.active, y),
            torch.zeros_like(x).index_copy(-1, self.active, log_det),
        )

    def inverse(self, y: Tensor, scalars: Tensor, context: Tensor, layout: Layout, real: Tensor) -> Tensor:
        """Places (P, D) of values."""
        changed = self._changed(layout, real)
        parameters = self._give_parameters(y, scalars, context, layout, changed)
        old = y[..., self.active]
        found = self.splines.inverse(old, parameters)
        return y.index_copy(-1, self.active, torch.where(changed, found, old))

    def _changed(self, layout: Layout, real: Tensor) -> Tensor:
        """Which of the active numbers are changed, (P, A)."""
        changed = real[..., self.active]
        if self.parity is None:
            return changed
        assert isinstance(layout, Packed)
        rows = torch.arange(layout.num_rows, device=changed.device)
        place = rows - layout.spread(layout.ptr[:-1])
        return changed & (place % 2 == self.parity).unsqueeze(-1)

    def _give_parameters(
        self, x: Tensor, scalars: Tensor, context: Tensor, layout: Layout, changed: Tensor
    ) -> Tensor:
        seen = self.features(x[..., self.seen])
        parts = [seen, scalars]
        if self.parity is not None:
            parts = [torch.where(changed, torch.zeros_like(seen), seen), changed.to(seen), scalars]
        parameters = self.network(torch.cat([part.to(x) for part in parts], dim=-1), context, layout)
        return parameters.to(x.dtype)
