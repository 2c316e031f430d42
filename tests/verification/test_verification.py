"""Measured symmetry against computed symmetry, where they agree and where somebody cheats."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import SymmetryError
from lorentzoo.plugins.embeddings.invariants import Invariants
from lorentzoo.plugins.embeddings.kinematics import Kinematics
from lorentzoo.plugins.sets.deep_sets import DeepSets
from lorentzoo.testing import Verification, random_cloud, verify

SHORT = (1.0, 2.0)


pytestmark = pytest.mark.usefixtures("own_catalogue")


def measured(**slots: object) -> Verification:
    slots = {"backbone": "deep-sets:hidden=[8]", "embedding": "invariants", **slots}
    return verify(lz.compose(**slots), random_cloud([9, 7, 12, 5, 8, 6, 7, 5]), rapidities=SHORT)  # type: ignore[arg-type]


def test_the_little_group_of_a_light_like_vector_is_seen_as_a_null_space() -> None:
    result = measured(spurions="beam-lightlike:both=false")
    assert result.passed
    assert result.measured.name == "ISO(2)"
    assert result.measured == lz.Symmetry.stabiliser([[1, 0, 0, 1]])
    # One by one, generators show one direction of three: the others are mixtures.
    small = [name for name, size in result.per_generator.items() if size < 1e-6]
    assert small == ["Jz"]
    assert (result.singular_values[:3] < 1e-9).all()
    assert (result.singular_values[3:] > 1e-4).all()


def test_a_spurion_that_points_anywhere() -> None:
    result = measured(spurions={"name": "vectors", "values": [[1.5, 0.3, -0.4, 0.2]]})
    assert result.passed
    assert result.measured.dimension == 3
    assert result.measured.name.startswith("SO(3)_(")


def test_a_network_that_claims_to_be_equivariant_and_is_not() -> None:
    class Cheat(DeepSets):
        equivariant = True

    lz.register("backbone", "cheat")(Cheat)
    result = measured(backbone="cheat:hidden=[8]", embedding="momenta")
    assert not result.passed
    assert result.predicted.is_full
    assert result.measured.is_trivial
    assert result.violated.is_full
    assert "FAILED: SO⁺(1,3) is claimed, but SO⁺(1,3)" in result.verdict
    assert "Kx, Ky, Kz, Jx, Jy, Jz is violated" in result.verdict.replace("; discrete {}", "")
    with pytest.raises(SymmetryError, match="is violated"):
        result.raise_if_failed()


class Claims(Kinematics):
    """Kinematics that claims Kz and Jz, whatever it computes."""

    @property
    def scalar_symmetry(self) -> lz.Symmetry:
        return lz.Symmetry.spanned_by("Kz", "Jz")


@pytest.mark.parametrize("rapidity", [False, True])
def test_pseudorapidity_of_massive_particles_violates_beam_boosts(rapidity: bool) -> None:
    lz.register("embedding", "claims")(Claims)
    result = measured(embedding={"name": "claims", "features": ["deta", "dphi"], "rapidity": rapidity})
    assert result.passed == rapidity
    if rapidity:
        assert result.measured.name == "SO⁺(1,1)_beam × SO(2)_beam"
    else:
        assert result.violated == lz.Symmetry.spanned_by("Kz")
        assert "Kz" in result.verdict
        assert "Jz" not in result.verdict.partition("but")[2]
        assert result.measured.name == "SO(2)_beam"


def test_pseudorapidity_of_massless_particles_does_not() -> None:
    lz.register("embedding", "claims")(Claims)
    cloud = random_cloud([9, 7, 8, 5])
    massless = torch.cat([cloud.momenta[:, 1:].norm(dim=1, keepdim=True), cloud.momenta[:, 1:]], dim=1)
    cloud = lz.ParticleCloud.from_packed(massless, cloud.layout.ptr)
    # Only what does not read the jet, whose mass is not zero.
    model = lz.compose(
        backbone="deep-sets:hidden=[8]",
        embedding={"name": "claims", "features": ["log_pt"], "rapidity": False},
    )
    assert verify(model, cloud, rapidities=SHORT).passed


@pytest.mark.parametrize("exact", [True, False])
def test_more_symmetric_than_declared(exact: bool) -> None:
    class Modest(Invariants):
        @property
        def scalar_symmetry(self) -> lz.Symmetry:
            return lz.Symmetry.spanned_by("Jz")

    Modest.exact = exact
    lz.register("embedding", "modest")(Modest)
    result = measured(embedding="modest")
    assert result.accidental
    assert result.passed == (not exact)
    assert "more symmetric" in result.verdict
    assert "computed SO(2)_beam, measured SO⁺(1,3)" in result.verdict


def test_too_few_events_are_refused() -> None:
    model = lz.compose(backbone="deep-sets:hidden=[8]")
    with pytest.raises(
        ValueError, match="4 outputs cannot tell six generators apart: verify on more events than these 2"
    ):
        verify(model, random_cloud([9, 7]), rapidities=SHORT)


def test_a_rotation_invariant_network_that_hides_behind_the_anchor() -> None:
    """Energies in the event's rest frame are invariant; the network that reads them is not."""

    class Energies(Kinematics):
        @property
        def scalar_symmetry(self) -> lz.Symmetry:
            return lz.Symmetry.full()

    lz.register("embedding", "energies")(Energies)
    result = measured(embedding={"name": "energies", "features": ["log_e", "log_e_rel"]})
    assert not result.passed
    assert result.measured.name == "SO(3)"


