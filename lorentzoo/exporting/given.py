"""Which events is a file checked on, besides drawn ones?"""

from __future__ import annotations

from typing import Any, Final

import torch

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import ParameterError
from lorentzoo.data.events import EventData

__all__ = ["read_given"]

_EVENTS: Final = 64


def read_given(like: Any) -> ParticleCloud:
    """The first 64 events of a cloud or a data set, packed, in GeV.

    Raises
    ------
    ParameterError
        If it is neither, or has no events.
    """
    if isinstance(like, EventData):
        cloud = like.batch(torch.arange(min(_EVENTS, len(like)))).cloud
    elif isinstance(like, ParticleCloud):
        cloud = like.to_packed()
        cloud = cloud.select(torch.arange(min(_EVENTS, cloud.num_events)))
    else:
        raise ParameterError(
            "like= takes a ParticleCloud or a data set of events as those of the model (--dataset on the command line), "
            f"not {type(like).__name__}"
        )
    if not cloud.num_events:
        raise ParameterError("like= has no events")
    return cloud.to_units("GeV")
