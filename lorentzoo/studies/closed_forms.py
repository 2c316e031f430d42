"""How much arithmetic does the published implementation of a network take?

Closed forms of what torch's counter says of the forward pass of one event: matrix products and convolutions, two
operations a multiply-add, everything else nothing. They describe the implementations of the papers (arXiv:2508.14898
and what it builds on), not ours, which often does less. Each reproduces the figures of those papers to the digit, and
stands in the plugin of its network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from lorentzoo.core.errors import NoClosedFormError, StudyError
from lorentzoo.core.interfaces import Embedding
from lorentzoo.core.spurions import Spurions
from lorentzoo.nn.flops import FlopsSetting
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.components import Kind
from lorentzoo.registry.composition import make_part, model_spec
from lorentzoo.registry.meaning import find_part
from lorentzoo.registry.parameters import parameters_of
from lorentzoo.registry.specs import PartSpec, Spec

__all__ = ["Convention", "published_flops"]

Convention = Literal["all", "table"]

_PUBLISHED_SPURIONS: Final = 3
"""Two beams and time stand in the input of every published tagger, whether it reads them or not."""


def published_flops(
    spec: Spec | Mapping[str, Any] | str,
    *,
    multiplicity: int = 50,
    convention: Convention = "all",
    spurions: int | None = None,
    **overrides: Any,
) -> int:
    """Floating-point operations of the published implementation, forward pass of one event.

    Parameters
    ----------
    spec
        A model's name, a mapping of slots, or a specification.
    multiplicity
        Particles of the event; published figures have 50.
    convention
        ``"all"`` counts every product. ``"table"`` leaves out the attention that the counter did not see where the
        figures of arXiv:2508.14898 were made: that of L-GATr and of the LLoCa-Transformer, which were fused, and that
        of the class token in ParT; the Transformer's was counted.
    spurions
        Reference vectors in the input, where they are not those of the composition: published figures have three for
        networks in fixed frames too, whose only effect there is on the boost below.
    overrides
        As for `lorentzoo.create_model`, where `spec` is a name.

    Returns
    -------
    The number. Top taggers (one logit) of arXiv:2508.14898 boost the jet to rest inside what was counted; that is
    included.

    Raises
    ------
    StudyError
        If no published implementation of a part is known here, or its closed form does not hold for the composition;
        the message gives the reason.
    """
    composed = _as_spec(spec, overrides)
    if composed.generator is not None or composed.in_context:
        raise StudyError(
            "closed forms are of networks that map an event to numbers; networks of generators, and those with a "
            "context, have none"
        )
    try:
        setting = _describe(composed, multiplicity, spurions, convention)
        backbone = _count(composed, "backbone", composed.backbone, setting)
        return backbone + _count(composed, "frames", composed.frames, setting)
    except NoClosedFormError as error:
        raise StudyError(str(error)) from error


def _count(spec: Spec, kind: Kind, part: PartSpec, setting: FlopsSetting) -> int:
    """What the part's plugin says."""
    component = find_part(spec, kind, part.name)
    if not component.published_flops:
        known = sorted(item.name for item in catalogue().components(kind) if item.published_flops)
        raise StudyError(
            f"no published implementation of {kind} {part.name!r} is known here; there are {known}"
        )
    return int(replace(component, target=component.published_flops).load()(setting))


def _describe(spec: Spec, particles: int, spurions: int | None, convention: Convention) -> FlopsSetting:
    embeddings = [make_part("embedding", item.to_data(), Embedding, in_scalars=0) for item in spec.embedding]
    backbone = catalogue().target(find_part(spec, "backbone", spec.backbone.name))
    learned = catalogue().target(find_part(spec, "frames", spec.frames.name)).learned
    vectors = sum(len(embedding.vector_names) for embedding in embeddings)
    if (spec.spurion_mode or backbone.spurion_mode) == "channels":
        raise NoClosedFormError("published networks have reference vectors as tokens, not as channels")
    head = _parameters(spec, "head", spec.head)
    frames = _parameters(spec, "frames", spec.frames)
    # Networks that are not symmetric by their layers read vectors as numbers.
    components = 4 * vectors if backbone.reads_vectors == "inputs" and not backbone.equivariant else 0
    if spurions is None:
        own = sum(make_part("spurions", item.to_data(), Spurions).num_vectors for item in spec.spurions)
        spurions = own if own or learned or "num_classes" not in head else _PUBLISHED_SPURIONS
    return FlopsSetting(
        particles=particles,
        tokens=particles + spurions,
        scalars=spec.in_scalars + sum(len(embedding.scalar_names) for embedding in embeddings) + components,
        auxiliary=spec.in_scalars,
        vectors=vectors,
        outputs=head.get("num_classes", head.get("num_targets", 1)),
        parameters=_parameters(spec, "backbone", spec.backbone),
        head=head,
        frames=frames,
        pooling=head.get("pooling"),
        local=learned and not frames.get("is_global", False),
        learned=learned,
        all_attention=convention == "all",
    )


def _as_spec(spec: Spec | Mapping[str, Any] | str, overrides: Mapping[str, Any]) -> Spec:
    if isinstance(spec, str):
        return model_spec(spec, **overrides)
    if overrides:
        raise StudyError(f"overrides {sorted(overrides)} go with a model's name only")
    return spec if isinstance(spec, Spec) else Spec.from_data(spec)


def _parameters(spec: Spec, kind: Kind, item: PartSpec) -> dict[str, Any]:
    component = find_part(spec, kind, item.name)
    known = parameters_of(catalogue().target(component))
    defaults = {name: parameter.default for name, parameter in known.items() if not parameter.required}
    return {**defaults, **component.defaults, **item.parameters}
