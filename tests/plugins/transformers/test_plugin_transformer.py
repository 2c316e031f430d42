"""The transformer in fixed frames is an ordinary one; in local frames it attends with Minkowski products."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import lorentzoo as lz
from lorentzoo.core.frames import Frames
from lorentzoo.core.layout import Packed
from lorentzoo.core.minkowski import random_lorentz
from lorentzoo.testing import random_cloud


def made(**options: object) -> torch.nn.Module:
    model = lz.compose(backbone={"name": "transformer", "num_blocks": 2, "num_heads": 2, **options})
    return model.double().eval()


def test_in_the_laboratory_it_is_an_ordinary_encoder() -> None:
    model = made()
    cloud = random_cloud([5])
    backbone = model.backbone
    x = backbone.in_layer(model.embedding(cloud, model.frames_net(cloud)).scalars)
    n, width, heads = 5, x.shape[-1], 2
    for block in backbone.blocks:
        attention = block.attention
        y = F.layer_norm(x, (width,))
        qkv = attention.qkv(y)
        scalars, vectors = qkv.split([3 * heads * 8, 3 * heads * 8], dim=-1)
        scalars, vectors = scalars.view(n, 3, heads, 8), vectors.view(n, 3, heads, 8)
        q, k, v = torch.cat([scalars, vectors], dim=-1).unbind(1)
        weights = torch.einsum("ihd,jhd->hij", q, k).div(4.0).softmax(-1)
        out = torch.einsum("hij,jhd->ihd", weights, v)
        out = torch.cat([out[..., :8].flatten(1), out[..., 8:].flatten(1)], dim=-1)
        x = x + attention.out(out)
        x = x + block.mlp(F.layer_norm(x, (width,)))
    torch.testing.assert_close(
        backbone(
            model.embedding(cloud, model.frames_net(cloud)),
            Frames.identity(cloud.layout),
            cloud.layout,
            cloud.context,
        ).scalars,
        x,
    )


def test_messages_do_not_see_a_transformation_of_all_frames() -> None:
    model = made()
    layout = Packed.from_lengths([4, 3])
    features = lz.Features.of_scalars(torch.randn(7, 7, dtype=torch.float64))
    context = torch.zeros(2, 0, dtype=torch.float64)
    frames = Frames.of_particles(layout, random_lorentz(7))
    before = model.backbone(features, frames, layout, context).scalars
    after = model.backbone(features, frames.transform(random_lorentz(2)), layout, context).scalars
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)
    others = Frames.of_particles(layout, random_lorentz(7))
    assert not torch.allclose(model.backbone(features, others, layout, context).scalars, before)


def test_representations_of_heads() -> None:
    assert made(head_reps="8x0n+2x1n").backbone.width == 32
    assert made(head_reps="4x0n").backbone.width == 8
    assert not made(head_reps="4x0n").backbone.exchanges_vectors
    for reps in ("1x2n", "4x0p", "4y0n"):
        with pytest.raises(ValueError, match=r"head_reps may hold|is not a representation"):
            lz.compose(backbone={"name": "transformer", "head_reps": reps})


def test_the_published_size() -> None:
    assert lz.create_model("transformer").num_parameters == 1_978_753
