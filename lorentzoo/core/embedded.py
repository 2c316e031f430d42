"""What has a model made of events before the last map, or at any stage of the way?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from lorentzoo.core.errors import ParameterError
from lorentzoo.core.features import Features
from lorentzoo.core.interfaces import Backbone, Head
from lorentzoo.core.layout import Layout
from lorentzoo.core.passage import Passage
from lorentzoo.core.stages import record_calls

__all__ = ["EmbeddedEvents", "embed", "features_at", "list_stages"]


@dataclass(frozen=True)
class EmbeddedEvents:
    """Features of events and of their particles before the last map of a model.

    Attributes
    ----------
    events
        What the last map takes: scalars (B, S) and, where the network has vectors, vectors (B, V, 4). Where the last map
        is linear and acts on events, outputs are a linear map of the scalars. None where the head predicts something of
        each particle.
    particles
        The last features of each particle, spurions and tokens left out: scalars (*lead, S) and vectors (*lead, V, 4).
        None where a network has features of pairs or of events only.
    """

    events: Features | None
    particles: Features | None


def embed(passage: Passage, backbone: Backbone, head: Head) -> EmbeddedEvents:
    """Features before the last map; see `Model.embed`."""
    with record_calls(backbone.stages if backbone.pools else {}) as calls:
        last = passage.run(backbone.last_features)
    particles = None
    if not backbone.pools:
        particles = passage.particles(last)
    elif calls:
        particles = passage.particles(backbone.read_stage(calls[list(backbone.stages)[-1]][1]))
    if backbone.pools or passage.global_token is not None or head.pooling is None:
        events = passage.for_head(last)
    else:
        assert particles is not None
        events = pool_features(particles, passage.cloud.layout, head)
    own = head.last_map
    per_event = backbone.pools or head.pooling is not None
    if own is None or not per_event:
        return EmbeddedEvents(events if per_event else None, particles)
    with record_calls({"last": own}) as calls:
        head(passage.for_head(backbone.project(last, passage.layout)), passage.cloud)
    return EmbeddedEvents(Features.of_scalars(calls["last"][0]), particles)


def features_at(
    passage: Passage, backbone: Backbone, head: Head, stages: Sequence[str]
) -> dict[str, Features]:
    """Features at stages, by their names; see `Model.features`."""
    known = list_stages(backbone, head)
    for name in stages:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ParameterError(f"this model has no stage {name!r}; {hint}there are {', '.join(known)}")
    modules = {f"backbone.{name}": module for name, module in backbone.stages.items()}
    wanted = {name: module for name, module in modules.items() if name in stages}
    found = {}
    if wanted or {"backbone", "pooled"} & set(stages):
        with record_calls(wanted) as calls:
            given = passage.run(backbone)
        missing = next((name for name in wanted if name not in calls), None)
        if missing is not None:
            raise ParameterError(f"the backbone did not run its stage {missing!r}: there is nothing to show")
        found = {name: passage.particles(backbone.read_stage(output)) for name, (_, output) in calls.items()}
        emitted = passage.for_head(given) if backbone.pools else passage.particles(given)
        found["backbone"] = found["pooled"] = emitted
        if "pooled" in stages and not backbone.pools:
            found["pooled"] = (
                pool_features(emitted, passage.cloud.layout, head)
                if passage.global_token is None
                else passage.tokens(given)
            )
    if "frames" in stages:
        found["frames"] = passage.axes()
    if "embedding" in stages:
        found["embedding"] = passage.particles(passage.shown)
    return {name: found[name] for name in stages}


def list_stages(backbone: Backbone, head: Head) -> list[str]:
    """Names of the stages of a model, in their order."""
    pooled = ["pooled"] if backbone.pools or head.pooling is not None else []
    return ["frames", "embedding", *(f"backbone.{name}" for name in backbone.stages), "backbone", *pooled]


def pool_features(features: Features, layout: Layout, head: Head) -> Features:
    """Features of events, as a head pools those of particles."""
    how = head.pooling
    assert how in ("mean", "sum", "max")
    scalars = layout.pool(features.scalars, how)
    if how == "max":
        # The largest components of vectors make no vector.
        return Features.of_scalars(scalars, features.scalar_names)
    vectors = layout.pool(features.vectors, how)
    return Features(scalars, vectors, features.scalar_names, features.vector_names)
