"""L-GATr and L-GATr-slim: transformers that are Lorentz-equivariant by their layers."""

from lorentzoo import Component, hookimpl, make_taggers

_LGATR = "lorentzoo.plugins.lgatr.network:LGATr"
_SLIM = "lorentzoo.plugins.lgatr.slim:LGATrSlim"
_TAGGER = {
    "spurions": ["beam-lightlike", "time"],
    "embedding": {"name": "momenta", "scale": 20.0},
    "head": {"pooling": "global-token"},
}
_SLIM_TAGGER = {
    **_TAGGER,
    "embedding": ["kinematics", {"name": "momenta", "scale": 20.0}],
}
_SIZES = {
    "tiny": {
        "backbone": {"num_blocks": 2, "hidden_channels": 4, "hidden_scalars": 8, "num_heads": 2},
    },
    "small": {
        "backbone": {"num_blocks": 4, "hidden_channels": 8, "hidden_scalars": 16, "num_heads": 4},
    },
}
_SLIM_SIZES = {
    "tiny": {
        "backbone": {"num_blocks": 3, "hidden_vectors": 4, "hidden_scalars": 12, "num_heads": 2},
    },
    "small": {
        "backbone": {"num_blocks": 6, "hidden_vectors": 10, "hidden_scalars": 28, "num_heads": 2},
    },
}
_SLIM_SMALL = {
    "1k": {"num_blocks": 1, "hidden_vectors": 4, "hidden_scalars": 16, "num_heads": 2, "mlp_ratio": 1},
    "10k": {"num_blocks": 2, "hidden_vectors": 8, "hidden_scalars": 32, "num_heads": 4, "mlp_ratio": 2},
    "100k": {"num_blocks": 4, "hidden_vectors": 16, "hidden_scalars": 64, "num_heads": 4, "mlp_ratio": 2},
    "like-lgatr": {"hidden_scalars": 64, "mlp_ratio": 2, "attention_ratio": 2},
}
"""The smaller taggers of arXiv:2512.17011: 2,197, 22,921 and 179,089 parameters, and one of the widths of L-GATr."""
_RECIPE = {
    "optimiser": "lion",
    "learning_rate": 3e-4,
    "weight_decay": 0.2,
    "schedule": "cosine",
    "batch_size": 128,
}
"""Top tagging in arXiv:2411.00446."""


@hookimpl
def lorentzoo_components() -> list[Component]:
    """Backbones and their published compositions."""
    return [
        Component(
            "backbone",
            "lgatr",
            _LGATR,
            "Transformer on multivectors of spacetime",
            "arXiv:2411.00446",
            published_flops="lorentzoo.plugins.lgatr.flops:count_multivector",
        ),
        Component(
            "backbone",
            "lgatr-conditional",
            _LGATR,
            "L-GATr decoder: cross-attention to a second cloud",
            "arXiv:2411.00446",
            defaults={"condition_vectors": 1},
        ),
        Component(
            "backbone",
            "lgatr-axial",
            _LGATR,
            "L-GATr with attention along the rows, then the columns of a grid of tokens",
            "arXiv:2411.00446",
            defaults={"grid": (16, 8), "num_blocks": 6},
        ),
        Component(
            "backbone",
            "lgatr-slim",
            _SLIM,
            "Transformer on scalars and four-vectors",
            "arXiv:2512.17011",
            published_flops="lorentzoo.plugins.lgatr.flops:count_slim",
        ),
        Component(
            "backbone",
            "lgatr-slim-conditional",
            _SLIM,
            "L-GATr-slim decoder: cross-attention to a second cloud",
            "arXiv:2512.17011",
            defaults={"condition_vectors": 1},
        ),
        *make_taggers(
            "lgatr",
            {"backbone": "lgatr", **_TAGGER},
            summaries=(
                "L-GATr on momenta with beam and time spurions, top-tagging form",
                "L-GATr with ten auxiliary scalars and ten classes",
            ),
            references=("arXiv:2411.00446", "arXiv:2508.14898"),
            recipe=_RECIPE,
            sizes=_SIZES,
        ),
        *make_taggers(
            "lgatr-slim",
            {"backbone": "lgatr-slim", **_SLIM_TAGGER},
            summaries=(
                "L-GATr-slim on momenta and seven kinematic features, top-tagging form",
                "L-GATr-slim with ten auxiliary scalars and ten classes",
            ),
            references=("arXiv:2512.17011", "arXiv:2512.17011"),
            sizes=_SLIM_SIZES,
        ),
        *[
            tagger
            for size, given in _SLIM_SMALL.items()
            for tagger in make_taggers(
                f"lgatr-slim-{size}",
                {"backbone": {"name": "lgatr-slim", **given}, **_SLIM_TAGGER},
                summaries=(
                    f"L-GATr-slim, the smaller tagger {size!r}, top-tagging form",
                    f"L-GATr-slim, the smaller tagger {size!r}, ten classes",
                ),
                references=("arXiv:2512.17011", "arXiv:2512.17011"),
            )
        ],
        Component(
            "model",
            "lgatr-amplitudes",
            summary="L-GATr for amplitudes: momenta and particle types, one target",
            reference="arXiv:2411.00446",
            spec={
                "backbone": {
                    "name": "lgatr",
                    "num_blocks": 8,
                    "hidden_channels": 20,
                    "attention_ratio": 1,
                    "head_channels": 2,
                    "mlp_ratio": 4,
                    "head_scale": False,
                },
                "embedding": "momenta",
                "head": {"name": "regress", "num_targets": 1, "transform": "log", "pooling": "mean"},
                "in_scalars": 3,
            },
        ),
    ]
