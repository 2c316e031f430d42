"""How do the blocks of the Particle Transformers attend?

Attention and feed-forward layers with inner norms, scales of heads and a scaled residual (NormFormer), with three
kinds of attention: among particles with pair biases, of a class token to the particles, and by pair biases alone.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Frames, Layout, Reps
from lorentzoo.nn import Extended, PairValues, WeightReader, attend_between_frames, moves_vectors

__all__ = ["AttentionBlock", "InteractionBlock"]


class _Block(nn.Module):
    """What all blocks have: norms around attention, scales of heads, a feed-forward layer, a scaled residual."""

    def __init__(self, width: int, num_heads: int, mlp_ratio: int, dropout: float) -> None:
        super().__init__()
        if mlp_ratio < 1:
            raise ValueError(f"mlp_ratio must be at least 1, not {mlp_ratio}")
        self.num_heads = num_heads
        self.head_width = width // num_heads
        self.norm = nn.LayerNorm(width)
        self.head_scale = nn.Parameter(torch.ones(num_heads))
        self.attention_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, mlp_ratio * width)
        self.mlp_inner_norm = nn.LayerNorm(mlp_ratio * width)
        self.mlp_out = nn.Linear(mlp_ratio * width, width)
        self.residual_scale = nn.Parameter(torch.ones(width))

    @staticmethod
    def _initialise(maps: list[nn.Linear], scaled: list[nn.Linear], depth: int) -> None:
        for layer in (*maps, *scaled):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        with torch.no_grad():
            for layer in scaled:
                layer.weight.div_(math.sqrt(2.0 * depth))

    def _after(self, attended: Tensor, residual: Tensor) -> Tensor:
        """From what attention gives, (..., width), to the end of the block."""
        scaled = attended.unflatten(-1, (self.num_heads, self.head_width)) * self.head_scale.unsqueeze(-1)
        x = residual + self.dropout(self.attention_norm(scaled.flatten(-2)))
        hidden = self.dropout(F.gelu(self.mlp_in(self.mlp_norm(x))))
        out = self.dropout(self.mlp_out(self.mlp_inner_norm(hidden)))
        return out + self.residual_scale * x


class AttentionBlock(_Block):
    """Attention by queries and keys: of particles with pair biases, or of a class token.

    Parameters
    ----------
    width, num_heads, mlp_ratio, dropout
        As in `ParT`.
    reps
        Lorentz representation of each head between local frames; None for scalars.
    depth
        Place of the block, which scales the initial weights of its last maps.
    preserve_variance, variance_eps
        See `ParT`.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        reps: Reps | None,
        mlp_ratio: int,
        dropout: float,
        depth: int,
        preserve_variance: bool = False,
        variance_eps: float = 0.0,
    ) -> None:
        super().__init__(width, num_heads, mlp_ratio, dropout)
        self.preserve_variance = preserve_variance
        self.variance_eps = variance_eps
        self.head_scalars = (
            self.head_width if reps is None else sum(t.multiplicity for t in reps if t.order == 0)
        )
        self.head_vectors = 0 if reps is None else sum(t.multiplicity for t in reps if t.order == 1)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self._initialise([self.qkv, self.mlp_in], [self.out, self.mlp_out], depth)
        for weight in self.qkv.weight.chunk(3):
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, frames: Frames, layout: Layout, bias: PairValues) -> Tensor:
        """Particle attention with pair biases. Shape (*lead, width)."""
        qkv = self.qkv(self.norm(x)).unflatten(-1, (3, self.num_heads, self.head_width))
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
        return self._after(self.out(attended.flatten(-2)), x)

    def read(self, token: Tensor, x: Tensor, with_token: Extended) -> Tensor:
        """Class attention: the token, as it is, queries itself and all particles. Shape (B, 1, width)."""
        keys = self.norm(with_token.join(token, x))
        width = token.shape[-1]
        query = F.linear(token, self.qkv.weight[:width], self.qkv.bias[:width])
        k, v = F.linear(keys, self.qkv.weight[width:], self.qkv.bias[width:]).chunk(2, dim=-1)
        heads = (self.num_heads, self.head_width)
        layout = with_token.layout
        single = with_token.tokens_layout
        q = single.from_events(query)
        attended = single.attend(
            q.unflatten(-1, heads), k.unflatten(-1, heads), v.unflatten(-1, heads), keys_layout=layout
        )
        attended = single.to_events(attended.flatten(-2))
        return self._after(self.out(attended), token)

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
        dotted = f"{prefix}.attn.in_proj.weight" in reader.state
        join = "." if dotted else "_"
        reader.copy(self.qkv.weight, f"{prefix}.attn.in_proj{join}weight")
        reader.copy(self.qkv.bias, f"{prefix}.attn.in_proj{join}bias")
        scale = reader.take(f"{prefix}.c_attn", self.num_heads)
        reader.copy(self.residual_scale, f"{prefix}.w_resid")
        for name, target in self.out.state_dict(keep_vars=True).items():
            value = reader.take(f"{prefix}.attn.out_proj.{name}", *target.shape)
            if head_fastest:
                rows = value.unflatten(0, (self.num_heads, self.head_width))
                value = (rows * scale.reshape(-1, *[1] * value.ndim)).transpose(0, 1).flatten(0, 1)
            reader.assign(target, value)
        reader.assign(self.head_scale, torch.ones_like(scale) if head_fastest else scale)
        for module, name in (
            (self.norm, "pre_attn_norm"),
            (self.attention_norm, "post_attn_norm"),
            (self.mlp_norm, "pre_fc_norm"),
            (self.mlp_in, "fc1"),
            (self.mlp_inner_norm, "post_fc_norm"),
            (self.mlp_out, "fc2"),
        ):
            reader.copy_module(module, f"{prefix}.{name}")


class InteractionBlock(_Block):
    """More-interaction attention: the weights are the softmax of pair channels, and no particle is asked.

    There are as many heads as pair channels, neither queries nor keys nor a map after attention. All blocks
    average with the same weights. A head is too narrow for vectors: its messages are scalars (arXiv:2407.08682).

    Parameters
    ----------
    width, num_heads, mlp_ratio, dropout, depth
        As in `AttentionBlock`.
    """

    def __init__(self, width: int, num_heads: int, mlp_ratio: int, dropout: float, depth: int) -> None:
        super().__init__(width, num_heads, mlp_ratio, dropout)
        self.value = nn.Linear(width, width, bias=False)
        self._initialise([self.value, self.mlp_in], [self.mlp_out], depth)

    def forward(self, x: Tensor, logits: PairValues) -> Tensor:
        """Shape (*lead, width), logits of the pairs with one channel a head."""
        v = self.value(self.norm(x)).unflatten(-1, (self.num_heads, self.head_width))
        return self._after(logits.average(v).flatten(-2), x)
