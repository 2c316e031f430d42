"""How much arithmetic does the published implementation of a network take?

Closed forms of what torch's counter says of the forward pass of one event: matrix products and convolutions, two
operations a multiply-add, everything else nothing. They describe the implementations of the papers (arXiv:2508.14898
and what it builds on), not ours, which often does less. Each reproduces the figures of those papers to the digit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

from lorentzoo.core.errors import StudyError
from lorentzoo.core.interfaces import Embedding
from lorentzoo.core.reps import Reps
from lorentzoo.core.spurions import Spurions
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.components import Kind
from lorentzoo.registry.composition import make_part, model_spec
from lorentzoo.registry.parameters import parameters_of
from lorentzoo.registry.specs import PartSpec, Spec

__all__ = ["Convention", "published_flops"]

Convention = Literal["all", "table"]

_PUBLISHED_SPURIONS: Final = 3
"""Two beams and time stand in the input of every published tagger, whether it reads them or not."""
_MATVEC: Final = 2 * 4 * 4
_MATMUL: Final = 2 * 4 * 4 * 4
_GEOMETRIC_PRODUCT: Final = 2 * 16**3
"""An outer product of 16 x 16 components, contracted to 16."""
_MULTIVECTOR_NORM: Final = 2 * 5 * 16
_EQUIVARIANT_MAPS: Final = 10


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
        If no published implementation of a part is known here.
    """
    composed = _as_spec(spec, overrides)
    setting = _Setting.of(composed, multiplicity, spurions)
    if composed.backbone.name not in _NETWORKS:
        raise StudyError(
            f"no published implementation of backbone {composed.backbone.name!r} is known here; "
            f"there are {sorted(_NETWORKS)}"
        )
    network, boosts = _NETWORKS[composed.backbone.name]
    total = network(setting, convention == "all") + _frames(composed.frames, setting)
    if boosts and setting.outputs == 1:
        total += _MATVEC * setting.tokens
    return total


@dataclass(frozen=True)
class _Setting:
    """What the formulas need to know.

    Attributes
    ----------
    particles, tokens
        Particles, and particles with reference vectors.
    scalars
        Scalars of each particle that reach the backbone.
    auxiliary
        Those of them that are the cloud's own.
    outputs
        Numbers wanted of the event.
    parameters
        Of the backbone, defaults included.
    head
        Of the head.
    local
        Whether every particle has a frame of its own.
    learned
        Whether frames are learned.
    """

    particles: int
    tokens: int
    scalars: int
    auxiliary: int
    outputs: int
    parameters: Mapping[str, Any]
    head: Mapping[str, Any]
    local: bool
    learned: bool

    @classmethod
    def of(cls, spec: Spec, particles: int, spurions: int | None) -> _Setting:
        embeddings = [
            make_part("embedding", item.to_data(), Embedding, in_scalars=0) for item in spec.embedding
        ]
        learned = spec.frames.name != "identity"
        head = _parameters("head", spec.head)
        if spurions is None:
            own = sum(_size_of(item) for item in spec.spurions)
            spurions = own if own or learned else _PUBLISHED_SPURIONS
        return cls(
            particles,
            particles + spurions,
            spec.in_scalars + sum(len(embedding.scalar_names) for embedding in embeddings),
            spec.in_scalars,
            head.get("num_classes", head.get("num_targets", 1)),
            _parameters("backbone", spec.backbone),
            head,
            learned and not _parameters("frames", spec.frames).get("is_global", False),
            learned,
        )

    @property
    def complete(self) -> int:
        """Ordered pairs of different tokens."""
        return self.tokens * (self.tokens - 1)

    def read_out(self, width: int) -> int:
        """The head's linear maps on one row."""
        return _linear([width, *self.head.get("hidden", ()), self.outputs])

    def vectors(self, key: str) -> int:
        """Vectors in a representation."""
        return _count_vectors(self.parameters[key])


# ---- frames -----------------------------------------------------------------------------------