def test_a_constant_model_has_nothing_to_measure() -> None:
    class Constant(DeepSets):
        def forward(self, features, frames, layout, context):  # type: ignore[no-untyped-def]
            out = super().forward(features, frames, layout, context)
            return lz.Features.of_scalars(torch.ones_like(out.scalars))

    lz.register("backbone", "constant")(Constant)
    result = measured(backbone="constant:hidden=[8]")
    assert not result.passed
    assert result.sensitivity == 0
    assert "do not depend on the momenta" in result.verdict


def test_a_model_that_gives_nan() -> None:
    class Broken(DeepSets):
        def forward(self, features, frames, layout, context):  # type: ignore[no-untyped-def]
            return lz.Features.of_scalars(
                0 * super().forward(features, frames, layout, context).scalars.log()
            )

    lz.register("backbone", "broken")(Broken)
    result = measured(backbone="broken:hidden=[8]")
    assert not result.passed
    assert "not finite" in result.verdict


def test_small_initial_weights_do_not_hide_a_violation() -> None:
    model = lz.compose(backbone="deep-sets:hidden=[8]", embedding="kinematics")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert verify(model, random_cloud([9, 7, 8, 5]), rapidities=SHORT).measured.name == "SO(2)_beam"
    assert not verify(model, random_cloud([9, 7, 8, 5]), rapidities=SHORT, redraw=False).passed
    assert all(not parameter.any() for parameter in model.parameters())


@pytest.mark.parametrize(
    "head", ["regress", "regress:num_targets=2", "classify:num_classes=1", "classify:hidden=[4]"]
)
def test_heads_of_every_width(head: str) -> None:
    assert measured(head=head).passed


def test_what_is_reported() -> None:
    model = lz.compose(backbone="deep-sets:hidden=[8]", embedding="kinematics-rotation")
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    result = verify(model, random_cloud([9, 7, 8, 5]).to_units("MeV"), rapidities=SHORT)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())

    text = str(result)
    for word in ("computed", "measured", "single generators", "discrete", "γ of the boost", "kept, float32"):
        assert word in text
    data = json.loads(json.dumps(result.to_data()))
    assert data["passed"] is True
    assert data["predicted"].startswith("SO(3)")
    assert data["curve"]["rapidities"] == [1.0, 2.0]
    assert data["per_generator"]["Kx"] > 1e-3 > data["per_generator"]["Jx"]
    assert result.discrete["P"] < 1e-12
    assert result.discrete["z-flip"] < 1e-12
    assert (result.curve.kept["float64"] < 1e-12).all()
    assert (result.curve.kept["float32"] < 1e-3).all()
    assert (result.curve.broken["float64"] > 1e-3).all()

    again = verify(model, random_cloud([9, 7, 8, 5]), rapidities=SHORT)
    np.testing.assert_allclose(again.singular_values, result.singular_values, atol=1e-7)


def test_the_curve_is_drawn() -> None:
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    axes = measured().plot()
    assert "γ" in axes.get_xlabel() or "gamma" in axes.get_xlabel()
    assert axes.get_title() == "SO⁺(1,3)"
    assert len(axes.lines) == 4
    plt.close("all")


def test_events_that_ship_are_the_default() -> None:
    result = verify(
        lz.compose(backbone="deep-sets:hidden=[8]", in_scalars=1, in_context=1), rapidities=(1.0,)
    )
    assert result.passed
    assert result.measured.name == "SO(2)_beam"


def test_a_full_curve_reaches_a_thousand() -> None:
    model = lz.compose(backbone="deep-sets:hidden=[8]", embedding="invariants")
    result = verify(model, random_cloud([9, 7, 8, 5]))
    assert math.cosh(result.curve.rapidities[-1]) > 900
    # Anchored: float32 keeps its digits at every boost.
    assert (result.curve.kept["float32"] < 1e-4).all()
