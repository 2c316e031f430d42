"""Clouds of anything: refused by name, or finite through a network."""

from __future__ import annotations

from typing import Any

import awkward as ak
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from fuzzing import sizes, survey
from hypothesis.extra.numpy import array_shapes, arrays
from torch_geometric.data import Data

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


ODD_COLUMNS = [
    None, 3, "px", [], [[]], [[1.0], None], [[1.0, None]], [["a"]], [[[1.0, 2.0]]], [1.0, 2.0], [[True]], [[1j]],
    [[1.0], "b"], [[10**20]], [[1.0], [[2.0]]], [{"x": 1}], [[np.datetime64("2026-01-01")]],
]  # fmt: skip


@st.composite
def awkward_arrays(draw: st.DrawFn) -> tuple[Any, Any]:
    """Records of particles, with up to one field missing, of another type, or not as long; and names of scalars."""
    events = draw(st.lists(momenta(), max_size=3))
    names = [draw(st.sampled_from(["E", "E", "E", "energy", "e", "t", "mass"])), "px", "py", "pz", "q"]
    columns: dict[str, Any] = {
        name: [[float(row[min(i, 3)]) for row in event] for event in events] for i, name in enumerate(names)
    }
    if draw(st.integers(0, 3)) == 3:
        name = draw(st.sampled_from(names))
        columns[name] = draw(st.sampled_from(ODD_COLUMNS) | lists_of_numbers())
    if draw(st.integers(0, 7)) == 7:
        columns.pop(draw(st.sampled_from(names)))
    kind = draw(st.integers(0, 15))
    array: Any = columns
    if kind < 15:
        try:
            array = ak.zip({name: ak.Array(column) for name, column in columns.items()}, depth_limit=1)
        except Exception:  # what awkward itself cannot hold does not reach a cloud
            array = draw(st.sampled_from(ODD_COLUMNS))
    if kind == 14:
        array = draw(lists_of_numbers())
    if kind == 13 and isinstance(array, ak.Array) and len(array):
        array = array[0]
    if kind == 12 and isinstance(array, ak.Array):
        array = ak.mask(array, np.array([draw(st.booleans()) for _ in range(len(array))], bool))
    scalars = draw(
        st.just(()) | st.sampled_from([("q",), ["q", "px"], "q", ["none"], [3], None, 3, [[]], ("q", "q")])
    )
    return array, scalars


def numbers_of_events(rows: int, events: int) -> st.SearchStrategy[Any]:
    """Vectors that may name the event of each row, or where events begin."""
    sizes_near = st.integers(max(rows - 1, 0), rows + 1)
    near = sizes_near.flatmap(lambda n: arrays(np.int64, n, elements=st.integers(-1, events + 1)))
    return (
        st.none() | near.map(torch.from_numpy) | near.map(np.sort).map(torch.from_numpy) | lists_of_numbers()
    )


@st.composite
def graphs(draw: st.DrawFn) -> Any:
    """Data of torch-geometric with attributes that nearly fit, and what is no such data."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.none() | st.integers() | st.text(max_size=2) | lists_of_numbers())
    events = draw(st.lists(momenta(), max_size=3))
    rows = np.concatenate(events) if events else np.zeros((0, 4))
    given: dict[str, Any] = {"momenta": torch.from_numpy(rows)}
    batch = torch.from_numpy(np.repeat(np.arange(len(events)), [len(event) for event in events]))
    ptr = torch.from_numpy(np.cumsum([0, *map(len, events)]))
    for name, right in (("batch", batch), ("ptr", ptr)):
        kind = draw(st.integers(0, 3))
        if kind:
            given[name] = right if kind > 1 else draw(numbers_of_events(len(rows), len(events)))
    for name in ("x", "context"):
        if draw(st.integers(0, 3)) == 0:
            count = len(rows) if name == "x" else len(events)
            given[name] = draw(st.just(torch.ones(count, 2)) | lists_of_numbers())
    if draw(st.integers(0, 5)) == 0:
        given["momenta"] = draw(lists_of_numbers())
    data = Data()
    for name, value in given.items():
        data[name] = value
    return data


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


def find_fault(cloud: lz.ParticleCloud, networks: list[Any]) -> str | None:
    """What is wrong with a cloud, or with what networks make of it."""
    if not bool(torch.isfinite(cloud.momenta).all() and torch.isfinite(cloud.scalars).all()):
        return "a cloud that is not finite"
    if cloud.scalars.shape[-1] or cloud.context.shape[-1]:
        return None
    for network in networks:
        if not bool(torch.isfinite(network(cloud)).all()):
            return f"a prediction that is not finite for {cloud.momenta}"
    return None


@sizes(quick=150, slow=5_000)
def test_clouds(networks: list[Any], examples: int) -> None:
    def check(call: tuple[str, list[Any], dict[str, Any]]) -> str | None:
        how, given, options = call
        return find_fault(getattr(lz.ParticleCloud, how)(*given, **options), networks)

    survey("clouds", calls(), check, examples)


@sizes(quick=100, slow=3_000)
def test_awkward_arrays(networks: list[Any], examples: int) -> None:
    survey(
        "awkward arrays",
        awkward_arrays(),
        lambda call: find_fault(lz.ParticleCloud.from_awkward(*call), networks),
        examples,
    )


@sizes(quick=100, slow=3_000)
def test_graphs(networks: list[Any], examples: int) -> None:
    survey("graphs", graphs(), lambda data: find_fault(lz.ParticleCloud.from_pyg(data), networks), examples)
