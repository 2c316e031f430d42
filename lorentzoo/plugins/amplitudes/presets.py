"""Which networks of amplitudes are there by name?"""

from __future__ import annotations

from typing import Any, Final

from lorentzoo import Component

__all__ = ["NETWORKS"]

_NETWORKS: Final = "lorentzoo.plugins.amplitudes.networks"
_KINDS: Final = 3
"""One-hot scalars of q q̄ → Z + n g."""


def _model(name: str, summary: str, reference: str = "", recipe: dict[str, Any] | None = None, **slots: Any) -> Component:
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
    "learning_rate": 1e-2,
    "betas": [0.9, 0.99],
    "weight_decay": 1e-4,
    "batch_size": 1024,
    "cpu_seconds": 70,
}

NETWORKS: Final = (
    Component(
        "backbone",
        "invariant-mlp",
        f"{_NETWORKS}.invariant_mlp:InvariantMLP",
        "Perceptron on ln p_i·p_j of all pairs, identical particles in an order by invariants",
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
        head={"name": "amplitude-ratio", "reference": "log-polynomial", "degree": 4},
    ),
    _model(
        "amplitude-recipe",
        "A small perceptron on ln p_i·p_j, on top of the fitted factors of soft and collinear emission",
        recipe=_RECIPE,
        backbone={"name": "invariant-mlp", "hidden": [64, 64, 64]},
        head={"name": "amplitude-ratio", "reference": "factorised"},
        anchor="none",
    ),
)
