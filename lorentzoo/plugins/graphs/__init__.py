"""Networks of edges: convolutions on neighbours and on the complete graph."""

from typing import Any

from lorentzoo import Component, hookimpl

_PAPER = "arXiv:2508.14898"
_LEARNED: dict[str, Any] = {
    "frames": {"name": "lloca-polar", "lab_scalars": "kinematics"},
    "spurions": ["beam-lightlike", "time"],
}


def _model(name: str, summary: str, backbone: Any, head: dict[str, Any], **slots: Any) -> list[Component]:
    """The top-tagging and the ten-class form of a network."""
    spec = {"backbone": backbone, "embedding": slots.pop("embedding", "kinematics"), **slots}
    ten = {**head, "num_classes": 10}
    return [
        Component(
            "model",
            name,
            summary=f"{summary}, top-tagging form",
            reference=_PAPER,
            spec={**spec, "head": head},
        ),
        Component(
            "model",
            f"{name}-jetclass",
            summary=f"{summary}, ten classes",
            reference=_PAPER,
            spec={**spec, "head": ten, "in_scalars": 10},
        ),
    ]


@hookimpl
def lorentzoo_components() -> list[Component]:
    """Backbones and their published compositions."""
    net = {"name": "classify", "num_classes": 1, "hidden": [256], "dropout": 0.1}
    graph = {"name": "classify", "num_classes": 1}
    edges = {"name": "graphnet", "edge_features": True}
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
        *_model("particlenet", "ParticleNet", "particlenet", net),
        *_model("lloca-particlenet", "ParticleNet in learned frames", "particlenet", net, **_LEARNED),
        *_model("graphnet", "Edge convolutions on the complete graph", "graphnet", graph),
        *_model("lloca-graphnet", "GraphNet in learned frames", "graphnet", graph, **_LEARNED),
        *_model(
            "graphnet-edges", "GraphNet with pair masses", edges, graph, embedding=["kinematics", "momenta"]
        ),
        *_model(
            "lloca-graphnet-edges",
            "GraphNet with pair masses in learned frames",
            edges,
            graph,
            embedding=["kinematics", "momenta"],
            **_LEARNED,
        ),
    ]
