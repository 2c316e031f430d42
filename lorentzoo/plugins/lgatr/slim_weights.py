"""State dicts of the published ``LGATrSlim`` and ``ConditionalLGATrSlim``, read into our networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from lorentzoo.nn import WeightReader, require_package
from lorentzoo.plugins.lgatr.gate import Activation
from lorentzoo.plugins.lgatr.slim_layers import SlimAttention, SlimGains, SlimLinear, SlimMLP, SlimOptions
from lorentzoo.plugins.lgatr.slim_transformer import SlimBlock, SlimTransformer
from lorentzoo.plugins.lgatr.weights import SOURCES, Source

__all__ = ["adopt_slim", "import_slim_state", "read_slim"]


def import_slim_state(
    network: SlimTransformer,
    state: Mapping[str, Tensor],
    source: Source,
    vector_activation: Activation | None = "sigmoid",
) -> None:
    """Read a published state dict into a network of the same hyperparameters.

    Parameters
    ----------
    network
        For ``"lgatr-1.4"`` made with ``qkv_bias=True, norm_gains=False``, for ``"lgatr-2.0"`` with ``qkv_bias=False``
        and ``norm_gains`` as the published ``norm_elementwise_affine``.
    state
        Published weights.
    source
        Package and version. What it computes differently is set on the network: the kind of GELU, the scale of the
        inner product that gates vectors and the gate of 2.0.
    vector_activation
        The published ``nonlinearity_v`` of 2.0, of which the weights say nothing; 1.4 has none.

    Raises
    ------
    lorentzoo.core.foreign.StateDictError
        Naming every missing, extra and misshapen key; the network is then unchanged.
    """
    reader = WeightReader(state, ignored=("metric",))
    read_slim(network, reader, source)
    reader.finish()
    adopt_slim(network, source, vector_activation)


def read_slim(network: SlimTransformer, reader: WeightReader, source: str) -> None:
    """Read all weights; nothing is written before the reader finishes."""
    require_package(source, *SOURCES)
    _read_linear(reader, "linear_in", network.input)
    _read_linear(reader, "linear_out", network.output)
    for place, block in enumerate(network.blocks):
        assert isinstance(block, SlimBlock)
        _read_block(reader, f"blocks.{place}", block)


def adopt_slim(network: SlimTransformer, source: str, vector_activation: Activation | None) -> SlimOptions:
    """Set what a version computes differently from the same numbers, and return the options that say so."""
    for module in network.modules():
        if isinstance(module, SlimBlock | SlimMLP):
            module.options = _semantics(module.options, source, vector_activation)
        elif isinstance(module, SlimAttention):
            module.eps_norm = 0.01
    block = network.blocks[0]
    assert isinstance(block, SlimBlock)
    return block.options


def _semantics(options: SlimOptions, source: str, vector_activation: Activation | None) -> SlimOptions:
    """The options with what a version computes from the same numbers."""
    old = source == "lgatr-1.4"
    activation = options.activation
    if activation in ("gelu", "gelu-exact"):
        activation = "gelu-exact" if old else "gelu"
    return replace(
        options,
        activation=activation,
        vector_activation=options.vector_activation if old else vector_activation,
        gate_scale=1.0 if old else 0.5,
        eps_norm=0.01,
    )


def _read_block(reader: WeightReader, prefix: str, block: SlimBlock) -> None:
    (attention,) = block.attentions
    assert isinstance(attention, SlimAttention)
    own = f"{prefix}.attention" if block.cross_attention is None else f"{prefix}.selfattention"
    heads = attention.heads
    _read_linear(reader, f"{own}.linear_in", attention.queries_keys_values, sets=3, heads=heads)
    _read_linear(reader, f"{own}.linear_out", attention.output)
    cross = block.cross_attention
    if cross is not None:
        _read_linear(reader, f"{prefix}.crossattention.linear_in_q", cross.queries, heads=heads)
        _read_linear(reader, f"{prefix}.crossattention.linear_in_kv", cross.keys_values, sets=2, heads=heads)
        _read_linear(reader, f"{prefix}.crossattention.linear_out", cross.output)
    for place, gains in enumerate(block.gains, start=1):
        assert isinstance(gains, SlimGains)
        reader.assign(gains.vectors, reader.take(f"{prefix}.norm{place}.weight_v", *gains.vectors.shape))
        reader.assign(gains.scalars, reader.take(f"{prefix}.norm{place}.weight_s", *gains.scalars.shape))
    units = list(block.mlp.units)
    names = reader.layers(f"{prefix}.mlp.layers.", len(units) + 1, first=0, stride=1)
    for name, unit in zip(names, units, strict=False):
        _read_linear(reader, f"{name}.linear", unit)
    _read_linear(reader, names[-1], block.mlp.output)


def _read_linear(
    reader: WeightReader, prefix: str, linear: SlimLinear, sets: int = 1, heads: int = 1
) -> None:
    """One linear map; its outputs are ``sets`` groups of channels times heads, of which we put the heads first."""

    def heads_first(x: Tensor) -> Tensor:
        return x.unflatten(0, (sets, -1, heads)).transpose(1, 2).flatten(0, 2) if x.numel() else x

    vectors = reader.take(f"{prefix}.weight_v", *linear.vector_weight.shape)
    reader.assign(linear.vector_weight, heads_first(vectors))
    optional = not linear.scalar_weight.numel() and not reader.has(f"{prefix}.linear_s.weight")
    if optional:
        reader.assign(linear.scalar_weight, torch.zeros_like(linear.scalar_weight))
    else:
        scalars = reader.take(f"{prefix}.linear_s.weight", *linear.scalar_weight.shape)
        reader.assign(linear.scalar_weight, heads_first(scalars))
        if linear.bias is not None:
            bias = reader.take(f"{prefix}.linear_s.bias", *linear.bias.shape)
            reader.assign(linear.bias, heads_first(bias))
