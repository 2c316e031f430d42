"""Named channels: their values by hand, and finite where physics is not."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.anchor import anchor_matrices
from lorentzoo.core.errors import CheckpointError
from lorentzoo.core.frames import Frames
from lorentzoo.core.minkowski import boost, pseudorapidity, random_lorentz, rotation
from lorentzoo.plugins.embeddings.invariants import Invariants
from lorentzoo.plugins.embeddings.kinematics import Kinematics
from lorentzoo.plugins.embeddings.momenta import Momenta
from lorentzoo.plugins.spurions.reference import beam_plane, time
from lorentzoo.registry.checkpoints import load_state
from lorentzoo.testing import random_cloud

ALL = ("log_pt", "log_e", "log_pt_rel", "log_e_rel", "dphi", "deta", "delta_r")
CLOUD = random_cloud([5, 1, 3])


def embed(embedding: torch.nn.Module, cloud: lz.ParticleCloud = CLOUD) -> lz.Features:
    return embedding(cloud, Frames.identity(cloud.layout))


def test_the_seven_features_by_hand() -> None:
    features = embed(Kinematics(standardise=False))
    assert features.scalar_names == ALL
    start = 0
    for n in CLOUD.layout.lengths:
        p = CLOUD.momenta[start : start + n].numpy()
        jet = p.sum(0)
        pt, jet_pt = np.hypot(p[:, 1], p[:, 2]), np.hypot(jet[1], jet[2])
        dphi = np.angle(np.exp(1j * (np.arctan2(p[:, 2], p[:, 1]) - np.arctan2(jet[2], jet[1]))))
        deta = np.arcsinh(jet[3] / jet_pt) - np.arcsinh(p[:, 3] / pt)
        wanted = {
            "log_pt": np.log(pt),
            "log_e": np.log(p[:, 0]),
            "log_pt_rel": np.log(pt / jet_pt),
            "log_e_rel": np.log(p[:, 0] / jet[0]),
            "dphi": dphi,
            "deta": deta,
            "delta_r": np.hypot(dphi, deta),
        }
        for name, value in wanted.items():
            np.testing.assert_allclose(features.scalar(name)[start : start + n].numpy(), value, atol=1e-11)
        start += n


def test_published_constants() -> None:
    raw, standard = embed(Kinematics(standardise=False)), embed(Kinematics())
    for name, (subtract, multiply) in {
        "log_pt": (1.7, 0.7),
        "log_e_rel": (-4.7, 0.7),
        "delta_r": (0.2, 4.0),
    }.items():
        torch.testing.assert_close(standard.scalar(name), (raw.scalar(name) - subtract) * multiply)


def test_features_in_local_frames_are_those_of_transformed_events() -> None:
    matrices = random_lorentz(3)
    frames = Frames.of_events(CLOUD.layout, matrices)
    seen = Kinematics()(CLOUD, frames).scalars
    torch.testing.assert_close(
        seen, embed(Kinematics(), CLOUD.transform(matrices)).scalars, rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize("rapidity", [False, True])
@pytest.mark.parametrize(
    "subset", [s for n in (1, 2) for s in itertools.combinations(ALL, n)] + [ALL], ids="+".join
)
def test_every_subset_declares_what_it_keeps(subset: tuple[str, ...], rapidity: bool) -> None:
    embedding = Kinematics(subset, rapidity=rapidity)
    symmetry = embedding.scalar_symmetry
    before = embed(embedding).scalars
    rng = np.random.default_rng(0)
    for _ in range(2):
        after = embed(embedding, CLOUD.transform(torch.from_numpy(symmetry.random_element(rng)))).scalars
        torch.testing.assert_close(after, before, rtol=1e-7, atol=1e-7)
    for name in symmetry.discrete:
        from lorentzoo.core.symmetry import DISCRETE

        after = embed(embedding, CLOUD.transform(torch.from_numpy(DISCRETE[name]))).scalars
        torch.testing.assert_close(after.abs(), before.abs(), rtol=1e-7, atol=1e-7)
    # And nothing more: each further generator moves something.
    for row in symmetry.complement:
        element = torch.from_numpy(lz.Symmetry(row[None]).element([0.5]))
        assert (embed(embedding, CLOUD.transform(element)).scalars - before).abs().max() > 1e-4


def test_named_subsets() -> None:
    beam = lz.compose(backbone="deep-sets", embedding="kinematics-beam").embedding
    assert beam.scalar_names == ("log_pt", "log_pt_rel", "dphi", "deta", "delta_r")
    moved = CLOUD.transform(boost([0, 0, 1], 1.7) @ rotation([0, 0, 1], 2.0))
    torch.testing.assert_close(embed(beam, moved).scalars, embed(beam).scalars, rtol=1e-8, atol=1e-8)
    turned = lz.compose(backbone="deep-sets", embedding="kinematics-rotation").embedding
    moved = CLOUD.transform(rotation([1, 2, 3], 2.0))
    torch.testing.assert_close(embed(turned, moved).scalars, embed(turned).scalars, rtol=1e-10, atol=1e-10)


def test_repeated_features_are_refused() -> None:
    with pytest.raises(ValueError, match="features must be different names, at least one"):
        Kinematics(["log_pt", "log_pt"])


@pytest.mark.parametrize("embedding", [Kinematics(), Kinematics(rapidity=True), Invariants(), Momenta()])
def test_extreme_particles_stay_finite_with_their_gradients(embedding: torch.nn.Module) -> None:
    rows = [
        [1.0, 0, 0, 1],
        [1.0, 0, 0, -1],
        [1e-9, 1e-9, 0, 0],
        [0.14, 0, 0, 0],
        [1e6, 0, 1e6, 0],
        [5.0, 3, 0, 4],
        [5.0, 3, 0, 4],
    ]
    for lengths in ([7], [1] * 7, [2, 5], [0, 7]):
        momenta = torch.tensor(rows, dtype=torch.float64)
        ptr = np.concatenate([[0], np.cumsum(lengths)])
        # Momenta of 1e6 GeV look like MeV.
        cloud = lz.ParticleCloud.from_packed(momenta, ptr, validate=False)
        cloud.momenta.requires_grad_()
        features = embed(embedding, cloud)
        both = torch.cat([features.scalars, features.vectors.flatten(-2)], dim=-1)
        assert torch.isfinite(both).all()
        assert both.abs().max() < 1e7
        both.clamp(-50, 50).sum().backward()
        assert cloud.momenta.grad is not None
        assert torch.isfinite(cloud.momenta.grad).all()


def test_invariants_by_hand() -> None:
    cloud = time(2.0)(CLOUD)
    embedding = Invariants(spurion_names=("time",))
    features = embedding(cloud, Frames.identity(cloud.layout))
    assert features.scalar_names == ("log_fraction", "log_mass", "log_event_mass", "with_time")
    rows = CLOUD.layout.append(1).split(features.scalars)[1]
    p = CLOUD.momenta[:5]
    total = p.sum(0)
    m2 = float(total[0] ** 2 - total[1:].square().sum())
    dot = p[:, 0] * total[0] - (p[:, 1:] * total[1:]).sum(1)
    torch.testing.assert_close(rows[:5, 0], torch.log(dot / m2), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(rows[:5, 2], torch.full((5,), math.log(m2), dtype=torch.float64))
    torch.testing.assert_close(rows[:, 3], torch.asinh(2 * CLOUD.momenta[:, 0]))


@pytest.mark.parametrize("rapidity", [1.0, 5.0, 7.6])
def test_invariants_do_not_change_at_any_boost(rapidity: float) -> None:
    before = embed(Invariants()).scalars
    after = embed(Invariants(), CLOUD.transform(boost([1, 2, -1], rapidity))).scalars
    # One-particle events of photons have no mass to compare with.
    rows = [0, 1, 2, 3, 4, 6, 7, 8]
    assert (after - before)[rows].abs().max() < 1e-3 * math.cosh(rapidity) ** 2 * 1e-6 + 1e-9


def test_momenta_scale_particles_and_not_spurions() -> None:
    cloud = time()(CLOUD)
    features = Momenta(scale=20.0)(cloud, Frames.identity(cloud.layout))
    tokens, particles = CLOUD.layout.append(1).split(features.vectors)
    torch.testing.assert_close(particles[:, 0], CLOUD.momenta / 20)
    assert tokens[:, 0, 0, 0].tolist() == [1, 1, 1]
    plane = beam_plane()(CLOUD)
    both = Momenta(in_vectors=2, matrix_names=("longitudinal", "transverse"))
    assert both.vector_names == ("momentum", "longitudinal", "transverse")
    assert both(plane, Frames.identity(plane.layout)).vectors.shape == (9, 3, 4)
    with pytest.raises(ValueError, match="scale must be positive, not 0"):
        Momenta(0)


@pytest.mark.parametrize("frames", ["identity", "lloca-polar"])
@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_the_scale_of_momenta_is_that_of_the_training_set(
    jets: lz.JetDataset, frames: str, unit: float
) -> None:
    batch = jets.batch(slice(0, 200))
    cloud = lz.ParticleCloud.from_packed(batch.cloud.momenta * unit, batch.cloud.layout.ptr, validate=False)
    # Signs of weights are no matter, and events of weight zero are not there.
    weight = torch.tensor([1.0, -1.0, 2.0, 0.0], dtype=torch.float64).repeat(50)
    model = lz.compose(frames=frames, embedding="momenta", backbone="transformer:num_blocks=1")
    assert not model.is_fitted
    model.fit_statistics([replace(batch, cloud=cloud, weight=weight)])
    # Networks in learned frames see events at rest.
    seen = cloud if frames == "identity" else cloud.transform(anchor_matrices(cloud, "rest"))
    assert model.anchor == ("none" if frames == "identity" else "rest")
    of_particle = weight.abs().repeat_interleave(cloud.layout.counts())
    expected = ((of_particle * seen.momenta[:, 0] ** 2).sum() / of_particle.sum()).sqrt()
    torch.testing.assert_close(model.embedding.fitted_scale, expected)
    features = model.embedding(seen, Frames.identity(cloud.layout))
    torch.testing.assert_close(features.vectors[:, 0], seen.momenta / expected)


def test_a_scale_is_fitted_only_where_vectors_are_inputs(jets: lz.JetDataset) -> None:
    batch = jets.batch(slice(0, 100))
    for backbone in ("pelican:num_blocks=1", "substructure"):
        model = lz.compose(embedding="momenta", backbone=backbone)
        model.fit_statistics([batch])
        assert model.embedding.scale == 1.0
        assert "fitted_scale" not in dict(model.embedding.named_buffers())
    stated = lz.compose(embedding="momenta:scale=7", backbone="lorentznet:num_blocks=1")
    assert not list(stated.embedding.buffers())


def test_weights_from_before_there_was_a_fitted_scale_are_in_gev() -> None:
    model = lz.compose(embedding="momenta", backbone="lorentznet:num_blocks=1").eval()
    state = {name: value for name, value in model.state_dict().items() if "fitted" not in name}
    load_state(model, state, source="a file of version 0.1.0")
    assert model.embedding.fitted_scale == 1.0
    assert model.is_fitted
    stated = lz.compose(embedding="momenta:scale=1", backbone="lorentznet:num_blocks=1").eval()
    stated.load_state_dict(state)
    assert torch.equal(model(CLOUD), stated(CLOUD))
    half = {name: value for name, value in model.state_dict().items() if not name.endswith("fitted_scale")}
    with pytest.raises(CheckpointError, match=r"missing \['embedding.fitted_scale'\]"):
        load_state(model, half, source="a damaged file")


@pytest.mark.parametrize(
    "backbone", ["lgatr:num_blocks=4", "lgatr-slim:num_blocks=4", "lorentznet:num_blocks=4"]
)
@pytest.mark.parametrize("fitted", [False, True])
def test_float32_is_exact_with_default_parameters(jets: lz.JetDataset, backbone: str, fitted: bool) -> None:
    batch = jets.batch(slice(0, 32))
    pooling = "global-token" if "lgatr" in backbone else "mean"
    model = lz.compose(embedding="momenta", backbone=backbone, head={"name": "classify", "pooling": pooling})
    if fitted:
        model.fit_statistics([batch])
    with torch.no_grad():
        single = model.eval()(batch.cloud).double()
        double = copy.deepcopy(model).double()(batch.cloud)
    assert ((single - double).norm(dim=-1) / double.norm(dim=-1)).median() < 1e-5


def test_kinematics_relative_to_a_total_at_rest() -> None:
    """Back to back: no azimuth, no pseudorapidity of the event, pT relative to its mass; whatever the rounding."""
    p = torch.tensor([[5.0, 1.0, 2.0, 3.0], [5.0, -1.0, -2.0, -3.0]], dtype=torch.float64)
    embedding = Kinematics(standardise=False)
    values = []
    for rounding in (0.0, 1e-15, -1e-15):
        cloud = lz.ParticleCloud.from_list([p + torch.tensor([0.0, rounding, -rounding, rounding])])
        values.append(embedding(cloud, lz.Frames.identity(cloud.layout)))
    for other in values[1:]:
        torch.testing.assert_close(other.scalars, values[0].scalars)
    exact = values[0]
    assert (exact.scalar("dphi") == 0).all()
    torch.testing.assert_close(exact.scalar("deta"), -pseudorapidity(p))
    torch.testing.assert_close(
        exact.scalar("log_pt_rel"), torch.full((2,), math.log(5**0.5 / 10), dtype=torch.float64)
    )
