"""How do the blocks of the Particle Transformers attend?

Attention and feed-forward layers with inner norms, scales of heads and a scaled residual (NormFormer), or as later
versions have them: gated layers, other norms and no scales. There are three kinds of attention: among particles with
pair biases, of a class token to the particles, and by pair biases alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Frames, Layout, Reps
from lorentzoo.nn import (
    Extended,
    PairValues,
    RMSNorm,
    WeightReader,
    attend_between_frames,
    draw_for_events,
    moves_vectors,
)

__all__ = [
    "SCALES",
    "AttentionBlock",
    "BlockOptions",
    "Gate",
    "InteractionBlock",
    "NormName",
    "Scale",
    "make_norm",
]

NormName = Literal["layer", "rms"]
Gate = Literal["none", "heads", "channels"]
Scale = Literal["heads", "attention", "mlp", "residual"]
SCALES: Final[tuple[Scale, ...]] = ("heads", "attention", "mlp", "residual")
"""What NormFormer adds: scales of heads, norms after attention and inside the feed-forward layer, a scaled residual."""


@dataclass(frozen=True)
class BlockOptions:
    """Choices common to all blocks; the defaults are the published network (arXiv:2202.03772).

    Parameters
    ----------
    mlp_ratio, dropout, norm, bias, swiglu, scales, query_norm, attention_gate, layer_scale, drop_path, bias_scale
        As in `ParT`.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    mlp_ratio: int = 4
    dropout: float = 0.0
    norm: NormName = "layer"
    bias: bool = True
    swiglu: bool = False
    scales: tuple[Scale, ...] = SCALES
    query_norm: bool = False
    attention_gate: Gate = "none"
    layer_scale: float = 0.0
    drop_path: float = 0.0
    bias_scale: bool = False

    def __post_init__(self) -> None:
        if self.mlp_ratio < 1:
            raise ValueError(f"mlp_ratio must be at least 1, not {self.mlp_ratio}")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path must be at least 0 and below 1, not {self.drop_path}")


def make_norm(name: NormName, width: int) -> nn.Module:
    """A norm with gains by its name."""
    return RMSNorm(width) if name == "rms" else nn.LayerNorm(width)


class _LayerScale(nn.Module):
    """One learned gain a channel at the end of a branch (arXiv:2103.17239)."""

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Block(nn.Module):
    """What all blocks have: norms around attention, scales of heads, a feed-forward layer, a scaled residual."""

    def __init__(self, width: int, num_heads: int, options: BlockOptions) -> None:
        super().__init__()
        self.options = options
        self.num_heads = num_heads
        self.head_width = width // num_heads
        inner, scales = options.mlp_ratio * width, options.scales

        def norm(size: int, wanted: bool = True) -> nn.Module:
            return make_norm(options.norm, size) if wanted else nn.Identity()

        def parameter(size: int, wanted: bool) -> nn.Parameter | None:
            return nn.Parameter(torch.ones(size)) if wanted else None

        self.norm = norm(width)
        self.head_scale = parameter(num_heads, "heads" in scales)
        self.attention_norm = norm(width, "attention" in scales)
        self.dropout = nn.Dropout(options.dropout)
        self.mlp_norm = norm(width)
        self.mlp_in = nn.Linear(width, inner, bias=options.bias)
        self.mlp_gate = nn.Linear(width, inner, bias=options.bias) if options.swiglu else None
        self.mlp_inner_norm = norm(inner, "mlp" in scales)
        self.mlp_out = nn.Linear(inner, width, bias=options.bias)
        self.residual_scale = parameter(width, "residual" in scales)
        start = options.layer_scale
        self.attention_scale = _LayerScale(width, start) if start else nn.Identity()
        self.mlp_scale = _LayerScale(width, start) if start else nn.Identity()

    @staticmethod
    def _initialise(maps: list[nn.Linear | None], scaled: list[nn.Linear], depth: int) -> None:
        for layer in (*maps, *scaled):
            if layer is None:
                continue
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        with torch.no_grad():
            for layer in scaled:
                layer.weight.div_(math.sqrt(2.0 * depth))

    def _after(
        self, attended: Tensor, residual: Tensor, layout: Layout | None, of_events: bool = False
    ) -> Tensor:
        """From what attention gives, (..., width), to the end of the block.

        Parameters
        ----------
        layout
            Of the events whose branches may be dropped; None drops nothing.
        of_events
            Whether there is a row of tokens for each event.
        """
        if self.head_scale is not None:
            heads = attended.unflatten(-1, (self.num_heads, self.head_width))
            attended = (heads * self.head_scale.unsqueeze(-1)).flatten(-2)
        change = self.attention_scale(self.dropout(self.attention_norm(attended)))
        x = residual + self._drop(change, layout, of_events)
        normed = self.mlp_norm(x)
        hidden = self.mlp_in(normed)
        hidden = F.gelu(hidden) if self.mlp_gate is None else F.silu(self.mlp_gate(normed)) * hidden
        out = self.mlp_out(self.mlp_inner_norm(self.dropout(hidden)))
        out = self._drop(self.mlp_scale(self.dropout(out)), layout, of_events)
        return out + (x if self.residual_scale is None else self.residual_scale * x)

    def _drop(self, change: Tensor, layout: Layout | None, of_events: bool) -> Tensor:
        """Leave a branch out of some events, and make up for it in the others (stochastic depth, arXiv:1603.09382)."""
        probability = self.options.drop_path
        if layout is None or probability == 0.0 or not self.training:
            return change
        drawn = draw_for_events(layout, lambda count, rng: torch.rand(count, generator=rng), per_event=True)
        factor = (drawn >= probability).to(change) / (1 - probability)
        rows = factor.unsqueeze(-1) if of_events else layout.spread(factor)
        return change * rows.unsqueeze(-1)


