"""What is fitted once a surrogate is trained: its total, and its widths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.targets.calibration import calibrate
from lorentzoo.plugins.amplitudes.targets.normalisation import normalise
from lorentzoo.training.train import train

RECIPE = {"max_steps": 30, "batch_size": 64, "learning_rate": 3e-3}


def make(data: lz.JetDataset, **head: Any) -> lz.Model:
    torch.manual_seed(0)
    return lz.compose(
        backbone="invariant-mlp:num_particles=5,hidden=[16]",
        embedding="momenta",
        head=head,
        in_scalars=data.num_scalars,
    )


def events(count: int = 600, **options: Any) -> lz.JetDataset:
    return lz.load_dataset("amplitudes", multiplicity=2, num_events=count, **options)


def total(model: lz.Model, data: lz.JetDataset) -> float:
    """Σ w p/Σ w t."""
    weight, target = data.weight.double().numpy(), data.target.double().numpy().reshape(-1)
    return float((weight * model.predict(data)[:, 0]).sum() / (weight * target).sum())


@pytest.mark.parametrize(("reference", "weights"), [("none", "none"), ("factorised", "phase-space")])
def test_a_normalised_surrogate_has_the_total_of_its_training(
    reference: str, weights: str, tmp_path: Path
) -> None:
    data = events(weights=weights)
    head = {"name": "amplitude-ratio", "reference": reference}
    plain, normalised = make(data, **head), make(data, **head, normalised=True)
    for model in (plain, normalised):
        train(model, data, None, RECIPE, progress=False)
    assert abs(total(plain, data) - 1) > 1e-3, "there would be nothing to see"
    assert total(normalised, data) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(
        normalised.predict(data) / plain.predict(data), 1 / total(plain, data), rtol=1e-5
    )
    lz.save(normalised, tmp_path)
    np.testing.assert_allclose(lz.load(tmp_path).predict(data), normalised.predict(data), rtol=1e-12)
    # A fit anew starts from predictions as they are learned.
    normalised.fit_statistics([data[:]], refit=True)
    assert float(normalised.head.normalisation) == 1
    assert normalise(normalised, data) == pytest.approx(1 / total(plain, data), rel=0.5)


def test_widths_are_calibrated_at_the_end_of_a_training() -> None:
    data, validation = events(), events(400, seed=5)
    model = make(data, name="amplitude-density", calibrated=True)
    train(model, data, validation, RECIPE, progress=False)
    assert float(model.head.temperature) != 1
    before = float(model.head.temperature)
    assert calibrate(model, validation) == pytest.approx(before, rel=1e-6), "it was calibrated already"
    with pytest.raises(AmplitudeError, match="calibrated=True needs a validation set"):
        train(make(data, name="amplitude-density", calibrated=True), data, None, RECIPE, progress=False)


def test_what_cannot_be_normalised_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = events(100)
    with pytest.raises(AmplitudeError, match="of the head 'amplitude-ratio', and this model has Regress"):
        normalise(make(data, name="regress"), data)
    model = make(data, name="amplitude-ratio")
    model.fit_statistics([data[:]])
    predict = model.head.predict
    monkeypatch.setattr(model.head, "predict", lambda output: -predict(output))
    with pytest.raises(
        AmplitudeError, match=r"predictions sum up to -.*, and targets to .*: take normalised=False"
    ):
        normalise(model, data)
