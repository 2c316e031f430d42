"""Do indices mean what they mean in numpy, and are columns taken as they are or refused?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorentzoo.data.columns import (
    EventIndexError,
    EventValueError,
    event_indices,
    id_column,
    target_column,
    to_tensor,
    weight_column,
)


@st.composite
def indices(draw: st.DrawFn) -> tuple[int, Any]:
    """A number of events, and something that numpy would take as an index of them."""
    count = draw(st.integers(1, 12))
    one = st.integers(-count, count - 1)
    kind = draw(st.sampled_from(["number", "numbers", "mask", "slice", "range"]))
    if kind == "number":
        return count, draw(st.sampled_from([int, np.int32, np.int64]))(draw(one))
    if kind == "slice":
        end = st.none() | st.integers(-2 * count, 2 * count)
        step = st.none() | st.integers(-3, 3).filter(bool)
        return count, slice(draw(end), draw(end), draw(step))
    if kind == "range":
        return count, range(draw(st.integers(0, count)))
    size = count if kind == "mask" else draw(st.integers(0, 2 * count))
    values = draw(st.lists(st.booleans() if kind == "mask" else one, min_size=size, max_size=size))
    return count, draw(st.sampled_from([list, np.array, torch.tensor]))(values)


@given(indices())
def test_indices_are_those_of_numpy(case: tuple[int, Any]) -> None:
    count, index = case
    as_numpy = index.numpy() if isinstance(index, torch.Tensor) else index
    if not isinstance(as_numpy, slice):
        as_numpy = np.asarray(as_numpy)
        as_numpy = as_numpy.astype(int) if as_numpy.dtype.kind == "f" else as_numpy  # an empty list
    expected = np.atleast_1d(np.arange(count)[as_numpy])
    found = event_indices(index, count)
    assert found.dtype == torch.int64
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (5, "there is no event 5: the data set has 5, numbered from 0"),
        ([0, -6], "there is no event -6"),
        ([True, False], "a mask of 2 truth values cannot choose among 5 events"),
        (torch.ones(6, dtype=torch.bool), "a mask of 6 truth values"),
        (1.0, "by whole numbers, a slice, or a mask .* not by float64"),
        (np.array([0.0, 1.0]), "not by float64 of shape"),
        (torch.tensor([0.5]), "not by float32"),
        ([[0, 1]], r"of shape \(1, 2\)"),
        (True, "not by bool"),
        ("all", "not by <U3"),
        (None, "not by object"),
    ],
)
def test_what_means_no_event_is_refused(index: Any, message: str) -> None:
    with pytest.raises(EventIndexError, match=message):
        event_indices(index, 5)


@pytest.mark.parametrize("dtype", [">f8", "<f4", ">i4", ">u2", "<u8", "?", "f2", "longdouble", ">i8"])
def test_arrays_of_any_number_type_byte_order_and_stride_are_taken(dtype: str) -> None:
    plain = np.array([[0, 1], [1, 0], [1, 1]])
    for array in (plain.astype(dtype), plain.astype(dtype)[::-1], np.asfortranarray(plain.astype(dtype)).T):
        np.testing.assert_array_equal(to_tensor(array, "values").numpy(), array.astype(float))


def test_what_holds_no_numbers_is_refused() -> None:
    with pytest.raises(EventValueError, match="target must be real numbers, not complex128"):
        target_column(np.ones(2, complex), 2)
    with pytest.raises(EventValueError, match="must be real numbers, not object"):
        target_column([1, None], 2)
    with pytest.raises(EventValueError, match="weight has masked values; leave these events out"):
        weight_column(np.ma.masked_array([1.0, 2.0], [False, True]), 2)
    with pytest.raises(EventValueError, match=r"beyond 2\^63 - 1"):
        id_column(np.array([2**63], np.uint64), 1)


def test_targets_keep_their_kind() -> None:
    assert target_column(np.array([1, 2], np.uint8), 2).dtype == torch.int64
    assert target_column(torch.tensor([[0.5], [1.5]], dtype=torch.float16), 2).dtype == torch.float32
    assert target_column(np.array([1e300, 2.0]), 2).tolist() == [1e300, 2.0]
    with pytest.raises(
        EventValueError, match=r"target of event 1 is \[nan, 1.0\], which is not finite \(1 of 2"
    ):
        target_column([[0.0, 1.0], [np.nan, 1.0]], 2)
    with pytest.raises(EventValueError, match=r"shape \(B,\) or \(B, D\), not \(2, 1, 1\)"):
        target_column(np.zeros((2, 1, 1)), 2)


def test_weights_and_identifiers() -> None:
    assert weight_column([-0.5, 0.0], 2).tolist() == [-0.5, 0.0]
    with pytest.raises(EventValueError, match="weight of event 0 is inf"):
        weight_column([np.inf, 1.0], 2)
    assert id_column([3.0, 2.0**53], 2).tolist() == [3, 2**53]
    with pytest.raises(EventValueError, match=r"event_id must be whole numbers, but event 1 has 0\.5"):
        id_column([3.0, 0.5], 2)
