"""Are the widths that a density predicts as large as its errors?"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch

from lorentzoo import EventData, Model
from lorentzoo.nn import weighted_quantile
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.targets.chain import amplitude_column
from lorentzoo.plugins.amplitudes.targets.density import AmplitudeDensity

__all__ = ["calibrate"]

_AT_ONCE: Final = 4096
_LEAST_EVENTS: Final = 100
_ONE_SIGMA: Final = 0.682689492137086
"""Part of a normal distribution within one standard deviation."""


def calibrate(model: Model, data: EventData) -> float:
    """Multiply all widths by one number, so that 68 % of the events have ln x within one of ln R + μ.

    The number is kept with the weights of the head. A quantile, unlike the root mean square of the pulls, does not depend
    on the few events of the tails.

    Parameters
    ----------
    model
        A trained model with the head `amplitude-density`.
    data
        Events that the model was not trained on, e.g. those of validation.

    Returns
    -------
    The number, in all: 1 for widths as they were learned.

    Raises
    ------
    AmplitudeError
        If the head is another one, there are too few events, or a target has no logarithm.
    """
    head: Any = model.head
    if not isinstance(head, AmplitudeDensity):
        raise AmplitudeError(
            f"widths are of the head 'amplitude-density', and this model has {type(head).__name__}"
        )
    if len(data) < _LEAST_EVENTS:
        raise AmplitudeError(f"a calibration needs at least {_LEAST_EVENTS} events, not {len(data)}")
    if not bool((data.target[data.weight != 0] > 0).all()):
        raise AmplitudeError("a calibration needs positive targets: those of a log-normal distribution")
    pulls = []
    training = model.training
    model.eval()
    with torch.no_grad():
        for events in torch.arange(len(data)).split(_AT_ONCE):
            batch = data.batch(events).to(model.device)
            normal: Any = head.distribution(model(batch.cloud)).base_dist
            target = amplitude_column(batch.target)
            logs = torch.where(target > 0, target, torch.ones_like(target)).log()
            pulls.append(((logs - normal.loc) / normal.scale).abs().squeeze(-1).cpu())
    model.train(training)
    share = np.abs(data.weight.double().numpy())
    head.temperature.mul_(weighted_quantile(torch.cat(pulls).double().numpy(), share, _ONE_SIGMA))
    return float(head.temperature)
