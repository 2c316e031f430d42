"""Coupling flows whose knots come from a backbone: bijections, densities, symmetric, of any number of rows."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lorentzoo import Packed
from lorentzoo.core.errors import CompositionError
from lorentzoo.densities import CouplingFlow, Tails, coupled_numbers

BACKBONES = (
    "vit:num_blocks=1,width=8,num_heads=2,mlp_ratio=1",
    "transformer:num_blocks=1,num_heads=2,head_reps=4x0n+1x1n,mlp_ratio=1",
    "graphnet:num_layers=1",
)


def make(
    circular: list[bool], backbone: str = BACKBONES[0], seed: int = 0, size: float = 0.7, **options: object
) -> CouplingFlow:
    """A flow in float64 that is not the identity."""
    torch.manual_seed(seed)
    flow = CouplingFlow(circular, backbone, 2, 3, **options).double()  # type: ignore[arg-type]
    for module in flow.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=size / math.sqrt(module.in_features))
    return flow.eval()


def draw(flow: CouplingFlow, lengths: list[int], seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Packed]:
    rng = torch.Generator().manual_seed(seed)
    rows = sum(lengths)
    scalars = torch.randn(rows, 2, generator=rng, dtype=torch.float64)
    context = torch.randn(len(lengths), 3, generator=rng, dtype=torch.float64)
    return flow.base(rows, rng), scalars, context, Packed.from_lengths(lengths)


@settings(max_examples=10)
@given(
    st.lists(st.booleans(), min_size=1, max_size=5),
    st.lists(st.integers(0, 4), min_size=1, max_size=3),
    st.sampled_from(BACKBONES),
    st.sampled_from(["linear", "bounded"]),
    st.integers(0, 99),
)
def test_flows_are_bijections_with_the_determinant_of_their_jacobian(
    circular: list[bool], lengths: list[int], backbone: str, tails: Tails, seed: int
) -> None:
    flow = make(circular, backbone, seed, tails=tails, num_transforms=4)
    z, scalars, context, layout = draw(flow, lengths, seed)
    if not len(z):
        return
    with torch.no_grad():
        x = flow.transported(z, scalars, context, layout)
        real = torch.ones_like(x, dtype=torch.bool)
        back, total = x, torch.zeros_like(x)
        for layer in flow.layers:
            back, log_det = layer(back, scalars, context, layout, real)
            total = total + log_det
    apart = torch.where(flow.lines, back - z, torch.sin((back - z) / 2))
    assert apart.abs().max() < 1e-8

    def forward(flat: Tensor) -> Tensor:
        y = flat.view_as(x)
        for layer in flow.layers:
            y, _ = layer(y, scalars, context, layout, real)
        return y.flatten()

    jacobian = torch.autograd.functional.jacobian(forward, x.flatten())
    assert float(torch.linalg.slogdet(jacobian)[1]) == pytest.approx(float(total.sum()), abs=1e-6)


@pytest.mark.parametrize("tails", ["linear", "bounded"])
@pytest.mark.parametrize("angle", [False, True])
def test_densities_integrate_to_one(tails: Tails, angle: bool) -> None:
    flow = make([angle, False], seed=3, tails=tails, num_transforms=3, bound=3.0)
    count, reach = 400, 3.0 if tails == "bounded" else 8.0
    line = (torch.arange(count, dtype=torch.float64) + 0.5) / count * 2 - 1
    first, second = line * (math.pi if angle else reach), line * reach
    x = torch.cartesian_prod(first, second)
    cell = float((first[1] - first[0]) * (second[1] - second[0]))
    lengths = [1] * len(x)
    scalars, context = torch.ones(len(x), 2).double(), torch.ones(len(x), 3).double()
    with torch.no_grad():
        total = flow.log_prob(x, scalars, context, Packed.from_lengths(lengths)).exp().sum() * cell
    assert float(total) == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_order_of_rows_has_no_meaning(backbone: str) -> None:
    flow = make([False, True, False], backbone, num_transforms=4)
    assert flow.permutation_symmetric
    x, scalars, context, layout = draw(flow, [5, 3])
    order = torch.tensor([3, 0, 4, 1, 2, 7, 5, 6])
    with torch.no_grad():
        first = flow.log_prob(x, scalars, context, layout)
        other = flow.log_prob(x[order], scalars[order], context, layout)
        assert torch.allclose(first, other, rtol=1e-9)
        alone = flow.log_prob(x[5:], scalars[5:], context[1:], Packed.from_lengths([3]))
        assert torch.allclose(first[1:], alone, rtol=1e-9)
    assert not make([False]).permutation_symmetric


def test_what_is_not_there_has_no_part() -> None:
    flow = make([False] * 4)
    x, scalars, context, layout = draw(flow, [3, 2])
    real = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.6
    with torch.no_grad():
        first = flow.log_prob(x, scalars, context, layout, real)
        changed = torch.where(real, x, torch.full_like(x, math.nan))
        assert torch.equal(flow.log_prob(changed, scalars, context, layout, real), first)
        drawn = flow.transported(x, scalars, context, layout, real)
        assert bool((drawn[~real] == 0).all())
        far = torch.where(real, torch.full_like(x, 40.0), x)
        bounded = make([False] * 4, tails="bounded")
        assert bool((bounded.log_prob(far, scalars, context, layout, real) == -math.inf).all())


def test_a_new_flow_is_the_identity_but_for_turns_of_angles() -> None:
    flow = CouplingFlow([False, True], BACKBONES[1], 2, 3)
    z, scalars, context, layout = draw(flow, [2, 2])
    assert torch.allclose(flow.transported(z, scalars, context, layout)[:, 0], z[:, 0])


@pytest.mark.parametrize("dim", range(2, 26))
def test_every_number_meets_every_other(dim: int) -> None:
    layers = [set(coupled_numbers(n, dim)) for n in range(2 * (dim - 1).bit_length())]
    for i in range(dim):
        seen = {j for layer in layers if i in layer for j in range(dim) if j not in layer}
        assert seen == set(range(dim)) - {i}


def test_what_makes_no_flow_is_refused() -> None:
    with pytest.raises(CompositionError, match="must give numbers of each row and read no vectors"):
        CouplingFlow([False, False], "pcnn", 1, 1)
    with pytest.raises(CompositionError, match="LorentzNet reads four-vectors"):
        CouplingFlow([False, False], "lorentznet", 1, 1)
    with pytest.raises(ValueError, match="num_transforms must be positive, not 0"):
        CouplingFlow([False, False], BACKBONES[0], 1, 1, num_transforms=0)
    with pytest.raises(ValueError, match="a flow is of one number or more"):
        CouplingFlow([], BACKBONES[0])
    with pytest.raises(ValueError, match="tails is one of linear, bounded"):
        CouplingFlow([False], BACKBONES[0], tails="round")  # type: ignore[arg-type]
