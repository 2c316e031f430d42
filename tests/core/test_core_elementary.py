"""Functions that are written out in exports: the numbers of torch's own."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from lorentzoo.core.elementary import (
    determinant3,
    stable_argsort,
    written_asinh,
    written_atan2,
    written_elu,
    written_erf,
    written_erfc,
    written_expm1,
    written_gather,
    written_gelu,
    written_leaky_relu,
    written_log1p,
    written_sign,
    written_softplus,
)
from lorentzoo.core.layout import Layout, Padded

NUMBERS = st.floats(-1e150, 1e150)


@given(NUMBERS, NUMBERS)
def test_atan2(y: float, x: float) -> None:
    y_, x_ = torch.tensor([y, x], dtype=torch.float64).unbind()
    wanted = torch.atan2(y_ + 0.0, x_ + 0.0)
    assert abs(float(written_atan2(y_, x_) - wanted)) <= 1e-15 * 4


def test_atan2_of_small_angles_keeps_its_digits() -> None:
    y = torch.logspace(-300, 0, 301, dtype=torch.float64)
    change = written_atan2(y, torch.ones_like(y)) / torch.atan2(y, torch.ones_like(y)) - 1
    assert float(change.abs().max()) < 1e-15


@given(NUMBERS)
def test_asinh(x: float) -> None:
    given_ = torch.tensor(x, dtype=torch.float64)
    wanted = torch.asinh(given_)
    assert abs(float(written_asinh(given_) - wanted)) <= 1e-15 * (1 + abs(float(wanted)))


class Verbs(torch.nn.Module):
    """What layouts do with sorts and triangles, as rows of numbers."""

    def forward(self, points: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        layout: Layout = Padded(mask)
        index, found = layout.neighbours(points, 5)
        triangle = layout.triangle()
        order = stable_argsort((points[..., 0] > 0).long(), dim=1, descending=True)
        return index, found, triangle.first, triangle.second, order, layout.take(points, 7)


def test_layouts_give_the_same_in_an_export_whatever_the_number_of_particles() -> None:
    free = torch.export.Dim.DYNAMIC
    rng = torch.Generator().manual_seed(0)

    def draw(b: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        # Few distinct points, so that distances are equal in many places.
        return torch.randint(0, 3, (b, n, 2), generator=rng).double(), torch.rand(b, n, generator=rng) < 0.7

    shapes = ({0: free, 1: free}, {0: free, 1: free})
    program = torch.export.export(Verbs(), draw(3, 6), dynamic_shapes=shapes, strict=False).module()
    for b, n in ((3, 6), (2, 3), (4, 11), (1, 1)):
        inputs = draw(b, n)
        for wanted, found in zip(Verbs()(*inputs), program(*inputs), strict=True):
            assert torch.equal(wanted, found)


def test_triangles_have_the_rows_and_columns_of_torch() -> None:
    for n in (0, 1, 2, 37, 300):
        triangle = Padded(torch.ones(1, n, dtype=torch.bool)).triangle()
        rows, columns = torch.tril_indices(n, n).unbind()
        assert torch.equal(triangle.first, rows)
        assert torch.equal(triangle.second, columns)


class Determinants(torch.nn.Module):
    def forward(self, matrices: torch.Tensor) -> torch.Tensor:
        return determinant3(matrices)


def test_determinants_in_an_export() -> None:
    matrices = torch.randn(20, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(Determinants(), (matrices,), strict=False).module()
    assert torch.equal(Determinants()(matrices), torch.linalg.det(matrices))
    assert float((program(matrices) - torch.linalg.det(matrices)).abs().max()) < 1e-14


def test_written_functions_of_activations() -> None:
    x = torch.linspace(-30, 30, 2001, dtype=torch.float64)
    pairs = [
        (written_erf(x), torch.erf(x)),
        (written_gelu(x), F.gelu(x)),
        (written_gelu(x, "tanh"), F.gelu(x, approximate="tanh")),
        (written_softplus(x), F.softplus(x)),
        (written_softplus(x, 2.0, 5.0), F.softplus(x, 2.0, 5.0)),
        (written_elu(x, 0.7), F.elu(x, 0.7)),
        (written_leaky_relu(x, 0.2), F.leaky_relu(x, 0.2)),
        (written_sign(x), torch.sign(x)),
    ]
    for found, wanted in pairs:
        assert (found - wanted).abs().max() < 1e-13


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logarithms_and_exponentials_near_one_keep_their_digits(dtype: torch.dtype) -> None:
    tiny = torch.logspace(-30, 1.5, 400, dtype=dtype)
    x = torch.cat([-tiny, torch.zeros(1, dtype=dtype), tiny])
    rounding = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(written_expm1(x), torch.expm1(x), rtol=rounding, atol=0.0)
    inside = x[x > -1]
    torch.testing.assert_close(written_log1p(inside), torch.log1p(inside), rtol=rounding, atol=0.0)
    ends = torch.tensor([float("-inf"), float("inf")], dtype=dtype)
    assert written_expm1(ends).tolist() == [-1.0, float("inf")]
    assert written_log1p(ends[1:]).tolist() == [float("inf")]
    assert written_log1p(torch.tensor([-1.0], dtype=dtype)).tolist() == [float("-inf")]


def test_the_tail_of_the_error_function_is_exact_relatively() -> None:
    x = torch.linspace(-6, 26, 501, dtype=torch.float64)
    wanted = torch.tensor([math.erfc(float(value)) for value in x], dtype=torch.float64)
    assert ((written_erfc(x) - wanted) / wanted).abs().max() < 1e-12
    assert written_erfc(torch.tensor([40.0, 1e9], dtype=torch.float64)).tolist() == [0, 0]


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_gather_as_a_selection_of_rows(dim: int) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 5, generator=rng)
    index = torch.randint(0, x.shape[dim], (2, 3, 4), generator=rng)
    assert torch.equal(written_gather(x, dim, index), x.gather(dim, index))
