"""What the blocks of an L-GATr can be told, in one immutable value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lorentzoo.plugins.lgatr.gate import Activation
from lorentzoo.plugins.lgatr.linear import Group
from lorentzoo.plugins.lgatr.norm import EpsilonMode

__all__ = ["Options", "check_sizes", "share_heads"]


@dataclass(frozen=True)
class Options:
    """Choices common to all blocks of a network. Defaults are the published tagger (arXiv:2411.00446).

    Parameters
    ----------
    group
        Symmetry of the linear maps: ``"connected"`` for SO⁺(1,3), ``"full"`` with parity.
    num_heads, attention_ratio
        Heads, and expansion of the channels that they share.
    head_channels, head_scalars
        Widths of a head, where they are not the channels shared by the heads.
    multi_query
        One key and value for all heads.
    head_scale
        A learned factor for the output of each head.
    qkv_bias
        Whether queries, keys and values have biases.
    cross_norm
        Whether queries, keys and values of cross-attention are normalized, as those of self-attention are.
    mlp_ratio, mlp_layers
        Expansion and number of layers of the MLP; the first is the geometric bilinear.
    activation, scalar_activation
        Gate of the multivectors, and function of the auxiliary scalars (the same if None).
    norm_gains
        Whether the norms of the residual branches have learned gains.
    eps_norm, eps_mode, eps_scalars
        Regularization of the norms, see :func:`~lorentzoo.plugins.lgatr.norm.normalize`.
    dropout
        Probability of dropping a multivector, or a scalar.
    bivectors, geometric_product
        Switches to explore what higher representations are good for.
    """

    group: Group = "connected"
    num_heads: int = 8
    attention_ratio: int = 2
    head_channels: int | None = None
    head_scalars: int | None = None
    multi_query: bool = False
    head_scale: bool = True
    qkv_bias: bool = True
    cross_norm: bool = True
    mlp_ratio: int = 2
    mlp_layers: int = 2
    activation: Activation = "gelu"
    scalar_activation: Activation | None = None
    norm_gains: bool = False
    eps_norm: float = 0.01
    eps_mode: EpsilonMode = "clamp"
    eps_scalars: float = 1e-5
    dropout: float = 0.0
    bivectors: bool = True
    geometric_product: bool = True

    def __post_init__(self) -> None:
        check_sizes(
            num_heads=self.num_heads,
            attention_ratio=self.attention_ratio,
            head_channels=self.head_channels,
            mlp_ratio=self.mlp_ratio,
        )


def check_sizes(**sizes: int | None) -> None:
    """Refuse sizes below one, by the name of the parameter; None is what follows from others."""
    for name, size in sizes.items():
        if size is not None and size < 1:
            raise ValueError(f"{name} must be at least 1, not {size}")


class _Heads(Protocol):
    @property
    def num_heads(self) -> int: ...
    @property
    def attention_ratio(self) -> int: ...


def share_heads(kind: str, width: int, options: _Heads, least: int) -> int:
    """Width of a head when the heads share the channels of a stream.

    Parameters
    ----------
    kind
        What the channels are called: ``"multivector"``, ``"vector"`` or ``"scalar"``.
    width
        Channels of the stream, before expansion.
    least
        What a head has where there are fewer channels than heads.

    Raises
    ------
    ValueError
        If the heads do not divide the channels.
    """
    heads, wide = options.num_heads, width * options.attention_ratio
    if wide > heads and wide % heads:
        by_hand = "head_channels" if kind == "multivector" else f"head_{kind}s"
        raise ValueError(
            f"{width} {kind} channels times attention_ratio={options.attention_ratio} cannot be shared by "
            f"num_heads={heads}: choose a multiple of {heads}, another number of heads, or {by_hand} by hand "
            f"({max(wide // heads, least)} as published)"
        )
    return max(wide // heads, least)
