"""Every study of examples/ makes sense: each row composes on its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lorentzoo.studies.grid import load_study
from lorentzoo.studies.plan import make_plan

STUDIES = sorted((Path(__file__).parents[2] / "examples" / "studies").glob("*.yaml"))
FEWER: dict[str, dict[str, Any]] = {
    "toptag": {"num_jets": 300},
    "showers": {"num_showers": 60},
    "ttbar": {"num_events": 300},
    "amplitudes": {"num_events": 600},
    "vector-pairs": {"num_events": 300},
}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_row_composes(path: Path) -> None:
    study = yaml.safe_load(path.read_text(encoding="utf-8"))
    dataset = study["dataset"] if isinstance(study["dataset"], dict) else {"name": study["dataset"]}
    asked = load_study(path)
    assert asked.name
    if {"path", "extra_jets"} & set(dataset):
        pytest.skip("its samples are made first")
    # What a network was trained on before changes nothing in what it is composed of.
    study["axes"].pop("pretraining", None)
    study.pop("train_sizes", None)
    try:
        plan = make_plan(load_study({**study, "dataset": {**dataset, **FEWER[dataset["name"]]}}))
    except Exception as error:
        if "lorentzoo-weights" in str(error):
            pytest.skip("lorentzoo-weights is not installed: pip install ./weights")
        raise
    assert not [row.refusal for row in plan.rows if row.refusal]
