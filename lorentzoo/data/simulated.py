"""How is a sample made where it is asked for, and kept for the next time?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lorentzoo.core.cache import cache_folder
from lorentzoo.data.sample import Sample
from lorentzoo.data.simulate.chunks import Plan, run
from lorentzoo.data.simulate.recipe import make_recipe

__all__ = ["simulated_sample"]


def simulated_sample(
    name: str, settings: Mapping[str, Any], *, events: int, seed: int, workers: int = 1
) -> Sample:
    """A sample of these settings, from the cache or made now.

    Parameters
    ----------
    name, settings
        Of the recipe.
    events, seed
        How many, and of which random numbers.
    workers
        Processes that make it; the sample does not depend on them.

    Raises
    ------
    MissingExtraError
        If the packages of the extra ``simulate`` are not installed.
    EventWriteError
        If another process is making the same sample, or the disk does not take it.
    """
    plan = Plan(make_recipe(name, settings), jets=events, seed=seed)
    text = json.dumps(plan.describe(), sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
    return run(plan, cache_folder() / "samples" / f"{name}-{events}-{fingerprint}.npz", workers=workers)
