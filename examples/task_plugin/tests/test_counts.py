"""The conformance kit, and a training that comes close to the truth."""

import numpy as np
import pytest

import lorentzoo as lz
from lorentzoo.studies import run_study, study_numbers, train_model
from lorentzoo.testing import check_plugin, conformance_cases


def test_plugin():
    check_plugin("counts").raise_if_failed()


@pytest.mark.parametrize("case", conformance_cases("counts"), ids=lambda case: case.id)
def test_conformance(case):
    case.run().raise_if_failed()


def test_a_network_learns_the_rate(tmp_path):
    record = train_model(
        {"backbone": "lgatr-slim:num_blocks=1,hidden_vectors=4,hidden_scalars=16", "embedding": "momenta"},
        dataset="emissions",
        config={"epochs": 15, "learning_rate": 3e-3},
        out=tmp_path,
        progress=False,
    )
    # The deviance of the true rate is about one.
    assert record.metrics["deviance"] < 1.4
    assert record.metrics["total_ratio"] == pytest.approx(1.0, abs=0.1)


def test_a_study_knows_the_metrics(tmp_path):
    study = {
        "name": "emissions",
        "dataset": "emissions:num_events=300",
        "axes": {"backbone": ["deep-sets", "mlp"]},
        "seeds": 1,
        "budget": {"steps": 3},
        "test": {"busy": 2},
    }
    result = run_study(study, tmp_path, workers=1, progress=False)
    assert all(np.isfinite(row["deviance"]) for row in study_numbers(result))
    assert lz.describe("task", "counting").component.plugin == "counts"