_FRAMES: Final[dict[str, tuple[int, bool]]] = {
    "lloca-polar": (3, True),
    "lloca-gramschmidt": (3, False),
    "lloca-rest": (2, True),
    "lloca-so3": (2, True),
    "lloca-so2": (1, True),
    "lloca-beam": (2, True),
}
"""Vectors that the network predicts, and whether a boost is followed by a rotation."""


def _frames(frames: PartSpec, at: _Setting) -> int:
    if frames.name == "identity":
        return 0
    if frames.name not in _FRAMES:
        raise StudyError(
            f"no published implementation of frames {frames.name!r} is known here; there are {list(_FRAMES)}"
        )
    given = _parameters("frames", frames)
    lab = given["lab_scalars"]
    items = [] if lab is None else [lab] if isinstance(lab, str | Mapping) else list(lab)
    seen = [make_part("embedding", item, Embedding).scalar_names for item in items]
    scalars = at.auxiliary + sum(len(names) for names in seen)
    vectors, boosted = _FRAMES[frames.name]
    if given["equivectors"] == "mlp":
        widths = [2 * scalars + 1, *[given["hidden"]] * given["num_layers"], vectors]
        network = at.complete * _linear(widths)
    elif given["equivectors"] == "pelican":
        network = _pair_network(at.tokens**2, scalars, 32, 16, 1) + 2 * at.tokens**2 * 15 * 32 * vectors
    else:
        raise StudyError(f"no published implementation of equivectors {given['equivectors']!r} is known here")
    # Two reference vectors are boosted and two matrices multiplied; then each particle and its jet are seen from there.
    orthonormal = at.tokens * (2 * _MATVEC + _MATMUL) if boosted else 0
    return network + orthonormal + at.particles * 2 * _MATVEC


# ---- networks ---------------------------------------------------------------------------------


def _linear(widths: list[int]) -> int:
    """A perceptron on one row."""
    return 2 * sum(a * b for a, b in pairwise(widths))


def _attention(queries: int, keys: int, width: int) -> int:
    """Both products of attention."""
    return 2 * 2 * queries * keys * width


def _particle_flow(at: _Setting, everything: bool) -> int:
    hidden = list(at.parameters["hidden"])
    return at.particles * _linear([at.scalars, *hidden]) + at.read_out(hidden[-1])


