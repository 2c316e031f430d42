"""How the slots run as one: widths, spurions, tokens, context, units, statistics, predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.embeddings import EmbeddingList
from lorentzoo.core.errors import CompositionError, NotFittedError, ParameterError
from lorentzoo.core.minkowski import random_lorentz
from lorentzoo.core.model import Model
from lorentzoo.core.spurions import Spurions
from lorentzoo.testing import random_cloud
from lorentzoo.verification import redraw_weights

DEEP = "deep-sets:hidden=[8]"


def made(**slots: object) -> Model:
    model = lz.compose(**{"backbone": DEEP, "embedding": ["kinematics", "momenta"], **slots}).double().eval()  # type: ignore[arg-type]
    redraw_weights(model)
    return model


# ---- what it is given -------------------------------------------------------------------------


def test_wrong_widths_say_what_was_made_and_what_came() -> None:
    model = made(in_scalars=2, in_context=1)
    with pytest.raises(
        ValueError, match=r"made for in_scalars=2 scalars a particle, but the cloud has 0 \[\]"
    ):
        model(random_cloud([3], in_context=1))
    with pytest.raises(ValueError, match="made for in_context=1 numbers an event, but the cloud has 3"):
        model(random_cloud([3], in_scalars=2, in_context=3))
    named = replace(random_cloud([3], in_scalars=1, in_context=1), scalar_names=("charge",))
    with pytest.raises(ValueError, match=r"but the cloud has 1 \['charge'\]"):
        model(named)
    with pytest.raises(TypeError, match=r"takes a ParticleCloud, not Tensor; see ParticleCloud\.from_padded"):
        model(torch.ones(3, 4))
    assert model(random_cloud([3], in_scalars=2, in_context=1)).shape == (1, 2)


@pytest.mark.parametrize(
    "backbone", [DEEP, "transformer:num_blocks=1,num_heads=2", "mlp:num_particles=4,hidden=[8]"]
)
@pytest.mark.parametrize("anchor", ["auto", "none"])
def test_units_make_no_difference(backbone: str, anchor: str) -> None:
    model = made(backbone=backbone, anchor=anchor)
    cloud = random_cloud([4, 2, 5])
    wanted = model(cloud)
    for units in ("MeV", "TeV"):
        torch.testing.assert_close(model(cloud.to_units(units)), wanted, rtol=1e-9, atol=1e-9)  # type: ignore[arg-type]


def test_scalars_and_context_reach_the_network() -> None:
    model = made(in_scalars=1, in_context=1)
    cloud = random_cloud([3, 4], in_scalars=1, in_context=1)
    before = model(cloud)
    assert not torch.allclose(model(replace(cloud, scalars=cloud.scalars + 1)), before)
    moved = cloud.context.clone()
    moved[1] += 1
    after = model(replace(cloud, context=moved))
    torch.testing.assert_close(after[0], before[0])
    assert not torch.allclose(after[1], before[1])


# ---- spurions ---------------------------------------------------------------------------------

TABLE = {
    "none": "SO⁺(1,3)",
    "time": "SO(3)",
    "beam": "SO⁺(1,2)",
    "beam-lightlike:both=false": "ISO(2)",
    "beam-lightlike": "SO(2)_beam",
    "beam-timelike": "SO(2)_beam",
    "beam-plane": "SO⁺(1,1)_beam × SO(2)_beam",
    "all": "trivial",
}


class Lorentz(lz.Backbone):
    """Symmetric by its layers: a network on inner products of a particle's own vectors."""

    equivariant = True
    spurion_mode = "channels"
    spurion_modes = ("channels", "drop")

    def __init__(self, *, in_scalars: int, in_vectors: int) -> None:
        super().__init__()
        self.width = 6
        self.layer = torch.nn.Linear(in_scalars + in_vectors**2 + 1, self.width)

    def forward(self, features, frames, layout, context):  # type: ignore[no-untyped-def]
        vectors = features.vectors
        signs = vectors.new_tensor([1.0, -1, -1, -1])
        gram = torch.einsum("...ai,...bi->...ab", vectors * signs, vectors)
        total = layout.spread(layout.pool(vectors[..., 0, :]))
        pair = (vectors[..., 0, :] * signs * total).sum(-1, keepdim=True)
        numbers = torch.cat([gram.flatten(-2), pair], dim=-1)
        numbers = torch.sign(numbers) * torch.log1p(numbers.abs())
        return lz.Features.of_scalars(torch.tanh(self.layer(torch.cat([features.scalars, numbers], dim=-1))))


