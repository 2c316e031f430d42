"""The fast geometric product: values, derivatives of any kind, dtypes, tracing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorentzoo.nn.clifford import SPACETIME
from lorentzoo.plugins.lgatr import pauli
from lorentzoo.plugins.lgatr.paired import Paired
from lorentzoo.plugins.lgatr.product import geometric_product, product_of_halves, traceable_product

# torch itself compiles a few decompositions on the first forward-mode derivative of a process
forward_mode = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


def stream(*leading: int, channels: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Paired:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(*leading, channels, 16, generator=rng, dtype=torch.float64)
    return Paired.from_components(x).to(dtype)


def as_function(*parts: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return tuple(product_of_halves(Paired(*parts)))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=3), st.integers(1, 5), st.integers(0, 99))
def test_product_is_that_of_the_algebra(leading: list[int], channels: int, seed: int) -> None:
    left, right = (stream(*leading, channels=channels, seed=seed + k) for k in (0, 1))
    fast = geometric_product(left, right).to_components().numpy()
    expected = SPACETIME.product(left.to_components().numpy(), right.to_components().numpy())
    assert fast.shape == (*leading, channels, 16)
    np.testing.assert_allclose(fast, expected, atol=1e-12)


def test_passes_of_any_size_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    factors = stream(37, channels=6)
    expected = product_of_halves(factors)
    monkeypatch.setattr(pauli, "COLUMNS", 16)
    for part, other in zip(product_of_halves(factors), expected, strict=True):
        torch.testing.assert_close(part, other, atol=1e-13, rtol=0)


def test_traceable_product_agrees() -> None:
    factors = stream(2, 5, channels=6)
    for part, other in zip(traceable_product(factors), product_of_halves(factors), strict=True):
        torch.testing.assert_close(part, other, atol=1e-12, rtol=0)


@forward_mode
def test_first_second_and_forward_derivatives() -> None:
    inputs = [part.requires_grad_() for part in stream(2, channels=2)]
    assert torch.autograd.gradcheck(as_function, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(as_function, inputs)


@forward_mode
def test_function_transforms() -> None:
    factors = stream(3, channels=2)

    def scalar(scalars: torch.Tensor) -> torch.Tensor:
        return product_of_halves(factors._replace(scalars=scalars)).vectors.square().sum()

    hessian = torch.func.hessian(scalar)(factors.scalars)
    reverse = torch.func.jacrev(torch.func.jacrev(scalar))(factors.scalars)
    torch.testing.assert_close(hessian, reverse)
    batched = torch.func.vmap(as_function, in_dims=(0, 1, 1), out_dims=(0, 1, 1))(*factors)
    for part, other in zip(batched, product_of_halves(factors), strict=True):
        torch.testing.assert_close(part, other)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_dtypes(dtype: torch.dtype) -> None:
    exact = product_of_halves(stream(7, channels=4))
    parts = [part.detach().requires_grad_() for part in stream(7, channels=4, dtype=dtype)]
    result = as_function(*parts)
    tolerance = 30 * torch.finfo(dtype).eps
    for part, other in zip(result, exact, strict=True):
        assert part.dtype == dtype
        torch.testing.assert_close(part.double(), other, atol=10 * tolerance, rtol=tolerance)
    gradients = torch.autograd.grad(sum(part.sum() for part in result), parts)
    assert all(gradient.dtype == dtype and gradient.isfinite().all() for gradient in gradients)


def test_saves_its_inputs_only() -> None:
    saved: list[torch.Tensor] = []
    inputs = [part.requires_grad_() for part in stream(5, channels=4)]
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        as_function(*inputs)
    assert sum(part.numel() for part in saved) == sum(part.numel() for part in inputs)
