r"""State dicts of the published ``lgatr`` packages, read into our networks.

Both versions of the package name their layers alike and differ in what the layers hold: 1.4 has biases on queries,
keys and values, no gains in its norms and the exact GELU on scalars; 2.0 has gains, no such biases, and normalizes
cross-attention. Their linear maps are stored as numbers per pair of channels and map (w_k, v_k of
:mod:`~lorentzoo.plugins.lgatr.linear`), with the dual taken from the right, ⟨x⟩_k e_0123.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from lorentzoo.nn import WeightReader, require_package
from lorentzoo.plugins.lgatr.attention import CrossAttention, SelfAttention
from lorentzoo.plugins.lgatr.gate import Activation
from lorentzoo.plugins.lgatr.linear import EquivariantLinear
from lorentzoo.plugins.lgatr.mlp import GeometricBilinear, GeometricMLP
from lorentzoo.plugins.lgatr.norm import NormGains
from lorentzoo.plugins.lgatr.options import Options
from lorentzoo.plugins.lgatr.transformer import Block, MultivectorTransformer

__all__ = ["SOURCES", "Source", "adopt_multivector", "import_multivector_state", "read_multivector"]

Source = Literal["lgatr-1.4", "lgatr-2.0"]

SOURCES = ("lgatr-1.4", "lgatr-2.0")


def import_multivector_state(
    network: MultivectorTransformer, state: Mapping[str, Tensor], source: Source
) -> None:
    """Read a state dict of ``LGATr`` or ``ConditionalLGATr`` into a network of the same hyperparameters.

    Parameters
    ----------
    network
        Made with the same widths and options: for ``"lgatr-1.4"`` ``qkv_bias=True, norm_gains=False``, for
        ``"lgatr-2.0"`` ``qkv_bias=False`` and ``norm_gains`` as the published ``norm_elementwise_affine``.
    state
        Published weights.
    source
        Package and version. What it computes differently is set on the network.

    Raises
    ------
    StateDictError
        Naming every missing, extra and misshapen key; the network is then unchanged.
    """
    reader = WeightReader(state)
    read_multivector(network, reader, source)
    reader.finish()
    adopt_multivector(network, source)


def read_multivector(network: MultivectorTransformer, reader: WeightReader, source: str) -> None:
    """Read all weights; nothing is written before the reader finishes."""
    require_package(source, *SOURCES)
    _read_linear(reader, "linear_in", network.input)
    _read_linear(reader, "linear_out", network.output)
    for place, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        _read_block(reader, f"blocks.{place}", block)


def adopt_multivector(network: MultivectorTransformer, source: str) -> Options:
    """Set what a version computes differently from the same numbers, and return the options that say so."""
    for module in network.modules():
        options = getattr(module, "options", None)
        if isinstance(options, Options):
            object.__setattr__(module, "options", _semantics(options, source))
    block = network.blocks[0]
    assert isinstance(block, Block)
    return block.options


def _semantics(options: Options, source: str) -> Options:
    """The options with what a version computes from the same numbers."""
    old = source == "lgatr-1.4"
    exact: Activation | None = "gelu-exact" if old and options.activation == "gelu" else None
    return replace(
        options,
        cross_norm=not old,
        scalar_activation=exact,
        eps_norm=0.01,
        eps_mode="clamp",
        eps_scalars=1e-5,
    )


def _read_block(reader: WeightReader, prefix: str, block: Block) -> None:
    (attention,) = block.attentions
    assert isinstance(attention, SelfAttention)
    _read_self_attention(reader, f"{prefix}.attention", attention)
    if block.cross_attention is not None:
        _read_cross_attention(reader, f"{prefix}.crossattention", block.cross_attention)
    for place, gains in enumerate(block.gains, start=1):
        assert isinstance(gains, NormGains)
        _read_gains(reader, f"{prefix}.norm{place}", gains)
    if block.condition_gains is not None:
        _read_gains(reader, f"{prefix}.norm_cond", block.condition_gains)
    _read_mlp(reader, f"{prefix}.mlp.layers.", block.mlp)


def _read_self_attention(reader: WeightReader, prefix: str, attention: SelfAttention) -> None:
    heads = attention.sizes.heads
    if attention.options.multi_query:
        _read_linear(reader, f"{prefix}.qkv_module.q_linear", attention.queries, sets=1, heads=heads)
        _read_linear(reader, f"{prefix}.qkv_module.k_linear", attention.keys)
        _read_linear(reader, f"{prefix}.qkv_module.v_linear", attention.values)
    else:
        linear = attention.queries_keys_values
        _read_linear(reader, f"{prefix}.qkv_module.in_linear", linear, sets=3, heads=heads)
    _read_linear(reader, f"{prefix}.out_linear", attention.output)
    if attention.head_scale is not None:
        reader.assign(attention.head_scale, reader.take(f"{prefix}.head_scale", heads))


def _read_cross_attention(reader: WeightReader, prefix: str, attention: CrossAttention) -> None:
    heads = attention.sizes.heads
    _read_linear(reader, f"{prefix}.q_linear", attention.queries, sets=1, heads=heads)
    _read_linear(reader, f"{prefix}.kv_linear", attention.keys_values, sets=2, heads=attention.key_heads)
    _read_linear(reader, f"{prefix}.out_linear", attention.output)
    if attention.head_scale is not None:
        reader.assign(attention.head_scale, reader.take(f"{prefix}.head_scale", heads))


def _read_mlp(reader: WeightReader, prefix: str, mlp: GeometricMLP) -> None:
    bilinear = isinstance(mlp.bilinear, GeometricBilinear)
    names = reader.layers(prefix, 1 + len(mlp.layers), first=0 if bilinear else 1, stride=2)
    if isinstance(mlp.bilinear, GeometricBilinear):
        for published, linear in (
            ("left", mlp.bilinear.left),
            ("right", mlp.bilinear.right),
            ("out", mlp.bilinear.output),
        ):
            _read_linear(reader, f"{names[0]}.linear_{published}", linear)
    else:
        _read_linear(reader, names[0], mlp.bilinear)
    for name, layer in zip(names[1:], mlp.layers, strict=True):
        assert isinstance(layer, EquivariantLinear)
        _read_linear(reader, name, layer)


def _read_gains(reader: WeightReader, prefix: str, gains: NormGains) -> None:
    reader.assign(gains.grades, reader.take(f"{prefix}.weight_mv", *gains.grades.shape))
    reader.assign(gains.scalars, reader.take(f"{prefix}.weight_s", *gains.scalars.shape))


def _read_linear(
    reader: WeightReader, prefix: str, linear: EquivariantLinear, sets: int = 1, heads: int = 1
) -> None:
    """One linear map; its outputs are ``sets`` groups of channels times heads, of which we put the heads first."""
    connected = linear.group == "connected"
    i, o, si, so = linear.in_channels, linear.out_channels, linear.in_scalars, linear.out_scalars
    pair = 2 if connected else 1

    def heads_first(x: Tensor, width: int) -> Tensor:
        """Reorder outputs (sets, channels, heads) of the leading dimension, which has ``width`` numbers each."""
        return x.unflatten(0, (sets, -1, heads, width)).transpose(1, 2).flatten(0, 3)

    maps = heads_first(reader.take(f"{prefix}.weight", o, i, 10 if connected else 5), 1).unbind(-1)
    scalar_weight = torch.zeros(linear.scalar_weight.shape, dtype=maps[0].dtype)
    rows, columns = pair * o, pair * i
    bias = torch.zeros(0 if linear.bias is None else linear.bias.shape[0], dtype=maps[0].dtype)
    if connected:
        scalar_weight[:rows, :columns] = _blocks(maps[0], -maps[9], maps[5], maps[4])
        reader.assign(linear.vector_weight, _blocks(maps[1], maps[8], -maps[6], maps[3]))
        reader.assign(linear.bivector_weight, torch.stack([maps[2], maps[7]], dim=-1))
    else:
        scalar_weight[:rows, :columns] = maps[0]
        reader.assign(linear.pseudoscalar_weight, maps[4])
        reader.assign(linear.vector_weight, torch.stack([maps[1], maps[3]], dim=-1))
        reader.assign(linear.bivector_weight, maps[2])
    if si:
        mixing = reader.take(f"{prefix}.s2mvs.weight", rows, si)
        scalar_weight[:rows, columns:] = heads_first(mixing, pair)
        if linear.bias is not None:
            bias[:rows] = heads_first(reader.take(f"{prefix}.s2mvs.bias", rows), pair)
    elif linear.bias is not None:
        bias[:o] = heads_first(reader.take(f"{prefix}.bias", o, 1), 1)[:, 0]
    if so:
        scalar_weight[rows:, :columns] = heads_first(reader.take(f"{prefix}.mvs2s.weight", so, columns), 1)
        if linear.bias is not None:
            bias[-so:] = heads_first(reader.take(f"{prefix}.mvs2s.bias", so), 1)
    if si and so:
        scalar_weight[rows:, columns:] = heads_first(reader.take(f"{prefix}.s2s.weight", so, si), 1)
    reader.assign(linear.scalar_weight, scalar_weight)
    if linear.bias is not None:
        reader.assign(linear.bias, bias)


def _blocks(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Interleave four (O, C) matrices as 2x2 blocks [[a, b], [c, d]], shape (2O, 2C)."""
    rows = torch.stack([a, b], dim=-1), torch.stack([c, d], dim=-1)
    return torch.stack(rows, dim=1).flatten(2, 3).flatten(0, 1)
