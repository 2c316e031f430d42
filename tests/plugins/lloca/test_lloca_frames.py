"""Learned frames: covariance, degenerate events, scales, statistics, compositions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError, NotFittedError
from lorentzoo.core.minkowski import inverse, metric, random_lorentz
from lorentzoo.plugins.lloca.orthonormal import gram_schmidt_frames, polar_frames

FULL = ["lloca-polar", "lloca-gramschmidt", "lloca-rest"]
SUBGROUPS = ["lloca-so3", "lloca-so2", "lloca-beam", "lloca-so2:axes=published", "lloca-beam:axes=published"]
PELICAN = [
    f"lloca-{name}:equivectors=pelican" for name in ("polar", "gramschmidt", "rest", "so3", "so2", "beam")
]
FULL += [*PELICAN[:3], "lloca-polar:equivectors=lgatr", "lloca-polar:equivectors=lgatr-slim"]
SUBGROUPS += [*PELICAN[3:], "lloca-so3:equivectors=lgatr", "lloca-so3:equivectors=lgatr-slim"]
DEGENERATE = ["collinear", "light-like", "equal", "one", "two", "back-to-back", "on the beam", "at rest"]


def frames_net(name: str, **options) -> torch.nn.Module:
    model = lz.compose(
        frames={"name": name, **options} if options else name, backbone="deep-sets", anchor="none"
    )
    model.double().frames_net.mark_fitted()
    return model.frames_net


def events(lengths: list[int], seed: int, mass: float = 0.3) -> lz.ParticleCloud:
    rng = np.random.default_rng(seed)
    p3 = rng.normal(size=(sum(lengths), 3)) * np.exp(rng.normal(size=(sum(lengths), 1)))
    energy = np.sqrt((p3**2).sum(1, keepdims=True) + mass**2)
    return lz.ParticleCloud.from_packed(np.concatenate([energy, p3], 1), np.cumsum([0, *lengths]))


def degenerate(kind: str, rng: np.random.Generator) -> np.ndarray:
    """One event whose momenta leave a non-trivial stabiliser, at a random scale."""
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    n = int(rng.integers(2, 6))
    sizes = np.exp(rng.normal(size=n))[:, None]
    if kind == "collinear":
        p3, mass = sizes * direction, 0.1
    elif kind == "light-like":
        p3, mass = sizes * direction, 0.0
    elif kind == "equal":
        p3, mass = np.tile(rng.normal(size=3), (n, 1)), 0.2
    elif kind == "one":
        p3, mass = rng.normal(size=(1, 3)), float(rng.integers(0, 2))
    elif kind == "two":
        p3, mass = rng.normal(size=(2, 3)), 0.0
    elif kind == "back-to-back":
        p3, mass = np.stack([direction, -direction]), 0.0
    elif kind == "on the beam":
        p3, mass = sizes * np.array([0.0, 0.0, 1.0]) * rng.choice([-1.0, 1.0], size=(n, 1)), 0.0
    else:
        p3, mass = np.zeros((n, 3)), 1.0
    energy = np.sqrt((p3**2).sum(1, keepdims=True) + mass**2)
    return np.concatenate([energy, p3], 1) * 10.0 ** rng.uniform(-3, 4)


def defect(matrices: Tensor) -> float:
    g = metric()
    matrices = matrices.detach()
    return float((matrices @ g @ matrices.transpose(-1, -2) - g).abs().max())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), lengths=st.lists(st.integers(3, 12), min_size=1, max_size=3))
@pytest.mark.parametrize("name", FULL)
def test_frames_of_the_full_group_are_covariant(name, seed, lengths):
    torch.manual_seed(seed)
    net, cloud = frames_net(name), events(lengths, seed)
    element = random_lorentz(max_rapidity=2.0)
    before = net(cloud).per_particle()
    after = net(cloud.transform(element)).per_particle()
    expected = before @ inverse(element)
    assert defect(before) < 1e-9
    # In the median over particles nothing is ill conditioned; a few nearly collinear ones may be.
    errors = (after - expected).abs().amax((-1, -2)) / expected.abs().amax((-1, -2))
    assert float(errors.detach().median()) < 1e-9


@pytest.mark.parametrize("name", SUBGROUPS)
def test_frames_of_subgroups_are_covariant_under_them(name):
    torch.manual_seed(1)
    net, cloud = frames_net(name), events([7, 4], 1)
    rng = np.random.default_rng(0)
    for _ in range(5):
        element = torch.from_numpy(net.residual.random_element(rng, size=1.5))
        expected = net(cloud).per_particle() @ inverse(element)
        assert torch.allclose(net(cloud.transform(element)).per_particle(), expected, atol=1e-8)


@pytest.mark.parametrize("name", ["lloca-so3", "lloca-so2", "lloca-beam"])
def test_frames_lie_in_their_subgroup(name):
    """Elements of the subgroup preserve what it stabilises: here its whole complement's commutator structure."""
    net, cloud = frames_net(name), events([6], 3)
    matrices = net(cloud).per_particle()
    if name == "lloca-so3":
        assert torch.allclose(
            matrices[..., 0, :], torch.eye(4, dtype=torch.float64)[0].expand(6, 4), atol=1e-12
        )
    if name == "lloca-so2":
        for axis in (0, 3):
            assert torch.allclose(
                matrices[..., axis, :], torch.eye(4, dtype=torch.float64)[axis].expand(6, 4), atol=1e-12
            )
    plane = torch.diag(torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64))
    if name != "lloca-so3":
        assert torch.allclose(matrices @ plane, plane @ matrices, atol=1e-12)
    assert torch.allclose(torch.linalg.det(matrices), torch.ones(6, dtype=torch.float64))