@pytest.mark.parametrize("spurions", TABLE)
def test_table_of_spurion_sets_computed_and_measured(own_catalogue: None, spurions: str) -> None:
    lz.register("backbone", "lorentz")(Lorentz)
    model = lz.compose(spurions=spurions, embedding="momenta", backbone="lorentz")
    assert model.symmetry.name == TABLE[spurions]
    result = lz.verify(model, random_cloud([9, 7, 12, 5]), rapidities=(1.0,))
    assert result.passed, str(result)
    assert result.measured.name == TABLE[spurions]
    assert result.predicted.discrete <= result.measured.discrete


def test_several_spurions_intersect(own_catalogue: None) -> None:
    lz.register("backbone", "lorentz")(Lorentz)
    both = lz.compose(spurions=["beam", "time"], embedding="momenta", backbone="lorentz")
    assert both.symmetry.name == "SO(2)_beam"
    assert both.spurions.names == ("beam", "time")
    plane = lz.compose(spurions=["beam-plane", "time"], embedding="momenta", backbone="lorentz")
    assert plane.symmetry.name == "SO(2)_beam"


def test_beam_tokens_do_not_say_where_x_points() -> None:
    """The azimuth of a beam is that of nothing: kinematics of tokens once broke rotations about the beam."""
    model = made(
        spurions="beam-lightlike",
        spurion_mode="tokens",
        embedding="kinematics",
        backbone="transformer:num_blocks=1",
    )
    assert model.symmetry.name == "SO(2)_beam"
    result = lz.verify(model, random_cloud([9, 7, 12, 5]), rapidities=(1.0,))
    assert result.passed, str(result)


@pytest.mark.parametrize("mode", ["tokens", "channels"])
def test_spurions_reach_the_network(mode: str) -> None:
    backbone = "transformer:num_blocks=1,num_heads=2"
    with_beam = made(spurions="beam", spurion_mode=mode, backbone=backbone)
    scaled = made(spurions="beam:scale=3.0", spurion_mode=mode, backbone=backbone)
    cloud = random_cloud([5, 3, 0])
    assert with_beam(cloud).shape == (3, 2)
    assert not torch.allclose(with_beam(cloud), scaled(cloud))
    torch.testing.assert_close(with_beam(cloud.to_padded()), with_beam(cloud))
    assert with_beam.symmetry.is_trivial == (mode == "channels" or not with_beam.backbone.equivariant)


def test_values_of_spurions_are_checked() -> None:
    with pytest.raises(ValueError, match="spurions must be finite"):
        Spurions([[np.inf, 0, 0, 0]])
    with pytest.raises(ValueError, match=r"2 spurions but 1 names \['a'\]"):
        Spurions(np.eye(4)[:2], names=["a"])
    merged = Spurions.merge(
        [Spurions(np.eye(4)[:1], names=["t"]), Spurions(matrices=[np.eye(4)], names=["one"])]
    )
    assert merged.names == ("t", "one")
    assert Spurions.merge([]).symmetry.is_full


# ---- global tokens ----------------------------------------------------------------------------


def test_a_global_token_is_a_row_of_its_own() -> None:
    model = made(backbone="transformer:num_blocks=1,num_heads=2", head="classify:pooling=global-token")
    cloud = random_cloud([5, 3, 0])
    output = model(cloud)
    assert output.shape == (3, 2)
    assert torch.isfinite(output).all()
    torch.testing.assert_close(model(cloud.to_padded()), output)


def test_augmentation_reaches_vectors_beside_a_global_token() -> None:
    """The token once replaced the frames before vectors were taken to them."""
    model = made(
        frames="random-lorentz",
        embedding="momenta",
        backbone="transformer:num_blocks=1,num_heads=2,head_reps=8x0n",
        head="classify:pooling=global-token",
    )
    cloud = random_cloud([5, 3])
    still = model(cloud)
    assert torch.equal(model(cloud), still)
    model.train()
    assert not torch.allclose(model(cloud), still)
    assert not torch.allclose(model(cloud), model(cloud))


# ---- augmentation -----------------------------------------------------------------------------


