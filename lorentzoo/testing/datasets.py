"""Does a data set keep what training, studies and resumed runs rely on?

>>> from lorentzoo.testing.datasets import check_dataset
>>> print(check_dataset("ttbar"))                               # doctest: +SKIP
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

import numpy as np
import torch
from torch import Tensor

from lorentzoo.core.cloud import Batch
from lorentzoo.data.batching import make_loader
from lorentzoo.data.events import EventData, Split
from lorentzoo.data.sample import SPLITS
from lorentzoo.registry.composition import load_dataset
from lorentzoo.testing.report import Report, require, run_check

__all__ = ["DATASET_CHECKS", "check_dataset"]

_EVENTS: Final = 64
"""Events whose particles are looked at; columns are looked at whole."""


@dataclass(frozen=True)
class _Subject:
    """A data set, the same one opened again, and some of its events in an order drawn at random."""

    data: EventData
    again: EventData
    chosen: Tensor


def check_dataset(
    dataset: str | EventData,
    parameters: Mapping[str, Any] | None = None,
    *,
    expected_failures: Mapping[str, str] | None = None,
) -> Report:
    """Run the checks on a data set.

    Parameters
    ----------
    dataset
        Its name, with inline parameters if need be, or the data set itself. One that is given by name is opened twice.
    parameters
        Parameters of a data set that is given by name.
    expected_failures
        ``{check name: reason}`` of the checks that are known to fail.

    Raises
    ------
    ValueError
        On a check that does not exist, or an expected failure without a reason.
    """
    expected = dict(expected_failures or {})
    unknown = [name for name in expected if name not in DATASET_CHECKS]
    if unknown:
        raise ValueError(f"no checks are called {unknown}; there are {list(DATASET_CHECKS)}")
    unexplained = [name for name, reason in expected.items() if not reason.strip()]
    if unexplained:
        raise ValueError(f"expected failures need a reason: {unexplained}")
    if isinstance(dataset, EventData):
        title, data, again = type(dataset).__name__, dataset, copy.deepcopy(dataset)
    else:
        title = f"dataset {dataset}"
        data, again = (load_dataset(dataset, **(parameters or {})) for _ in range(2))
    count = min(len(data), _EVENTS)
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:count]
    subject = _Subject(data, again, chosen)
    return Report(
        title,
        tuple(run_check(name, check, subject, expected.get(name)) for name, check in DATASET_CHECKS.items()),
    )


def _check_columns(subject: _Subject) -> None:
    data, count = subject.data, len(subject.data)
    require(count > 0, "it has no events")
    for name in ("lengths", "target", "weight", "event_id", "context", "splits", "block"):
        column = getattr(data, name)
        require(
            column is None or len(column) == count,
            f"{name} does not have one entry for each of {count} events",
        )
    require(bool((data.lengths >= 0).all()), "an event has a negative number of particles")
    require(data.lengths.dtype == torch.int64, f"lengths are {data.lengths.dtype}, not int64")
    require(data.event_id.dtype == torch.int64, f"event_id is {data.event_id.dtype}, not int64")
    for name, width in (("context_names", data.context.shape[1]), ("scalar_names", data.num_scalars)):
        names = getattr(data, name)
        require(len(names) in (0, width), f"{len(names)} {name} for {width} columns")
        require(len(set(names)) == len(names), f"a name occurs twice in {name}: {list(names)}")
    require(data.num_context == data.context.shape[1], f"num_context is {data.num_context}")
    require(bool(torch.isfinite(data.context).all()), "the context is not finite")


def _check_target(subject: _Subject) -> None:
    data = subject.data
    require(
        data.target.ndim in (1, 2), f"the target has shape {tuple(data.target.shape)}, not (B,) or (B, D)"
    )
    for name in ("target_names", "target_units"):
        given = getattr(data, name)
        require(len(given) in (0, data.num_targets), f"{len(given)} {name} for {data.num_targets} columns")
    if not data.has_classes:
        require(bool(torch.isfinite(data.target.double()).all()), "a target is not finite")
        require(not data.class_names, "it has names of classes, but the target is not a class")
        return
    low, high = int(data.target.min()), int(data.target.max())
    most = len(data.class_names) or high + 1
    require(low >= 0 and high < most, f"targets run from {low} to {high}, but there are {most} classes")


def _check_weights(subject: _Subject) -> None:
    weight = subject.data.weight
    require(weight.ndim == 1, f"weights have shape {tuple(weight.shape)}, not (B,)")
    require(weight.dtype == torch.float64, f"weights are {weight.dtype}, not float64")
    require(bool(torch.isfinite(weight).all()), "a weight is not finite")
    require(bool((weight != 0).any()), "all weights are zero: no event counts")


def _check_identifiers(subject: _Subject) -> None:
    data = subject.data
    ids = data.event_id.numpy()
    order = np.argsort(ids, kind="stable")
    shared = np.flatnonzero(np.diff(ids[order]) == 0)
    for place in shared[:_EVENTS]:
        pair = order[place : place + 2].tolist()
        one, other = (data.batch(event).cloud.momenta for event in pair)
        require(
            not torch.equal(one, other),
            f"events {pair[0]} and {pair[1]} have identifier {ids[pair[0]]} and are the same",
        )


def _check_splits(subject: _Subject) -> None:
    data = subject.data
    if data.splits is None:
        return
    codes = data.splits
    require(
        bool(((codes >= 0) & (codes < len(SPLITS))).all()),
        f"splits are {codes.unique().tolist()}, not 0, 1, 2",
    )
    seen: dict[int, str] = {}
    for name in get_args(Split):
        part = data.split(name)
        require(len(part) == int((codes == SPLITS.index(name)).sum()), f"{name} has {len(part)} events")
        for number in part.event_id.unique().tolist():
            require(number not in seen, f"identifier {number} is in {seen.get(number)} and in {name}")
            seen[number] = name


def _check_batches(subject: _Subject) -> None:
    data, chosen = subject.data, subject.chosen
    batch = data.batch(chosen)
    require(torch.equal(batch.event_id, data.event_id[chosen]), "events do not come in the order asked for")
    require(torch.equal(batch.target, data.target[chosen]), "targets are not those of the events asked for")
    require(torch.equal(batch.weight, data.weight[chosen]), "weights are not those of the events asked for")
    counts = batch.cloud.layout.counts()
    require(torch.equal(counts, data.lengths[chosen]), "numbers of particles are not those of `lengths`")
    for place in range(min(8, len(chosen))):
        alone = data.batch([int(chosen[place])])
        _require_same(
            alone, data.subset(chosen).batch(place), f"event {int(chosen[place])} alone and in a subset"
        )
    mask = torch.zeros(len(data), dtype=torch.bool)
    mask[chosen] = True
    _require_same(data.batch(mask), data.batch(chosen.sort().values), "a mask and the numbers it stands for")
    _require_same(data[chosen - len(data)], batch, "negative numbers and those they stand for")


def _check_subsets(subject: _Subject) -> None:
    data, chosen = subject.data, subject.chosen
    part = data.subset(chosen)
    again = torch.arange(len(chosen)).flip(0)[: len(chosen) // 2 + 1]
    _require_same(
        part.subset(again).batch(range(len(again))), data.batch(chosen[again]), "a subset of a subset"
    )
    require(len(data) == len(subject.again), "taking a subset changed the data set")
    for what, twin in (("copy", copy.deepcopy(part)), ("pickle", pickle.loads(pickle.dumps(part)))):
        _require_same(twin.batch(range(len(chosen))), data.batch(chosen), f"the data set and its {what}")


def _check_momenta(subject: _Subject) -> None:
    data = subject.data
    cloud = data.batch(subject.chosen).cloud
    cloud.validate()
    require(cloud.units == data.units, f"batches are in {cloud.units}, the data set says {data.units}")
    require(cloud.scalar_names == data.scalar_names, f"scalars of batches are {cloud.scalar_names}")
    require(cloud.context_names == data.context_names, f"context of batches is {cloud.context_names}")
    widths = cloud.scalars.shape[-1], cloud.context.shape[-1]
    require(
        widths == (data.num_scalars, data.num_context),
        f"batches have {widths} scalars and numbers of context",
    )


def _check_fingerprint(subject: _Subject) -> None:
    data = subject.data
    first = data.fingerprint()
    for what, twin in (
        ("asked again", data),
        ("opened again", subject.again),
        ("pickled", pickle.loads(pickle.dumps(data))),
    ):
        require(
            twin.fingerprint() == first, f"the fingerprint is {twin.fingerprint()} {what}, {first} before"
        )
    if len(subject.chosen) > 1:
        fewer = data.subset(subject.chosen[1:])
        require(fewer.fingerprint() != first or len(data) == 1, "a subset has the same fingerprint")
    changed = copy.copy(data)
    changed.weight = data.weight + 1
    require(changed.fingerprint() != first, "other weights have the same fingerprint")


def _check_reopening(subject: _Subject) -> None:
    _require_same(
        subject.data.batch(subject.chosen),
        subject.again.batch(subject.chosen),
        "two openings of the data set",
    )


def _check_workers(subject: _Subject) -> None:
    part = subject.data.subset(subject.chosen)
    plain, worked = (
        list(make_loader(part, 8, shuffle=True, seed=1, num_workers=workers)) for workers in (0, 2)
    )
    for one, other in zip(plain, worked, strict=True):
        _require_same(one, other, "batches made here and by worker processes")


def _require_same(one: Batch, other: Batch, what: str) -> None:
    for name in ("target", "weight", "event_id"):
        require(torch.equal(getattr(one, name), getattr(other, name)), f"{name} differs between {what}")
    for name in ("momenta", "scalars", "context"):
        same = torch.equal(getattr(one.cloud, name), getattr(other.cloud, name))
        require(same, f"{name} differ between {what}")


DATASET_CHECKS: Final[dict[str, Callable[[_Subject], None]]] = {
    "columns fit": _check_columns,
    "target of its kind": _check_target,
    "weights finite": _check_weights,
    "identifiers": _check_identifiers,
    "splits disjoint": _check_splits,
    "order of batches": _check_batches,
    "subsets and copies": _check_subsets,
    "momenta valid": _check_momenta,
    "fingerprint stable": _check_fingerprint,
    "opened again": _check_reopening,
    "worker processes": _check_workers,
}
"""The checks by name."""
