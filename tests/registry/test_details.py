"""Details are told when a model is saved, read back, and never of other weights."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lorentzoo as lz
from lorentzoo.core.errors import CheckpointError
from lorentzoo.core.model import Model
from lorentzoo.registry.details import CostDetails, DataDetails, MetricDetails
from lorentzoo.registry.saved import DETAILS


def made(seed: int = 0) -> Model:
    torch.manual_seed(seed)
    return lz.compose(backbone="deep-sets:hidden=[4]").eval()


SENTENCES = st.text(max_size=30)
SIZES = st.none() | st.floats(min_value=0, allow_infinity=False)
COUNTS = st.none() | st.integers(0, 1 << 60)
METRICS = st.builds(MetricDetails, value=st.floats(allow_nan=False), error=SIZES, note=SENTENCES)
DATA = st.builds(
    DataDetails,
    name=st.text(min_size=1, max_size=30),
    fingerprint=SENTENCES,
    events=COUNTS,
    licence=SENTENCES,
    description=SENTENCES,
    references=st.tuples(SENTENCES),
)
COSTS = st.builds(
    CostDetails, parameters=COUNTS, flops=SIZES, multiplicity=COUNTS, seconds=SIZES, machine=SENTENCES
)
DETAILS_OF_ANY_KIND = st.builds(
    lz.Details,
    data=st.none() | DATA,
    metrics=st.dictionaries(st.text(min_size=1, max_size=20), METRICS, max_size=3),
    command=SENTENCES,
    cost=st.none() | COSTS,
    limits=st.tuples(SENTENCES, SENTENCES),
    licence=SENTENCES,
    version=SENTENCES,
    versions=st.dictionaries(st.text(min_size=1, max_size=10), SENTENCES, min_size=1, max_size=3),
)


@given(details=DETAILS_OF_ANY_KIND)
def test_details_go_through_plain_data(details: lz.Details) -> None:
    assert lz.Details.of(json.loads(json.dumps(details.to_data()))) == details
    assert lz.Details.of(details) is details


@given(details=DETAILS_OF_ANY_KIND)
def test_what_was_told_is_read_back(tmp_path_factory: pytest.TempPathFactory, details: lz.Details) -> None:
    model = made()
    found = lz.read_details(lz.save(model, tmp_path_factory.mktemp("saved"), details=details))
    cost = details.cost or CostDetails()
    count = model.num_parameters if cost.parameters is None else cost.parameters
    assert found == details.model_copy(
        update={
            "task": "classification",
            "symmetry": model.symmetry.name,
            "cost": cost.model_copy(update={"parameters": count}),
        }
    )


def test_a_mapping_with_bare_numbers_and_names_is_enough(tmp_path: Path) -> None:
    told = {"data": "toptag:num_jets=200", "metrics": {"auc": 0.9, "rejection": {"value": 30, "error": 2}}}
    details = lz.read_details(lz.save(made(), tmp_path, details=told))
    assert details.data == DataDetails(name="toptag:num_jets=200")
    assert details.metrics["auc"].value == 0.9
    assert details.metrics["rejection"].error == 2
    assert details.cost == CostDetails(parameters=made().num_parameters)


def test_task_and_symmetry_are_those_of_the_model_whatever_is_told(tmp_path: Path) -> None:
    details = lz.read_details(lz.save(made(), tmp_path, details={"task": "regression", "symmetry": "SO(3)"}))
    assert (details.task, details.symmetry) == ("classification", made().symmetry.name)


def test_versions_are_those_of_the_save_unless_they_are_told(tmp_path: Path) -> None:
    here = lz.read_details(lz.save(made(), tmp_path)).versions
    assert here["torch"] == torch.__version__
    assert here["lorentzoo"] == lz.__version__
    elsewhere = {"torch": "9.1"}
    assert lz.read_details(lz.save(made(), tmp_path, details={"versions": elsewhere})).versions == elsewhere


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({"licens": "MIT"}, r"details: unknown key 'licens'; did you mean 'licence'\?"),
        ({"data": {"events": 3}}, r"'data\.name' is missing"),
        ({"data": ""}, r"data\.name: String should have at least 1 character"),
        (
            {"metrics": {"auc": float("nan")}},
            r"metrics\.auc\.value: it is not a number \(NaN\); leave the metric out",
        ),
        ({"metrics": {"auc": {"value": 1, "error": -1}}}, r"metrics\.auc\.error.*greater than or equal to 0"),
        ({"cost": {"seconds": float("inf")}}, r"cost\.seconds.*finite"),
        ({"limits": "one sentence"}, r"limits.*tuple"),
        ("MIT", r"details: expected keys and values, not 'MIT'"),
        ({"limits": ["a"] * 30_000}, r"details holds more than 20000 values"),
    ],
)
def test_details_that_do_not_fit_are_named_before_anything_is_written(
    tmp_path: Path, told: Any, match: str
) -> None:
    with pytest.raises(CheckpointError, match=match):
        lz.save(made(), tmp_path / "run", details=told)
    assert not (tmp_path / "run").exists()


def test_a_later_save_without_details_tells_nothing_of_the_earlier_one(tmp_path: Path) -> None:
    lz.save(made(0), tmp_path, details={"licence": "MIT"})
    lz.save(made(1), tmp_path)
    assert lz.read_details(tmp_path).licence == ""


def test_details_of_other_weights_are_refused(tmp_path: Path) -> None:
    one, other = (
        lz.save(made(seed), tmp_path / str(seed), details={"version": str(seed)}) for seed in (0, 1)
    )
    os.replace(one / DETAILS, other / DETAILS)
    with pytest.raises(CheckpointError, match=r"details\.json is of other weights than those beside it"):
        lz.read_details(other)


def test_models_of_before_have_none(tmp_path: Path) -> None:
    lz.save(made(), tmp_path, details={"licence": "MIT"})
    (tmp_path / DETAILS).unlink()
    assert lz.read_details(tmp_path) == lz.Details()
    with pytest.raises(CheckpointError, match=r"is not a saved model: it has no spec\.json"):
        lz.read_details(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda data: "{", "is damaged"),
        (lambda data: "[]", "does not hold the details of a saved model"),
        (
            lambda data: json.dumps({**data, "format": 9}),
            "has format 9, but this version reads formats up to 1: upgrade",
        ),
        (lambda data: json.dumps({**data, "licence": "none"}), r"is damaged: its checksum.*details=\.\.\."),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, change: Any, match: str) -> None:
    path = lz.save(made(), tmp_path) / DETAILS
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(CheckpointError, match=match):
        lz.read_details(tmp_path)
    lz.load(tmp_path)


def test_a_save_that_is_killed_after_it_counts_leaves_its_own_details(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lz.save(made(0), tmp_path, details={"version": "0"})
    real = os.replace

    def killed(source: Any, target: Any) -> None:
        if Path(target) == tmp_path / DETAILS:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            lz.save(made(1), tmp_path, details={"version": "1"})
    assert lz.read_details(tmp_path).version == "1"
    lz.save(made(2), tmp_path, details={"version": "2"})
    assert lz.read_details(tmp_path).version == "2"
    assert len(list(tmp_path.iterdir())) == 4
