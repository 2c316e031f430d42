"""Are splines what the two published packages make of the same knots, and accurate there and back?"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lorentzoo.densities import Ends, Knots, num_parameters

ENDS: tuple[Ends, ...] = ("linear", "bounded", "circular")


def drawn(
    ends: Ends, bins: int = 8, count: int = 200, size: float = 2.0, seed: int = 0, bound: float = 5.0
) -> tuple[Knots, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    raw = size * torch.randn(count, num_parameters(bins, ends), generator=rng, dtype=torch.float64)
    x = bound * (2 * torch.rand(count, generator=rng, dtype=torch.float64) - 1)
    return Knots.from_parameters(raw, bound, ends), x


@given(
    ends=st.sampled_from(ENDS),
    bins=st.integers(1, 20),
    size=st.floats(0, 30),
    seed=st.integers(0, 1000),
    bound=st.floats(0.1, 20),
)
@settings(max_examples=40, deadline=None)
def test_inverse_and_derivative(ends: Ends, bins: int, size: float, seed: int, bound: float) -> None:
    knots, x = drawn(ends, bins, 50, size, seed, bound)
    x = (1.2 * x).requires_grad_()  # some of them outside
    y, log_slope = knots.forward(x)
    slope = torch.autograd.grad(y.sum(), x)[0]
    torch.testing.assert_close(log_slope, slope.log(), rtol=1e-8, atol=1e-8)
    x, y, log_slope = x.detach(), y.detach(), log_slope.detach()
    back, log_back = knots.inverse(y)
    # A change of y in its last digit is a change of x of this size.
    scale = bound * (1 + 1 / slope)
    assert float(((back - x).abs() / scale).max()) < 1e-14
    values, _ = knots.forward(back)
    assert float((values - y).abs().max()) < 1e-12 * bound
    assert float((log_back + log_slope).abs().max()) < 1e-5


def test_zeros_are_the_identity() -> None:
    x = torch.linspace(-7, 7, 101, dtype=torch.float64)
    for ends in ENDS:
        knots = Knots.from_parameters(torch.zeros(num_parameters(5, ends), dtype=torch.float64), 5.0, ends)
        y, log_slope = knots.forward(x)
        torch.testing.assert_close(y, x, rtol=0, atol=1e-14)
        assert float(log_slope.abs().max()) < 1e-13


def test_ends() -> None:
    """Slope one at linear ends, the same slope at both ends of a circle, free slopes otherwise."""
    linear, bounded, circular = (drawn(ends)[0].slopes for ends in ENDS)
    assert bool((linear[:, [0, -1]] == 1).all())
    assert torch.equal(circular[:, 0], circular[:, -1])
    assert bool((bounded[:, 0] != bounded[:, -1]).all())
    with pytest.raises(ValueError, match="there are linear, bounded, circular"):
        num_parameters(3, "round")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bins must be between 1 and 999, not 0"):
        num_parameters(0, "linear")
    with pytest.raises(ValueError, match="22 parameters are not those of a spline with linear ends"):
        Knots.from_parameters(torch.zeros(22), 5.0, "linear")


def test_not_a_number_stays_none() -> None:
    knots, x = drawn("linear", count=3)
    x[1] = math.nan
    assert torch.isnan(knots.forward(x)[0]).tolist() == [False, True, False]
    assert torch.isnan(knots.inverse(x)[0]).tolist() == [False, True, False]


class TestPublished:
    """The same knots in zuko and nflows: raw numbers mean other splines there, so that knots are transplanted."""

    @pytest.fixture
    def both(self) -> tuple[Knots, Tensor]:
        return drawn("linear", size=1.5)

    def test_zuko(self, both: tuple[Knots, Tensor]) -> None:
        from zuko.transforms import MonotonicRQSTransform

        knots, x = both
        bins = knots.x.shape[-1] - 1
        theirs = MonotonicRQSTransform(torch.zeros(bins), torch.zeros(bins), torch.zeros(bins - 1))
        theirs.horizontal, theirs.vertical, theirs.derivatives = knots.x, knots.y, knots.slopes
        self._compare(knots, x, theirs.call_and_ladj(x), theirs.inv(knots.forward(x)[0]))

    def test_nflows(self, both: tuple[Knots, Tensor]) -> None:
        from nflows.transforms.splines.rational_quadratic import rational_quadratic_spline

        knots, x = both

        def spline(value: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
            # log of the parts is what a softmax takes back to them; log(e^d - 1) what softplus takes back to d.
            widths, heights = (t.diff(dim=-1).log() for t in (knots.x, knots.y))
            return rational_quadratic_spline(
                value,
                widths,
                heights,
                knots.slopes.expm1().log(),
                inverse,
                *(-5.0, 5.0, -5.0, 5.0),
                min_bin_width=0.0,
                min_bin_height=0.0,
                min_derivative=0.0,
            )

        self._compare(knots, x, spline(x, False), spline(knots.forward(x)[0], True)[0])

    @staticmethod
    def _compare(knots: Knots, x: Tensor, forward: tuple[Tensor, Tensor], inverse: Tensor) -> None:
        y, log_slope = knots.forward(x)
        torch.testing.assert_close(forward[0], y, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(forward[1], log_slope, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(inverse, knots.inverse(y)[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("size", [1.0, 10.0, 1000.0])
def test_the_inverse_in_float32_at_large_parameters(ends: Ends, size: float) -> None:
    """Of the same knots, within what a change of y, or of a knot, in its last digit makes of x."""
    rng = torch.Generator().manual_seed(0)
    raw = size * torch.randn(20_000, num_parameters(8, ends), generator=rng)
    y = 10 * torch.rand(20_000, generator=rng) - 5
    single = Knots.from_parameters(raw, 5.0, ends)
    exact = Knots(*(t.double() for t in (single.x, single.y, single.slopes)))
    found, log_slope = single.inverse(y)
    wanted, log_wanted = exact.inverse(y.double())
    assert bool(torch.isfinite(found).all())
    assert bool(torch.isfinite(log_slope).all())
    tolerance = 4 * 5 * torch.finfo(torch.float32).eps * (1 + log_wanted.exp())
    assert bool(((found - wanted).abs() <= tolerance).all())
    raw.requires_grad_()
    Knots.from_parameters(raw, 5.0, ends).inverse(y)[0].sum().backward()
    assert raw.grad is not None
    assert bool(torch.isfinite(raw.grad).all())