def _convolutions(at: _Setting, everything: bool) -> int:
    given = at.parameters
    places, width = at.particles, given["stem"]
    total = 2 * places * 3 * at.scalars * width
    for stage, out in enumerate(given["stages"]):
        for unit in range(given["units"]):
            shrinks = stage > 0 and unit == 0
            places = -(-places // 2) if shrinks else places
            total += 2 * places * 3 * (width * out + out * out)
            total += 2 * places * width * out if shrinks or width != out else 0
            width = out
    return total + at.read_out(width)


def _transformer(at: _Setting, everything: bool) -> int:
    given, n = at.parameters, at.particles
    heads = given["num_heads"]
    width = heads * Reps.parse(given["head_reps"]).dim
    block = n * (_linear([width, 3 * width]) + _linear([width, width]))
    block += n * _linear([width, given["mlp_ratio"] * width, width])
    # Where values are moved between frames they are contiguous, and attention was fused: the counter missed it.
    block += _attention(n, n, width) if everything or not at.learned else 0
    if at.local:
        block += n * heads * at.vectors("head_reps") * 4 * _MATVEC
    return n * (_linear([at.scalars, width]) + at.read_out(width)) + given["num_blocks"] * block


def _part(at: _Setting, everything: bool) -> int:
    given, n = at.parameters, at.particles
    embed, pair, heads = list(given["embed_dims"]), list(given["pair_dims"]), given["num_heads"]
    width, interactions = embed[-1], given["num_interaction_blocks"]
    forward = _linear([width, given["mlp_ratio"] * width, width])
    block = n * (_linear([width, 3 * width]) + _linear([width, width]) + forward) + _attention(n, n, width)
    if at.local:
        block += n * heads * at.vectors("head_reps") * 4 * _MATVEC
    # Interaction blocks have one product of attention and no queries, keys and map after it.
    interaction = n * (_linear([width, width]) + forward) + _attention(n, n, width) // 2
    classes = 2 * _linear([width, width]) + (n + 1) * _linear([width, 2 * width]) + forward
    # The class token's attention is fused in ParT; MIParT's blocks are torch's own, whose is not.
    classes += _attention(1, n + 1, width) if everything or interactions else 0
    return (
        n * _linear([at.scalars, *embed])
        + n * (n + 1) // 2 * _linear([4, *pair, heads])
        + interactions * interaction
        + given["num_blocks"] * block
        + given["num_class_blocks"] * classes
        + at.read_out(width)
    )


def _particlenet(at: _Setting, everything: bool) -> int:
    given, n = at.parameters, at.particles
    edges = n * min(given["neighbours"], n - 1)
    widths = [at.scalars, *given["channels"]]
    reps = [0, *(_count_vectors(text) for text in given["hidden_reps"])]
    total = 0
    for place, (width, out) in enumerate(pairwise(widths)):
        total += edges * _linear([2 * width, *[out] * given["num_layers"]])
        total += n * _linear([width, out]) if width != out else 0
        total += 2 * n * n * (2 if place == 0 else width)  # inner products of all points, for distances
        total += edges * (2 * _MATMUL + reps[place] * _MATVEC) if at.local else 0
    return total + at.read_out(widths[-1])


def _graphnet(at: _Setting, everything: bool) -> int:
    given, n = at.parameters, at.particles
    edges, width = n * (n - 1), Reps.parse(given["hidden_reps"]).dim
    message = _linear([2 * width + given["edge_features"], *[width] * (given["num_layers"] + 1)])
    if at.local:
        message += 2 * _MATMUL + at.vectors("hidden_reps") * _MATVEC
    rows = _linear([at.scalars, width]) + at.read_out(width)
    return n * rows + given["num_blocks"] * edges * message


def _lorentznet(at: _Setting, everything: bool) -> int:
    given, n = at.parameters, at.tokens
    width, layers = given["hidden_channels"], given["num_blocks"]
    message = _linear([2 * width + 2, width, width]) + _linear([width, 1])
    coordinate = _linear([width, width, 1])
    node = _linear([2 * width + at.auxiliary, width, width])
    total = n * _linear([at.auxiliary, width]) + layers * (at.complete * message + n * node)
    return total + (layers - 1) * at.complete * coordinate + at.read_out(width)


def _pair_network(pairs: int, scalars: int, hidden: int, inside: int, blocks: int) -> int:
    """PELICAN up to its last map: 15 maps of pairs to pairs, 5 of particles to pairs, each evaluated on all pairs."""
    embed = 2 * pairs * (5 * scalars * scalars + 15 * (1 + scalars) * hidden)
    return embed + 2 * pairs * blocks * (hidden * inside + 15 * inside * hidden)


def _pelican(at: _Setting, everything: bool) -> int:
    given = at.parameters
    hidden = given["hidden_channels"]
    inside = int(given["message_ratio"] * hidden)
    network = _pair_network(at.tokens**2, at.auxiliary, hidden, inside, given["num_blocks"])
    return network + 2 * 2 * hidden * at.outputs


def _original_pelican(at: _Setting, everything: bool) -> int:
    given, pairs = at.parameters, at.tokens**2
    if at.auxiliary:
        raise StudyError("the published first PELICAN tagger takes no scalars")
    hidden, inside = given["hidden_channels"], given["message_channels"]
    block = hidden * inside + 15 * inside * hidden
    on_pairs = hidden + given["num_blocks"] * block + hidden * inside
    return 2 * pairs * on_pairs + 2 * 2 * inside * hidden + at.read_out(hidden)


def _lgatr(at: _Setting, everything: bool) -> int:
    given, n = at.parameters, at.tokens + 1
    mv, s, heads = given["hidden_channels"], given["hidden_scalars"], given["num_heads"]
    mv_head, s_head = given["attention_ratio"] * mv // heads, given["attention_ratio"] * s // heads
    attended, attended_s = heads * mv_head, heads * s_head
    inner, inner_s = given["mlp_ratio"] * mv, given["mlp_ratio"] * s

    def linear(a: int, b: int, scalars: int, scalars_out: int) -> int:
        """The basis is contracted with the weights once, then applied as a full matrix on 16 components."""
        contraction = 2 * a * b * _EQUIVARIANT_MAPS * 256
        mixed = 2 * (scalars * 2 * b + 2 * a * scalars_out + scalars * scalars_out)
        return contraction + n * (2 * a * b * 256 + mixed)

    block = linear(mv, 3 * attended, s, 3 * attended_s) + linear(attended, mv, attended_s, s)
    block += 2 * linear(mv, inner, s, 0) + linear(inner, inner, s, inner_s) + linear(inner, mv, inner_s, s)
    block += n * inner * _GEOMETRIC_PRODUCT
    block += n * (2 * mv + 3 * attended + inner) * _MULTIVECTOR_NORM
    block += _attention(n, n, heads * (16 * mv_head + s_head)) if everything else 0
    return linear(1, mv, at.auxiliary + 1, s) + given["num_blocks"] * block + linear(mv, at.outputs, s, 0)


def _slim(at: _Setting, everything: bool) -> int:
    given, n = at.parameters, at.tokens + 1
    v, s = given["hidden_vectors"], given["hidden_scalars"]
    ratio, inner = given["attention_ratio"], given["mlp_ratio"]
    wide_v, wide_s = ratio * v, ratio * s

    def linear(a: int, b: int, scalars: int, scalars_out: int) -> int:
        return n * 2 * (4 * a * b + scalars * scalars_out)

    block = linear(v, 3 * wide_v, s, 3 * wide_s) + linear(wide_v, v, wide_s, s)
    # Gated: three products of vectors and two of scalars for each channel inside.
    block += linear(v, 3 * inner * v, s, 2 * inner * s) + linear(inner * v, v, inner * s, s)
    block += _attention(n, n, 4 * wide_v + wide_s)
    return linear(1, v, at.scalars + 1, s) + given["num_blocks"] * block + linear(v, 0, s, at.outputs)


_NETWORKS: Final[dict[str, tuple[Callable[[_Setting, bool], int], bool]]] = {
    "deep-sets": (_particle_flow, False),
    "pcnn": (_convolutions, False),
    "transformer": (_transformer, True),
    "part": (_part, True),
    "mipart": (_part, True),
    "particlenet": (_particlenet, True),
    "graphnet": (_graphnet, True),
    "lorentznet": (_lorentznet, True),
    "pelican": (_pelican, True),
    "pelican-official": (_original_pelican, True),
    "lgatr": (_lgatr, True),
    "lgatr-slim": (_slim, False),
}
"""Formulas by backbone, and whether the published script boosts top jets inside what is counted."""


# ---- helpers ----------------------------------------------------------------------------------


def _as_spec(spec: Spec | Mapping[str, Any] | str, overrides: Mapping[str, Any]) -> Spec:
    if isinstance(spec, str):
        return model_spec(spec, **overrides)
    if overrides:
        raise StudyError(f"overrides {sorted(overrides)} go with a model's name only")
    return spec if isinstance(spec, Spec) else Spec.from_data(spec)


def _parameters(kind: Kind, item: PartSpec) -> dict[str, Any]:
    component = catalogue().find(kind, item.name)
    known = parameters_of(catalogue().target(component))
    defaults = {name: parameter.default for name, parameter in known.items() if not parameter.required}
    return {**defaults, **component.defaults, **item.parameters}


def _size_of(spurions: PartSpec) -> int:
    return make_part("spurions", spurions.to_data(), Spurions).num_vectors


def _count_vectors(text: str) -> int:
    return sum(term.multiplicity for term in Reps.parse(text) if term.order == 1)