@pytest.mark.parametrize("frames", ["random-lorentz", "random-rotation", "random-beam"])
def test_augmentation_is_fresh_in_training_and_absent_in_evaluation(frames: str) -> None:
    plain, model = made(), made(frames=frames)
    model.load_state_dict(plain.state_dict())
    cloud = random_cloud([5, 3])
    torch.testing.assert_close(model(cloud), plain(cloud))
    model.train()
    assert not torch.allclose(model(cloud), model(cloud))
    torch.manual_seed(3)
    first = model(cloud)
    torch.manual_seed(3)
    assert torch.equal(model(cloud), first)


def test_augmenting_within_the_symmetry_changes_nothing() -> None:
    model = made(frames="random-beam", embedding="kinematics-beam").train()
    cloud = random_cloud([5, 3])
    torch.testing.assert_close(model(cloud), model(cloud), rtol=1e-9, atol=1e-9)
    assert model.symmetry.name == "SO⁺(1,1)_beam × SO(2)_beam"


# ---- anchoring --------------------------------------------------------------------------------


def test_anchored_models_keep_their_symmetry_in_single_precision(own_catalogue: None) -> None:
    lz.register("backbone", "lorentz")(Lorentz)
    model = lz.compose(embedding="momenta", backbone="lorentz").double().eval()
    redraw_weights(model)
    model.float()
    bare = lz.compose(embedding="momenta", backbone="lorentz", anchor="none").eval()
    bare.load_state_dict(model.state_dict())
    cloud = random_cloud([20, 30])
    change = {}
    for name, network in (("anchored", model), ("bare", bare)):
        with torch.no_grad():
            before = network(cloud)
            after = network(cloud.transform(random_lorentz(2, max_rapidity=7.0)))
        change[name] = float((after - before).abs().max())
    assert (model.anchor, bare.anchor) == ("rest", "none")
    assert change["anchored"] < 1e-5
    assert change["bare"] > 100 * change["anchored"]


def test_an_unknown_anchor_is_refused() -> None:
    with pytest.raises(CompositionError, match="anchor is 'auto' or 'none', not 'floor'"):
        lz.compose(backbone=DEEP, anchor="floor")


# ---- statistics and predictions ---------------------------------------------------------------


def batches(number: int = 3) -> list[lz.Batch]:
    return [
        lz.Batch(
            random_cloud([4, 2, 3], seed=i),
            torch.full((3,), float(i + 1), dtype=torch.float64),
            torch.ones(3, dtype=torch.float64),
            torch.arange(3),
        )
        for i in range(number)
    ]


def test_statistics_before_use() -> None:
    model = made(head="regress")
    cloud = batches()[0].cloud
    message = r"Regress has statistics that were not fitted to data; call model\.fit_statistics\(loader\)"
    with pytest.raises(NotFittedError, match=message):
        model.predict(cloud)
    with pytest.raises(NotFittedError, match=message):
        model.loss(batches()[0])
    model.fit_statistics(iter(batches()))
    assert model.predict(cloud).shape == (3, 1)
    assert torch.isfinite(model.loss(batches()[0]))
    assert float(model.head.mean) == pytest.approx(2.0)
    assert float(model.head.std) == pytest.approx((2 / 3) ** 0.5)


def test_predictions_keep_order_and_mode() -> None:
    model = made().train()
    data = batches()
    together = model.predict(data)
    assert together.dtype == np.float64
    assert model.training
    one_by_one = np.concatenate([model.predict(batch.cloud) for batch in data])
    np.testing.assert_array_equal(together, one_by_one)
    np.testing.assert_allclose(together.sum(1), 1)
    assert model.predict([]).shape == (0,)


def test_weights_of_events_weigh_the_loss() -> None:
    model = made()
    batch = replace(batches()[0], target=torch.tensor([0, 1, 0]))
    losses = [
        float(model.loss(replace(batch, weight=torch.eye(3, dtype=torch.float64)[i])).detach())
        for i in range(3)
    ]
    weight = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    assert float(model.loss(replace(batch, weight=weight)).detach()) == pytest.approx(
        np.average(losses, weights=[1, 2, 3])
    )


