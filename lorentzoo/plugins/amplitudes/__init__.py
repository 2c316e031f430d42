"""Amplitudes: exact matrix elements at tree level, phase space, and data sets of both, and targets for networks."""

from typing import Any, Final

from lorentzoo import Component, hookimpl

_HERE = "lorentzoo.plugins.amplitudes"
_NETWORKS: Final = f"{_HERE}.networks"
_KINDS: Final = 3
"""One-hot scalars of q q̄ → Z + n g."""


def _model(
    name: str, summary: str, reference: str = "", recipe: dict[str, Any] | None = None, **slots: Any
) -> Component:
    """A composition for q q̄ → Z + n g."""
    return Component(
        "model",
        name,
        summary=summary,
        reference=reference,
        spec={"embedding": "momenta", "in_scalars": _KINDS, **slots},
        recipe=recipe or {},
    )


_RECIPE: Final[dict[str, Any]] = {
    "optimiser": "adamw",
    "learning_rate": 7e-3,
    "betas": [0.9, 0.99],
    "weight_decay": 1e-4,
    "batch_size": 512,
    "cpu_seconds": 70,
}
"""As measured on the page `amplitudes` of the documentation."""
_COORDINATES_RECIPE: Final[dict[str, Any]] = {
    "optimiser": "adamw",
    "learning_rate": 5e-3,
    "betas": [0.9, 0.99],
    "weight_decay": 0.0,
    "schedule": "warmup-cosine",
    "batch_size": 1024,
    "cpu_seconds": 60,
}
"""For networks on coordinates, of which points are cheap."""
_SCALE: Final = 300.0
"""GeV; a component of a momentum is about one in these units."""
_MOMENTA: Final = {"name": "momenta", "scale": _SCALE}
_LOG: Final = {"name": "regress", "transform": "log"}
_FACTORISED: Final = {"name": "amplitude-ratio", "reference": "factorised"}
_RECIPE_BACKBONE: Final = {"name": "invariant-mlp", "hidden": [128, 128, 128], "masses": True}
_LLOCA: Final = "arXiv:2505.20280"
_PUBLISHED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "mlp": (
        "Perceptron on momenta",
        {
            "backbone": {"name": "mlp", "num_particles": 7, "hidden": [128] * 5, "read_scalars": False},
            "embedding": _MOMENTA,
        },
    ),
    "transformer": (
        "Transformer on momenta and particle types",
        {"backbone": {"name": "transformer", "num_blocks": 8, "mlp_ratio": 2}, "embedding": _MOMENTA},
    ),
    "graphnet": (
        "Edge convolutions on momenta, particle types and pair masses",
        {
            "backbone": {"name": "graphnet", "edge_features": True},
            "embedding": [{"name": "momentum-components", "scale": _SCALE}, "momenta"],
        },
    ),
}
"""Networks of arXiv:2505.20280, without frames and in learned ones."""


def _list_published() -> list[Component]:
    """``amplitude-NAME``, and ``lloca-NAME-amplitudes`` with the frames of the paper."""
    found = []
    for name, (summary, slots) in _PUBLISHED.items():
        found += [
            _model(f"amplitude-{name}", f"{summary}, one target", _LLOCA, head=_LOG, **slots),
            _model(
                f"lloca-{name}-amplitudes",
                f"{summary} in learned frames, one target",
                _LLOCA,
                head=_LOG,
                frames="lloca-polar",
                **slots,
            ),
        ]
    return found


def _sk_dnn(name: str, width: int) -> Component:
    return _model(
        name,
        f"Perceptron of 9 layers of {width} on all ln p_i·p_j, with skip connections",
        "arXiv:2302.00753",
        backbone={"name": "invariant-mlp", "hidden": [width] * 9, "skip": True, **_AS_GIVEN},
        head=_LOG,
    )


_AS_GIVEN: Final = {"order": "input", "read_scalars": False}
"""Networks that know a particle by its place."""

