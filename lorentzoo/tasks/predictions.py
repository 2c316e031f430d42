"""What does a trained model predict for events, beside what is true?"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core import minkowski
from lorentzoo.core.cloud import Batch
from lorentzoo.core.errors import RunError, TrainingError
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.events import EventData
from lorentzoo.output.files import write_bytes

__all__ = ["Predicted", "Predictions", "average_predictions", "predict_events", "read_predictions"]

P = TypeVar("P", bound="Predictions")
_ARRAYS: Final = ("values", "target", "weight", "event_id")
_BESIDE: Final = ("pt", "mass")
"""Arrays that files of earlier versions do not have."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of a model beside what is true.

    Attributes
    ----------
    values
        Probabilities (B, classes) or predicted values (B, ...), float64.
    target, weight, event_id
        As in the data, (B, ...), (B,) and (B,).
    pt, mass
        Transverse momentum and mass of the sum of all particles of each event in GeV, (B,), float64; None where they
        were not kept.
    """

    values: NDArray[np.float64]
    target: NDArray[Any]
    weight: NDArray[np.float64]
    event_id: NDArray[np.int64]
    pt: NDArray[np.float64] | None = None
    mass: NDArray[np.float64] | None = None

    kind: ClassVar[str] = ""
    """What stands first among the names in the file."""
    _optional: ClassVar[tuple[str, ...]] = _BESIDE
    """Further arrays that the file keeps."""

    @property
    def _per_event(self) -> tuple[str, ...]:
        """Those of them that have a row an event."""
        return self._optional

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of classes or targets, as the file keeps them."""
        return ()

    def metrics(self) -> dict[str, Any]:
        """Weighted metrics, as plain data."""
        raise NotImplementedError

    def counted(self: P) -> P:
        """Without the events of weight zero, which are not there, neither in a count nor in a figure."""
        there = self.weight != 0
        if there.all():
            return self
        arrays = {name: getattr(self, name) for name in (*_ARRAYS, *self._per_event)}
        return replace(self, **{name: array[there] for name, array in arrays.items() if array is not None})

    def to_data(self) -> dict[str, Any]:
        """Number of events and metrics, as plain data."""
        return {"events": len(self), **self.metrics()}

    def save(self, path: Path) -> None:
        """Write an npz file without any pickled object."""
        arrays = {name: getattr(self, name) for name in (*_ARRAYS, *self._optional)}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        names = np.array([self.kind, *self.names])
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, names=names, **arrays)
        write_bytes(path, stream.getvalue())


def read_predictions(path: Path, optional: Sequence[str] = _BESIDE) -> tuple[list[str], dict[str, Any]]:
    """Names behind the first and arrays of what `Predictions.save` wrote.

    Raises
    ------
    RunError
        If the file is missing, truncated or corrupt.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = [str(name) for name in archive["names"].tolist()][1:]
            arrays = {name: archive[name] for name in _ARRAYS}
            arrays |= {name: archive[name] for name in optional if name in archive}
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds on damaged bytes
        raise RunError(f"cannot read the predictions {path.name}: {error}") from error
    return names, arrays


@dataclass(frozen=True, eq=False)
class Predicted:
    """What `predict_events` finds: the arrays of `Predictions`, and further columns of the head's."""

    arrays: dict[str, Any]
    columns: dict[str, Any]


@torch.no_grad()
def predict_events(
    model: Trainable,
    data: EventData,
    *,
    columns: Callable[[Tensor, Tensor], dict[str, Tensor]] | None = None,
    batch_size: int = 256,
) -> Predicted:
    """Predictions of a model for every event of a data set, in its order.

    Parameters
    ----------
    model
        With a head; it is left in evaluation mode or not, as it was.
    data
        Events.
    columns
        From raw outputs (b, ...) in float64 and targets (b, ...) to further columns (b, ...), e.g. uncertainties.
    batch_size
        Events at a time.

    Raises
    ------
    TrainingError
        If a prediction is not finite.
    """
    was_training = model.training
    model.eval()
    parts, doubted = [], False
    try:
        for start in range(0, len(data), batch_size):
            batch = data.batch(torch.arange(start, min(start + batch_size, len(data))))
            doubted = doubted or model.fitted_inputs.warn(batch.cloud)
            parts.append(_predict_batch(model, batch, columns))
    finally:
        model.train(was_training)
    names = list(parts[0]) if parts else ["values", "pt", "mass"]
    joined = {
        name: np.concatenate([part[name] for part in parts]) if parts else np.zeros(0) for name in names
    }
    values = joined["values"]
    if not np.isfinite(values).all():
        finite = np.isfinite(values.reshape(len(values), -1)).all(1)
        first = int(data.event_id[int(np.argmin(finite))])
        raise TrainingError(
            f"{int((~finite).sum())} of {len(values)} predictions are not finite, first of event {first}"
        )
    arrays = {name: joined.pop(name) for name in ("values", *_BESIDE)}
    arrays |= {
        "target": data.target.numpy(),
        "weight": data.weight.numpy(),
        "event_id": data.event_id.numpy(),
    }
    return Predicted(arrays, joined)


def _predict_batch(
    model: Any,
    batch: Batch,
    columns: Callable[[Tensor, Tensor], dict[str, Tensor]] | None,
) -> dict[str, NDArray[np.float64]]:
    cloud = batch.cloud
    total = cloud.to_units("GeV").total()
    output = model(cloud.to(model.device)).double()
    found = {"values": model.head.predict(output), "pt": minkowski.pt(total), "mass": minkowski.mass(total)}
    if columns is not None:
        found |= columns(output, batch.target.to(output.device))
    return {name: value.cpu().numpy() for name, value in found.items()}


def average_predictions(members: Sequence[P]) -> P:
    """The mean of what several models predict for the same events: an ensemble.

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
        if type(other) is not type(first) or other.values.shape != first.values.shape:
            raise RunError(
                f"the members predict different things: {first.kind} {first.values.shape} and {other.kind} "
                f"{other.values.shape}"
            )
        if not (
            np.array_equal(other.event_id, first.event_id) and np.array_equal(other.target, first.target)
        ):
            raise RunError("the members predict different events; evaluate them on the same split")
    values = np.mean([member.values for member in members], axis=0)
    further: dict[str, Any] = {}
    name = "log_values"
    if len(members) > 1 and hasattr(first, name):
        logs = [getattr(member, name) for member in members]
        # The logarithm of the mean, which tells events apart whose mean is rounded to 0 or 1.
        known = all(each is not None for each in logs)
        further[name] = np.logaddexp.reduce(logs) - np.log(len(logs)) if known else None
    return replace(first, values=values, **further)
