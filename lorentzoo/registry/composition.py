"""How do names become a model?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar, overload

from lorentzoo.core.embeddings import EmbeddingList
from lorentzoo.core.errors import CompositionError, LorentzooError
from lorentzoo.core.generator import Generator
from lorentzoo.core.interfaces import Backbone, Embedding, FramesNet, Head
from lorentzoo.core.model import Model
from lorentzoo.core.spurions import Spurions
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.compatibility import refuse_nonsense
from lorentzoo.registry.components import Component, Kind
from lorentzoo.registry.construction import bounded_construction
from lorentzoo.registry.meaning import find_part, record_own_parts, record_wanted
from lorentzoo.registry.overrides import COMPOSITION_KEYS, override_parameter, override_slot
from lorentzoo.registry.parameters import FILLED, check_parameters, parameters_of
from lorentzoo.registry.renaming import update_part, update_spec
from lorentzoo.registry.specs import (
    NO_BACKBONE,
    SLOTS,
    PartSpec,
    Spec,
    distribution_version,
    parse_inline,
    parse_part,
)
from lorentzoo.registry.trial import (
    read_out_scalars,
    read_width,
    try_backbone,
    try_embedding,
    try_frames,
    try_head,
)

__all__ = [
    "build",
    "build_generator",
    "build_model",
    "compose",
    "load_dataset",
    "make_part",
    "model_spec",
    "override",
]

P = TypeVar("P")
PartLike = str | Mapping[str, Any] | PartSpec
_DEFAULT_HEAD: Final = "classify"


@overload
def compose(
    *,
    generator: PartLike,
    backbone: PartLike | None = None,
    spurions: PartLike | Sequence[PartLike] | None = None,
    frames: PartLike = "identity",
    embedding: PartLike | Sequence[PartLike] = "kinematics",
    spurion_mode: str | None = None,
    anchor: str = "auto",
    in_scalars: int = 0,
    in_context: int = 0,
) -> Generator: ...


@overload
def compose(
    *,
    backbone: PartLike,
    spurions: PartLike | Sequence[PartLike] | None = None,
    frames: PartLike = "identity",
    embedding: PartLike | Sequence[PartLike] = "kinematics",
    head: PartLike = "classify",
    spurion_mode: str | None = None,
    anchor: str = "auto",
    in_scalars: int = 0,
    in_context: int = 0,
) -> Model: ...


def compose(
    *,
    backbone: PartLike | None = None,
    spurions: PartLike | Sequence[PartLike] | None = None,
    frames: PartLike = "identity",
    embedding: PartLike | Sequence[PartLike] = "kinematics",
    head: PartLike = _DEFAULT_HEAD,
    spurion_mode: str | None = None,
    anchor: str = "auto",
    in_scalars: int = 0,
    in_context: int = 0,
    generator: PartLike | None = None,
) -> Model | Generator:
    """Put a model, or a generator with its network, together by names.

    Parameters
    ----------
    backbone, spurions, frames, embedding, head
        A name, ``"name:key=value,..."``, or a mapping with a name and parameters; `spurions` and `embedding`
        also lists of them.
    spurion_mode
        How spurions reach the backbone: ``"tokens"``, ``"channels"`` or ``"drop"``; by default as the backbone declares.
    anchor
        ``"auto"``, or ``"none"`` to run without the float64 anchor.
    in_scalars, in_context
        Auxiliary scalars of each particle and numbers of each event that the clouds will bring.
    generator
        A density of events, e.g. ``"flow-matching"``, of which the other slots are the network; it brings the head, and
        its own numbers of each event (time) in front of the context.

    Returns
    -------
    The model or the generator; ``model.spec`` is the plain data that makes it again.

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        If a name means nothing, or more than one thing.
    ParameterError
        If a parameter is unknown, missing or of the wrong type.
    CompositionError
        If the parts make no sense together; the message says why.
    """
    data = {
        "spurions": spurions,
        "frames": frames,
        "embedding": embedding,
        "backbone": backbone,
        "head": head,
        "spurion_mode": spurion_mode,
        "anchor": anchor,
        "in_scalars": in_scalars,
        "in_context": in_context,
        "generator": generator,
    }
    return build(Spec.from_data(data))


def model_spec(name: str, **overrides: Any) -> Spec:
    """The specification of a model of the zoo, see `lorentzoo.create_model`."""
    inline = parse_inline(name) if isinstance(name, str) else PartSpec(name)
    component = catalogue().find("model", inline.name, catalogue().own_plugins)
    spec = replace(Spec.from_data(component.spec), model=component.name)
    spec = replace(spec, plugins=record_own_parts(spec, component.plugin))
    return override(spec, {**inline.parameters, **overrides}, inline.name)


def override(spec: Spec, parameters: Mapping[str, Any], model: str) -> Spec:
    """The specification with other slots, keys of a composition, and parameters of the parts that have them.

    Raises
    ------
    ParameterError
        If a parameter belongs to no part, or to several.
    """
    for key, value in parameters.items():
        if key in SLOTS or (key == "generator" and spec.generator is not None):
            spec = override_slot(spec, key, value)
        elif key in COMPOSITION_KEYS:
            spec = Spec.from_data({**spec.to_data(), key: value})
        else:
            spec = override_parameter(spec, key, value, model)
    return spec


def build(spec: Spec) -> Model | Generator:
    """Make the model or the generator that a specification describes; see `compose`."""
    spec = update_spec(spec)
    return build_model(spec) if spec.generator is None else build_generator(spec)


def build_generator(spec: Spec) -> Generator:
    """Make the generator that a specification describes, and its network with the head that it wants."""
    if spec.generator is None:
        raise CompositionError("the specification names no generator")
    component = find_part(spec, "generator", spec.generator.name)
    label = f"generator {spec.generator.name!r}"
    filled = {"in_scalars": spec.in_scalars, "in_context": spec.in_context}
    made = _construct(component, spec.generator, Generator, filled)
    made.in_scalars, made.in_context = spec.in_scalars, spec.in_context
    plugins = {f"generator/{spec.generator.name}": _origin(component)}
    if spec.backbone.name == NO_BACKBONE:
        if made.needs_network:
            raise CompositionError(f"{label} needs a network: name a backbone")
        made.connect(None)
        made.spec = replace(spec, plugins=plugins)
        return made
    head = parse_part(made.network_head, "head")
    if spec.head.name not in (head.name, _DEFAULT_HEAD):
        raise CompositionError(
            f"{label} brings the head of its network, {head.name!r}; leave head={spec.head.name!r} out"
        )
    network = build_model(
        replace(
            record_wanted(spec, "head", head.name, component),
            generator=None,
            head=head,
            in_scalars=spec.in_scalars + made.further_scalars,
            in_context=spec.in_context + made.further_context,
        )
    )
    made.connect(network)
    made.spec = replace(spec, head=head, plugins={**plugins, **network.spec.plugins})
    return made


def build_model(spec: Spec) -> Model:
    """Make the model of five slots that a specification describes."""
    if spec.generator is not None:
        name = spec.generator.name
        raise CompositionError(f"the specification is of the generator {name!r}, where a model is wanted")
    plugins: dict[str, str] = {}

    def part(slot: str, item: PartSpec, base: type[P], **filled: Any) -> P:
        component = find_part(spec, slot, item.name)
        plugins[f"{slot}/{item.name}"] = _origin(component)
        return _construct(component, item, base, filled)

    spurions = Spurions.merge([part("spurions", item, Spurions) for item in spec.spurions])
    backbone_component = find_part(spec, "backbone", spec.backbone.name)
    backbone_class = catalogue().target(backbone_component)
    if not (isinstance(backbone_class, type) and issubclass(backbone_class, Backbone)):
        raise CompositionError(f"backbone {spec.backbone.name!r} is not a subclass of lorentzoo.Backbone")
    frames = part("frames", spec.frames, FramesNet, in_scalars=spec.in_scalars, in_context=spec.in_context)
    embeddings = [
        part(
            "embedding",
            item,
            Embedding,
            in_scalars=spec.in_scalars,
            in_vectors=spurions.num_matrices,
            spurion_names=spurions.vector_names,
            matrix_names=spurions.matrix_names,
            reads_vectors=backbone_class.reads_vectors,
        )
        for item in spec.embedding
    ]
    clouds = (spec.in_scalars, spec.in_context)
    try_frames(spec.frames.name, frames, spurions, *clouds)
    for item, each in zip(spec.embedding, embeddings, strict=True):
        try_embedding(item.name, each, spurions, *clouds)
    embedding = embeddings[0] if len(embeddings) == 1 else EmbeddingList(embeddings)
    if not embedding.scalar_names and not embedding.vector_names and spec.in_scalars == 0:
        raise CompositionError(
            f"backbone {spec.backbone.name!r} would have no input: the embedding is empty and in_scalars is 0"
        )

    mode = spec.spurion_mode or backbone_class.spurion_mode
    own = 0 if embedding.places_scalars else spec.in_scalars
    widths: dict[str, Any] = {
        "in_scalars": own + len(embedding.scalar_names),
        "in_vectors": len(embedding.vector_names) + (spurions.num_vectors if mode == "channels" else 0),
        "in_context": spec.in_context if backbone_class.reads_context else 0,
    }
    if not backbone_class.reads_context:
        widths["in_scalars"] += spec.in_context

    if backbone_class.projects:
        head = part("head", spec.head, Head, in_scalars=None)
        widths |= {"in_scalars": widths["in_scalars"] + (head.pooling == "global-token")}
        backbone = part(
            "backbone",
            spec.backbone,
            Backbone,
            out_scalars=read_out_scalars(spec.head.name, head),
            out_vectors=head.out_vectors,
            **widths,
        )
    else:
        # A backbone that pools itself has no use for a token, whatever its head would like.
        token = _read_pooling(spec) == "global-token" and not backbone_class.pools
        widths |= {"in_scalars": widths["in_scalars"] + token}
        vectors = getattr(catalogue().target(find_part(spec, "head", spec.head.name)), "out_vectors", 0)
        backbone = part("backbone", spec.backbone, Backbone, out_scalars=0, out_vectors=vectors, **widths)
        head = part("head", spec.head, Head, in_scalars=read_width(spec.backbone.name, backbone))
    out_scalars = read_out_scalars(spec.head.name, head) if backbone_class.projects else backbone.width
    try_backbone(
        spec.backbone.name,
        backbone,
        **widths,
        scalar_names=embedding.scalar_names,
        out_scalars=out_scalars,
        out_vectors=head.out_vectors,
    )
    if backbone.pools:
        if head.pooling == "global-token" and not backbone_class.pools:
            raise CompositionError(
                f"backbone {spec.backbone.name!r} pools over its rows itself with these parameters, so a global "
                "token would be one row among them; use pooling='mean' in the head"
            )
        head.pooling = None
    try_head(spec.head.name, head, *clouds, out_scalars, head.out_vectors, backbone.pools)
    refuse_nonsense(spec, spurions, frames, embedding, backbone, head, mode)
    full = replace(spec, plugins=plugins)
    return Model(
        spurions,
        frames,
        embedding,
        backbone,
        head,
        spurion_mode=mode,  # type: ignore[arg-type]
        anchor=spec.anchor,
        in_scalars=spec.in_scalars,
        in_context=spec.in_context,
        spec=full,
    )


def make_part(kind: Kind, part: PartLike, base: type[P], **filled: Any) -> P:
    """One part by name, for components that are made of others, e.g. a frames-net with a network inside.

    Parameters
    ----------
    kind
        The slot.
    part
        Name, inline text or mapping.
    base
        The class that the part must be of, e.g. `lorentzoo.Embedding`.
    filled
        Widths, given to the constructor as far as it asks for them.
    """
    item = parse_part(part, kind)
    component = catalogue().find(kind, item.name, catalogue().own_plugins)
    return _construct(component, update_part(component, item), base, filled)


def load_dataset(name: str, **parameters: Any) -> Any:
    """A data set by its name, e.g. ``load_dataset("toptag", split="train")``.

    Raises
    ------
    UnknownNameError, ParameterError
        As in `compose`.
    CompositionError
        If its constructor fails in any other way; errors of files keep their kind.
    """
    inline = parse_part(name, "dataset").merged(parameters)
    component = catalogue().find("dataset", inline.name)
    inline = update_part(component, inline)
    target = catalogue().target(component)
    label = f"dataset {inline.name!r}"
    checked = check_parameters(label, target, {**component.defaults, **inline.parameters}, finite=False)
    try:
        return target(**checked)
    except (LorentzooError, OSError):
        raise
    except Exception as error:
        raise CompositionError(f"{label}: {_explain(error, inline)}") from error


# ---- helpers ----------------------------------------------------------------------------------


def _construct(component: Component, item: PartSpec, base: type[P], filled: Mapping[str, Any]) -> P:
    target = catalogue().target(component)
    label = f"{component.kind} {item.name!r}"
    given = {**component.defaults, **item.parameters}
    checked = check_parameters(label, target, given, reserved=FILLED | filled.keys())
    accepted = parameters_of(target)
    fills = {name: value for name, value in filled.items() if name in accepted}
    try:
        with bounded_construction(label):
            made = target(**checked, **fills)
    except LorentzooError:
        raise
    except Exception as error:
        raise CompositionError(f"{label}: {_explain(error, item)}") from error
    if not isinstance(made, base):
        raise CompositionError(f"{label} is a {type(made).__name__}, not a lorentzoo.{base.__name__}")
    return made


def _explain(error: Exception, item: PartSpec) -> str:
    """What a constructor said; where it fell over rather than refused, the parameters that made it."""
    if isinstance(error, ValueError) and str(error):
        return str(error)
    given = ", ".join(f"{name}={value!r}" for name, value in item.parameters.items())
    reason = f"{type(error).__name__}: {error}"
    return f"cannot be made with {given} ({reason})" if given else f"cannot be made ({reason})"


def _read_pooling(spec: Spec) -> Any:
    head, component = spec.head, find_part(spec, "head", spec.head.name)
    given = {**component.defaults, **head.parameters}
    if "pooling" in given:
        return given["pooling"]
    known = parameters_of(catalogue().target(component))
    return known["pooling"].default if "pooling" in known else None


def _origin(component: Component) -> str:
    for record in catalogue().plugins:
        if record.name == component.plugin:
            return f"{component.plugin} ({distribution_version(record.distribution)})"
    return component.plugin
