"""PELICAN: permutation-equivariant networks on the invariant masses of pairs."""

from typing import Any

from lorentzoo import Component, hookimpl, make_taggers

_PAPER = "arXiv:2307.16506"
_TABLE = "arXiv:2508.14898"
_NETWORK = "lorentzoo.plugins.pelican.network:PELICAN"
_TAGGER: dict[str, Any] = {
    "spurions": ["beam-lightlike", "time"],
    "embedding": {"name": "momenta", "scale": 20.0},
}
_FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "pelican": ("PELICAN", {}),
    "pelican-fair": ("PELICAN with unfactorised coefficients", {"hidden_channels": 72, "factorised": False}),
    "pelican-mini": ("A small PELICAN", {"hidden_channels": 60}),
}
_SIZES: dict[str, Any] = {
    "tiny": {"backbone": {"num_blocks": 3, "hidden_channels": 36}},
    "small": {"backbone": {"num_blocks": 5, "hidden_channels": 96}},
}
_ORIGINAL: dict[str, tuple[str, dict[str, Any]]] = {
    "pelican-official": ("The first PELICAN tagger", {}),
    "pelican-official-mini": (
        "The first PELICAN tagger, small",
        {"hidden_channels": 60, "message_channels": 35},
    ),
}


@hookimpl
def lorentzoo_components() -> list[Component]:
    """Backbones and their published compositions."""
    models = []
    for name, (summary, parameters) in _FORMS.items():
        models += make_taggers(
            name,
            {**_TAGGER, "backbone": {"name": "pelican", **parameters}},
            summaries=(f"{summary}, top-tagging form", f"{summary}, ten classes"),
            references=(_TABLE, _TABLE),
            sizes=_SIZES if name == "pelican" else None,
        )
    for name, (summary, parameters) in _ORIGINAL.items():
        # Published for top jets alone.
        models += make_taggers(
            name,
            {**_TAGGER, "backbone": {"name": "pelican-official", **parameters}},
            summaries=(summary, ""),
            references=(_TABLE, ""),
        )[:1]
    return [
        Component(
            "backbone",
            "pelican",
            _NETWORK,
            "Permutation-equivariant maps of the invariant masses of all pairs",
            _PAPER,
            published_flops="lorentzoo.plugins.pelican.flops:count_pelican",
        ),
        Component(
            "backbone",
            "pelican-official",
            "lorentzoo.plugins.pelican.original:OriginalPELICAN",
            "The first PELICAN: products of momenta through learned powers, sums instead of means",
            "arXiv:2211.00454",
            published_flops="lorentzoo.plugins.pelican.flops:count_original",
        ),
        *models,
        Component(
            "model",
            "pelican-amplitudes",
            summary="PELICAN for amplitudes: momenta and particle types, one target",
            reference="arXiv:2505.20280",
            spec={
                "backbone": {
                    "name": "pelican",
                    "num_blocks": 4,
                    "hidden_channels": 32,
                    "message_ratio": 1.0,
                },
                "embedding": "momenta",
                "head": {"name": "regress", "num_targets": 1, "transform": "log"},
                "in_scalars": 3,
            },
        ),
    ]
