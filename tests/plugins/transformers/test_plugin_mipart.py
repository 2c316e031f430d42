"""MIParT: its published sizes, and its interaction blocks against a plain formula."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import lorentzoo as lz
from lorentzoo.core.errors import CheckpointError, CompositionError
from lorentzoo.testing import random_cloud
from lorentzoo.verification import redraw_weights

CLOUD = random_cloud([7, 3, 1])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mipart", 656_949),
        ("mipart-jetclass", 658_854),
        ("mipart-l", 2_292_341),
        ("mipart-l-jetclass", 2_294_822),
    ],
)
def test_published_sizes(name: str, parameters: int) -> None:
    assert lz.create_model(name).num_parameters == parameters


def test_interaction_blocks_average_with_the_softmax_of_pair_channels() -> None:
    model = lz.create_model("mipart:num_blocks=1,num_interaction_blocks=2").double().eval()
    redraw_weights(model)
    backbone, layout = model.backbone, CLOUD.layout
    features = model.embedding(CLOUD, lz.Frames.identity(layout))
    triangle = layout.triangle()
    hidden, _ = backbone.pairs(
        backbone._pair_features(features, lz.Frames.identity(layout), triangle), triangle.mask
    )
    logits = triangle.to_pairs(hidden)
    x = torch.randn(11, 64, dtype=torch.float64)
    start = 0
    for n in layout.lengths:
        rows = slice(start, start + n)
        number = torch.arange(hidden.shape[0])
        inside = (triangle.first >= rows.start) & (triangle.first < rows.stop)
        dense = torch.zeros(n, n, 64, dtype=torch.float64)
        for pair in number[inside]:
            i, j = int(triangle.first[pair]) - start, int(triangle.second[pair]) - start
            dense[i, j] = dense[j, i] = hidden[pair]
        block = backbone.interaction_blocks[0]
        value = block.value(block.norm(x[rows]))
        # One channel a head: 64 heads of width one.
        attended = torch.einsum("ijc,jc->ic", dense.softmax(1), value) * block.head_scale
        y = x[rows] + block.attention_norm(attended)
        z = block.mlp_out(block.mlp_inner_norm(F.gelu(block.mlp_in(block.mlp_norm(y)))))
        wanted = z + block.residual_scale * y
        torch.testing.assert_close(block(x, logits)[rows], wanted, rtol=1e-11, atol=1e-11)
        start += n


def test_interaction_blocks_matter() -> None:
    model = lz.create_model("mipart:num_blocks=1,num_interaction_blocks=1").double().eval()
    redraw_weights(model)
    before = model(CLOUD)
    with torch.no_grad():
        model.backbone.interaction_blocks[0].value.weight.zero_()
    assert not torch.allclose(model(CLOUD), before)


def test_heads_are_pair_channels() -> None:
    with pytest.raises(CompositionError, match="not a multiple of 48"):
        lz.create_model("mipart", backbone={"pair_dims": [64, 48]})


def test_no_package_has_its_weights() -> None:
    with pytest.raises(CheckpointError, match="no interaction blocks"):
        lz.import_weights(lz.create_model("mipart"), {"cls_token": torch.zeros(1, 1, 64)}, "weaver-0.5")


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("name", ["part", "mipart"])
def test_pairs_alone_may_be_seen(name: str) -> None:
    """An embedding without scalars: particles are told apart by their pairs."""
    model = lz.compose(backbone=f"{name}:num_blocks=1", embedding="momenta")
    for training in (True, False):
        output = model.train(training)(random_cloud([4, 3, 1]))
        assert bool(torch.isfinite(output).all())
        assert float((output[0] - output[1]).detach().abs().max()) > 0
