"""Densities of events whose number of particles varies."""

from typing import Any

from lorentzoo import Component, hookimpl

_HERE = "lorentzoo.plugins.multiplicities"
_SCALE = 206.6
"""GeV; the unit of momenta of arXiv:2411.00446."""
_CUTS = {"pt_min": 22.0, "mass_min": 1.0, "eta_max": 5.0}
_FLOW: dict[str, Any] = {
    "name": "flow-matching",
    **_CUTS,
    "delta_r_min": 0.5,
    "delta_r_leak": 0.1,
    "velocity_scale": _SCALE,
    "time_scale": 30.0,
    "steps": 16,
}
_SPLINES: dict[str, Any] = {
    "name": "rqs-flow",
    **_CUTS,
    "num_transforms": 8,
    "momentum_layers": True,
    "relative_azimuths": True,
}
_DECAYS: dict[str, Any] = {
    "name": "varying-multiplicity",
    "multiplicities": 6,
    "networks": "each",
    "delta_r_min": 0.5,
    "pt_min": 22.0,
    "eta_max": 5.0,
    "generator": {
        "name": "decay-chain-flow",
        "chains": [[[1, 2], 0], [[4, 5], 3]],
        "mass_min": 1.0,
        "mirrors": True,
        "exchanges": [[3, 4, 5, 0, 1, 2]],
    },
}
"""Of b, q₁, q₂ and their antiparticles, as `ttbar` has them."""
_MOMENTA = {"name": "momenta", "scale": _SCALE}
_MLP = {"name": "mlp-particles", "num_particles": 10, "hidden": [336] * 6, "read_scalars": False}
_TRANSFORMER = {"name": "transformer", "num_blocks": 6, "head_reps": "5x0n+2x1n", "mlp_ratio": 2}
_CHANNELS = {"spurions": ["beam-lightlike", "time"], "spurion_mode": "channels", "embedding": _MOMENTA}
_LEARNED = {
    "frames": "lloca-polar",
    "spurions": [{"name": "beam-lightlike", "scale": _SCALE}, {"name": "time", "scale": _SCALE}],
}
_LGATR = {
    "name": "lgatr",
    "num_blocks": 6,
    "attention_ratio": 1,
    "mlp_ratio": 4,
    "head_scale": False,
    "read_out": "scalars",
}
_SLIM = {"name": "lgatr-slim", "num_blocks": 6, "hidden_vectors": 16, "hidden_scalars": 32}

_NETWORKS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("mlp", "perceptron", "arXiv:2505.20280", {"backbone": _MLP, "embedding": _MOMENTA}),
    ("transformer", "transformer", "arXiv:2505.20280", {"backbone": _TRANSFORMER, "embedding": _MOMENTA}),
    (
        "lloca-transformer",
        "transformer in learned frames",
        "arXiv:2505.20280",
        {"backbone": _TRANSFORMER, "embedding": _MOMENTA, **_LEARNED},
    ),
    ("lgatr", "L-GATr", "arXiv:2411.00446", {"backbone": _LGATR, **_CHANNELS}),
    ("lgatr-slim", "L-GATr-slim, six blocks", "arXiv:2512.17011", {"backbone": _SLIM, **_CHANNELS}),
]
"""Networks for events of top pairs with up to four further jets: names, words, papers and slots."""


def _generator(events: dict[str, Any], networks: str) -> dict[str, Any]:
    return {
        "name": "varying-multiplicity",
        "multiplicities": "6-10",
        "generator": events,
        "networks": networks,
        "delta_r_min": 0.5,
    }


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The generator, and those of top pairs with further jets by name."""
    return [
        Component(
            "generator",
            "varying-multiplicity",
            f"{_HERE}.generator:VaryingMultiplicity",
            "Events of several multiplicities: a categorical, and any generator for all or one for each",
            "arXiv:2411.00446",
        ),
        *(
            Component(
                "model",
                f"{name}-eventgen-jets",
                summary=f"Flow matching of events of top pairs with up to four further jets: {summary}",
                reference=reference,
                spec={"generator": _generator(_FLOW, "shared"), "in_scalars": 10, **slots},
            )
            for name, summary, reference, slots in _NETWORKS
        ),
        Component(
            "model",
            "rqs-flow-eventgen-jets",
            summary="Spline flows of events of top pairs with up to four further jets, one for each number of jets",
            reference="arXiv:1906.04032",
            spec={"generator": _generator(_SPLINES, "each"), "in_scalars": 10},
        ),
        Component(
            "model",
            "decay-chain-eventgen",
            summary="Spline flow of events of top pairs along the decays of both tops, with cuts by rejection",
            reference="arXiv:1906.04032",
            spec={"generator": _DECAYS, "in_scalars": 6},
        ),
    ]
