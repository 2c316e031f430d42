"""CGENN against its equations, written on a list of edges with the algebra's table."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError
from lorentzoo.core.minkowski import random_lorentz
from lorentzoo.nn.clifford import SPACETIME
from lorentzoo.plugins.cgenn.layers import CliffordBlock
from lorentzoo.plugins.cgenn.network import CGENN
from lorentzoo.plugins.cgenn.product import (
    NUM_PATHS,
    grade_linear,
    grade_squares,
    norms,
    pair_operators,
    weighted_product,
)
from lorentzoo.testing import random_cloud
from lorentzoo.verification import redraw_weights

TABLE, GRADES = torch.as_tensor(SPACETIME.table), SPACETIME.grades
INNER = torch.as_tensor(SPACETIME.inner_signs)


def path_table() -> Tensor:
    """Structure constants of each path, (35, 16, 16, 16), paths in lexicographic order of grades."""
    paths = []
    for left in range(5):
        for right in range(5):
            for result in range(5):
                keep = torch.as_tensor(
                    (left == GRADES)[:, None, None]
                    & (right == GRADES)[None, :, None]
                    & (result == GRADES)[None, None, :]
                )
                part = torch.where(keep, TABLE, 0.0)
                if part.any():
                    paths.append(part)
    return torch.stack(paths)


PATHS = path_table()


def product(left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    return torch.einsum("...ci,...cj,oct,tijk->...ok", left, right, weight, PATHS)


def test_there_are_35_paths() -> None:
    assert len(PATHS) == NUM_PATHS == 35


@given(st.integers(0, 999), st.lists(st.integers(0, 3), min_size=0, max_size=2))
@settings(max_examples=10, deadline=None)
def test_products(seed: int, lead: list[int]) -> None:
    torch.manual_seed(seed)
    left, right = torch.randn(2, *lead, 3, 16, dtype=torch.float64)
    weight = torch.randn(2, 3, 35, dtype=torch.float64)
    torch.testing.assert_close(weighted_product(left, right, weight), product(left, right, weight))
    x = torch.randn(2, 4, 3, 16, dtype=torch.float64)
    first, second = torch.randn(2, 2, 5, 3, 35, dtype=torch.float64)
    y = torch.randn(2, 4, 5, 16, dtype=torch.float64)
    operators = pair_operators(x, first, second)
    found = (y.flatten(2).unsqueeze(1) @ operators).transpose(1, 2).unflatten(-1, (2, 16))
    expected = torch.einsum("bjci,bpdk,odct,tikm->bpjom", x, y, first, PATHS)
    expected = expected + torch.einsum("bpdi,bjck,odct,tikm->bpjom", y, x, second, PATHS)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["boost and rotation", "parity", "time reversal"])
def test_layers_turn_with_the_vectors(name: str) -> None:
    torch.manual_seed(0)
    matrix = {
        "boost and rotation": random_lorentz(max_rapidity=1.5).numpy(),
        "parity": np.diag([1.0, -1, -1, -1]),
        "time reversal": np.diag([-1.0, 1, 1, 1]),
    }[name]
    turn = torch.as_tensor(SPACETIME.outermorphism(matrix)).T
    x, y = torch.randn(2, 6, 3, 16, dtype=torch.float64)
    weight, linear = torch.randn(4, 3, 35, dtype=torch.float64), torch.randn(4, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(
        weighted_product(x @ turn, y @ turn, weight),
        weighted_product(x, y, weight) @ turn,
        atol=1e-8,
        rtol=1e-9,
    )
    torch.testing.assert_close(
        grade_linear(x @ turn, linear), grade_linear(x, linear) @ turn, atol=1e-9, rtol=1e-9
    )
    torch.testing.assert_close(grade_squares(x @ turn), grade_squares(x), atol=1e-8, rtol=1e-9)
    torch.testing.assert_close(norms(x @ turn), norms(x), atol=1e-7, rtol=1e-7)


def network(training: bool = False, **changes) -> CGENN:
    torch.manual_seed(0)
    given = {"num_blocks": 2, "hidden_channels": 3, "hidden_scalars": 7, "in_scalars": 2, "in_vectors": 2}
    made = CGENN(**{**given, "out_scalars": 4, "out_vectors": 2, **changes}).double()
    redraw_weights(made)
    return made.train(training)


def events(lengths: list[int]) -> tuple[lz.Features, lz.Packed]:
    cloud = random_cloud(lengths, in_scalars=2)
    torch.manual_seed(1)
    second = torch.randn_like(cloud.momenta)
    return lz.Features(
        cloud.scalars.double(), torch.stack([cloud.momenta / 20, second], dim=-2)
    ), cloud.layout


def run(made: CGENN, features: lz.Features, layout: lz.Layout) -> lz.Features:
    return made(
        features, lz.Frames.identity(layout), layout, features.scalars.new_zeros(layout.num_events, 0)
    )


def reference(made: CGENN, features: lz.Features, layout: lz.Packed) -> tuple[Tensor, Tensor]:
    def norm(layer, x: Tensor) -> Tensor:
        statistics = (None, None) if layer.training else (layer.running_mean, layer.running_var)
        return F.batch_norm(x, *statistics, layer.weight, layer.bias, layer.training)

    def squares(x: Tensor) -> Tensor:
        signed = x.square() * INNER
        grades = [signed[..., torch.as_tensor(grade == GRADES)].sum(-1) for grade in range(1, 5)]
        return torch.stack([x[..., 0], *grades], dim=-1).flatten(-2)

    def layer(module, x: Tensor) -> Tensor:
        right = torch.einsum("...ci,oci->...oi", x, module.right[..., GRADES])
        out = torch.einsum("...ci,oci->...oi", x, module.left[..., GRADES]) + product(x, right, module.paths)
        out = (out + F.pad(module.bias[:, None], (0, 15))) / math.sqrt(2)
        size = ((out.square() * INNER).sum(-1) ** 2 + 1e-16) ** 0.25
        return module.gain[:, None] * out / (size.mean(-1)[..., None, None] + 1e-6)

    def gates(gate, scalars: Tensor) -> Tensor:
        return gate(scalars).sigmoid().unflatten(-1, (-1, 5))[..., GRADES]

    j, i = layout.edges()
    s = F.pad(features.scalars, (0, 1))
    p = F.pad(features.vectors, (1, 11))
    h = made.embed_scalars(s)
    x = torch.einsum("ov,pvi->poi", made.embed_vectors, p) + F.pad(made.embed_bias[:, None], (0, 15))
    partners = (
        torch.zeros(len(s), dtype=h.dtype).index_add(0, i, torch.ones(len(i), dtype=h.dtype)).clamp(min=1)
    )
    for block in made.blocks:
        assert isinstance(block, CliffordBlock)
        both = torch.cat([x, p], dim=1)
        m = layer(block.message, torch.cat([both[i], both[j], both[i] - both[j]], dim=1))
        mu = block.edge_first(torch.cat([squares(m), h[i], h[j], h[i] - h[j]], dim=-1))
        mu = block.edge_second(norm(block.edge_norm, mu).relu()).relu()
        m = m * gates(block.message_gate, mu)
        mean_m = torch.zeros_like(x).index_add(0, i, m) / partners[:, None, None]
        mean_mu = torch.zeros_like(h).index_add(0, i, mu) / partners[:, None]
        updated = layer(block.update, torch.cat([x, mean_m, p], dim=1))
        node = block.node_first(torch.cat([h, mean_mu, squares(x), s], dim=-1))
        h = block.node_second(norm(block.node_norm, node).relu())
        x = updated * gates(block.update_gate, h)
    assert made.mix is not None
    scalars = made.last(torch.cat([h, squares(x)], dim=-1))
    return scalars, torch.einsum("oc,pcd->pod", made.mix.weight, x[..., 1:5])


@pytest.mark.parametrize("training", [False, True])
def test_the_equations(training: bool) -> None:
    made = network(training)
    features, layout = events([5, 1, 0, 8, 3])
    expected = reference(made, features, layout)
    wanted = torch.autograd.grad(sum(t.tanh().sum() for t in expected), list(made.parameters()))
    found = run(made, features, layout)
    torch.testing.assert_close(found.scalars, expected[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.vectors, expected[1], rtol=1e-9, atol=1e-9)
    loss = found.scalars.tanh().sum() + found.vectors.tanh().sum()
    gradients = torch.autograd.grad(loss, list(made.parameters()))
    for (name, _), a, b in zip(made.named_parameters(), gradients, wanted, strict=True):
        assert (a - b).abs().max() <= 1e-7 * max(float(b.abs().max()), 1e-2), name


def test_vectors_turn_with_the_event_and_scalars_stay() -> None:
    made = network()
    features, layout = events([6, 2, 4])
    matrices = layout.spread(random_lorentz(3, max_rapidity=1.0)).transpose(-1, -2)
    before = run(made, features, layout)
    after = run(made, lz.Features(features.scalars, features.vectors @ matrices), layout)
    torch.testing.assert_close(after.scalars, before.scalars, rtol=1e-9, atol=1e-8)
    torch.testing.assert_close(after.vectors, before.vectors @ matrices, rtol=1e-9, atol=1e-7)


def test_what_is_refused() -> None:
    with pytest.raises(CompositionError, match="hidden_scalars must be at least 1, not 4, 8 and 0"):
        lz.compose(backbone="cgenn:hidden_scalars=0", embedding="momenta")
    with pytest.raises(CompositionError, match="reads four-vectors: add 'momenta'"):
        lz.compose(backbone="cgenn", embedding="kinematics")
    with pytest.raises(ValueError, match="pool_rows gives scalars of whole events"):
        network(pool_rows=True)
