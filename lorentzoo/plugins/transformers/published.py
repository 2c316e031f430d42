"""What must be said of a published transformer besides its weights?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from lorentzoo.nn import PublishedOption

__all__ = ["PAIRS", "PRESERVE_VARIANCE", "adopt_variance"]

PRESERVE_VARIANCE: Final = {
    "preserve_variance": PublishedOption(True, (True, False)),
    "variance_eps": PublishedOption(0.01),
}
"""Options of attention between frames in lloca 2.0; the second is an argument of `LLoCaAttention`."""

PAIRS: Final = {
    "use_pre_activation_pair": PublishedOption(True, (True, False)),
    "remove_self_pair": PublishedOption(False, (False, True)),
    "activation": PublishedOption("gelu", ("gelu",)),
    "block_ids_with_attn_mask": PublishedOption(None, (None,)),
}
"""Options of the Particle Transformers of lloca and weaver-core."""


class _Attention(Protocol):
    preserve_variance: bool
    variance_eps: float


def adopt_variance(attentions: Iterable[_Attention], options: Mapping[str, Any]) -> dict[str, object]:
    """Divide features of boosted frames by γ as published; packages without these options do not.

    Returns
    -------
    The constructor's parameters that say so.
    """
    preserve, floor = bool(options.get("preserve_variance", False)), float(options.get("variance_eps", 0.0))
    for attention in attentions:
        attention.preserve_variance, attention.variance_eps = preserve, floor
    return {"preserve_variance": preserve, "variance_eps": floor}
