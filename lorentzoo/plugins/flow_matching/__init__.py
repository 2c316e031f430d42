"""Densities of events by flow matching, with any network of the zoo as velocity."""

from typing import Any

from lorentzoo import Component, hookimpl

_HERE = "lorentzoo.plugins.flow_matching"
_SCALE = 206.6
"""GeV; the unit of momenta of arXiv:2411.00446."""
_GENERATOR: dict[str, Any] = {
    "name": "flow-matching",
    "pt_min": 22.0,
    "mass_min": 1.0,
    "eta_max": 5.0,
    "delta_r_min": 0.5,
    "num_particles": 6,
    "velocity_scale": _SCALE,
    "time_scale": 30.0,
}
"""Cuts of the shipped events of top pairs; time features of the published networks."""
_MOMENTA = {"name": "momenta", "scale": _SCALE}
_COMPONENTS = {"name": "momentum-components", "scale": _SCALE}
_MLP = {"name": "mlp-particles", "hidden": [336] * 6, "read_scalars": False}
_TRANSFORMER = {"name": "transformer", "num_blocks": 6, "head_reps": "5x0n+2x1n", "mlp_ratio": 2}
_LEARNED = {
    "frames": "lloca-polar",
    "spurions": [
        {"name": "beam-lightlike", "scale": _SCALE},
        {"name": "time", "scale": _SCALE},
    ],
}
_CHANNELS = {"spurions": ["beam-lightlike", "time"], "spurion_mode": "channels", "embedding": _MOMENTA}


_NETWORKS: list[tuple[str, str, str, dict[str, Any]]] = [
    *[
        (
            f"{prefix}{name}-eventgen",
            summary + words,
            "arXiv:2505.20280",
            {"backbone": net, "embedding": seen, **frames},
        )
        for prefix, words, frames in (("", "", {}), ("lloca-", " in learned frames", _LEARNED))
        for name, summary, net, seen in (
            ("mlp", "perceptron", _MLP, _MOMENTA),
            ("transformer", "transformer", _TRANSFORMER, _MOMENTA),
            ("graphnet", "edge convolutions", "graphnet", _COMPONENTS),
        )
    ],
    (
        "lgatr-eventgen",
        "L-GATr",
        "arXiv:2411.00446",
        {
            "backbone": {
                "name": "lgatr",
                "num_blocks": 6,
                "attention_ratio": 1,
                "mlp_ratio": 4,
                "head_scale": False,
                "read_out": "scalars",
            },
            **_CHANNELS,
        },
    ),
    (
        "lgatr-slim-eventgen",
        "L-GATr-slim, six blocks",
        "arXiv:2512.17011",
        {
            "backbone": {"name": "lgatr-slim", "num_blocks": 6, "hidden_vectors": 16, "hidden_scalars": 32},
            **_CHANNELS,
        },
    ),
]
"""Networks for events of top pairs without further jets: names, words, papers and slots."""


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The generator, and the parts that its networks need."""
    return [
        Component(
            "generator",
            "flow-matching",
            f"{_HERE}.generator:FlowMatching",
            "Riemannian conditional flow matching: the velocity is any composition",
            "arXiv:2411.00446",
        ),
        Component(
            "head", "velocity", f"{_HERE}.head:Velocity", "One vector and a few scalars of each particle"
        ),
        Component(
            "embedding",
            "momentum-components",
            f"{_HERE}.components:MomentumComponents",
            "E, px, py, pz in each particle's own frame, as scalars",
        ),
        *[
            Component(
                "model",
                name,
                summary=f"Flow matching of events of top pairs: {summary}",
                reference=reference,
                spec={"generator": _GENERATOR, "in_scalars": 6, **slots},
            )
            for name, summary, reference, slots in _NETWORKS
        ],
    ]
