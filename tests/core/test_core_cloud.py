"""Clouds: made from anything, checked once, and back."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

import lorentzoo as lz
from lorentzoo.core.cloud import PARTICLE, SPURION
from lorentzoo.core.errors import LorentzooError, UnitsWarning
from lorentzoo.core.minkowski import random_lorentz
from lorentzoo.testing import random_cloud

P = torch.tensor([[5.0, 1, 2, 3], [4.0, 0, 0, 1], [9.0, 2, 2, 2]], dtype=torch.float64)


def close(a: lz.ParticleCloud, b: lz.ParticleCloud) -> None:
    a, b = a.to_packed(), b.to_packed()
    assert torch.equal(a.momenta, b.momenta)
    assert torch.equal(a.scalars.double(), b.scalars.double())
    assert torch.equal(a.context.double(), b.context.double())
    assert torch.equal(a.vectors, b.vectors)
    assert a.layout.counts().tolist() == b.layout.counts().tolist()
    assert (a.units, a.scalar_names) == (b.units, b.scalar_names)


# ---- there and back ---------------------------------------------------------------------------


@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.integers(0, 100))
def test_every_way_in_gives_the_same_cloud(lengths: list[int], seed: int) -> None:
    cloud = random_cloud(lengths, in_scalars=2, in_context=1, seed=seed)
    close(cloud.to_padded(), cloud)
    close(cloud.to_padded(max(lengths) + 3).to_packed(), cloud)
    assert cloud.to_packed() is cloud

    padded = cloud.to_padded()
    again = lz.ParticleCloud.from_padded(padded.momenta, padded.layout.mask, padded.scalars, cloud.context)
    close(again, cloud)
    pieces = cloud.momenta.split(lengths), cloud.scalars.split(lengths)
    close(lz.ParticleCloud.from_list(*pieces, cloud.context), cloud)
    arrays = [[piece.numpy() for piece in side] for side in pieces]
    close(lz.ParticleCloud.from_list(*arrays, cloud.context.numpy()), cloud)


def test_vectors_go_along() -> None:
    cloud = random_cloud([3, 0, 2], in_vectors=2)
    assert cloud.vectors.shape == (5, 2, 4)
    close(cloud.to_padded(), cloud)


def test_padding_may_stand_anywhere_and_hold_anything() -> None:
    momenta = torch.full((2, 4, 4), torch.nan)
    mask = torch.tensor([[False, True, False, True], [False] * 4])
    momenta[mask] = P[:2].float()
    scalars = torch.full((2, 4, 1), torch.inf)
    scalars[mask] = 3.0
    cloud = lz.ParticleCloud.from_padded(momenta, mask, scalars)
    assert torch.isfinite(cloud.momenta).all()
    assert torch.isfinite(cloud.scalars).all()
    packed = cloud.to_packed()
    assert torch.equal(packed.momenta, P[:2])
    assert packed.layout.counts().tolist() == [2, 0]


@pytest.mark.parametrize("energy", ["E", "energy", "t"])
def test_awkward_there_and_back(energy: str) -> None:
    ak = pytest.importorskip("awkward")
    columns = dict(zip((energy, "px", "py", "pz"), P.numpy().T, strict=True))
    array = ak.unflatten(ak.zip({**columns, "charge": np.array([1, -1, 0])}), [2, 0, 1])
    cloud = lz.ParticleCloud.from_awkward(array, ["charge"], units="MeV")
    assert torch.equal(cloud.momenta, P)
    assert cloud.scalar_names == ("charge",)
    assert cloud.scalars.squeeze(1).tolist() == [1, -1, 0]
    assert cloud.units == "MeV"
    back = cloud.to_awkward()
    assert ak.num(back["px"]).tolist() == [2, 0, 1]
    close(lz.ParticleCloud.from_awkward(back, ["charge"], units="MeV"), cloud)
    close(lz.ParticleCloud.from_awkward(cloud.to_padded().to_awkward(), ["charge"], units="MeV"), cloud)


def test_awkward_without_a_field_says_which() -> None:
    ak = pytest.importorskip("awkward")
    array = ak.unflatten(ak.zip({"px": [1.0], "py": [1.0], "pz": [1.0]}), [1])
    with pytest.raises(ValueError, match=r"has no field \['E'\]; its fields are \['px', 'py', 'pz'\]"):
        lz.ParticleCloud.from_awkward(array)


def test_pyg_there_and_back() -> None:
    pytest.importorskip("torch_geometric")
    cloud = random_cloud([3, 0, 2], in_scalars=2, in_context=1)
    data = cloud.to_pyg()
    assert data.batch.tolist() == [0, 0, 0, 2, 2]
    close(lz.ParticleCloud.from_pyg(data), cloud)


def test_one_event_of_pyg() -> None:
    pyg = pytest.importorskip("torch_geometric.data")
    cloud = lz.ParticleCloud.from_pyg(pyg.Data(momenta=P))
    assert cloud.num_events == 1
    with pytest.raises(ValueError, match="has no `momenta`"):
        lz.ParticleCloud.from_pyg(pyg.Data(x=P))


def test_single_precision_is_accepted_and_kept_in_double() -> None:
    cloud = lz.ParticleCloud.from_packed(P.float(), [0, 1, 3])
    assert cloud.momenta.dtype == torch.float64
    assert lz.ParticleCloud.from_packed(P.to(torch.int64), [0, 3]).momenta.dtype == torch.float64


def test_copies_and_pickles() -> None:
    cloud = random_cloud([2, 3], in_scalars=1)
    close(copy.deepcopy(cloud), cloud)
    close(pickle.loads(pickle.dumps(cloud)), cloud)
    assert cloud.to("cpu").momenta is cloud.momenta


# ---- units, transformations, tokens -----------------------------------------------------------


def test_units() -> None:
    cloud = random_cloud([2, 1], in_vectors=1)
    mev = cloud.to_units("MeV")
    torch.testing.assert_close(mev.momenta, 1000 * cloud.momenta)
    torch.testing.assert_close(mev.vectors, 1000 * cloud.vectors)
    torch.testing.assert_close(mev.to_units("TeV").to_units("GeV").momenta, cloud.momenta)
    assert cloud.to_units("GeV") is cloud


@given(st.integers(0, 1000))
def test_transformations_of_each_event(seed: int) -> None:
    cloud = random_cloud([2, 0, 3], in_vectors=1, seed=seed)
    matrices = random_lorentz(3, rng=torch.Generator().manual_seed(seed))
    for variant in (cloud, cloud.to_padded()):
        moved = variant.transform(matrices).to_packed()
        wanted = torch.cat([cloud.momenta[:2] @ matrices[0].T, cloud.momenta[2:] @ matrices[2].T])
        torch.testing.assert_close(moved.momenta, wanted)
        wanted = torch.cat([cloud.vectors[:2] @ matrices[0].T, cloud.vectors[2:] @ matrices[2].T])
        torch.testing.assert_close(moved.vectors, wanted)
        one = variant.transform(matrices[0]).to_packed()
        torch.testing.assert_close(one.momenta, cloud.momenta @ matrices[0].T)


def test_tokens_are_no_particles() -> None:
    cloud = random_cloud([2, 0, 1], in_scalars=1, in_vectors=1)
    for variant in (cloud, cloud.to_padded()):
        tokens = torch.ones(3, 2, 4, dtype=torch.float64)
        seen = variant.with_tokens(tokens).with_tokens(tokens[:, :1], role=SPURION)
        assert seen.tokens == 3
        assert seen.multiplicity().tolist() == [2, 0, 1]
        torch.testing.assert_close(seen.total(), variant.total())
        assert seen.particles_layout is variant.layout
        roles = seen.roles if variant is cloud else seen.roles[seen.layout.mask]
        assert roles is not None
        assert (roles == SPURION).sum() == 9
        assert (roles == PARTICLE).sum() == 3
        with pytest.raises(ValueError, match="a cloud with tokens cannot change its layout"):
            seen.to_padded(9)


# ---- what bad input gets ----------------------------------------------------------------------


def spoilt(row: int, values: list[float]) -> torch.Tensor:
    momenta = P.clone()
    momenta[row] = torch.tensor(values)
    return momenta


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [float("nan"), 1, 1, 1],
            "NaN or infinite momentum in event 1, particle 1: .* GeV \\(1 of 3 particles\\)",
        ),
        ([5, float("inf"), 1, 1], "NaN or infinite momentum in event 1, particle 1"),
        ([0, 0, 0, 0], "energy that is not positive in event 1, particle 1.*padding goes into the mask"),
        ([-5, 1, 1, 1], "energy that is not positive in event 1, particle 1.*ordered \\(E, px, py, pz\\)"),
        ([1, 1, 1, 5], "space-like momentum \\(E < \\|p\\|\\) in event 1, particle 1"),
    ],
)
def test_momenta_that_are_none(values: list[float], message: str) -> None:
    momenta = spoilt(2, values)
    with pytest.raises(ValueError, match=message):
        lz.ParticleCloud.from_packed(momenta, [0, 1, 3])
    with pytest.raises(ValueError, match=message.split(":")[0].split(".*")[0]):
        lz.ParticleCloud.from_list([momenta[:1], momenta[1:]])
    padded = torch.ones(2, 2, 4, dtype=torch.float64)
    padded[0, 0], padded[1] = momenta[0], momenta[1:]
    mask = torch.tensor([[True, False], [True, True]])
    with pytest.raises(ValueError, match=message.split(" \\(1 of")[0].split(".*")[0]):
        lz.ParticleCloud.from_padded(padded, mask)
    # Whoever knows better may switch the check off.
    assert lz.ParticleCloud.from_packed(momenta, [0, 1, 3], validate=False).num_events == 2


def test_rounded_massless_momenta_are_no_error() -> None:
    three = np.random.default_rng(0).normal(0, 100, (2000, 3)).astype(np.float32)
    energy = np.linalg.norm(three, axis=1).astype(np.float32)
    lz.ParticleCloud.from_packed(np.concatenate([energy[:, None], three], axis=1), np.arange(0, 2001, 10))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.from_packed(P[:, :3], [0, 3]), r"momenta must have shape \(P, 4\).*not \(3, 3\)"),
        (lambda c: c.from_packed(P[None], [0, 3]), r"momenta must have shape \(P, 4\)"),
        (lambda c: c.from_packed(P, [0, 2]), "ptr ends at 2, but there are 3 particles"),
        (lambda c: c.from_packed(P, [0, 3, 2, 3]), "unsorted at event 1"),
        (lambda c: c.from_packed(P, [1, 3]), "must begin at 0"),
        (
            lambda c: c.from_packed(P, [0, 3], torch.ones(2, 1)),
            r"scalars must have shape \(3, 'columns'\), not \(2, 1\)",
        ),
        (lambda c: c.from_packed(P, [0, 3], torch.ones(3)), "scalars must have shape"),
        (
            lambda c: c.from_packed(P, [0, 3], None, torch.ones(2, 1)),
            r"context must have shape \(1, 'columns'\)",
        ),
        (
            lambda c: c.from_packed(P, [0, 3], vectors=torch.ones(3, 4)),
            r"vectors must have shape \(3, 'V', 4\)",
        ),
        (lambda c: c.from_packed(P, [0, 3], vectors=torch.ones(3, 1, 3)), "vectors must have shape"),
        (
            lambda c: c.from_packed(P, [0, 3], torch.ones(3, 2), scalar_names=("charge",)),
            r"scalars has 2 columns but 1 names \['charge'\]",
        ),
        (lambda c: c.from_packed(P, [0, 3], scalar_names=("charge",)), "has names .* but no values"),
        (lambda c: c.from_packed(P, [0, 3], units="keV"), "units must be one of .*'GeV'.* not 'keV'"),
        (lambda c: c.from_packed(P.to(torch.complex64), [0, 3]), "must be real numbers"),
        (
            lambda c: c.from_packed(P, [0, 3], torch.tensor([[1.0], [torch.nan], [0]])),
            r"in scalars at index \[1, 0\]",
        ),
        (
            lambda c: c.from_packed(P, [0, 3], None, torch.tensor([[torch.inf]])),
            r"in context at index \[0, 0\]",
        ),
        (lambda c: c.from_padded(P, torch.ones(3)), r"momenta must have shape \(B, N, 4\)"),
        (lambda c: c.from_padded(P[None], torch.ones(1, 2)), r"mask must have shape \(1, 3\)"),
        (lambda c: c.from_list([P, P.T[:, :3]]), r"event 1 must have shape \(n, 4\)"),
        (
            lambda c: c.from_list([P[:1], P[1:]], [torch.ones(2, 1), torch.ones(1, 1)]),
            "scalars are for events of",
        ),
    ],
)
def test_wrong_shapes_and_types(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(lz.ParticleCloud)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.from_packed(P, [0, 1.5, 3]), "ptr must hold whole numbers of rows, but holds 1.5"),
        (
            lambda c: c.from_packed(P, [False, True, True]),
            "ptr must hold whole numbers of rows, not torch.bool",
        ),
        (
            lambda c: c.from_padded(P[None], [[0.5, 1, 1]]),
            r"mask must be true or false \(1 or 0\), but holds 0.5",
        ),
        (
            lambda c: c.from_packed(np.ma.masked_array(P.numpy(), P.numpy() > 8), [0, 3]),
            "momenta is a masked array that hides 1 values; give from_padded the mask",
        ),
        (
            lambda c: c.from_packed(P, [0, 3], np.ma.masked_array(np.ones((3, 1)), [[0], [1], [1]])),
            "scalars is a masked array that hides 2 values",
        ),
        (
            lambda c: c.from_packed([[1.0, 0, 0, 0], [1.0, 0]], [0, 2]),
            "inhomogeneous|ragged or mixed",
        ),
        (
            lambda c: c.from_packed(P * 1e10, [0, 1, 3]),
            r"momentum above 1e\+10 GeV in event 0, particle 0.*check the units",
        ),
        (lambda c: c.from_packed(P * 1e13, [0, 1, 3], units="MeV"), "momentum above .* in event 0"),
    ],
)
def test_what_arrays_say_of_themselves_is_not_passed_over(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(lz.ParticleCloud)


def test_arrays_of_any_byte_order_and_stride() -> None:
    big, backwards = P.numpy().astype(">f8"), np.ascontiguousarray(P.numpy()[::-1])[::-1]
    ptr = np.array([3, 1, 0], dtype=">i4")[::-1]
    for momenta in (big, backwards, np.ma.masked_array(P.numpy(), False), np.asfortranarray(P.numpy())):
        assert torch.equal(lz.ParticleCloud.from_packed(momenta, ptr).momenta, P)
    mask = np.ma.masked_array([[1, 0, 1]], False)
    assert lz.ParticleCloud.from_padded(P[None], mask).multiplicity().tolist() == [2]


@pytest.mark.parametrize("order", [[0, 0, 1], [0, 2, 2], [1, 1, 1]], ids=str)
def test_events_that_a_batch_vector_separates(order: list[int]) -> None:
    pyg = pytest.importorskip("torch_geometric.data")
    counts = torch.bincount(torch.tensor(order)).tolist()
    for data in (
        pyg.Data(momenta=P, batch=torch.tensor(order)),
        pyg.Batch(momenta=P, batch=torch.tensor(order)),
    ):
        assert lz.ParticleCloud.from_pyg(data).multiplicity().tolist() == counts
        # Empty events at the end are known from the context alone.
        data.context = torch.zeros(len(counts) + 1, 2)
        assert lz.ParticleCloud.from_pyg(data).multiplicity().tolist() == [*counts, 0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch": torch.tensor([1, 0, 1])}, r"`batch` is not sorted.*argsort"),
        ({"batch": torch.tensor([0, 1])}, "`batch` must name the event of each of 3 particles"),
        ({"batch": torch.tensor([0.0, 0.5, 1.0])}, "whole, from 0"),
        ({"batch": torch.tensor([-1, 0, 0])}, "whole, from 0"),
        ({"batch": torch.tensor([0, 0, 1]), "ptr": torch.tensor([0, 1, 3])}, "give other events"),
        ({"batch": torch.tensor([0, 0, 1]), "ptr": torch.tensor([0, 3])}, "give other events"),
    ],
)
def test_batch_vectors_that_separate_nothing(fields: dict[str, torch.Tensor], message: str) -> None:
    pyg = pytest.importorskip("torch_geometric.data")
    with pytest.raises(ValueError, match=message):
        lz.ParticleCloud.from_pyg(pyg.Data(momenta=P, **fields))


def test_awkward_counters_that_do_not_fit_and_missing_values() -> None:
    ak = pytest.importorskip("awkward")
    columns = {name: ak.unflatten(P.numpy()[:, i], [2, 1]) for i, name in enumerate(("E", "px", "py", "pz"))}
    array = ak.zip({**columns, "charge": ak.unflatten(np.ones(3), [1, 2])}, depth_limit=1)
    with pytest.raises(ValueError, match="event 0 has 2 particles by field 'E', but 1 by 'charge'"):
        lz.ParticleCloud.from_awkward(array, ["charge"])
    assert lz.ParticleCloud.from_awkward(array).multiplicity().tolist() == [2, 1]
    for broken in ([[5.0, None], [9.0]], [None, [9.0]]):
        array = ak.zip({**columns, "E": ak.Array(broken)}, depth_limit=1)
        with pytest.raises(ValueError, match=r"field 'E' of the awkward array has missing values \(None\)"):
            lz.ParticleCloud.from_awkward(array)


def test_momenta_in_other_units_than_said() -> None:
    jets = random_cloud([20, 30, 10])
    scale = 500 / float(jets.momenta[:, 1:3].norm(dim=1).mean() * 20)
    jets = lz.ParticleCloud.from_packed(jets.momenta * scale, jets.layout.ptr)
    packed = jets.momenta * 1000, jets.layout.ptr
    message = "read as GeV, the transverse momenta of the median event .* looks like MeV; pass units='MeV'"
    with pytest.warns(UnitsWarning, match=message):
        lz.ParticleCloud.from_packed(*packed)
    padded = jets.to_padded()
    with pytest.warns(UnitsWarning, match=message):
        lz.ParticleCloud.from_padded(padded.momenta * 1000, padded.layout.mask)
    with pytest.warns(UnitsWarning, match="read as TeV.*looks like GeV"):
        lz.ParticleCloud.from_packed(jets.momenta, packed[1], units="TeV")
    for right in (
        lambda c: c.from_packed(*packed, units="MeV"),
        lambda c: c.from_packed(*packed, validate=False),
    ):
        right(lz.ParticleCloud)


@pytest.mark.parametrize("padded", [False, True])
def test_a_cloud_made_in_inference_mode_serves_training(padded: bool) -> None:
    with torch.inference_mode():
        made = P.clone()
        columns = {"scalars": made[:, :1].float(), "vectors": made[:, None]}
        if padded:
            columns = {name: values[None] for name, values in columns.items()}
            cloud = lz.ParticleCloud.from_padded(made[None], torch.ones(1, 3), **columns)
        else:
            cloud = lz.ParticleCloud.from_packed(made, torch.tensor([0, 2, 3]), **columns)
    weight = torch.ones(4, requires_grad=True, dtype=torch.float64)
    (cloud.total() * weight).sum().backward()
    (cloud.scalars * weight[:1] + cloud.vectors[..., 0, :] * weight).sum().backward()
    assert weight.grad is not None


def test_an_event_that_is_all_padding_is_an_empty_event() -> None:
    mask = torch.tensor([[False, False], [True, False]])
    cloud = lz.ParticleCloud.from_padded(torch.zeros(2, 2, 4) + P[0], mask)
    assert cloud.multiplicity().tolist() == [0, 1]
    assert cloud.total()[0].tolist() == [0, 0, 0, 0]
    assert cloud.to_packed().momenta.shape == (1, 4)


def test_padding_to_fewer_places_than_particles() -> None:
    with pytest.raises(ValueError, match=r"length 2 is shorter than the longest event \(3 particles\)"):
        random_cloud([3, 1]).to_padded(2)


def test_no_events_at_all() -> None:
    cloud = lz.ParticleCloud.from_list([])
    assert cloud.num_events == 0
    assert cloud.to_padded().num_events == 0


def test_batches_move_and_count() -> None:
    batch = lz.Batch(random_cloud([1, 2]), torch.zeros(2), torch.ones(2), torch.arange(2))
    assert len(batch) == 2
    assert len(batch.to("cpu")) == 2
    part = batch.part(1, 2)
    assert part.cloud.momenta.equal(batch.cloud.momenta[1:])
    assert part.event_id.tolist() == [1]


def test_batches_wait_in_page_locked_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tensor of them; only a machine with an accelerator has such memory."""
    locked = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: locked.append(tensor) or tensor)
    batch = lz.Batch(random_cloud([1, 2]), torch.zeros(2), torch.ones(2), torch.arange(2))
    assert len(batch.pin_memory()) == 2
    held = [batch.target, batch.weight, batch.event_id, batch.cloud.momenta, batch.cloud.scalars]
    assert {id(tensor) for tensor in held} <= {id(tensor) for tensor in locked}


