"""What does a trained model predict, and how good is it?"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.core import minkowski
from lorentzoo.core.cloud import Batch
from lorentzoo.core.model import Model
from lorentzoo.data.events import EventData
from lorentzoo.registry.checkpoints import write_atomically
from lorentzoo.studies.errors import RunError, TrainingError
from lorentzoo.tasks.classification.metrics import classification_metrics, regression_metrics

__all__ = ["Predictions", "evaluate"]

_ARRAYS: Final = ("values", "target", "weight", "event_id")
_OBSERVABLES: Final = ("pt", "mass")
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
    task
        ``"classification"`` or ``"regression"``.
    class_names
        Names of the classes, where the data has them.
    pt, mass
        Transverse momentum and mass of the sum of all particles of each event in GeV, (B,), float64; None where they
        were not kept.
    """

    values: NDArray[np.float64]
    target: NDArray[Any]
    weight: NDArray[np.float64]
    event_id: NDArray[np.int64]
    task: str = "classification"
    class_names: tuple[str, ...] = field(default=())
    pt: NDArray[np.float64] | None = None
    mass: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def predicted_classes(self) -> tuple[str, ...]:
        """Names of all classes that have a probability; numbered where the data has no names for them."""
        count = self.values.shape[1]
        return (*self.class_names, *(f"class {label}" for label in range(len(self.class_names), count)))[
            :count
        ]

    def metrics(self) -> dict[str, Any]:
        """Weighted metrics of the task, as plain data; see `lorentzoo.tasks.classification.metrics`."""
        if self.task == "classification":
            return classification_metrics(
                self.values, self.target.astype(np.int64), self.weight, self.class_names
            )
        return regression_metrics(self.values, self.target.astype(np.float64), self.weight)

    def to_data(self) -> dict[str, Any]:
        """Number of events and metrics, as plain data."""
        return {"events": len(self), **self.metrics()}

    def save(self, path: Path) -> None:
        """Write an npz file without any pickled object."""
        arrays = {name: getattr(self, name) for name in (*_ARRAYS, *_OBSERVABLES)}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        names = np.array([self.task, *self.class_names])
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, names=names, **arrays)
        write_atomically(path, stream.getvalue())

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read what `save` wrote.

        Raises
        ------
        RunError
            If the file is missing, truncated or corrupt.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                task, *class_names = archive["names"].tolist()
                arrays = {name: archive[name] for name in _ARRAYS}
                arrays |= {name: archive[name] for name in _OBSERVABLES if name in archive}
        except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds on damaged bytes
            raise RunError(f"cannot read the predictions {path.name}: {error}") from error
        return cls(**arrays, task=task, class_names=tuple(class_names))


def evaluate(model: Model, dataset: EventData, *, batch_size: int = 256) -> Predictions:
    """Predictions of a model for every event of a data set, in its order.

    Raises
    ------
    TrainingError
        If a prediction is not finite, or the model has another number of classes than the data.
    """
    pt, mass = np.empty(len(dataset)), np.empty(len(dataset))

    def batches() -> Iterator[Batch]:
        # Reading events can take longer than the network, so they are read once.
        for start in range(0, len(dataset), batch_size):
            stop = min(start + batch_size, len(dataset))
            batch = dataset.batch(range(start, stop))
            total = batch.cloud.to_units("GeV").total()
            pt[start:stop], mass[start:stop] = minkowski.pt(total).numpy(), minkowski.mass(total).numpy()
            yield batch

    values = model.predict(batches())
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values.reshape(len(values), -1)).all(1)).sum())
        raise TrainingError(f"{bad} of {len(values)} predictions are not finite")
    check_fit(model, dataset, values)
    return Predictions(
        values,
        dataset.target.numpy(),
        dataset.weight.numpy(),
        dataset.event_id.numpy(),
        task=model.head.task,
        class_names=dataset.class_names,
        pt=pt,
        mass=mass,
    )


def check_fit(model: Model, dataset: EventData, values: NDArray[np.float64]) -> None:
    """Refuse predictions that do not have the shape of the targets."""
    target = dataset.target
    if model.head.task == "classification":
        classes = max(len(dataset.class_names), int(target.max()) + 1 if len(target) else 0)
        given = values.shape[1] if values.ndim == 2 else None
        if given is None or given < classes or target.is_floating_point():
            raise TrainingError(
                f"the head predicts {given or 'no'} classes, but the data has {classes} "
                f"({', '.join(dataset.class_names) or 'unnamed'}); set num_classes of the head"
            )
    elif values.size != target.numel():
        raise TrainingError(
            f"the head predicts shape {values.shape[1:]} an event, but targets have {tuple(target.shape[1:])}"
        )
