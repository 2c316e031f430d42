"""PELICAN's maps against their definitions, its presets and its symmetry."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError, NotFittedError
from lorentzoo.core.minkowski import inner, random_lorentz
from lorentzoo.plugins.pelican.aggregation import (
    Coefficients,
    PairsToPairs,
    Scales,
    pair_sums,
    pairs_to_particles,
    particles_to_pairs,
)
from lorentzoo.plugins.pelican.network import PELICAN
from lorentzoo.plugins.pelican.original import OriginalPELICAN
from lorentzoo.testing import random_cloud
from lorentzoo.verification import fit_if_needed, redraw_weights


def test_amplitudes_have_the_reference_count() -> None:
    assert lz.create_model("pelican-amplitudes").num_parameters == 17_440


def fifteen(x: Tensor, rows: float, pairs: float, diagonal: float) -> Tensor:
    """All maps from pairs to pairs of one event, one after the other, (n, n, C) -> (15, n, n, C)."""
    n = x.shape[0]
    eye = torch.eye(n, dtype=x.dtype).unsqueeze(-1)
    own = x.diagonal(dim1=0, dim2=1).T
    row, column = rows * x.sum(1), rows * x.sum(0)
    trace, total = diagonal * own.sum(0), pairs * x.sum((0, 1))

    def of_i(v: Tensor) -> Tensor:
        return v.unsqueeze(1).expand_as(x)

    def of_j(v: Tensor) -> Tensor:
        return v.unsqueeze(0).expand_as(x)

    maps = [x, x.transpose(0, 1), eye * of_i(own), of_i(own), of_j(own)]
    maps += [eye * of_i(column), eye * of_i(row), of_i(column), of_j(column), of_i(row), of_j(row)]
    maps += [trace.expand_as(x), eye * trace, total.expand_as(x), eye * total]
    return torch.stack(maps)


@given(
    st.integers(0, 5),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(["mean", "sum"]),
    st.booleans(),
    st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_all_maps_of_pairs(
    n: int, padding: int, factorised: bool, aggregate: str, reshaped: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    w = Coefficients(3, 4, 15, factorised=factorised, reshaped=reshaped).double()
    redraw_weights(w)
    layer = PairsToPairs(w, bias=True).double()
    redraw_weights(layer)
    x = torch.randn(2, n + padding, n + padding, 3, dtype=torch.float64)
    mask = (torch.arange(n + padding) < n).expand(2, -1) if padding else None
    out = layer(x, mask, Scales.of(aggregate, mask, x))  # type: ignore[arg-type]
    number = max(n, 1) if aggregate == "mean" else 1
    scales = (1 / number, 1 / number**2, 1 / number**2)
    for event in range(2):
        maps = fifteen(x[event, :n, :n], *scales)
        expected = torch.einsum("mijc,mco->ijo", maps, w()) + layer.bias
        expected = expected + torch.eye(n, dtype=x.dtype).unsqueeze(-1) * layer.diagonal_bias
        torch.testing.assert_close(out[event, :n, :n], expected)
    five = Coefficients(3, 2, 5, factorised=factorised).double()()
    nodes = pairs_to_particles(x, five, mask, Scales.of(aggregate, mask, x))  # type: ignore[arg-type]
    particles = torch.randn(2, n + padding, 3, dtype=torch.float64)
    lifted = particles_to_pairs(particles, five, mask, Scales.of(aggregate, mask, x))  # type: ignore[arg-type]
    sums = pair_sums(x, mask, Scales.of(aggregate, mask, x))  # type: ignore[arg-type]
    for event in range(2):
        v, p = x[event, :n, :n], particles[event, :n]
        own = v.diagonal(dim1=0, dim2=1).T
        total, trace = v.sum((0, 1)) * scales[1], own.sum(0) * scales[2]
        maps = [own, v.sum(1) * scales[0], v.sum(0) * scales[0], total.expand(n, -1), trace.expand(n, -1)]
        torch.testing.assert_close(nodes[event, :n], torch.einsum("mic,mco->io", torch.stack(maps), five))
        torch.testing.assert_close(sums[event, :n].sum(0), torch.cat([total, trace]))
        mean = p.sum(0) * scales[0]
        eye = torch.eye(n, dtype=x.dtype).unsqueeze(-1)
        shape = (n, n, 3)
        up = [
            eye * p.unsqueeze(1),
            p.unsqueeze(1).expand(shape),
            p.expand(shape),
            eye * mean,
            mean.expand(shape),
        ]
        torch.testing.assert_close(
            lifted[event, :n, :n], torch.einsum("mijc,mco->ijo", torch.stack(up), five)
        )


def test_the_original_network() -> None:
    """The equations on one event, map by map."""
    torch.manual_seed(0)
    net = OriginalPELICAN(2, 6, 4, average_particles=7.0, in_scalars=0, in_vectors=1).double()
    redraw_weights(net)
    p = random_cloud([8]).momenta / 20
    layout = lz.Packed.from_lengths([8])
    features = lz.Features(p[:, :0], p.unsqueeze(1))
    found = net(features, lz.Frames.identity(layout), layout, p.new_zeros(1, 0)).scalars[0]
    x = net.embed(inner(p.unsqueeze(1), p.unsqueeze(0)).unsqueeze(-1))
    power = net.powers**2 + 1e-6
    x = x.sign() * ((1 + x.abs()) ** power - 1) / power
    for message, mixer in zip(net.messages, net.mixers, strict=False):
        maps = fifteen(F.leaky_relu(message(x)), 1 / 7, 1 / 49, 1 / 7)
        x = torch.einsum("mijc,mco->ijo", maps, mixer.coefficients()) + mixer.bias
        x = F.leaky_relu(x + torch.eye(8, dtype=x.dtype).unsqueeze(-1) * mixer.diagonal_bias)
    x = F.leaky_relu(net.messages[-1](x))
    w = net.read_out()
    event = x.sum((0, 1)) / 49 @ w[0] + x.diagonal(dim1=0, dim2=1).sum(1) / 7 @ w[1]
    torch.testing.assert_close(found, F.leaky_relu(event + net.read_out_bias), rtol=1e-9, atol=1e-9)


def test_vectors_turn_with_the_event() -> None:
    torch.manual_seed(0)
    net = PELICAN(1, 8, pool_rows=False, in_scalars=2, in_vectors=2, out_scalars=3, out_vectors=2).double()
    redraw_weights(net)
    cloud = random_cloud([5, 1, 7], in_scalars=2)
    layout = cloud.layout
    vectors = torch.stack([cloud.momenta, cloud.momenta.roll(1, 0) + cloud.momenta], dim=1)
    features = lz.Features(cloud.scalars.double(), vectors)
    frames, context = lz.Frames.identity(layout), vectors.new_zeros(3, 0)
    with pytest.raises(NotFittedError, match="fit_statistics"):
        net(features, frames, layout, context)
    net.fit_inputs([(features, frames, layout)])
    before = net(features, frames, layout, context)
    matrices = layout.spread(random_lorentz(3, max_rapidity=1.0)).transpose(-1, -2)
    after = net(lz.Features(features.scalars, vectors @ matrices), frames, layout, context)
    torch.testing.assert_close(after.scalars, before.scalars, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(after.vectors, before.vectors @ matrices, rtol=1e-7, atol=1e-5)


def test_statistics_are_of_what_the_network_is_shown() -> None:
    model = lz.create_model("pelican-mini").double()
    cloud = random_cloud([6, 9])
    fit_if_needed(model, cloud)
    seen = model.spurions(cloud)
    p = torch.where(seen.is_particle.unsqueeze(-1), seen.momenta / 20, seen.momenta)
    values = []
    for rows in p.split([9, 12]):
        both = rows.unsqueeze(1) + rows.unsqueeze(0)
        floor = max(1e-10, 1e-12 * float(inner(rows.sum(0), rows.sum(0))))
        values.append(inner(both, both).clamp(min=floor).log().flatten())
    expected = torch.cat(values)
    torch.testing.assert_close(model.backbone.edge_mean[0], expected.mean())
    torch.testing.assert_close(model.backbone.edge_std[0], expected.std())


@pytest.mark.parametrize(
    "backbone",
    [
        "pelican:num_blocks=1,hidden_channels=6",
        "pelican:num_blocks=1,hidden_channels=6,pool_rows=false",
        "pelican-official:num_blocks=1,hidden_channels=6,message_channels=4",
    ],
)
def test_the_full_group_is_kept_with_parity_and_time_reversal(backbone: str) -> None:
    model = lz.compose(backbone=backbone, embedding=["momenta", "invariants"])
    assert model.symmetry.name == "SO⁺(1,3)"
    result = lz.verify(model, rapidities=())
    assert result.passed
    assert result.measured.name == "SO⁺(1,3)"
    assert {"P", "T", "PT"} <= result.measured.discrete


def test_what_is_refused() -> None:
    with pytest.raises(CompositionError, match=r"message_ratio \* hidden_channels at least 1"):
        lz.compose(backbone="pelican:hidden_channels=1", embedding="momenta")
    with pytest.raises(ValueError, match="set it to false where vectors are wanted"):
        PELICAN(in_scalars=0, in_vectors=1, out_scalars=1, out_vectors=1)
    with pytest.raises(CompositionError, match="average_particles must be positive"):
        lz.compose(backbone="pelican-official:average_particles=0", embedding="momenta")
    with pytest.raises(CompositionError, match="pools over its rows itself"):
        lz.compose(backbone="pelican", embedding="momenta", head="classify:pooling=global-token")