_COMPONENTS: Final = (
    Component(
        "head",
        "amplitude-density",
        f"{_HERE}.targets.density:AmplitudeDensity",
        "Log-normal distribution of a positive amplitude around a multiple of a reference",
        "arXiv:2206.14831",
    ),
    Component(
        "backbone",
        "invariant-mlp",
        f"{_NETWORKS}.invariant_mlp:InvariantMLP",
        "Perceptron on ln p_i·p_j of all pairs, identical particles in an order by invariants",
        published_flops=f"{_NETWORKS}.flops:count_invariant_mlp",
    ),
    Component(
        "backbone",
        "event-invariants",
        f"{_NETWORKS}.invariant_mlp:EventInvariants",
        "ln p_i·p_j of all pairs, identical particles in an order by invariants; nothing is learned",
    ),
    Component(
        "backbone",
        "nothing",
        f"{_NETWORKS}.nothing:Nothing",
        "Zeros, for heads that predict by what they fit in closed form",
    ),
    _model(
        "log-polynomial",
        "Ridge regression on monomials of ln p_i·p_j: linear algebra, in seconds",
        backbone="nothing",
        head={"name": "amplitude-ratio", "reference": "log-polynomial"},
    ),
    _model(
        "amplitude-recipe",
        "A small perceptron on ln p_i·p_j, on top of the fitted factors of soft and collinear emission",
        recipe=_RECIPE,
        backbone=_RECIPE_BACKBONE,
        head=_FACTORISED,
        anchor="none",
    ),
    _model(
        "amplitude-recipe-density",
        "The recipe with a width of each event: where the surrogate can be trusted",
        "arXiv:2206.14831",
        recipe=_RECIPE,
        backbone=_RECIPE_BACKBONE,
        head={**_FACTORISED, "name": "amplitude-density"},
        anchor="none",
    ),
    _model(
        "dsi",
        "Perceptron on momenta and all ln p_i·p_j: deep sets with invariants, as published for amplitudes",
        "arXiv:2405.14806",
        backbone={"name": "invariant-mlp", "hidden": [128] * 4, "read_momenta": True, **_AS_GIVEN},
        embedding=_MOMENTA,
        head=_LOG,
    ),
    _model(
        "mlp-i",
        "Perceptron on all ln p_i·p_j",
        "arXiv:2405.14806",
        backbone={"name": "invariant-mlp", "hidden": [128] * 5, **_AS_GIVEN},
        head=_LOG,
    ),
    _model(
        "amplitude-bdt",
        "Boosted trees on all ln p_i·p_j, identical particles in an order by invariants",
        "arXiv:2302.00753",
        backbone={"name": "event-invariants", "masses": True},
        head={"name": "regression-trees", "transform": "log"},
    ),
    Component(
        "model",
        "sk-dnn-helicities",
        summary="The network of 9 layers for all helicities of q q̄ → V V by four coordinates; decays are contracted",
        reference="arXiv:2302.00753",
        spec={
            "backbone": {
                "name": "invariant-mlp",
                "num_particles": 2,
                "hidden": [50] * 9,
                "skip": True,
                "order": "input",
            },
            "embedding": "momenta",
            "head": {
                "name": "amplitude-components",
                "num_targets": 9,
                "form": "real",
                "combinations": "bose",
            },
            "in_scalars": 4,
            "in_context": 4,
        },
        recipe=_COORDINATES_RECIPE,
    ),
    _sk_dnn("sk-dnn", 36),
    _sk_dnn("sk-dnn-28", 28),
    _sk_dnn("sk-dnn-50", 50),
    *_list_published(),
    _model(
        "lloca-transformer-so3-amplitudes",
        "Transformer on momenta and particle types in learned rotations, one target",
        _LLOCA,
        head=_LOG,
        frames="lloca-so3",
        **_PUBLISHED["transformer"][1],
    ),
    _model(
        "lloca-transformer-pelican-amplitudes",
        "Transformer on momenta and particle types in frames that PELICAN predicts, one target",
        _LLOCA,
        head=_LOG,
        frames={"name": "lloca-polar", "equivectors": "pelican"},
        **_PUBLISHED["transformer"][1],
    ),
    _model(
        "lloca-transformer-lgatr-amplitudes",
        "Transformer on momenta and particle types in frames that a small L-GATr predicts, one target",
        "arXiv:2508.14898",
        head=_LOG,
        frames={"name": "lloca-polar", "equivectors": "lgatr"},
        **_PUBLISHED["transformer"][1],
    ),
    _model(
        "lloca-transformer-lgatr-slim-amplitudes",
        "Transformer on momenta and particle types in frames that a small L-GATr-slim predicts, one target",
        "arXiv:2512.17011",
        head=_LOG,
        frames={"name": "lloca-polar", "equivectors": "lgatr-slim"},
        **_PUBLISHED["transformer"][1],
    ),
    _model(
        "lgatr-slim-amplitudes",
        "L-GATr-slim on momenta and particle types, one target",
        "arXiv:2512.17011",
        backbone={"name": "lgatr-slim", "num_blocks": 8},
        embedding=_MOMENTA,
        head={**_LOG, "pooling": "mean"},
    ),
)


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The data sets, the heads, the networks and the task."""
    return [
        Component(
            "dataset",
            "amplitudes",
            f"{_HERE}.data.dataset:amplitudes",
            "Points of one or several processes (q q̄ → Z + n g, g g → n g, ...) with their exact |M|², made on demand",
            "processes of arXiv:2405.14806",
        ),
        Component(
            "dataset",
            "amplitudes-lhe",
            f"{_HERE}.data.matching:amplitudes_lhe",
            "Events of a Les Houches file that are of a known process, with their exact |M|²",
            "hep-ph/0609017",
            extra="lorentzoo[readers]",
        ),
        Component(
            "dataset",
            "vector-pairs",
            f"{_HERE}.data.vector_pairs:vector_pairs",
            "Functions of 2, 4 or 8 coordinates: |M|² or helicity amplitudes of q q̄ → V V, with decays",
            "functions as in arXiv:2302.00753",
        ),
        Component(
            "head",
            "amplitude-ratio",
            f"{_HERE}.targets.head:AmplitudeRatio",
            "Targets as multiples of a reference: factorisation, a fitted polynomial, or the tree",
            "arXiv:2301.13562",
        ),
        Component(
            "head",
            "amplitude-components",
            f"{_HERE}.targets.components:AmplitudeComponents",
            "Several amplitudes, real or complex, by linear combinations with a definite symmetry",
            "arXiv:2302.00753",
        ),
        Component(
            "task",
            "amplitudes",
            f"{_HERE}.task.task:Amplitudes",
            "Surrogates of |M|²: errors of its logarithm, cross-section, two-stage unweighting, times",
            "arXiv:2109.11964",
            extra="lorentzoo[train]",
        ),
        *_COMPONENTS,
    ]
