"""Where is the cache, and which numbers does a range mean?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorentzoo.core.cache import cache_folder
from lorentzoo.core.errors import ParameterError
from lorentzoo.core.ranges import read_range


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORENTZOO_CACHE", "~/own")
    assert cache_folder() == Path("~/own").expanduser()
    monkeypatch.delenv("LORENTZOO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/lorentzoo")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/lorentzoo")


@given(first=st.integers(0, 50), more=st.integers(0, 20))
def test_ranges_are_read_as_they_are_written(first: int, more: int) -> None:
    last = first + more
    assert list(read_range(f"{first}-{last}", "n")) == list(range(first, last + 1))
    assert list(read_range(f" {first} - {last} ", "n")) == list(range(first, last + 1))
    assert read_range(first, "n") == read_range(str(first), "n") == range(first, first + 1)


@pytest.mark.parametrize("given", ["", "a", "1-", "-1", "1-2-3", "1.5", True, -1])
def test_what_is_no_range_is_refused(given: Any) -> None:
    with pytest.raises(ParameterError, match="extra_jets is a whole number or a range such as '0-4', not"):
        read_range(given, "extra_jets")
    with pytest.raises(ParameterError, match="extra_jets='4-2' ends before it begins"):
        read_range("4-2", "extra_jets")
