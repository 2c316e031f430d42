"""Multivectors of sixteen components and the layout that the layers use."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorentzoo.core.minkowski import random_lorentz
from lorentzoo.nn.clifford import SPACETIME
from lorentzoo.plugins.lgatr import components
from lorentzoo.plugins.lgatr.paired import Paired, paired_table

LORENTZ = {
    "boost and rotation": random_lorentz(max_rapidity=2.0).numpy(),
    "parity": np.diag([1.0, -1, -1, -1]),
}


@given(st.integers(0, 2**31))
def test_paired_layout_keeps_components_and_scalars(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 5, 3, 16, generator=rng, dtype=torch.float64)
    scalars = torch.randn(2, 5, 4, generator=rng, dtype=torch.float64)
    paired = Paired.from_components(x, scalars)
    assert paired.scalars.shape == (2, 5, 10)
    assert paired.vectors.shape == (4, 2, 5, 6)
    assert paired.bivectors.shape == (3, 2, 5, 6)
    assert torch.equal(paired.to_components(), x)
    assert torch.equal(paired.auxiliary, scalars)
    assert torch.equal(paired.to_vectors(), x[..., 1:5])


def test_vectors_embed_as_grade_one() -> None:
    vectors = torch.randn(6, 2, 4, dtype=torch.float64)
    paired = Paired.from_vectors(vectors)
    assert torch.equal(paired.to_components(), components.embed_vector(vectors))
    assert torch.equal(paired.to_vectors(), vectors)


def test_paired_table_is_that_of_the_algebra() -> None:
    partner, sign = paired_table()
    assert set(np.abs(sign).flatten()) == {1.0}
    for k in range(16):
        assert sorted(partner[:, k]) == list(range(16))


@pytest.mark.parametrize("kind", ["scalar", "vector", "bivector", "axial_vector", "pseudoscalar"])
def test_embedding_and_extraction_are_inverse(kind: str) -> None:
    width = {"scalar": 1, "vector": 4, "bivector": 6, "axial_vector": 4, "pseudoscalar": 1}[kind]
    x = torch.randn(3, width, dtype=torch.float64)
    multivector = getattr(components, f"embed_{kind}")(x)
    assert multivector.shape == (3, 16)
    assert torch.equal(getattr(components, f"extract_{kind}")(multivector), x)
    with pytest.raises(ValueError, match=rf"must be {width}, not {width + 1}"):
        getattr(components, f"embed_{kind}")(torch.zeros(2, width + 1))


@pytest.mark.parametrize(("name", "sign"), [("boost and rotation", 1.0), ("parity", -1.0)])
def test_axial_vectors_turn_like_vectors_up_to_the_determinant(name: str, sign: float) -> None:
    matrix = torch.as_tensor(LORENTZ[name])
    axial = torch.randn(5, 4, dtype=torch.float64)
    transform = torch.as_tensor(SPACETIME.outermorphism(matrix.numpy()))
    turned = components.embed_axial_vector(axial) @ transform.T
    torch.testing.assert_close(
        turned, sign * components.embed_axial_vector(axial @ matrix.T), atol=1e-11, rtol=0
    )


def test_versor_as_a_multivector() -> None:
    matrix = torch.as_tensor(LORENTZ["boost and rotation"])
    versor = components.embed_lorentz(matrix)
    np.testing.assert_allclose(SPACETIME.lorentz(versor.numpy()), matrix.numpy(), atol=1e-11)