def test_polar_and_gram_schmidt_are_the_same_frames():
    rng = torch.Generator().manual_seed(0)
    time = torch.randn(50, 4, generator=rng, dtype=torch.float64)
    time[:, 0] = time[:, 1:].norm(dim=1) + 0.5
    others = torch.randn(50, 2, 4, generator=rng, dtype=torch.float64)
    polar = polar_frames(time, others, time, 1e3)
    vectors = torch.cat([time.unsqueeze(1), others], dim=1)
    assert torch.allclose(polar, gram_schmidt_frames(vectors, time, 1e3), atol=1e-9)
    trivial = torch.eye(4, dtype=torch.float64)[None, :3]
    assert torch.allclose(gram_schmidt_frames(trivial, trivial[:, 0], 1e3), torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize("scale", [1e-3, 1e3, 2.0**40])
def test_orthonormalisation_is_scale_free(scale):
    rng = torch.Generator().manual_seed(2)
    time = torch.randn(20, 4, generator=rng, dtype=torch.float64)
    time[:, 0] = time[:, 1:].norm(dim=1) + 0.1
    others = torch.randn(20, 2, 4, generator=rng, dtype=torch.float64)
    before = polar_frames(time, others, time, 1e3)
    after = polar_frames(scale * time, scale * others, scale * time, 1e3)
    assert torch.allclose(before, after, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", FULL + SUBGROUPS)
def test_units_and_repetition_do_not_matter(name):
    torch.manual_seed(5)
    model = lz.compose(frames=name, backbone="deep-sets").double().eval()
    model.frames_net.mark_fitted()
    cloud = events([9, 5], 5)
    outputs = []
    for units, factor in (("GeV", 1.0), ("MeV", 1e3), ("TeV", 1e-3), ("GeV", 1.0)):
        again = lz.ParticleCloud.from_packed(cloud.momenta * factor, cloud.layout.ptr, units=units)
        outputs.append(model(again))
    assert torch.equal(outputs[0], outputs[3])
    for other in outputs[1:3]:
        assert torch.allclose(outputs[0], other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FULL + SUBGROUPS)
def test_degenerate_events_give_finite_frames_and_gradients(name):
    """10⁴ random events over all frames: light-like sums, collinear pairs, equal particles, one or two particles."""
    torch.manual_seed(3)
    net = frames_net(name)
    rng = np.random.default_rng(3)
    per_name = 1250
    drawn = [degenerate(DEGENERATE[i % len(DEGENERATE)], rng) for i in range(per_name)]
    cloud = lz.ParticleCloud.from_list(drawn)
    momenta = cloud.momenta.clone().requires_grad_()
    frames = net(lz.ParticleCloud.from_packed(momenta, cloud.layout.ptr, validate=False)).per_particle()
    assert bool(torch.isfinite(frames).all())
    assert defect(frames.detach()) <= 1e-9
    frames.square().sum().backward()
    assert bool(torch.isfinite(momenta.grad).all())
    assert all(bool(torch.isfinite(p.grad).all()) for p in net.parameters())
    assert torch.equal(frames, net(cloud).per_particle())


def test_global_frames_are_one_an_event():
    net, cloud = frames_net("lloca-polar", is_global=True), events([4, 6], 7)
    frames = net(cloud)
    assert frames.is_global
    assert frames.matrices.shape == (2, 4, 4)


def test_frozen_and_redrawn_networks():
    frozen, redrawn = frames_net("lloca-polar", frozen=True), frames_net("lloca-polar", redraw=True)
    cloud = events([6], 8)
    for net in (frozen, redrawn):
        assert not any(p.requires_grad for p in net.parameters())
    assert torch.equal(frozen.train()(cloud).matrices, frozen(cloud).matrices)
    assert not torch.equal(redrawn.train()(cloud).matrices, redrawn(cloud).matrices)
    assert torch.equal(redrawn.eval()(cloud).matrices, redrawn(cloud).matrices)


def test_redrawing_reaches_every_layer_of_a_network_on_pairs():
    net = frames_net("lloca-polar", redraw=True, equivectors="pelican").train()
    before = {name: p.clone() for name, p in net.equivectors.named_parameters()}
    net(events([6], 8))
    kept = [name for name, p in net.equivectors.named_parameters() if torch.equal(p, before[name])]
    assert all(name.endswith(("multipliers", "norm.weight")) for name in kept), kept


@pytest.mark.parametrize(
    ("name", "equivectors", "parameters"),
    [
        ("lloca-transformer", "pelican", 1_992_552),
        ("lloca-transformer-jetclass", "pelican", 2_000_993),
        ("lloca-transformer", "lgatr", 1_992_861),
        ("lloca-transformer-jetclass", "lgatr", 1_995_582),
    ],
)
def test_published_networks_inside_have_the_reference_counts(name, equivectors, parameters):
    assert lz.create_model(name, frames={"equivectors": equivectors}).num_parameters == parameters


def test_statistics_are_of_all_pairs_and_saved(tmp_path):
    model = lz.compose(frames="lloca-polar", backbone="deep-sets").double()
    cloud = events([5, 3, 1], 9)
    with pytest.raises(NotFittedError, match=r"Polar has statistics that were not fitted.*fit_statistics"):
        model(cloud)
    one = torch.ones(3, dtype=torch.float64)
    model.fit_statistics([lz.Batch(cloud, one, one, torch.arange(3))])
    logs = []
    for begin, end in ((0, 5), (5, 8)):
        for i in range(begin, end):
            for j in range(begin, end):
                if i != j:
                    p = cloud.momenta[i] + cloud.momenta[j]
                    logs.append(float(torch.log(p[0] ** 2 - (p[1:] ** 2).sum())))
    net = model.frames_net.equivectors
    assert float(net.edge_mean) == pytest.approx(np.mean(logs), rel=1e-6)
    assert float(net.edge_std) == pytest.approx(np.std(logs, ddof=1), rel=1e-6)
    lz.save(model, tmp_path)
    again = lz.load(tmp_path)
    assert torch.equal(again(cloud), model.eval()(cloud))


def test_packed_and_padded_frames_agree():
    net, cloud = frames_net("lloca-polar"), events([2, 9, 1, 5], 10)
    packed = cloud.layout.pad(net(cloud).matrices)
    padded = net(cloud.to_padded()).matrices
    mask = cloud.to_padded().layout.mask
    assert torch.allclose(packed[mask], padded[mask], atol=1e-9)


@pytest.mark.parametrize(
    "spurions", [[], ["time"], ["beam"], ["beam-lightlike"], ["beam-lightlike", "time"], ["beam-plane"]]
)
@pytest.mark.parametrize("frames", ["lloca-polar", "lloca-so3", "lloca-so2", "lloca-beam"])
def test_measured_symmetry_is_the_computed_one(frames, spurions):
    model = lz.compose(
        frames=frames,
        spurions=spurions,
        embedding=["kinematics", "momenta"],
        backbone="transformer:num_blocks=1",
    )
    result = lz.verify(model, rapidities=(1.0,))
    assert result.passed, result


@pytest.mark.parametrize(
    "backbone", ["part:num_blocks=1,num_class_blocks=1", "particlenet", "graphnet:edge_features=true"]
)
@pytest.mark.parametrize("frames", ["identity", "lloca-polar", "lloca-so2"])
def test_measured_symmetry_of_the_other_backbones(frames, backbone):
    embedding = ["kinematics", "momenta"] if backbone != "particlenet" else "kinematics"
    result = lz.verify(lz.compose(frames=frames, embedding=embedding, backbone=backbone), rapidities=(1.0,))
    assert result.passed, result


@pytest.mark.parametrize(
    "name",
    [
        "lgatr:num_blocks=1,hidden_channels=4,hidden_scalars=4,num_heads=2",
        "lgatr-slim:num_blocks=1",
        "lorentznet:num_blocks=2,hidden_channels=8",
        "pelican:num_blocks=2,hidden_channels=8",
    ],
)
def test_frames_from_an_equivariant_backbone(name):
    model = lz.compose(
        frames={"name": "lloca-polar", "equivectors": name}, backbone="transformer:num_blocks=1"
    )
    assert lz.verify(model, rapidities=(1.0,)).passed


def test_float32_follows_the_residual_group():
    """Median over events ≤ 1e-6 in float32, up to what the float64 momenta themselves have lost at γ = 1000."""
    for spurions in ([], ["time"], ["beam-lightlike", "time"]):
        model = lz.compose(
            frames="lloca-polar",
            spurions=spurions,
            embedding=["kinematics"],
            backbone="transformer:num_blocks=2",
        )
        result = lz.verify(model, rapidities=(1.0, 5.3, 7.6))
        allowed = 1e-6 + result.curve.kept["float64"]
        assert np.all(result.curve.kept["float32"] <= allowed), (spurions, result.curve.kept)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(CompositionError, match="equivariant by its layers"):
        lz.compose(frames={"name": "lloca-polar", "equivectors": "deep-sets"}, backbone="deep-sets")
    with pytest.raises(CompositionError, match="must be embeddings of scalars"):
        lz.compose(frames={"name": "lloca-polar", "lab_scalars": "momenta"}, backbone="deep-sets")
    with pytest.raises(CompositionError, match="gamma_max must exceed 1"):
        lz.compose(frames="lloca-polar:gamma_max=0.5", backbone="deep-sets")


@pytest.mark.parametrize("harder", [1.0, 1e2, 1e4, 1e6, 1e8])
@pytest.mark.parametrize("name", FULL)
def test_one_particle_that_is_much_harder_costs_no_digits_but_those_of_the_boost(
    name: str, harder: float
) -> None:
    """|LgLᵀ-g| is a few ulp times γ², as the largest component of L says, and 1e-9 at most."""
    net = frames_net(name)
    for seed in range(20):
        cloud = events([6], seed)
        momenta = cloud.momenta.clone()
        momenta[0] *= harder
        cloud = lz.ParticleCloud.from_packed(momenta, [0, 6], validate=False)
        frames = net(cloud).per_particle().detach()
        assert defect(frames) < min(1e-9, 5e-15 * float(frames.abs().max()) ** 2)


def test_weights_of_before_there_was_a_flag_of_published_sums_load() -> None:
    from lorentzoo.registry.checkpoints import load_state

    model = lz.compose(frames="lloca-polar:equivectors=lgatr", backbone="deep-sets")
    state = {name: value for name, value in model.state_dict().items() if "published_sums" not in name}
    assert len(state) == len(model.state_dict()) - 1
    load_state(model, state, source="an older file")
    assert not bool(model.frames_net.equivectors.published_sums)
