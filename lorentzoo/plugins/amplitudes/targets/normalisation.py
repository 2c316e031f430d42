"""Do the predictions of a surrogate sum up to the total cross-section?"""

from __future__ import annotations

from typing import Any, Final

import torch

from lorentzoo import EventData, Model
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.targets.chain import amplitude_column
from lorentzoo.plugins.amplitudes.targets.head import AmplitudeRatio

__all__ = ["normalise"]

_AT_ONCE: Final = 4096


def normalise(model: Model, data: EventData) -> float:
    """Multiply all predictions p by Σ w t/Σ w p over some events with weights w and targets t.

    The number is kept with the weights of the head. It takes away the bias that all events share, which a fit of
    logarithms leaves, and errs by the Monte Carlo error of Σ w (t - p)/Σ w t.

    Parameters
    ----------
    model
        A trained model with the head `amplitude-ratio`.
    data
        Events; those of the training, unless it has learned them by heart.

    Returns
    -------
    The number, in all: 1 for predictions as they were learned.

    Raises
    ------
    AmplitudeError
        If the head is another one, or the predictions sum up to nothing of the sign of the total.
    """
    head: Any = model.head
    if not isinstance(head, AmplitudeRatio):
        raise AmplitudeError(
            f"a normalisation is of the head 'amplitude-ratio', and this model has {type(head).__name__}"
        )
    training = model.training
    model.eval()
    totals = torch.zeros(2, dtype=torch.float64)
    with torch.no_grad():
        for events in torch.arange(len(data)).split(_AT_ONCE):
            batch = data.batch(events).to(model.device)
            predicted = head.predict(model(batch.cloud).double())
            for place, values in enumerate((amplitude_column(batch.target), predicted)):
                totals[place] += (batch.weight.double() * values.squeeze(-1)).sum().cpu()
    model.train(training)
    ratio = float(totals[0] / totals[1])
    if not 0 < ratio < float("inf"):
        raise AmplitudeError(
            f"predictions sum up to {float(totals[1]):g}, and targets to {float(totals[0]):g}: take normalised=False"
        )
    head.normalisation.mul_(ratio)
    return float(head.normalisation)
