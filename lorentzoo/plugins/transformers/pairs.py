"""What does a Particle Transformer know of two particles together?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Symmetry
from lorentzoo.nn import (
    CheckpointError,
    MaskedBatchNorm,
    WeightReader,
    has_azimuth,
    intersection,
    mass_squared,
    phi,
    pt,
    rapidity,
)

__all__ = [
    "DEFAULT_FEATURES",
    "PairEmbedding",
    "PairFeature",
    "find_published_order",
    "pair_features",
    "pair_symmetry",
]

PairFeature = Literal[
    "kt", "z", "delta", "mass", "interval", "cosine", "sine", "kt-angle", "z-momentum", "jade"
]
DEFAULT_FEATURES: Final[tuple[PairFeature, ...]] = ("kt", "z", "delta", "mass")
"""Of arXiv:2202.03772, eq. 3."""

_EPS: Final = 1e-8
"""Floor of the pairwise quantities before their logarithm, in GeV units (arXiv:2202.03772)."""
_OF_BEAM: Final[frozenset[PairFeature]] = frozenset({"kt", "z", "delta"})
_OF_ANGLES: Final[frozenset[PairFeature]] = frozenset({"cosine", "sine", "kt-angle", "z-momentum", "jade"})
_BEAM: Final[tuple[PairFeature, ...]] = ("kt", "z", "delta")
_ANGLES: Final[tuple[PairFeature, ...]] = ("mass", "cosine", "sine", "kt-angle", "z-momentum", "jade")
_ELECTRONS: Final = (_ANGLES[:1], _ANGLES[:3], _ANGLES[:5], _ANGLES)
_PUBLISHED: Final[dict[str, tuple[tuple[PairFeature, ...], ...]]] = {
    "weaver": (("delta",), _BEAM, (*_BEAM, "mass"), (*_BEAM, "mass", "interval"), *_ELECTRONS),
    "lloca": (("mass", *_BEAM), ("mass", *_BEAM, "interval"), *_ELECTRONS),
}
"""Features of the published networks that are symmetric in the two particles, in their order."""


def pair_features(a: Tensor, b: Tensor, names: Sequence[PairFeature] = DEFAULT_FEATURES) -> Tensor:
    """Named symmetric functions of two momenta. Shapes (..., 4), (..., 4) -> (..., len(names)).

    For hadron colliders ``"kt"`` log kT, ``"z"`` log z and ``"delta"`` log Δ with kT = min(pT) Δ, z = min(pT)/Σ pT,
    Δ² = Δy² + Δφ² (arXiv:2202.03772, eq. 3); for e+e- ``"cosine"`` and ``"sine"`` of the angle θ between them,
    ``"kt-angle"`` log(min|p| sin θ), ``"z-momentum"`` log(min|p|/Σ|p|) and ``"jade"`` log E E' (1 - cos θ); for both
    ``"mass"`` log (p + p')² and ``"interval"`` log -(p - p')². A beam has no azimuth: Δφ to it is zero.
    """
    found: dict[str, Tensor] = {}
    if _OF_BEAM & set(names):
        found |= _seen_from_the_beam(a, b)
    if _OF_ANGLES & set(names):
        found |= _seen_by_angles(a, b)
    if "mass" in names:
        found["mass"] = _logarithm(mass_squared(a + b))
    if "interval" in names:
        found["interval"] = _logarithm(-mass_squared(a - b))
    return torch.stack([found[name] for name in names], dim=-1)


def pair_symmetry(names: Sequence[PairFeature]) -> Symmetry:
    """What leaves the named features invariant."""
    kept = [Symmetry.full()]
    if _OF_BEAM & set(names):
        # Rapidity, and not pseudorapidity: boosts along the beam shift it.
        kept.append(Symmetry.spanned_by("Kz", "Jz", discrete=("P", "z-flip")))
    if _OF_ANGLES & set(names):
        kept.append(Symmetry.spanned_by("Jx", "Jy", "Jz", discrete=("P", "z-flip")))
    return intersection(kept)


def find_published_order(names: Sequence[PairFeature], package: str) -> list[int]:
    """Where each named feature stands among those of the published network that has the same.

    Raises
    ------
    CheckpointError
        If there is none with these.
    """
    known = _PUBLISHED[package.partition("-")[0]]
    for theirs in known:
        if set(theirs) == set(names):
            return [theirs.index(name) for name in names]
    raise CheckpointError(
        f"{package!r} has no network with the pair_features {list(names)}, but with "
        + " or ".join(", ".join(theirs) for theirs in known)
    )


def _seen_from_the_beam(a: Tensor, b: Tensor) -> dict[str, Tensor]:
    pt_a, pt_b = pt(a), pt(b)
    smaller = torch.minimum(pt_a, pt_b)
    difference = torch.remainder(phi(a) - phi(b) + torch.pi, 2 * torch.pi) - torch.pi
    difference = torch.where(has_azimuth(a) & has_azimuth(b), difference, torch.zeros_like(difference))
    squared = (rapidity(a) - rapidity(b)).square() + difference.square()
    distance = _root(squared)
    z = smaller / (pt_a + pt_b).clamp(min=_EPS)
    return {"kt": _logarithm(smaller * distance), "z": _logarithm(z), "delta": _logarithm(distance)}


def _seen_by_angles(a: Tensor, b: Tensor) -> dict[str, Tensor]:
    size_a, size_b = (_root(x[..., 1:].square().sum(-1)) for x in (a, b))
    unit_a, unit_b = (
        x[..., 1:] / size.clamp(min=_EPS).unsqueeze(-1) for x, size in ((a, size_a), (b, size_b))
    )
    cosine = (unit_a * unit_b).sum(-1).clamp(-1, 1)
    sine = _root(torch.linalg.cross(unit_a, unit_b, dim=-1).square().sum(-1)).clamp(0, 1)
    smaller = torch.minimum(size_a, size_b)
    return {
        "cosine": cosine,
        "sine": sine,
        "kt-angle": _logarithm(smaller * sine),
        "z-momentum": _logarithm(smaller / (size_a + size_b).clamp(min=_EPS)),
        "jade": _logarithm(a[..., 0] * b[..., 0] * (1 - cosine)),
    }


def _root(x: Tensor) -> Tensor:
    """√x with zero gradient at zero."""
    return torch.where(x > 0, torch.where(x > 0, x, 1.0).sqrt(), 0.0)


def _logarithm(x: Tensor) -> Tensor:
    return torch.log(x.clamp(min=_EPS))


class PairEmbedding(nn.Module):
    """Pointwise network on unordered pairs: BN, then (linear, BN, GELU) for each width.

    Parameters
    ----------
    dims
        Widths; the last one is the number of heads that attend by queries and keys, the one before it the number
        of those that attend by these values alone.
    last_activation
        Whether the last width is followed by a GELU.
    num_features
        Numbers of each pair.
    bias
        Whether the linear maps have biases.
    """

    def __init__(
        self, dims: list[int], last_activation: bool = True, num_features: int = 4, bias: bool = True
    ) -> None:
        super().__init__()
        self.last_activation = last_activation
        widths = [num_features, *dims]
        self.norm = MaskedBatchNorm(num_features)
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=bias) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(MaskedBatchNorm(b) for b in dims)

    def read_published(self, reader: WeightReader, prefix: str, order: list[int]) -> None:
        """A sequence of BN, then (convolution, BN, GELU) for each width; `order` finds our features among theirs."""
        for name, target in self.norm.state_dict(keep_vars=True).items():
            value = reader.take(f"{prefix}.0.{name}", *target.shape)
            reader.assign(target, value[order] if value.ndim else value)
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            assert isinstance(layer, nn.Linear)
            place = f"{prefix}.{3 * number + 1}"
            if number == 0:
                weight = reader.take(f"{place}.weight", *layer.weight.shape, 1)
                reader.assign(layer.weight, weight.squeeze(-1)[:, order])
                if layer.bias is not None:
                    reader.copy(layer.bias, f"{place}.bias")
            else:
                reader.copy_pointwise(layer, place, kernel=1)
            reader.copy_module(norm, f"{prefix}.{3 * number + 2}")

    def forward(self, features: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Last hidden layer and biases of pairs, (E, F) -> (E, C) and (E, H); statistics are of those in the mask."""
        x = hidden = self.norm(features, mask)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            hidden = x
            before = norm(layer(x), mask)
            x = F.gelu(before)
        return hidden, x if self.last_activation else before