# ---- symmetry ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slots", "name"),
    [
        ({"embedding": "kinematics"}, "SO(2)_beam"),
        ({"embedding": "kinematics-beam"}, "SO⁺(1,1)_beam × SO(2)_beam"),
        ({"embedding": "kinematics-rotation"}, "SO(3)"),
        ({"embedding": "invariants"}, "SO⁺(1,3)"),
        ({"embedding": ["kinematics-beam", "invariants"]}, "SO⁺(1,1)_beam × SO(2)_beam"),
        ({"embedding": "momenta"}, "trivial"),
        ({"embedding": ["kinematics-beam", "momenta"]}, "trivial"),
        ({"embedding": "invariants", "spurions": "time"}, "SO(3)"),
        ({"embedding": "invariants", "spurions": "beam"}, "SO⁺(1,2)"),
    ],
)
def test_symmetry_of_compositions_computed_and_measured(slots: dict, name: str) -> None:
    model = lz.compose(**{"backbone": DEEP, **slots})
    assert model.symmetry.name == name
    result = lz.verify(model, random_cloud([9, 7, 12, 5]), rapidities=(1.0,))
    assert result.passed, str(result)
    assert result.measured.name == name
    assert result.predicted.discrete <= result.measured.discrete


def test_summary_names_every_path() -> None:
    text = made().summary()
    assert "symmetry   trivial" in text
    assert "scalars" in text
    assert "anchor     none" in text
    assert str(f"{made().num_parameters:,}") in text


def test_channels_of_several_embeddings_must_differ() -> None:
    from lorentzoo.plugins.embeddings.kinematics import Kinematics

    with pytest.raises(ValueError, match=r"give the channels \['log_pt'\] twice"):
        EmbeddingList([Kinematics(["log_pt"]), Kinematics(["log_pt", "log_e"])])


class InTheLaboratory(lz.Embedding):
    """pT, or the energy, of each particle in the laboratory, whatever its frame."""

    vector_names = ()
    scalar_symmetry = lz.Symmetry.full()

    def __init__(self, energy: bool = False) -> None:
        super().__init__()
        self.energy = energy

    @property
    def scalar_names(self) -> tuple[str, ...]:
        return ("lab_energy" if self.energy else "lab_pt",)

    @property
    def fixed_symmetry(self) -> lz.Symmetry:
        return lz.Symmetry.spanned_by(*(("Jx", "Jy", "Jz") if self.energy else ("Kz", "Jz")))

    def forward(self, cloud, frames):  # type: ignore[no-untyped-def]
        p = cloud.momenta
        of_interest = p[..., 0] if self.energy else p[..., 1:3].square().sum(-1).sqrt()
        return lz.Features.of_scalars(torch.log(of_interest).unsqueeze(-1), self.scalar_names)


def test_scalars_of_the_laboratory_cost_symmetry_in_any_frames(own_catalogue: None) -> None:
    from lorentzoo.plugins.embeddings.momenta import Momenta

    parts = [Momenta(), InTheLaboratory(), InTheLaboratory(energy=True)]
    assert [EmbeddingList(parts[:n]).fixed_symmetry.name for n in (1, 2, 3)] == [
        "SO⁺(1,3)",
        "SO⁺(1,1)_beam × SO(2)_beam",
        "SO(2)_beam",
    ]
    assert EmbeddingList(parts).scalar_symmetry == lz.Symmetry.full()
    assert EmbeddingList(parts).symmetry.name == "SO(2)_beam"
    lz.register("embedding", "laboratory")(InTheLaboratory)
    for energy, name in ((False, "SO⁺(1,1)_beam × SO(2)_beam"), (True, "SO(3)")):
        laboratory = {"name": "laboratory", "energy": energy}
        model = lz.compose(backbone=DEEP, frames="lloca-polar", embedding=["momenta", laboratory])
        assert model.symmetry.name == name
        result = lz.verify(model, random_cloud([9, 7, 12, 5]), rapidities=(1.0,))
        assert result.passed, str(result)
        assert result.measured.name == name


@pytest.mark.parametrize("given", [[random_cloud()], random_cloud(), [], 3, None, [3]])
def test_statistics_are_taken_from_batches(given: object) -> None:
    model = lz.compose(backbone="deep-sets:hidden=[4]", head="regress")
    with pytest.raises(
        ParameterError, match=r"fit_statistics takes batches, e.g. a data loader or \[lorentzoo"
    ):
        model.fit_statistics(given)
