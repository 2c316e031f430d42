"""Transformers over particles, plain or made symmetric by local frames."""

from collections.abc import Mapping
from typing import Any

from lorentzoo import LEARNED_FRAMES, Component, hookimpl, make_taggers

_PAPER = "arXiv:2508.14898"
_PART_PAPER = "arXiv:2202.03772"
_PART_RECIPE: dict[str, Any] = {
    "optimiser": "ranger",
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "schedule": "flat-decay",
    "flat": 0.7,
    "batch_size": 512,
}
"""RAdam with lookahead, flat for 70 % of the training and then down to 1 % (arXiv:2202.03772)."""


_TRANSFORMER: dict[str, Any] = {
    "tiny": {"num_blocks": 3, "num_heads": 2, "head_reps": "4x0n+1x1n"},
    "small": {"num_blocks": 4, "num_heads": 4, "head_reps": "4x0n+2x1n"},
}
_PART: dict[str, Any] = {
    "tiny": {
        "num_blocks": 2,
        "num_class_blocks": 1,
        "embed_dims": [16, 32, 16],
        "pair_dims": [8, 8],
        "num_heads": 2,
        "head_reps": "4x0n+1x1n",
    },
    "small": {
        "num_blocks": 3,
        "num_class_blocks": 1,
        "embed_dims": [32, 64, 40],
        "pair_dims": [32, 32],
        "num_heads": 4,
        "head_reps": "6x0n+1x1n",
    },
}
_FRAMES: dict[str, Any] = {"tiny": {"hidden": 16}, "small": {"hidden": 48}}