def test_events_are_selected_by_mask_and_by_number() -> None:
    cloud = random_cloud([2, 0, 3, 1], in_scalars=2, in_context=1, in_vectors=1)
    for chosen in (torch.tensor([True, False, True, False]), torch.tensor([0, 2])):
        part = cloud.select(chosen)
        assert part.multiplicity().tolist() == [2, 3]
        assert torch.equal(part.momenta, cloud.momenta[[0, 1, 2, 3, 4]])
        assert torch.equal(part.scalars, cloud.scalars[:5])
        assert torch.equal(part.vectors, cloud.vectors[:5])
        assert torch.equal(part.context, cloud.context[[0, 2]])
    with pytest.raises(ValueError, match="call to_packed"):
        cloud.to_padded().select(torch.tensor([0]))


def test_memory_that_must_not_be_written_to_is_copied() -> None:
    """As of a file that is mapped into memory; torch would warn, and write to it nevertheless."""
    momenta = np.array([[5.0, 3.0, 0.0, 0.0], [2.0, 0.0, 1.0, 0.0]])
    momenta.setflags(write=False)
    cloud = lz.ParticleCloud.from_packed(momenta, [0, 2])
    cloud.momenta[0] = 0.0
    assert momenta[0, 0] == 5.0


@pytest.mark.parametrize(
    "make",
    [
        lambda p: lz.ParticleCloud.from_packed(p, [0, 0.5, 2]),
        lambda p: lz.ParticleCloud.from_packed(p, [0, 3]),
        lambda p: lz.ParticleCloud.from_packed(p[:, :3], [0, 2]),
        lambda p: lz.ParticleCloud.from_packed(-p, [0, 2]),
        lambda p: lz.ParticleCloud.from_packed(p * np.nan, [0, 2]),
        lambda p: lz.ParticleCloud.from_packed(p * 1e12, [0, 2]),
        lambda p: lz.ParticleCloud.from_packed(p * 1e-62, [0, 2]),
        lambda p: lz.ParticleCloud.from_packed(np.ma.masked_array(p, p > 4), [0, 2]),
        lambda p: lz.ParticleCloud.from_packed(p, [0, 2], units="eV"),
        lambda p: lz.ParticleCloud.from_packed(p, [0, 2], np.ones((3, 1))),
        lambda p: lz.ParticleCloud.from_packed(p, [0, 2], np.ones((2, 2)), scalar_names=["a", "a"]),
        lambda p: lz.ParticleCloud.from_list("momenta"),
        lambda p: lz.ParticleCloud.from_list([p[0]]),
        lambda p: lz.ParticleCloud.from_padded(p[None], np.full((1, 2), 0.5)),
        lambda p: lz.ParticleCloud.from_awkward(p),
        lambda p: lz.ParticleCloud.from_pyg(p),
    ],
)
def test_what_is_not_events_is_an_error_of_ours(make: Callable[[np.ndarray], lz.ParticleCloud]) -> None:
    with pytest.raises(LorentzooError):
        make(np.array([[5.0, 3.0, 0.0, 0.0], [2.0, 0.0, 1.0, 0.0]]))