class AttentionBlock(_Block):
    """Attention by queries and keys: of particles with pair biases, or of a class token.

    Parameters
    ----------
    width, num_heads
        As in `ParT`.
    reps
        Lorentz representation of each head between local frames; None for scalars.
    depth
        Place of the block, which scales the initial weights of its last maps.
    options
        Further choices.
    preserve_variance, variance_eps
        See `ParT`.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        reps: Reps | None,
        depth: int,
        options: BlockOptions,
        preserve_variance: bool = False,
        variance_eps: float = 0.0,
    ) -> None:
        super().__init__(width, num_heads, options)
        self.preserve_variance = preserve_variance
        self.variance_eps = variance_eps
        self.head_scalars = (
            self.head_width if reps is None else sum(t.multiplicity for t in reps if t.order == 0)
        )
        self.head_vectors = 0 if reps is None else sum(t.multiplicity for t in reps if t.order == 1)
        self.qkv = nn.Linear(width, 3 * width, bias=options.bias)
        self.out = nn.Linear(width, width, bias=options.bias)
        normed = options.query_norm
        self.query_norm = make_norm(options.norm, self.head_width) if normed else nn.Identity()
        self.key_norm = make_norm(options.norm, self.head_width) if normed else nn.Identity()
        gates = {"none": 0, "heads": num_heads, "channels": width}[options.attention_gate]
        self.gate = nn.Linear(width, gates, bias=options.bias) if gates else None
        self.bias_scale = nn.Parameter(torch.ones(1)) if options.bias_scale else None
        self._initialise([self.qkv, self.gate, self.mlp_in, self.mlp_gate], [self.out, self.mlp_out], depth)
        for weight in self.qkv.weight.chunk(3):
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, frames: Frames, layout: Layout, bias: PairValues) -> Tensor:
        """Particle attention with pair biases. Shape (*lead, width)."""
        normed = self.norm(x)
        qkv = self.qkv(normed).unflatten(-1, (3, self.num_heads, self.head_width))
        if self.options.query_norm:
            q, k, v = qkv.unbind(-3)
            qkv = torch.stack([self.query_norm(q), self.key_norm(k), v], dim=-3)
        if self.bias_scale is not None:
            factor = self.bias_scale
            bias = bias.map(lambda block: block * factor)
        if moves_vectors(frames, self.head_vectors):
            scalars, vectors = qkv.split([self.head_scalars, 4 * self.head_vectors], dim=-1)
            scalars, vectors = attend_between_frames(
                scalars,
                vectors.unflatten(-1, (self.head_vectors, 4)),
                frames.to(qkv.dtype),
                layout,
                bias=bias,
                preserve_variance=self.preserve_variance,
                mass_floor=self.variance_eps,
                one_by_one=True,
            )
            attended = torch.cat([scalars, vectors.flatten(-2)], dim=-1)
        else:
            attended = layout.attend(*qkv.unbind(-3), bias=bias)
        return self._after(self.out(self._gated(attended, normed)), x, layout)

    def read(self, token: Tensor, x: Tensor, with_token: Extended) -> Tensor:
        """Class attention: the token, as it is, queries itself and all particles. Shape (B, 1, width)."""
        keys = self.norm(with_token.join(token, x))
        width = token.shape[-1]
        weight, bias = self.qkv.weight, self.qkv.bias
        query = F.linear(token, weight[:width], None if bias is None else bias[:width])
        both = F.linear(keys, weight[width:], None if bias is None else bias[width:])
        k, v = both.unflatten(-1, (2, self.num_heads, self.head_width)).unbind(-3)
        layout = with_token.layout
        single = with_token.tokens_layout
        q = single.from_events(query).unflatten(-1, (self.num_heads, self.head_width))
        attended = single.attend(self.query_norm(q), self.key_norm(k), v, keys_layout=layout)
        attended = single.to_events(attended)
        return self._after(self.out(self._gated(attended, token)), token, with_token.base, of_events=True)

    def _gated(self, attended: Tensor, asking: Tensor) -> Tensor:
        """Heads (..., H, D) times a gate in (0, 1) of the rows that ask, as channels (..., width)."""
        if self.gate is not None:
            attended = attended * torch.sigmoid(self.gate(asking)).unflatten(-1, (self.num_heads, -1))
        return attended.flatten(-2)

    def read_published(self, reader: WeightReader, prefix: str, *, head_fastest: bool) -> None:
        """Weights of one published block; older versions name the fused projection without a dot.

        Parameters
        ----------
        reader, prefix
            The published state dict and the block's place in it.
        head_fastest
            Whether the block puts the scaled heads together with the head as the fastest index, as lloca 1.3 does.
            Its scales then go into the output map, whose rows are put in that order.
        """
        dotted = reader.has(f"{prefix}.attn.in_proj.weight")
        for name, target in self.qkv.state_dict(keep_vars=True).items():
            reader.copy(target, f"{prefix}.attn.in_proj{'.' if dotted else '_'}{name}")
        if self.residual_scale is not None:
            reader.copy(self.residual_scale, f"{prefix}.w_resid")
        if self.bias_scale is not None and reader.has(f"{prefix}.c_mask"):
            reader.copy(self.bias_scale, f"{prefix}.c_mask")
        self._read_output(reader, prefix, head_fastest)
        modules: dict[str, nn.Module | None] = {
            "pre_attn_norm": self.norm,
            "post_attn_norm": self.attention_norm,
            "pre_fc_norm": self.mlp_norm,
            "fc1": self.mlp_in,
            "fc1_g": self.mlp_gate,
            "post_fc_norm": self.mlp_inner_norm,
            "fc2": self.mlp_out,
            "attn.q_norm": self.query_norm,
            "attn.k_norm": self.key_norm,
            "attn.gate_proj": self.gate,
            "ls1": self.attention_scale,
            "ls2": self.mlp_scale,
        }
        for name, module in modules.items():
            if module is not None:
                reader.copy_module(module, f"{prefix}.{name}")

    def _read_output(self, reader: WeightReader, prefix: str, head_fastest: bool) -> None:
        scale = None if self.head_scale is None else reader.take(f"{prefix}.c_attn", self.num_heads)
        for name, target in self.out.state_dict(keep_vars=True).items():
            value = reader.take(f"{prefix}.attn.out_proj.{name}", *target.shape)
            if head_fastest and scale is not None:
                rows = value.unflatten(0, (self.num_heads, self.head_width))
                value = (rows * scale.reshape(-1, *[1] * value.ndim)).transpose(0, 1).flatten(0, 1)
            reader.assign(target, value)
        if self.head_scale is not None and scale is not None:
            reader.assign(self.head_scale, torch.ones_like(scale) if head_fastest else scale)


class InteractionBlock(_Block):
    """More-interaction attention: the weights are the softmax of pair channels, and no particle is asked.

    There are as many heads as pair channels, neither queries nor keys nor a map after attention. All blocks
    average with the same weights. A head is too narrow for vectors: its messages are scalars (arXiv:2407.08682).

    Parameters
    ----------
    width, num_heads, depth, options
        As in `AttentionBlock`; what is said of queries, gates, biases of pairs and dropped branches is not for these.
    """

    def __init__(self, width: int, num_heads: int, depth: int, options: BlockOptions) -> None:
        super().__init__(width, num_heads, options)
        self.value = nn.Linear(width, width, bias=False)
        self._initialise([self.value, self.mlp_in, self.mlp_gate], [self.mlp_out], depth)

    def forward(self, x: Tensor, logits: PairValues) -> Tensor:
        """Shape (*lead, width), logits of the pairs with one channel a head."""
        v = self.value(self.norm(x)).unflatten(-1, (self.num_heads, self.head_width))
        return self._after(logits.average(v).flatten(-2), x, None)
