"""Does a fitted model predict raw arrays, records and tables as it does clouds, and say what it knows?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import InputError, InputsWarning
from lorentzoo.core.fitted_inputs import FittedInputs

COUNT, PLACES = 30, 6
FIELDS = ("pt", "eta", "phi", "mass")


def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """pt, eta, phi, mass (B, N, 4) in GeV, the mask (B, N), and charges (B, N)."""
    rng = np.random.default_rng(0)
    shape = (COUNT, PLACES)
    momenta = np.stack(
        [rng.uniform(20, 60, shape), rng.normal(size=shape), rng.uniform(-3, 3, shape), np.full(shape, 0.14)],
        -1,
    )
    mask = np.arange(PLACES) < rng.integers(2, PLACES + 1, COUNT)[:, None]
    return momenta, mask, rng.integers(-1, 2, shape).astype(np.float32)


def scaled(factor: float) -> np.ndarray:
    momenta = arrays()[0]
    return momenta * np.array([factor, 1, 1, factor])


def data(units: str = "GeV") -> lz.JetDataset:
    _, mask, charge = arrays()
    return lz.JetDataset.from_padded(
        scaled(1000.0 if units == "MeV" else 1.0),
        mask,
        np.arange(COUNT) % 2,
        scalars=charge[..., None],
        scalar_names=["charge"],
        order=FIELDS,
        units=units,  # type: ignore[arg-type]
    )


def make(units: str = "GeV") -> lz.Model:
    torch.manual_seed(0)
    model = lz.compose(backbone="deep-sets:hidden=[8]", embedding="kinematics", head="classify", in_scalars=1)
    model.fit_statistics([data(units)[:]])
    return model.eval()


def as_awkward(momenta: np.ndarray) -> Any:
    ak = pytest.importorskip("awkward")
    _, mask, charge = arrays()
    fields = {
        **dict(zip(FIELDS, momenta[mask].T, strict=True)),
        "charge": charge[mask],
        "unused": charge[mask],
    }
    return ak.unflatten(ak.zip(fields, with_name="PtEtaPhiMCandidate"), mask.sum(1))


def as_frame(momenta: np.ndarray) -> Any:
    pd = pytest.importorskip("pandas")
    _, mask, charge = arrays()
    fields = {**dict(zip(FIELDS, momenta[mask].T, strict=True)), "charge": charge[mask]}
    return pd.DataFrame({"jet": np.repeat(np.arange(COUNT), mask.sum(1)), **fields})


def as_wide_frame(momenta: np.ndarray) -> Any:
    pd = pytest.importorskip("pandas")
    _, mask, charge = arrays()
    columns = [*np.moveaxis(momenta * mask[..., None], -1, 0), charge]
    return pd.DataFrame(
        {
            f"{name}_{i}": x[:, i]
            for name, x in zip((*FIELDS, "charge"), columns, strict=True)
            for i in range(PLACES)
        }
    )


WAYS: dict[str, Any] = {
    "numpy": lambda p, m, c: ((p, m), {"scalars": c[..., None], "order": FIELDS}),
    "torch": lambda p, m, c: (
        (torch.from_numpy(p), torch.from_numpy(m)),
        {"scalars": torch.from_numpy(c[..., None]), "order": "pt,eta,phi,mass"},
    ),
    "without a mask": lambda p, m, c: ((p * m[..., None],), {"scalars": c[..., None], "order": FIELDS}),
    "list": lambda p, m, c: (
        ([x[y] for x, y in zip(p, m, strict=True)],),
        {"scalars": [x[y][:, None] for x, y in zip(c, m, strict=True)], "order": FIELDS},
    ),
    "awkward": lambda p, m, c: ((as_awkward(p),), {}),
    "table of particles": lambda p, m, c: ((as_frame(p),), {"event": "jet"}),
    "table of jets": lambda p, m, c: ((as_wide_frame(p),), {}),
}


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("batch_size", [7, 256])
def test_raw_events_are_predicted_as_clouds_are(how: str, batch_size: int) -> None:
    model = make()
    _, mask, charge = arrays()
    given, options = WAYS[how](arrays()[0], mask, charge)
    found = model.predict(*given, batch_size=batch_size, **options)
    np.testing.assert_allclose(found, model.predict(data()), rtol=1e-5)
    assert found.shape == (COUNT, 2)


@pytest.mark.parametrize("how", WAYS)
def test_raw_momenta_are_in_the_units_of_the_fit(how: str, tmp_path: Path) -> None:
    """A model that learned from MeV takes MeV, also when it was saved between; what is said wins."""
    model = lz.load(lz.save(make("MeV"), tmp_path))
    expected = make().predict(data())
    _, mask, charge = arrays()
    given, options = WAYS[how](scaled(1000.0), mask, charge)
    np.testing.assert_allclose(model.predict(*given, **options), expected, rtol=1e-4)
    given, options = WAYS[how](scaled(1.0), mask, charge)
    np.testing.assert_allclose(model.predict(*given, units="GeV", **options), expected, rtol=1e-4)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(("factor", "guess"), [(1e3, "MeV"), (1e-3, "TeV")])
def test_units_that_are_wrong_by_a_thousand_are_said_once_with_the_likelier_ones(
    how: str, factor: float, guess: str
) -> None:
    _, mask, charge = arrays()
    given, options = WAYS[how](scaled(factor), mask, charge)
    with pytest.warns(
        InputsWarning, match=rf"are the units right\? They fit as {guess} \(units='{guess}'\)"
    ) as caught:
        make().predict(*given, batch_size=7, **options)
    assert len(caught) == 1


def test_another_range_and_more_particles_are_said() -> None:
    _, mask, charge = arrays()
    with pytest.warns(InputsWarning, match="transverse momenta that sum up to .* fitted on"):
        make().predict(scaled(10.0), mask, scalars=charge[..., None], order=FIELDS)
    wide = [np.tile(x, (1, 4) + (1,) * (x.ndim - 2)) for x in (scaled(0.2), np.ones_like(mask), charge)]
    with pytest.warns(InputsWarning, match="events have up to 24 particles, and it was fitted on 2 to 6"):
        make().predict(wide[0], wide[1], scalars=wide[2][..., None], order=FIELDS)


def test_a_model_says_on_what_it_was_fitted(tmp_path: Path) -> None:
    for model in (make("MeV"), lz.load(lz.save(make("MeV"), tmp_path))):
        said = model.fitted_inputs.describe()
        assert said.startswith("events in MeV, Σ pT ")
        assert "2 to 6 particles, pT 20" in said
        assert said.endswith("scalars: charge")
        assert f"fitted on  {said}" in model.summary()
    assert "fitted on" not in lz.compose(backbone="deep-sets:hidden=[8]", embedding="kinematics").summary()
    assert FittedInputs().describe() == ""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.predict(3), r"predict takes a ParticleCloud, .* not int"),
        (
            lambda m: m.predict(data(), arrays()[1]),
            "mask cannot be said beside a cloud, a data set or batches",
        ),
        (
            lambda m: m.predict(as_awkward(arrays()[0]), arrays()[1]),
            "mask cannot be said beside an awkward array",
        ),
        (
            lambda m: m.predict(as_frame(arrays()[0]), order="pt,eta,phi"),
            "order cannot be said beside a data frame",
        ),
        (
            lambda m: m.predict(as_frame(arrays()[0]).drop(columns="charge"), event="jet"),
            r"no column \['charge'\]",
        ),
        (
            lambda m: m.predict(arrays()[0] * np.nan, arrays()[1], scalars=arrays()[2][..., None]),
            "NaN or infinite",
        ),
    ],
)
def test_what_cannot_be_predicted_is_said(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(make())
