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
from lorentzoo.plugins.cgenn import layers, pairs, passes
from lorentzoo.plugins.cgenn import product as product_module
from lorentzoo.plugins.cgenn.chunks import form_operators
from lorentzoo.plugins.cgenn.layers import CliffordBlock
from lorentzoo.plugins.cgenn.network import CGENN
from lorentzoo.plugins.cgenn.product import (
    NUM_PATHS,
    from_planes,
    grade_linear,
    grade_squares,
    normalise,
    operator_weights,
    product_table,
    to_planes,
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


COMPONENTS = st.sampled_from([1, 5, 11, 15, 16])
"""Those up to each grade."""


def padded(x: Tensor) -> Tensor:
    return F.pad(x, (0, 16 - x.shape[-1]))


@given(st.integers(0, 999), st.integers(0, 200), COMPONENTS)
@settings(max_examples=10, deadline=None)
def test_products(seed: int, rows: int, components: int) -> None:
    torch.manual_seed(seed)
    left, right = torch.randn(2, 2, rows, 3, components, dtype=torch.float64)
    weight = torch.randn(2, 4, 3, 35, dtype=torch.float64)
    for x in (left, right, weight):
        x.requires_grad_()
    wanted = torch.stack(
        [product(padded(a), padded(b), w) for a, b, w in zip(left, right, weight, strict=True)]
    )
    found = weighted_product(
        *(torch.stack([to_planes(x) for x in side]) for side in (left, right)), weight=weight
    )
    found = torch.stack([padded(from_planes(one, (rows,))) for one in found])
    torch.testing.assert_close(found, wanted)
    slopes = [torch.autograd.grad(out.tanh().sum(), (left, right, weight)) for out in (found, wanted)]
    torch.testing.assert_close(*slopes)


@given(st.integers(0, 999), COMPONENTS)
@settings(max_examples=5, deadline=None)
def test_a_factor_as_matrices_for_its_partners(seed: int, components: int) -> None:
    torch.manual_seed(seed)
    own, partners = (torch.randn(n, 3, components, dtype=torch.float64) for n in (5, 7))
    left, right = torch.randn(2, 2, 3, 3, 35, dtype=torch.float64)
    table = product_table(components)
    gathered = table.gather(to_planes(own), 0)
    operators = form_operators(gathered, operator_weights(left, right, table), table, (1, 5), None)
    found = operators.transpose(1, 2) @ partners.permute(2, 1, 0).flatten(0, 1)
    own, partners = padded(own), padded(partners)
    expected = torch.einsum("idx,jcy,odct,txyk->koij", own, partners, left, PATHS)
    expected = expected + torch.einsum("jcx,idy,ocdt,txyk->koij", partners, own, right, PATHS)
    torch.testing.assert_close(found.view(table.results, 2, 5, 7), expected[: table.results])
    assert not expected[table.results :].any()


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
    weight, linear = torch.randn(1, 4, 3, 35, dtype=torch.float64), torch.randn(4, 3, 5, dtype=torch.float64)
    gain = torch.randn(3, dtype=torch.float64)

    def multiply(left: Tensor, right: Tensor) -> Tensor:
        return from_planes(weighted_product(to_planes(left)[None], to_planes(right)[None], weight)[0], (6,))

    def mix(x: Tensor) -> Tensor:
        return from_planes(grade_linear(to_planes(x), linear), (6,))

    def divide(x: Tensor) -> Tensor:
        return from_planes(normalise(to_planes(x), gain), (6,))

    torch.testing.assert_close(multiply(x @ turn, y @ turn), multiply(x, y) @ turn, atol=1e-8, rtol=1e-9)
    torch.testing.assert_close(mix(x @ turn), mix(x) @ turn, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(grade_squares(x @ turn), grade_squares(x), atol=1e-8, rtol=1e-9)
    torch.testing.assert_close(divide(x @ turn), divide(x) @ turn, atol=1e-7, rtol=1e-7)


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


@given(
    st.integers(0, 999),
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from([2**4, 2**12]),
    st.sampled_from([0, 2**18]),
    st.sampled_from([0, 2**14, 2**28]),
)
@settings(max_examples=8, deadline=None)
def test_adjoints_by_hand(
    seed: int, lengths: list[int], training: bool, block: int, kept: int, saved: int
) -> None:
    """First derivatives by hand and second ones are those of the same formula, recorded."""
    made = network(training)
    features, layout = events(lengths)
    torch.manual_seed(seed)
    redraw_weights(made)
    vectors = features.vectors.requires_grad_()

    def derivatives() -> list[Tensor]:
        inputs = [vectors, *made.parameters()]
        losses = []
        for _ in range(2):
            out = run(made, features, layout)
            losses.append(out.scalars.tanh().sum() + out.vectors.tanh().sum())
        first = torch.autograd.grad(losses[0], inputs, allow_unused=True)
        recorded = torch.autograd.grad(losses[1], inputs, allow_unused=True, create_graph=True)
        slope = sum(x.square().sum() for x in recorded if x is not None)
        second = torch.autograd.grad(slope, inputs, allow_unused=True)
        return [x.detach() for x in (*first, *recorded, *second) if x is not None]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "BLOCK_PAIRS", block)
        patch.setattr(passes, "KEPT_PAIRS", kept)
        patch.setattr(passes, "SAVED_BYTES", saved)
        found = derivatives()
        patch.setattr(pairs, "exchange", lambda *given: passes.Passes(*given).run())
        patch.setattr(layers, "exchange", pairs.exchange)
        patch.setattr(product_module, "weighted_product", product_module._traceable_product)
        patch.setattr(layers, "weighted_product", product_module._traceable_product)
        expected = derivatives()
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert not a.numel() or (a - b).abs().max() <= 1e-7 * max(float(b.abs().max()), 1e-2)


@pytest.mark.parametrize("frozen", ["edge_norm", "message.paths", "gate"])
def test_frozen_parameters_leave_the_others_their_gradients(frozen: str) -> None:
    made = network(training=True)
    features, layout = events([5, 3])
    wanted = dict(
        zip(
            [name for name, _ in made.named_parameters()],
            torch.autograd.grad(
                run(made, features, layout).scalars.sum(), list(made.parameters()), allow_unused=True
            ),
            strict=True,
        )
    )
    for name, parameter in made.named_parameters():
        parameter.requires_grad_(frozen not in name)
    run(made, features, layout).scalars.sum().backward()
    for name, parameter in made.named_parameters():
        if frozen in name:
            assert parameter.grad is None
        elif parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, wanted[name])


