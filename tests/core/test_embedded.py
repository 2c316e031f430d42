"""Do embeddings mean the same for every network of the registry?"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.embedded import EmbeddedEvents
from lorentzoo.core.errors import CompositionError, LorentzooError, ParameterError
from lorentzoo.core.layout import Packed
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.composition import build
from lorentzoo.testing import random_cloud
from lorentzoo.testing.compositions import SMALL, compose_around
from lorentzoo.testing.report import relative_change
from lorentzoo.testing.subject import ModelSubject

FITTED = ("amplitude-recipe", "amplitude-recipe-density", "log-polynomial")
"""Their references are fitted to the particles of a process, which drawn events are not."""
QUICK = (
    "cgenn",
    "deep-sets",
    "graphnet-edges",
    "lgatr",
    "lgatr-amplitudes",
    "lgatr-slim-jetclass",
    "lloca-mipart",
    "lloca-particlenet",
    "lloca-transformer-jetclass",
    "lorentznet",
    "mlp",
    "pcnn",
    "pelican-amplitudes",
    "pelican-mini",
    "pelican-official-mini",
    "substructure-bdt",
)
MODELS = [
    pytest.param(component.name, marks=[] if component.name in QUICK else pytest.mark.slow)
    for component in catalogue().components("model")
    if component.name not in FITTED
    and not component.size_of
    and not {"generator"} & set(component.spec)
    and component.plugin != "calorimeter"
]


@cache
def subject(name: str) -> ModelSubject:
    made = build(compose_around(catalogue().find("model", name), {}, {}, SMALL))
    return ModelSubject(made)


@torch.no_grad()
def embedded(model: lz.Model, cloud: lz.ParticleCloud) -> EmbeddedEvents:
    return model.embed(cloud)


def parts(found: EmbeddedEvents) -> list[torch.Tensor]:
    both = [features for features in (found.events, found.particles) if features is not None]
    return [tensor for features in both for tensor in (features.scalars, features.vectors)]


@pytest.mark.parametrize("name", MODELS)
def test_embeddings_keep_what_the_package_promises(name: str) -> None:
    s = subject(name)
    (cloud,) = s.events()
    model, b = s.model, cloud.num_events
    assert isinstance(cloud.layout, Packed)
    found = embedded(model, cloud)
    assert found.events is not None
    assert found.events.scalars.shape[0] == found.events.vectors.shape[0] == b
    assert found.events.scalars.shape[1] > 0
    assert all(torch.isfinite(tensor).all() for tensor in parts(found))
    if found.particles is not None:
        assert found.particles.scalars.shape[:-1] == cloud.layout.lead

    padded = embedded(model, cloud.to_padded())
    if padded.particles is not None:
        mask = cloud.to_padded().layout.mask
        taken = replace(
            padded.particles,
            scalars=padded.particles.scalars[mask],
            vectors=padded.particles.vectors[mask],
        )
        padded = replace(padded, particles=taken)
    for wanted, given in zip(parts(found), parts(padded), strict=True):
        assert relative_change(given, wanted) <= s.tolerance

    if model.permutation_symmetric:
        rng = torch.Generator().manual_seed(1)
        bounds = cloud.layout.ptr.tolist()
        order = torch.cat([a + torch.randperm(e - a, generator=rng) for a, e in pairwise(bounds)])
        shuffled = replace(
            cloud, momenta=cloud.momenta[order], scalars=cloud.scalars[order], vectors=cloud.vectors[order]
        )
        again = embedded(model, shuffled)
        assert again.events is not None
        assert relative_change(again.events.scalars, found.events.scalars) <= s.tolerance
        if found.particles is not None and again.particles is not None:
            assert relative_change(again.particles.scalars, found.particles.scalars[order]) <= s.tolerance
            assert relative_change(again.particles.vectors, found.particles.vectors[order]) <= s.tolerance

    alone = s.events(lengths=(9,))[0]
    first = slice(0, 9)
    alone = replace(
        alone,
        momenta=cloud.momenta[first],
        scalars=cloud.scalars[first],
        vectors=cloud.vectors[first],
        context=cloud.context[:1],
    )
    single = embedded(model, alone)
    assert single.events is not None
    assert relative_change(single.events.scalars, found.events.scalars[:1]) <= 1e2 * s.tolerance
    if found.particles is not None and single.particles is not None:
        assert relative_change(single.particles.scalars, found.particles.scalars[first]) <= 1e2 * s.tolerance


@pytest.mark.parametrize("name", MODELS)
def test_scalars_are_invariant_and_vectors_turn(name: str) -> None:
    s = subject(name)
    cloud = random_cloud([7, 3, 5, 8], in_scalars=s.model.in_scalars, in_context=s.model.in_context, seed=3)
    element = torch.from_numpy(s.model.symmetry.random_element(np.random.default_rng(0), 0.7))
    found, turned = embedded(s.model, cloud), embedded(s.model, cloud.transform(element))
    for before, after in ((found.events, turned.events), (found.particles, turned.particles)):
        if before is not None and after is not None:
            assert relative_change(after.scalars, before.scalars) < 1e-6
            if s.model.symmetry.dimension and before.in_vectors:
                assert relative_change(after.vectors, before.vectors @ element.T) < 1e-6


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_a_linear_map_of_the_embedding_of_events(name: str) -> None:
    s = subject(name)
    model = s.model
    cloud = random_cloud([7, 3, 5, 8], in_scalars=model.in_scalars, in_context=model.in_context, seed=3)
    with torch.no_grad():
        wanted = model(cloud)
        events = model.embed(cloud).events
        assert events is not None
        if model.head.last_map is not None:
            given = model.head.last_map(events.scalars)
        elif model.backbone.last_map is not None:
            given = model.backbone.project(events, cloud.layout.uniform(1)).scalars
        else:
            pytest.skip("the head is not a linear map")
    assert relative_change(given, wanted) <= 1e2 * s.tolerance


@pytest.mark.parametrize("name", MODELS)
def test_stages_are_of_particles_and_leave_nothing_behind(name: str) -> None:
    s = subject(name)
    (cloud,) = s.events()
    model = s.model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        found = model.features(cloud, intermediates=model.stages)
        output = model(cloud)
    assert list(found) == model.stages
    for stage, features in found.items():
        pooled = stage == "pooled" or (stage == "backbone" and model.backbone.pools)
        lead = (cloud.num_events,) if pooled else cloud.layout.lead
        assert features.scalars.shape[:-1] == features.vectors.shape[:-2] == lead, stage
        assert torch.isfinite(features.scalars).all()
        assert torch.isfinite(features.vectors).all()
        with torch.no_grad():
            alone = model.features(cloud, stage)
        torch.testing.assert_close(alone.scalars, features.scalars)
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    with torch.no_grad():
        assert torch.equal(model(cloud), output)
    assert found["embedding"].scalar_names or found["embedding"].vector_names


def test_frames_are_four_axes_that_turn_with_the_event() -> None:
    model = lz.compose(frames="lloca-polar", backbone="deep-sets:hidden=[8]", embedding="momenta").double()
    model.eval()
    cloud = random_cloud([6, 4], seed=2)
    model.fit_statistics([lz.Batch(cloud, torch.zeros(2), torch.ones(2).double(), torch.arange(2))])
    element = torch.from_numpy(lz.Symmetry.full().random_element(np.random.default_rng(1), 0.8))
    with torch.no_grad():
        axes = model.features(cloud, "frames")
        turned = model.features(cloud.transform(element), "frames")
        seen = model.features(cloud, "embedding")
    assert axes.vector_names == ("time", "x", "y", "z")
    assert relative_change(turned.vectors, axes.vectors @ element.T) < 1e-9
    metric = torch.diag(torch.tensor([1.0, -1, -1, -1], dtype=torch.float64))
    products = axes.vectors @ metric @ axes.vectors.transpose(-1, -2)
    torch.testing.assert_close(products, metric.expand_as(products), rtol=1e-8, atol=1e-8)
    # Embedded vectors are back in the frame of the events.
    scale = seen.vectors[0, 0, 0] / cloud.momenta[0, 0]
    assert relative_change(seen.vectors[:, 0], scale * cloud.momenta) < 1e-6


def test_an_unknown_stage_is_named_beside_those_that_there_are() -> None:
    model = lz.compose(backbone="transformer:num_blocks=2,num_heads=1")
    cloud = random_cloud([3])
    with pytest.raises(
        ParameterError, match=r"no stage 'backbone\.block\.1'; did you mean 'backbone\.blocks\.1'"
    ):
        model.features(cloud, "backbone.block.1")
    with pytest.raises(
        ParameterError, match=r"frames, embedding, backbone\.blocks\.0, backbone\.blocks\.1, backbone, pooled"
    ):
        model.features(cloud, intermediates=["frames", "nothing"])


def test_gradients_pass_and_other_threads_are_not_recorded() -> None:
    model = lz.compose(backbone="transformer:num_blocks=1,num_heads=1", head="classify:hidden=[8]")
    clouds = [random_cloud([5, 3], seed=seed) for seed in range(2)]
    found: dict[int, list[torch.Tensor]] = {0: [], 1: []}

    def run(number: int) -> None:
        for _ in range(20):
            found[number].append(model.embed(clouds[number]).events.scalars)

    workers = [threading.Thread(target=run, args=(number,)) for number in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for number in (0, 1):
        wanted = model.embed(clouds[number]).events.scalars
        assert all(torch.equal(value, wanted) for value in found[number])
    model.embed(clouds[0]).events.scalars.sum().backward()
    assert model.backbone.in_layer.weight.grad is not None
    assert model.head.readout.layers[-1].weight.grad is None


def test_what_a_backbone_does_not_say_is_asked_for() -> None:
    class Silent(lz.Backbone):
        projects = True

        def __init__(self, *, in_scalars: int, out_scalars: int) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(in_scalars, out_scalars)

        def forward(self, features, frames, layout, context):
            return lz.Features.of_scalars(self.layer(features.scalars))

    lz.register("backbone", "silent-net")(Silent)
    model = lz.compose(backbone="silent-net")
    with pytest.raises(CompositionError, match=r"Silent emits what its head wants .* `last_map`"):
        model.embed(random_cloud([3]))
    assert model.features(random_cloud([3]), "backbone").scalars.shape == (3, 2)


def test_networks_of_generators_have_no_events_before_the_last_map() -> None:
    generator = lz.create_model("transformer-eventgen")
    with pytest.raises(LorentzooError, match=r"a generator gives no embedding of events"):
        generator.embed(random_cloud([3]))
