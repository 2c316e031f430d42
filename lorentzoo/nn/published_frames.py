"""How do frames reach a network of the published package?"""

from __future__ import annotations

import math
from typing import Any

import torch

from lorentzoo.core.errors import MissingExtraError
from lorentzoo.core.frames import Frames

__all__ = ["make_published_frames"]


def make_published_frames(frames: Frames, *, flat: bool = False) -> Any:
    """The same frames as a value of lloca, to run a published network beside one of the zoo.

    Parameters
    ----------
    frames
        In a padded layout.
    flat
        One row a particle, (B N, 4, 4), as graph networks take them, instead of (B, N, 4, 4).

    Raises
    ------
    MissingExtraError
        If lloca is not installed.
    """
    try:
        from lloca.framesnet.frames import Frames as PublishedFrames
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "to run a network of lloca it must be installed: pip install lloca"
        ) from error
    lead = tuple(frames.layout.lead)
    lead = (math.prod(lead),) if flat else lead
    if frames.is_identity:
        return PublishedFrames(is_identity=True, shape=lead, device=frames.layout.device, dtype=torch.float64)
    return PublishedFrames(frames.per_particle().reshape(*lead, 4, 4))
