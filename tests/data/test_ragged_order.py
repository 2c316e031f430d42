"""Are the hardest particles those that a sort of all of them finds?"""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lorentzoo.data.ragged import hardest


@given(
    st.lists(st.lists(st.integers(0, 4), max_size=6), max_size=6),
    st.one_of(st.none(), st.integers(1, 4)),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_hardest_is_a_stable_sort_of_each_event(
    events: list[list[int]], maximum: int | None, in_order: bool
) -> None:
    if in_order:
        events = [sorted(event, reverse=True) for event in events]
    ptr = np.concatenate([[0], np.cumsum([len(event) for event in events])]).astype(np.int64)
    rows, kept = hardest(np.array([x for event in events for x in event], float), ptr, maximum)
    expected, lengths = [], []
    for start, event in zip(ptr, events, strict=False):
        order = sorted(range(len(event)), key=lambda place: (-event[place], place))[:maximum]
        expected += [int(start) + place for place in order]
        lengths.append(len(order))
    assert rows.tolist() == expected
    assert np.diff(kept).tolist() == lengths
