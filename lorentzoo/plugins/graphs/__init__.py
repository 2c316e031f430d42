"""Networks of edges: convolutions on neighbours and on the complete graph."""

from collections.abc import Mapping
from typing import Any

from lorentzoo import LEARNED_FRAMES, Component, hookimpl, make_taggers

_PAPER = "arXiv:2508.14898"
_HIDDEN: Mapping[str, Any] = {"head": {"hidden": [256], "dropout": 0.1}}
_MASSES: Mapping[str, Any] = {"embedding": ["kinematics", "momenta"]}
_EDGES = {"name": "graphnet", "edge_features": True}
_FORMS: list[tuple[str, str, Any, Mapping[str, Any]]] = [
    ("particlenet", "ParticleNet", "particlenet", _HIDDEN),
    ("lloca-particlenet", "ParticleNet in learned frames", "particlenet", {**_HIDDEN, **LEARNED_FRAMES}),
    ("graphnet", "Edge convolutions on the complete graph", "graphnet", {}),
    ("lloca-graphnet", "GraphNet in learned frames", "graphnet", LEARNED_FRAMES),
    ("graphnet-edges", "GraphNet with pair masses", _EDGES, _MASSES),
    (
        "lloca-graphnet-edges",
        "GraphNet with pair masses in learned frames",
        _EDGES,
        {**_MASSES, **LEARNED_FRAMES},
    ),
]

_WITH_OBSERVABLES: Mapping[str, Any] = {
    "embedding": ["kinematics", "substructure"],
    "backbone": {
        "name": "particlenet",
        "neighbours": 8,
        "channels": [32, 64],
        "num_layers": 2,
        "hidden_reps": ["16x0n+4x1n"],
    },
    "head": {"name": "classify", "num_classes": 1, "hidden": [64]},
}
_FEW_JETS = {
    "batch_size": 64,
    "optimiser": "adamw",
    "learning_rate": 1e-3,
    "weight_decay": 0.05,
    "schedule": "warmup-cosine",
    "gradient_clip": 1.0,
}
_TINY: Mapping[str, Any] = {
    "backbone": {
        "channels": [16, 32, 48],
        "hidden_reps": ["8x0n+2x1n", "16x0n+4x1n"],
        "num_layers": 2,
        "neighbours": 8,
    },
    "head": {"hidden": [32]},
}
_SMALL: Mapping[str, Any] = {
    "backbone": {"channels": [32, 64, 128], "hidden_reps": ["16x0n+4x1n", "32x0n+8x1n"]},
    "head": {"hidden": [128]},
}
_SIZES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "particlenet": {"tiny": _TINY, "small": _SMALL},
    "lloca-particlenet": {
        "tiny": {**_TINY, "frames": {"hidden": 16}},
        "small": {**_SMALL, "frames": {"hidden": 48}},
    },
}


@hookimpl
def lorentzoo_components() -> list[Component]:
    """Backbones and their published compositions."""
    return [
        Component(
            "backbone",
            "particlenet",
            "lorentzoo.plugins.graphs.particlenet:ParticleNet",
            "Dynamic edge convolutions on nearest neighbours; messages between local frames",
            "arXiv:1902.08570",
            published_flops="lorentzoo.plugins.graphs.flops:count_particlenet",
        ),
        Component(
            "backbone",
            "graphnet",
            "lorentzoo.plugins.graphs.graphnet:GraphNet",
            "Edge convolutions on the complete graph; messages between local frames",
            "arXiv:2505.20280",
            published_flops="lorentzoo.plugins.graphs.flops:count_graphnet",
        ),
        Component(
            "backbone",
            "pyg",
            "lorentzoo.plugins.graphs.pyg:PygNet",
            "Any torch-geometric convolution, e.g. pyg:conv=GATv2Conv; messages between local frames",
            "arXiv:1903.02428",
        ),
        Component(
            "model",
            "particlenet-observables",
            summary="A small ParticleNet that is given eleven jet observables beside its particles, one logit",
            reference="arXiv:1902.08570",
            spec=_WITH_OBSERVABLES,
            recipe=_FEW_JETS,
        ),
        *[
            component
            for name, summary, backbone, slots in _FORMS
            for component in make_taggers(
                name,
                {"backbone": backbone, "embedding": "kinematics", **slots},
                summaries=(f"{summary}, top-tagging form", f"{summary}, ten classes"),
                references=(_PAPER, _PAPER),
                sizes=_SIZES.get(name),
            )
        ],
    ]
