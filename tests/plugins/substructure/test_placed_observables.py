"""Observables of particles that have places, against numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core import minkowski


def test_observables_are_those_of_the_particles() -> None:
    cloud = lz.load_dataset("ttbar", num_events=50).batch(range(50)).cloud
    momenta = cloud.momenta.reshape(-1, 6, 4)
    model = lz.compose(
        backbone="placed-observables:standardise=False",
        embedding="momenta:scale=1",
        head="classify",
        in_scalars=6,
    ).double()
    with torch.no_grad():
        found = model.features(cloud).scalars
    # pT, eta and m of six; three numbers of 15 pairs; m and pT of 15 pairs, 20 triples and all; six scalars of six.
    assert found.shape == (50, 18 + 45 + 2 * 36 + 36)
    torch.testing.assert_close(found[:, :6], minkowski.pt(momenta).log())
    torch.testing.assert_close(found[:, 6:12], minkowski.pseudorapidity(momenta))
    masses = found[:, 63:99]
    wanted = minkowski.mass(momenta[:, 0] + momenta[:, 1]).log()
    torch.testing.assert_close(masses[:, 0], wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(masses[:, -1], minkowski.mass(cloud.total()).log(), atol=1e-4, rtol=0)
    top = minkowski.mass(momenta[:, :3].sum(1)).log()
    torch.testing.assert_close(masses[:, 15], top, atol=1e-4, rtol=0)


def test_azimuths_break_the_rotation_about_the_beam() -> None:
    def made(azimuths: bool) -> lz.Model:
        return lz.compose(
            backbone={"name": "placed-observables", "azimuths": azimuths},
            embedding="momenta",
            head="classify",
        )

    assert made(False).symmetry.name == "SO(2)_beam"
    assert made(True).symmetry.is_trivial
    assert lz.verify(made(True)).passed


def test_what_cannot_be_is_refused() -> None:
    for text, message in (
        ("num_particles=1", "must be at least 2, not 1 and 3"),
        ("num_particles=60", "make .* observables, more than 20000; take a smaller group_size"),
    ):
        with pytest.raises(Exception, match=message):
            lz.compose(backbone=f"placed-observables:{text}", embedding="momenta", head="classify")
    with pytest.raises(Exception, match="embedding 'momenta'"):
        lz.compose(backbone="placed-observables", embedding="kinematics", head="classify")


def test_missing_particles_leave_finite_numbers() -> None:
    from lorentzoo.testing import random_cloud

    model = lz.compose(backbone="placed-observables:standardise=False", embedding="momenta", head="classify")
    assert np.isfinite(model.predict(random_cloud([0, 1, 6, 9]))).all()
