"""What do several surrogates say together, and how sure are they?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lorentzoo import ValuePredictions

__all__ = ["combine_members"]

Array = NDArray[np.float64]


def combine_members(members: Sequence[ValuePredictions]) -> tuple[Array, Array]:
    """Mean of the logarithms of what members predict, and its uncertainty.

    ``ln p = ⟨ln p_i⟩``, ``σ² = p² (Var(ln p_i) + ⟨ln(1 + σ_i²/p_i²)⟩)``: the spread of the members (by M - 1), and
    their own variances where all of them have any. For events on whose sign members do not agree,
    the same without logarithms.

    Parameters
    ----------
    members
        Two at least, of the same events.

    Returns
    -------
    Values and deviations, (B, D).
    """
    values = np.stack([member.values for member in members])
    deviations = [member.deviation for member in members]
    own = None if any(each is None for each in deviations) else np.stack([np.asarray(d) for d in deviations])
    agree = (values > 0).all(0) | (values < 0).all(0)
    safe = np.where(agree, values, 1.0)
    logs = np.log(np.abs(safe))
    relative = logs.var(0, ddof=1)
    absolute = values.var(0, ddof=1)
    if own is not None:
        relative = relative + np.log1p(np.square(own / safe)).mean(0)
        absolute = absolute + np.square(own).mean(0)
    middle = np.sign(safe[0]) * np.exp(logs.mean(0))
    together = np.where(agree, middle, values.mean(0))
    return together, np.where(agree, np.abs(middle) * np.sqrt(relative), np.sqrt(absolute))