def _list_sizes(
    backbone: Mapping[str, Any], frames: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Parameters of the smaller sizes, of the backbone and where frames are learned of what predicts them."""
    return {
        size: {"backbone": given, **({} if frames is None else {"frames": frames[size]})}
        for size, given in backbone.items()
    }


_VERSIONS: dict[str, dict[str, Any]] = {}
"""Later versions of weaver-core 0.5, each of which changes the one before; it calls 3.5 and 3.6 experimental."""
_VERSIONS["v2"] = {"name": "part", "pair_activation": False, "swiglu": True, "scales": []}
_VERSIONS["v3"] = _VERSIONS["v2"] | {"norm": "rms", "bias": False, "dropout": 0.0, "drop_path": 0.1}
_VERSIONS["v3-5"] = _VERSIONS["v3"] | {"query_norm": True, "attention_gate": "channels"}
_VERSIONS["v3-6"] = _VERSIONS["v3-5"] | {"global_token": True, "num_class_blocks": 0}
_NEW_IN: dict[str, str] = {
    "v2": "SwiGLU, no scales",
    "v3": "RMS norms, SwiGLU, no biases",
    "v3-5": "RMS norms, SwiGLU, normalised queries and keys, gated attention",
    "v3-6": "as version 3.5, with a token among the particles",
}
_TRANSFORMER_V2: dict[str, Any] = {
    "name": "transformer",
    "norm": "rms",
    "norm_gains": True,
    "gated": True,
    "mlp_ratio": 2,
}
"""`lloca.backbone.transformer_v2` of lloca 2.0, with blocks and heads of the published transformer."""
_VARIANCE: dict[str, Any] = {"preserve_variance": True, "variance_eps": 0.01}
"""What lloca 2.0 does in frames by default."""
_SMALL: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "1k": (
        {"num_blocks": 1, "num_heads": 2, "head_reps": "4x0n+1x1n", "mlp_ratio": 1},
        {
            "num_blocks": 1,
            "num_heads": 1,
            "head_reps": "4x0n+1x1n",
            "embed_dims": [8, 16, 8],
            "pair_dims": [4, 4, 4],
        },
        4,
    ),
    "10k": (
        {"num_blocks": 2, "num_heads": 4, "head_reps": "4x0n+1x1n", "mlp_ratio": 2},
        {
            "num_blocks": 1,
            "num_class_blocks": 1,
            "num_heads": 4,
            "head_reps": "4x0n+1x1n",
            "embed_dims": [32, 32, 32],
            "pair_dims": [8, 8, 8],
        },
        8,
    ),
    "100k": (
        {"num_blocks": 4, "num_heads": 4, "head_reps": "12x0n+1x1n", "mlp_ratio": 2},
        {
            "num_blocks": 3,
            "num_class_blocks": 1,
            "num_heads": 4,
            "head_reps": "12x0n+1x1n",
            "embed_dims": [64, 64, 64],
            "pair_dims": [16, 16, 16],
        },
        16,
    ),
}
"""Transformer, Particle Transformer and width of the frames-net in the small taggers of arXiv:2512.17011."""
_SMALL_PAPER = "arXiv:2512.17011"

_SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "transformer": _list_sizes(_TRANSFORMER),
    "lloca-transformer": _list_sizes(_TRANSFORMER, _FRAMES),
    "part": _list_sizes(_PART),
    "lloca-part": _list_sizes(_PART, _FRAMES),
}


def _list_forms(
    name: str, summary: str, backbone: Any, slots: Mapping[str, Any], reference: str = _PAPER
) -> list[Component]:
    """Both forms of a network on kinematics; those that read momenta besides have the recipe of ParT."""
    return make_taggers(
        name,
        {"backbone": backbone, "embedding": "kinematics", **slots},
        summaries=(f"{summary}, top-tagging form", f"{summary}, ten classes"),
        references=(reference, reference),
        recipe=_PART_RECIPE if "momenta" in slots.get("embedding", ()) else {},
        sizes=_SIZES.get(name),
    )


_BREAKING: dict[str, tuple[str, Mapping[str, Any]]] = {
    "arch-so2": ("SO(2)_beam by frames", {"frames": {"name": "lloca-so2", "lab_scalars": "kinematics"}}),
    "arch-beam": (
        "SO⁺(1,1)_beam × SO(2)_beam by frames",
        {"frames": {"name": "lloca-beam", "lab_scalars": "kinematics-beam"}},
    ),
    "arch-so3": ("SO(3) by frames", {"frames": {"name": "lloca-so3", "lab_scalars": "kinematics-rotation"}}),
    "full": ("the full group", {"frames": "lloca-polar"}),
    "input-none": (
        "nothing, by spurions",
        {"frames": {"name": "lloca-polar", "lab_scalars": "kinematics"}, "spurions": "all"},
    ),
    "input-so2": ("SO(2)_beam by spurions", LEARNED_FRAMES),
    "input-beam": (
        "two light-like beams without time (published as SO⁺(1,1) × SO(2); computed: SO(2)_beam)",
        {"frames": {"name": "lloca-polar", "lab_scalars": "kinematics-beam"}, "spurions": "beam-lightlike"},
    ),
    "input-so3": (
        "SO(3) by spurions",
        {"frames": {"name": "lloca-polar", "lab_scalars": "kinematics-rotation"}, "spurions": "time"},
    ),
}
"""The symmetry-breaking table of arXiv:2508.14898: residual group at architecture and at input level."""

_PAIRS: Mapping[str, Any] = {"embedding": ["kinematics", "momenta"]}
_FORMS: list[tuple[str, str, Any, Mapping[str, Any]]] = [
    ("transformer", "Transformer", "transformer", {}),
    ("lloca-transformer", "Transformer in learned frames", "transformer", LEARNED_FRAMES),
    ("part", "Particle Transformer", "part", _PAIRS),
    ("lloca-part", "Particle Transformer in learned frames", "part", {**_PAIRS, **LEARNED_FRAMES}),
    ("mipart", "More-interaction Particle Transformer", "mipart", _PAIRS),
    (
        "lloca-mipart",
        "More-interaction Particle Transformer in learned frames",
        "mipart",
        {**_PAIRS, **LEARNED_FRAMES},
    ),
    (
        "mipart-l",
        "MIParT-L (2,292,341 parameters by its code; the 2380k of the tables cannot be reproduced)",
        {"name": "mipart", "embed_dims": [128, 512, 128], "head_reps": "8x0n+2x1n"},
        _PAIRS,
    ),
]


def _list_versions() -> list[Component]:
    """The later Particle Transformers and the second Transformer, without frames and in learned ones."""
    found = []
    for version, backbone in _VERSIONS.items():
        summary = f"Particle Transformer, version {version[1:].replace('-', '.')} ({_NEW_IN[version]})"
        found += _list_forms(f"part-{version}", summary, backbone, _PAIRS, _PART_PAPER)
        slots = {**_PAIRS, **LEARNED_FRAMES}
        found += _list_forms(
            f"lloca-part-{version}", f"{summary}, in learned frames", {**backbone, **_VARIANCE}, slots
        )
    summary = "Transformer with RMS norms and gated layers"
    slots = dict(LEARNED_FRAMES)
    framed = {**_TRANSFORMER_V2, **_VARIANCE}
    return [
        *found,
        *_list_forms("transformer-v2", summary, _TRANSFORMER_V2, {}),
        *_list_forms("lloca-transformer-v2", f"{summary}, in learned frames", framed, slots),
    ]


def _list_small() -> list[Component]:
    """The small taggers of arXiv:2512.17011; their names say how many parameters there are, roughly."""
    found = []
    for size, (transformer, part, width) in _SMALL.items():
        frames = {**LEARNED_FRAMES, "frames": {**LEARNED_FRAMES["frames"], "hidden": width}}
        for name, kind, given, slots in (
            ("transformer", "Transformer", transformer, {}),
            ("lloca-transformer", "Transformer in learned frames", transformer, frames),
            ("part", "Particle Transformer", part, _PAIRS),
        ):
            backbone = {"name": name.removeprefix("lloca-"), **given}
            found += _list_forms(
                f"{name}-{size}", f"{kind}, the small tagger of {size}", backbone, slots, _SMALL_PAPER
            )
    return found


@hookimpl
def lorentzoo_components() -> list[Component]:
    """Backbones and their published compositions."""
    return [
        Component(
            "backbone",
            "transformer",
            "lorentzoo.plugins.transformers.transformer:Transformer",
            "Pre-norm transformer encoder; attention between local frames where there are any",
            "arXiv:2505.20280",
            published_flops="lorentzoo.plugins.transformers.flops:count_transformer",
        ),
        Component(
            "backbone",
            "part",
            "lorentzoo.plugins.transformers.part:ParT",
            "Particle Transformer: pairwise features as attention bias, class attention",
            "arXiv:2202.03772",
            published_flops="lorentzoo.plugins.transformers.flops:count_part",
        ),
        Component(
            "backbone",
            "mipart",
            "lorentzoo.plugins.transformers.part:ParT",
            "More-interaction Particle Transformer: blocks that attend by pairs alone, then those of ParT",
            "arXiv:2407.08682",
            defaults={
                "num_interaction_blocks": 5,
                "num_blocks": 5,
                "embed_dims": [128, 512, 64],
                "head_reps": "4x0n+1x1n",
            },
            published_flops="lorentzoo.plugins.transformers.flops:count_part",
        ),
        *[component for form in _FORMS for component in _list_forms(*form)],
        *_list_versions(),
        *_list_small(),
        *[
            component
            for key, (group, slots) in _BREAKING.items()
            for component in _list_forms(
                f"lloca-transformer-{key}", f"Transformer that keeps {group}", "transformer", slots
            )
        ],
    ]