@pytest.mark.parametrize("inside", [False, True])
def test_gradients_under_autocast(inside: bool) -> None:
    made = network(training=True).float()
    features, layout = events([5, 3])
    features = lz.Features(features.scalars.float(), features.vectors.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = run(made, features, layout).scalars.float().square().sum()
        if inside:
            loss.backward()
    if not inside:
        loss.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in made.parameters())


def test_running_statistics_move_once_a_step() -> None:
    made = network(training=True)
    features, layout = events([5, 3])
    vectors = features.vectors.requires_grad_()
    out = run(made, features, layout)
    (slope,) = torch.autograd.grad(out.scalars.sum(), vectors, create_graph=True)
    before = [buffer.clone() for buffer in made.buffers()]
    slope.square().sum().backward()
    for buffer, value in zip(made.buffers(), before, strict=True):
        torch.testing.assert_close(buffer, value)
    assert all(int(norm.num_batches_tracked) == 1 for norm in made.modules() if hasattr(norm, "momentum"))


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


def test_one_compiled_graph() -> None:
    model = lz.create_model("cgenn-tiny").eval().double()
    redraw_weights(model)
    padded = random_cloud(seed=1).to_padded()

    def forward(momenta: Tensor, mask: Tensor) -> Tensor:
        output: Tensor = model(lz.ParticleCloud.from_padded(momenta, mask, validate=False))
        return output

    given = (padded.momenta, padded.layout.mask)
    with torch.no_grad():
        compiled = torch.compile(forward, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(*given), forward(*given))
