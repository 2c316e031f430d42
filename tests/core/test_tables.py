"""Are data frames read alike, with one row a particle and with one row an event?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import InputError, ParameterError

pd = pytest.importorskip("pandas")

LENGTHS = np.array([3, 1, 4, 2])
IDS = np.array([70, 20, 50, 30])
FIELDS = ("pt", "eta", "phi", "mass")


def columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    count = int(LENGTHS.sum())
    made = [
        rng.exponential(20, count) + 1,
        rng.normal(size=count),
        rng.uniform(-3, 3, count),
        np.full(count, 0.14),
    ]
    return {**dict(zip(FIELDS, made, strict=True)), "charge": rng.integers(-1, 2, count).astype(float)}


def by_particle(**changes: Any) -> Any:
    return pd.DataFrame(
        {
            "event": np.repeat(IDS, LENGTHS),
            **columns(),
            "energy_sum": np.repeat(IDS * 2.0, LENGTHS),
            **changes,
        }
    )


def by_event() -> Any:
    mask = np.arange(LENGTHS.max()) < LENGTHS[:, None]
    found = {"energy_sum": IDS * 2.0}
    for name, values in columns().items():
        wide = np.zeros(mask.shape)
        wide[mask] = values
        found |= {f"{name}_{place}": wide[:, place] for place in range(mask.shape[1])}
    return pd.DataFrame(found)


def expected() -> lz.ParticleCloud:
    made = columns()
    return lz.ParticleCloud.from_packed(
        np.stack([made[name] for name in FIELDS], 1),
        np.cumsum([0, *LENGTHS]),
        made["charge"][:, None].astype(np.float32),
        IDS[:, None] * 2.0,
        order=FIELDS,
        scalar_names=("charge",),
        context_names=("energy_sum",),
    )


def as_pyarrow(frame: Any) -> Any:
    return pytest.importorskip("pyarrow").table(frame)


FRAMES = {
    "one row a particle": (by_particle, {"event": "event"}),
    "rows of events apart": (
        lambda: by_particle().iloc[
            np.argsort(np.concatenate([np.arange(n) for n in LENGTHS]), kind="stable")
        ],
        {"event": "event"},
    ),
    "index of two levels": (lambda: by_particle(n=np.arange(LENGTHS.sum())).set_index(["event", "n"]), {}),
    "level by name": (
        lambda: by_particle(n=np.arange(LENGTHS.sum())).set_index(["n", "event"]),
        {"event": "event"},
    ),
    "pyarrow": (lambda: as_pyarrow(by_particle()), {"event": "event"}),
    "one row an event": (by_event, {}),
    "one row an event, pyarrow": (lambda: as_pyarrow(by_event()), {}),
}


@pytest.mark.parametrize("what", FRAMES)
def test_tables_of_every_form_are_the_same_events(what: str) -> None:
    make, options = FRAMES[what]
    cloud = lz.ParticleCloud.from_pandas(make(), scalars=["charge"], context=["energy_sum"], **options)
    wanted = expected()
    assert torch.equal(cloud.layout.counts(), wanted.layout.counts())
    assert torch.equal(cloud.momenta, wanted.momenta)
    assert torch.equal(cloud.scalars, wanted.scalars)
    assert torch.equal(cloud.context, wanted.context)
    assert (cloud.scalar_names, cloud.context_names) == (("charge",), ("energy_sum",))


def test_columns_may_be_named() -> None:
    renamed = by_event().rename(columns=lambda name: name.replace("pt_", "constituent_pt_"))
    given = {"pt": "constituent_pt", "eta": "eta", "phi": "phi", "mass": "mass"}
    assert torch.equal(lz.ParticleCloud.from_pandas(renamed, momentum=given).momenta, expected().momenta)


def test_places_that_are_not_numbers_are_padding() -> None:
    frame = by_event()
    empty = frame[[f"pt_{place}" for place in range(4)]].to_numpy() == 0
    for name in FIELDS:
        names = [f"{name}_{place}" for place in range(4)]
        frame[names] = np.where(empty, np.nan, frame[names])
    assert torch.equal(lz.ParticleCloud.from_pandas(frame).momenta, expected().momenta)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda c: c(by_particle()),
            InputError,
            r"name the column that says of which event it is \(event=\.\.\.\)",
        ),
        (lambda c: c(by_particle(), event="run"), InputError, "no column 'run' for events; it has"),
        (lambda c: c(by_particle(), event="event", scalars=["d0"]), InputError, r"no column \['d0'\]"),
        (
            lambda c: c(by_particle(), event="event", context=["pt"]),
            InputError,
            "'pt' is wanted as context, .* event 0",
        ),
        (
            lambda c: c(by_particle(), event="event", context=["x"]),
            InputError,
            "no column 'x', wanted as context",
        ),
        (
            lambda c: c(by_particle(pt="hard"), event="event"),
            InputError,
            "'pt' of the table holds .*, not numbers",
        ),
        (
            lambda c: c(by_particle(), event="event", scalars="charge"),
            ParameterError,
            "must be a list of names",
        ),
        (lambda c: c(by_event().drop(columns="phi_2")), InputError, "no column for 'phi' of particle 2"),
        (lambda c: c(by_event(), scalars=["d0"]), InputError, r"no numbered columns \['d0'\]"),
        (lambda c: c([1, 2]), ParameterError, "expected a data frame, with columns by name, not list"),
    ],
)
def test_what_a_table_lacks_is_said(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call(lz.ParticleCloud.from_pandas)
