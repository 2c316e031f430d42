"""How good are several trained models together?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lorentzoo.studies.errors import RunError
from lorentzoo.tasks.predictions import Predictions

__all__ = ["ensemble"]


def ensemble(members: Sequence[Predictions]) -> Predictions:
    """The mean of what several models predict for the same events.

    Parameters
    ----------
    members
        Predictions of each; probabilities are averaged, and so are values.

    Raises
    ------
    RunError
        If there are none, or they are not of the same events and targets.
    """
    if not members:
        raise RunError("an ensemble needs at least one member")
    first = members[0]
    for other in members[1:]:
        if other.task != first.task or other.values.shape != first.values.shape:
            raise RunError(
                f"the members predict different things: {first.task} {first.values.shape} and {other.task} "
                f"{other.values.shape}"
            )
        if not (
            np.array_equal(other.event_id, first.event_id) and np.array_equal(other.target, first.target)
        ):
            raise RunError("the members predict different events; evaluate them on the same split")
    return replace(first, values=np.mean([member.values for member in members], axis=0))
