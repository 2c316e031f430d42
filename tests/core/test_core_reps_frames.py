"""Representations against einsum, and frames as a group."""

from __future__ import annotations

import pickle
import string

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from lorentzoo.core.features import Features
from lorentzoo.core.frames import Frames
from lorentzoo.core.layout import Packed, Padded
from lorentzoo.core.minkowski import inverse, random_lorentz
from lorentzoo.core.reps import Rep, Reps

terms = st.builds(Rep, st.integers(1, 3), st.integers(0, 3), st.sampled_from("np"))
sums = st.lists(terms, min_size=1, max_size=4).map(lambda items: Reps(tuple(items)))
seeds = st.integers(0, 10_000)
PARITY = torch.diag(torch.tensor([1.0, -1, -1, -1], dtype=torch.float64))


def matrices(*shape: int, seed: int = 0, improper: bool = False) -> torch.Tensor:
    found = random_lorentz(*shape, rng=torch.Generator().manual_seed(seed))
    return found @ PARITY if improper else found


def by_einsum(reps: Reps, x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    pieces, offset = [], 0
    for term in reps:
        block = x[offset : offset + term.dim].reshape(term.multiplicity, *(4,) * term.order)
        offset += term.dim
        old, new = string.ascii_lowercase[: term.order], string.ascii_uppercase[: term.order]
        factors = ",".join(a + b for a, b in zip(new, old, strict=True))
        if term.order:
            block = torch.einsum(f"z{old},{factors}->z{new}", block, *[matrix] * term.order)
        sign = torch.linalg.det(matrix).sign() if term.parity == "p" else 1.0
        pieces.append((sign * block).reshape(-1))
    return torch.cat(pieces)


@given(sums, seeds, st.booleans())
def test_transformations_agree_with_einsum(reps: Reps, seed: int, improper: bool) -> None:
    matrix = matrices(3, seed=seed, improper=improper)
    x = torch.randn(3, reps.dim, dtype=torch.float64)
    found = reps.transform(x, matrix)
    for row in range(3):
        torch.testing.assert_close(found[row], by_einsum(reps, x[row], matrix[row]), rtol=1e-9, atol=1e-9)


@given(sums, seeds, st.booleans(), st.booleans())
def test_representations_are_homomorphisms(reps: Reps, seed: int, flip_a: bool, flip_b: bool) -> None:
    a, b = matrices(seed=seed, improper=flip_a), matrices(seed=seed + 1, improper=flip_b)
    x = torch.randn(5, reps.dim, dtype=torch.float64)
    torch.testing.assert_close(
        reps.transform(reps.transform(x, b), a), reps.transform(x, a @ b), rtol=1e-8, atol=1e-7
    )
    torch.testing.assert_close(reps.transform(reps.transform(x, a), inverse(a)), x, rtol=1e-8, atol=1e-7)
    # The metric makes an invariant product of any two of the same representation.
    y = torch.randn(5, reps.dim, dtype=torch.float64)
    product = (x * reps.lower(y)).sum(-1)
    moved = (reps.transform(x, a) * reps.lower(reps.transform(y, a))).sum(-1)
    torch.testing.assert_close(moved, product, rtol=1e-7, atol=1e-6)


@given(sums)
def test_text_parses_back(reps: Reps) -> None:
    assert Reps.parse(str(reps)) == reps
    assert eval(repr(reps)) == reps
    assert hash(Reps.parse(str(reps))) == hash(reps)
    assert pickle.loads(pickle.dumps(reps)) == reps
    assert reps.dim == sum(term.multiplicity * 4**term.order for term in reps)
    assert (reps + reps).dim == 2 * reps.dim
    assert Reps.parse(reps) is reps
    assert reps.is_invariant == all(term.order == 0 and term.parity == "n" for term in reps)


@pytest.mark.parametrize("text", ["", "8", "8x", "x1n", "2x1q", "2x1n++1x0n", "-1x0n", "two x 1n"])
def test_what_is_no_representation(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a representation; write e\.g\. '8x0n\+2x1n'"):
        Reps.parse(text)


def test_features_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="have 12 numbers, not 3"):
        Reps.parse("4x0n+2x1n").transform(torch.ones(2, 3), torch.eye(4))


# ---- frames -----------------------------------------------------------------------------------

LAYOUTS = [Packed.from_lengths([2, 0, 3]), Padded(torch.tensor([[True, True, False], [True, True, True]]))]


def some_frames(layout: Packed | Padded, seed: int = 0) -> dict[str, Frames]:
    return {
        "identity": Frames.identity(layout),
        "global": Frames.of_events(layout, matrices(layout.num_events, seed=seed)),
        "local": Frames.of_particles(layout, matrices(*layout.lead, seed=seed)),
    }


@pytest.mark.parametrize("layout", LAYOUTS, ids=["packed", "padded"])
@pytest.mark.parametrize("kind", ["identity", "global", "local"])
def test_inverse_and_transformations_of_vectors(layout: Packed | Padded, kind: str) -> None:
    frames = some_frames(layout)[kind]
    eye = torch.eye(4, dtype=torch.float64).expand(*layout.lead, 4, 4)
    torch.testing.assert_close(frames.compose(frames.inverse()).per_particle(), eye)
    torch.testing.assert_close(frames.inverse().compose(frames).per_particle(), eye)
    vectors = torch.randn(*layout.lead, 3, 4, dtype=torch.float64)
    local = frames.take_vectors(vectors)
    wanted = torch.einsum("...ij,...vj->...vi", frames.per_particle(), vectors)
    torch.testing.assert_close(local, wanted)
    torch.testing.assert_close(frames.return_vectors(local), vectors)


@pytest.mark.parametrize("layout", LAYOUTS, ids=["packed", "padded"])
@pytest.mark.parametrize("first", ["identity", "global", "local"])
@pytest.mark.parametrize("second", ["identity", "global", "local"])
def test_composition(layout: Packed | Padded, first: str, second: str) -> None:
    a, b = some_frames(layout)[first], some_frames(layout, 7)[second]
    joined = a.compose(b)
    torch.testing.assert_close(joined.per_particle(), a.per_particle() @ b.per_particle())
    assert joined.is_identity == (first == second == "identity")
    assert joined.is_global == ("local" not in (first, second))


@pytest.mark.parametrize("layout", LAYOUTS, ids=["packed", "padded"])
def test_features_with_heads_share_the_frame_of_their_particle(layout: Packed | Padded) -> None:
    frames, reps = some_frames(layout)["local"], Reps.parse("2x0n+1x1n+1x2p")
    x = torch.randn(*layout.lead, 5, reps.dim, dtype=torch.float64)
    local = frames.to_local(x, reps)
    for head in range(5):
        wanted = reps.transform(x[..., head, :], frames.per_particle())
        torch.testing.assert_close(local[..., head, :], wanted)
    torch.testing.assert_close(frames.to_global(local, reps), x)


@pytest.mark.parametrize("layout", LAYOUTS, ids=["packed", "padded"])
def test_relative_frames(layout: Packed | Padded) -> None:
    frames = some_frames(layout)
    i, j = torch.tensor([[0, 1], [2, 3]]), torch.tensor([[1, 1], [4, 0]])
    flat = frames["local"].per_particle().reshape(-1, 4, 4)
    relative = frames["local"].relative(i, j)
    assert relative is not None
    torch.testing.assert_close(relative, flat[i] @ torch.linalg.inv(flat[j]))
    assert frames["identity"].relative(i, j) is None
    assert frames["global"].relative(i, j) is None
    # A transformation of the whole event leaves relative frames alone.
    moved = frames["local"].transform(matrices(seed=3)).relative(i, j)
    assert moved is not None
    torch.testing.assert_close(moved, relative, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS, ids=["packed", "padded"])
@pytest.mark.parametrize("kind", ["identity", "global", "local"])
@pytest.mark.parametrize("per_event", [False, True])
def test_frames_of_a_transformed_event_see_the_same(
    layout: Packed | Padded, kind: str, per_event: bool
) -> None:
    frames = some_frames(layout)[kind]
    transformation = matrices(layout.num_events, seed=5) if per_event else matrices(seed=5)
    spread = layout.spread(transformation) if per_event else transformation
    vectors = torch.randn(*layout.lead, 1, 4, dtype=torch.float64)
    moved = vectors @ spread.transpose(-1, -2)
    seen = frames.transform(transformation).take_vectors(moved)
    torch.testing.assert_close(seen, frames.take_vectors(vectors), rtol=1e-9, atol=1e-9)


def test_identity_and_global_frames_never_become_matrices_of_particles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layout = Packed.from_lengths([2, 3])
    identity, everywhere = Frames.identity(layout), Frames.of_events(layout, matrices(2))

    def refuse(self: Frames, **_: object) -> None:
        raise AssertionError("frames were materialised for each particle")

    monkeypatch.setattr(Frames, "per_particle", refuse)
    x, reps = torch.randn(5, 8, dtype=torch.float64), Reps.parse("4x0n+1x1n")
    vectors = torch.randn(5, 2, 4, dtype=torch.float64)
    assert identity.take_vectors(vectors) is vectors
    assert identity.to_local(x, reps) is x
    assert identity.inverse() is identity
    assert identity.compose(everywhere) is everywhere
    assert identity.to(torch.float32).matrices is None
    assert everywhere.to_local(x[:, :4], Reps.parse("4x0n")) is not None
    for frames in (everywhere.inverse(), everywhere.compose(everywhere), everywhere.transform(matrices())):
        assert frames.matrices is not None
        assert frames.matrices.shape == (2, 4, 4)
    assert everywhere.relative(torch.tensor([0]), torch.tensor([1])) is None


def test_frames_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"frames must have shape \(5, 4, 4\), not \(4, 4, 4\)"):
        Frames.of_particles(Packed.from_lengths([2, 3]), torch.ones(4, 4, 4))


def test_detached_frames_carry_no_gradient() -> None:
    made = matrices(2).requires_grad_()
    assert not Frames.of_events(Packed.from_lengths([2, 3]), made).detach().matrices.requires_grad


# ---- features ---------------------------------------------------------------------------------


def test_features_by_name() -> None:
    a = Features(torch.ones(3, 2), torch.ones(3, 1, 4), ("x", "y"), ("p",))
    b = Features.of_scalars(torch.zeros(3, 1), ("z",))
    both = a.join(b)
    assert (both.in_scalars, both.in_vectors) == (3, 1)
    assert both.scalar("z").tolist() == [0, 0, 0]
    assert both.to(torch.float64).vectors.dtype == torch.float64
    with pytest.raises(KeyError, match=r"no scalar channel 'w'; the embedding gives \['x', 'y', 'z'\]"):
        both.scalar("w")
