"""Clouds of anything: refused by name, or finite through a network."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from fuzzing import sizes, survey
from hypothesis.extra.numpy import array_shapes, arrays

import lorentzoo as lz
from lorentzoo.testing import random_cloud

NUMBERS = st.one_of(
    st.floats(width=64),
    st.floats(-1e3, 1e3),
    st.sampled_from([0.0, -0.0, 1e-320, 1e-160, 1e10, 1e11, 1e154, 1e300, np.nan, np.inf, -np.inf]),
)
DTYPES = st.sampled_from(["f8", "f4", ">f4", "f2", "i4", "u1", "?", "c16", "U3", "O", "M8[s]"])


@st.composite
def lists_of_numbers(draw: st.DrawFn) -> Any:
    """Arrays of any type and shape, nested lists, tensors, and what is none of these."""
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return draw(st.recursive(NUMBERS | st.text(max_size=2) | st.none(), st.lists, max_leaves=12))
    shape = draw(array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    if kind == 1:
        return np.zeros(shape, draw(DTYPES))
    values = np.asarray(draw(arrays(np.float64, shape, elements=NUMBERS)))
    if kind == 2:
        return torch.from_numpy(values).to(draw(st.sampled_from([torch.float32, torch.float64, torch.int64])))
    if kind == 3:
        return np.ma.masked_array(values, draw(st.booleans()))
    if kind == 4:
        return np.asarray(values).T[::-1] if np.ndim(values) else values
    return values


@st.composite
def momenta(draw: st.DrawFn) -> np.ndarray:
    """Physical momenta of 1 to 6 particles, some of them changed to anything."""
    count = draw(st.integers(0, 6))
    p = draw(arrays(np.float64, (count, 3), elements=st.floats(-1e4, 1e4)))
    scale = 10.0 ** draw(st.integers(-6, 8))
    mass = draw(st.sampled_from([0.0, 1e-8, 0.14, 100.0]))
    rows = np.concatenate([np.sqrt((p**2).sum(1) + mass**2)[:, None], p], 1) * scale
    if count and draw(st.booleans()):
        rows[draw(st.integers(0, count - 1)), draw(st.integers(0, 3))] = draw(NUMBERS)
    return rows


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, list[Any], dict[str, Any]]:
    """Arguments of a constructor, most of them nearly right."""
    events = draw(st.lists(momenta(), max_size=3))
    how = draw(st.sampled_from(["from_list", "from_packed", "from_padded"]))
    if how == "from_list":
        given: list[Any] = [events]
    elif how == "from_packed":
        rows = np.concatenate(events) if events else np.zeros((0, 4))
        given = [rows, np.cumsum([0, *map(len, events)])]
    else:
        places = max(map(len, events), default=0)
        rows = np.zeros((len(events), places, 4))
        mask = np.arange(places) < np.array([len(event) for event in events])[:, None]
        for row, event in zip(rows, events, strict=True):
            row[: len(event)] = event
        given = [rows, mask.reshape(len(events), places)]
    options: dict[str, Any] = {}
    for place in range(len(given)):
        if draw(st.integers(0, 9)) == 0:
            given[place] = draw(lists_of_numbers())
    for name in ("scalars", "context"):
        if draw(st.integers(0, 4)) == 0:
            options[name] = draw(lists_of_numbers())
    if draw(st.integers(0, 4)) == 0:
        options["units"] = draw(st.sampled_from(["MeV", "TeV", "GeV", "eV", "", None, 3, []]))
    if draw(st.integers(0, 4)) == 0:
        options["scalar_names"] = draw(st.lists(st.text(max_size=2), max_size=2) | st.integers() | st.none())
    return how, given, options


@pytest.fixture(scope="module")
def networks() -> list[Any]:
    made = [
        lz.compose(backbone="deep-sets:hidden=[4]", embedding=["kinematics", "invariants"]),
        lz.compose(backbone="deep-sets:hidden=[4]", embedding="momentum-components", frames="lloca-polar"),
    ]
    cloud, ones = random_cloud([3, 4]), torch.ones(2)
    for network in made:
        network.fit_statistics([lz.Batch(cloud, ones, ones, torch.arange(2))])
    return [network.eval() for network in made]


@sizes(quick=150, slow=5_000)
def test_clouds(networks: list[Any], examples: int) -> None:
    def check(call: tuple[str, list[Any], dict[str, Any]]) -> str | None:
        how, given, options = call
        cloud = getattr(lz.ParticleCloud, how)(*given, **options)
        if not bool(torch.isfinite(cloud.momenta).all() and torch.isfinite(cloud.scalars).all()):
            return "a cloud that is not finite"
        if cloud.scalars.shape[-1] or cloud.context.shape[-1]:
            return None
        for network in networks:
            if not bool(torch.isfinite(network(cloud)).all()):
                return f"a prediction that is not finite for {cloud.momenta}"
        return None

    survey("clouds", calls(), check, examples)
