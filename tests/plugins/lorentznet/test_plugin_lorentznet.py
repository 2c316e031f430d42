"""LorentzNet against its equations, written on a list of edges."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError
from lorentzoo.core.minkowski import inner, random_lorentz
from lorentzoo.plugins.lorentznet.block import LorentzBlock
from lorentzoo.plugins.lorentznet.network import LorentzNet
from lorentzoo.testing import random_cloud
from lorentzoo.verification import redraw_weights


def network(training: bool = False, **changes) -> LorentzNet:
    torch.manual_seed(0)
    given = {
        "num_blocks": 3,
        "hidden_channels": 10,
        "in_scalars": 2,
        "in_vectors": 2,
        "out_scalars": 4,
        "out_vectors": 2,
    }
    made = LorentzNet(**{**given, **changes}).double()
    redraw_weights(made)
    return made.train(training)


def events(lengths: list[int]) -> tuple[lz.Features, lz.Packed]:
    cloud = random_cloud(lengths, in_scalars=2)
    torch.manual_seed(1)
    second = torch.randn_like(cloud.momenta)
    vectors = torch.stack([cloud.momenta / 20, second], dim=-2)
    return lz.Features(cloud.scalars.double(), vectors), cloud.layout


def run(made: LorentzNet, features: lz.Features, layout: lz.Layout) -> lz.Features:
    return made(
        features, lz.Frames.identity(layout), layout, features.scalars.new_zeros(layout.num_events, 0)
    )


def reference(made: LorentzNet, features: lz.Features, layout: lz.Packed) -> tuple[Tensor, Tensor]:
    """The equations of arXiv:2201.08187 with torch's own batch normalisation on all edges."""

    def norm(layer, x: Tensor) -> Tensor:
        plain = nn.BatchNorm1d(x.shape[1]).double().train(layer.training)
        plain.load_state_dict(copy.deepcopy(layer.state_dict()))
        return F.batch_norm(
            x,
            None if layer.training else plain.running_mean,
            None if layer.training else plain.running_var,
            layer.weight,
            layer.bias,
            layer.training,
        )

    def psi(x: Tensor) -> Tensor:
        return x.sign() * (x.abs() + 1).log()

    j, i = layout.edges()
    s, x = features.scalars, features.vectors
    h = made.embed(s)
    partners = (
        torch.zeros(len(s), dtype=x.dtype).index_add(0, i, torch.ones(len(i), dtype=x.dtype)).clamp(min=1)
    )
    for block in made.blocks:
        assert isinstance(block, LorentzBlock)
        d = x[i] - x[j]
        edge = torch.cat([h[i], h[j], psi(inner(d, d)), psi(inner(x[i], x[j]))], dim=-1)
        m = block.edge_second(norm(block.edge_norm, block.edge_first(edge)).relu()).relu()
        m = m * block.gate(m).sigmoid()
        if block.weigh is not None:
            weights = block.weigh(m).clamp(-100, 100)
            moved = torch.zeros_like(x).index_add(0, i, weights.unsqueeze(-1) * d)
            x = x + block.step * moved / partners[:, None, None]
        node = torch.cat([h, torch.zeros_like(h).index_add(0, i, m), s], dim=-1)
        h = h + block.node_second(norm(block.node_norm, block.node_first(node)).relu())
    assert made.mix is not None
    return made.last(h), torch.einsum("ov,pvd->pod", made.mix.weight, x)


@pytest.mark.parametrize("training", [False, True])
def test_the_equations(training: bool) -> None:
    made = network(training)
    features, layout = events([5, 1, 0, 8, 3])
    expected = reference(made, features, layout)
    wanted = torch.autograd.grad(
        sum(t.tanh().sum() for t in expected), list(made.parameters()), allow_unused=True
    )
    found = run(made, features, layout)
    torch.testing.assert_close(found.scalars, expected[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.vectors, expected[1], rtol=1e-10, atol=1e-10)
    loss = found.scalars.tanh().sum() + found.vectors.tanh().sum()
    for (name, _), a, b in zip(
        made.named_parameters(),
        torch.autograd.grad(loss, list(made.parameters()), allow_unused=True),
        wanted,
        strict=True,
    ):
        assert (a is None) == (b is None), name
        if a is not None:
            torch.testing.assert_close(
                a, b, rtol=1e-7, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}"
            )


def test_vectors_turn_with_the_event_and_scalars_stay() -> None:
    made = network()
    features, layout = events([6, 2, 4])
    matrices = layout.spread(random_lorentz(3, max_rapidity=2.0))
    before = run(made, features, layout)
    turned = lz.Features(features.scalars, features.vectors @ matrices.transpose(-1, -2))
    after = run(made, turned, layout)
    torch.testing.assert_close(after.scalars, before.scalars, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        after.vectors, before.vectors @ matrices.transpose(-1, -2), rtol=1e-9, atol=1e-8
    )


def test_the_published_tagger_averages_over_its_spurions_too() -> None:
    model = lz.create_model("lorentznet", num_blocks=1).double().eval()
    redraw_weights(model)
    cloud = random_cloud([4, 6])
    rows = copy.deepcopy(model)
    rows.backbone.pools = False
    seen = rows.spurions(cloud)
    features = rows.embedding(seen, lz.Frames.identity(seen.layout))
    out = run(rows.backbone, features, seen.layout)
    assert out.scalars.shape == (4 + 6 + 2 * 3, 72)
    mean = seen.layout.pool(out.scalars, "mean")
    torch.testing.assert_close(model.features(cloud).scalars, mean)
    # Divided by 20 GeV, the spurions are not.
    torch.testing.assert_close(features.vectors[3:7, 0], cloud.momenta[:4] / 20)
    torch.testing.assert_close(features.vectors[2, 0], torch.tensor([1.0, 0, 0, 0], dtype=torch.float64))


def test_a_fully_symmetric_composition() -> None:
    model = lz.compose(
        backbone="lorentznet:num_blocks=2,hidden_channels=8", embedding=["momenta", "invariants"]
    )
    assert model.symmetry.name == "SO⁺(1,3)"
    assert {"P", "T"} <= model.symmetry.discrete
    result = lz.verify(model, rapidities=())
    assert result.passed
    assert {"P", "T"} <= result.measured.discrete


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="num_blocks and hidden_channels must be at least 1"):
        lz.compose(backbone="lorentznet:num_blocks=0", embedding="momenta")
    with pytest.raises(ValueError, match="pool_rows gives scalars of whole events"):
        network(pool_rows=True)
    with pytest.raises(CompositionError, match=r"pools over its rows itself.*use pooling='mean'"):
        lz.compose(
            backbone="lorentznet:pool_rows=true", embedding="momenta", head="classify:pooling=global-token"
        )
    with pytest.raises(CompositionError, match=r"reads four-vectors: add 'momenta'"):
        lz.compose(backbone="lorentznet", embedding="kinematics")
