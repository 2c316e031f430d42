r"""Equivariant linear maps of multivector streams.

For the connected Lorentz group the general linear map has ten free numbers per pair of channels,
φ(x) = Σ_k w_k ⟨x⟩_k + Σ_k v_k e_0123 ⟨x⟩_k (arXiv:2405.14806, eq. 6 and 2411.00446, eq. 9). In the paired layout
these are a 2x2 block on (scalar, pseudoscalar), a 2x2 block on (vector, axial vector) and a complex number on the
bivector, so that a layer is three matrix products. Parity forbids all mixing of real with imaginary parts and
leaves five. Auxiliary scalars are further columns and rows of the scalar matrix.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lorentzoo.plugins.lgatr.columns import map_channels
from lorentzoo.plugins.lgatr.paired import Paired

__all__ = ["EquivariantLinear", "Group", "Initialization", "Maps", "apply_maps"]

Group = Literal["connected", "full"]
Initialization = Literal["default", "small", "near-unit"]


class Maps(NamedTuple):
    """The three matrices of a linear map, as they multiply the parts of a :class:`Paired` stream.

    Attributes
    ----------
    scalars
        Shape (2O + T, 2C + S) for C, S channels in and O, T out.
    bias
        Shape (2O + T,), or None.
    vectors, bivectors
        Shape (2O, 2C).
    """

    scalars: Tensor
    bias: Tensor | None
    vectors: Tensor
    bivectors: Tensor


def apply_maps(maps: Maps, x: Paired, *, rows: bool = False) -> Paired:
    """Apply a linear map to a stream. Under autocast, vectors and bivectors keep their precision.

    With ``rows``, the channels of a token become neighbours in memory, which complex views need.
    """
    write = F.linear if rows else map_channels
    scalars = write(x.scalars, maps.scalars, maps.bias)
    if not torch.is_autocast_enabled(x.vectors.device.type):
        return Paired(scalars, write(x.vectors, maps.vectors), write(x.bivectors, maps.bivectors))
    with torch.autocast(x.vectors.device.type, enabled=False):
        return Paired(
            scalars,
            write(x.vectors.float(), maps.vectors.float()),
            write(x.bivectors.float(), maps.bivectors.float()),
        )


class EquivariantLinear(nn.Module):
    """A linear map between streams that commutes with the Lorentz group.

    Parameters
    ----------
    in_channels, out_channels
        Multivector channels, C and O.
    in_scalars, out_scalars
        Auxiliary scalars, S and T.
    bias
        Whether invariant outputs have a bias. Without auxiliary scalars in the input, pseudoscalars have none.
    group
        ``"connected"`` for SO⁺(1,3), ``"full"`` for O(1,3) with parity.
    initialization
        ``"default"`` keeps variances, ``"small"`` is a tenth of it, ``"near-unit"`` starts around the number one
        (for a factor of a product).

    Notes
    -----
    Parameters, connected group: 10 C O + 2 O S + 2 C T + S T, and biases 2 O + T.
    """

    scalar_weight: nn.Parameter
    pseudoscalar_weight: nn.Parameter
    vector_weight: nn.Parameter
    bivector_weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        in_scalars: int = 0,
        out_scalars: int = 0,
        *,
        bias: bool = True,
        group: Group = "connected",
        initialization: Initialization = "default",
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.in_scalars, self.out_scalars = in_scalars, out_scalars
        self.group = group
        pair = (out_channels, in_channels)
        if group == "connected":
            shapes = {
                "scalar": (2 * out_channels + out_scalars, 2 * in_channels + in_scalars),
                "vector": (2 * out_channels, 2 * in_channels),
                "bivector": (*pair, 2),
            }
        elif group == "full":
            shapes = {
                "scalar": (out_channels + out_scalars, in_channels + in_scalars),
                "pseudoscalar": pair,
                "vector": (*pair, 2),
                "bivector": pair,
            }
        else:
            raise ValueError(f"group must be 'connected' or 'full', not {group!r}")
        for name, shape in shapes.items():
            self.register_parameter(f"{name}_weight", nn.Parameter(torch.empty(shape)))
        self.odd_bias = group == "connected" and in_scalars > 0
        rows = (2 if self.odd_bias else 1) * out_channels + out_scalars
        self.register_parameter("bias", nn.Parameter(torch.empty(rows)) if bias else None)
        self.reset_parameters(initialization)

    def forward(self, x: Paired) -> Paired:
        """Map a stream of C channels and S scalars to O channels and T scalars."""
        return apply_maps(self.maps(), x)

    def maps(self) -> Maps:
        """The matrices that multiply the stream, differentiable in the parameters."""
        return Maps(self._scalar_map(), self._bias(), self._vector_map(), self._bivector_map())

    def _scalar_map(self) -> Tensor:
        if self.group == "connected":
            return self.scalar_weight
        even = _interleave(
            self.scalar_weight[: self.out_channels, : self.in_channels], self.pseudoscalar_weight
        )
        to_even = self.scalar_weight[: self.out_channels, self.in_channels :]
        to_even = torch.stack([to_even, torch.zeros_like(to_even)], dim=1).flatten(0, 1)
        to_scalars = self.scalar_weight[self.out_channels :, : self.in_channels]
        to_scalars = torch.stack([to_scalars, torch.zeros_like(to_scalars)], dim=2).flatten(1, 2)
        mixing = self.scalar_weight[self.out_channels :, self.in_channels :]
        return torch.cat([torch.cat([even, to_even], dim=1), torch.cat([to_scalars, mixing], dim=1)])

    def _bias(self) -> Tensor | None:
        if self.bias is None or self.odd_bias:
            return self.bias
        even = self.bias[: self.out_channels]
        even = torch.stack([even, torch.zeros_like(even)], dim=1).flatten()
        return torch.cat([even, self.bias[self.out_channels :]])

    def _vector_map(self) -> Tensor:
        if self.group == "connected":
            return self.vector_weight
        return _interleave(*self.vector_weight.unbind(-1))

    def _bivector_map(self) -> Tensor:
        if self.group == "full":
            return _interleave(self.bivector_weight, self.bivector_weight)
        real, imaginary = self.bivector_weight.unbind(-1)
        rows = torch.stack([real, -imaginary], dim=-1), torch.stack([imaginary, real], dim=-1)
        return torch.stack(rows, dim=1).flatten(2, 3).flatten(0, 1)

    @torch.no_grad()
    def reset_parameters(self, initialization: Initialization = "default") -> None:
        """Draw uniform weights whose variance is that of one over the number of inputs.

        Invariant outputs that see both multivectors and auxiliary scalars take half of their variance from each.
        """
        scale = {"default": 1.0, "small": 0.1, "near-unit": 0.5}[initialization]
        bound = scale / math.sqrt(max(self.in_channels, 1))
        for name, parameter in self.named_parameters():
            if name not in ("scalar_weight", "bias"):
                parameter.uniform_(-bound, bound)
        paired = 2 if self.group == "connected" else 1
        rows, columns = paired * self.out_channels, paired * self.in_channels
        share = math.sqrt(0.5) if self.in_scalars else 1.0
        scalar_scale = 1.0 if initialization == "near-unit" else scale
        scalar_bound = scalar_scale / math.sqrt(max(self.in_scalars, 1))
        self.scalar_weight[:rows, :columns].uniform_(-share * bound, share * bound)
        self.scalar_weight[:rows, columns:].uniform_(
            *(sign * share * scale / math.sqrt(max(self.in_scalars, 1)) for sign in (-1, 1))
        )
        to_scalars = share * scalar_scale / math.sqrt(max(columns, 1))
        self.scalar_weight[rows:, :columns].uniform_(-to_scalars, to_scalars)
        self.scalar_weight[rows:, columns:].uniform_(-share * scalar_bound, share * scalar_bound)
        if self.bias is not None:
            own = (2 if self.odd_bias else 1) * self.out_channels
            spread = 1 / math.sqrt(self.in_channels + self.in_scalars) if self.in_scalars else 0.0
            self.bias[:own].uniform_(-spread, spread)
            if initialization == "near-unit":
                self.bias[:own].view(self.out_channels, -1)[:, 0] += 1.0
            spread = scalar_scale / math.sqrt(max(columns + self.in_scalars, 1))
            self.bias[own:].uniform_(-spread, spread)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels} + {self.in_scalars} scalars -> {self.out_channels} + {self.out_scalars} scalars, "
            f"group={self.group}"
        )


def _interleave(real: Tensor, imaginary: Tensor) -> Tensor:
    """Block-diagonal map of real and imaginary parts, two (O, C) to (2O, 2C)."""
    zero = torch.zeros_like(real)
    rows = torch.stack([real, zero], dim=-1), torch.stack([zero, imaginary], dim=-1)
    return torch.stack(rows, dim=1).flatten(2, 3).flatten(0, 1)
