"""What may be given to `predict`, and how does it become batches of events?"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from lorentzoo.core.cloud import Batch, ParticleCloud
from lorentzoo.core.errors import InputError, UnitsWarning
from lorentzoo.core.fitted_inputs import FittedInputs
from lorentzoo.core.intake import MOMENTUM_ORDER
from lorentzoo.core.layout import Packed
from lorentzoo.core.tables import is_table
from lorentzoo.core.units import Units

__all__ = ["RawInputs", "read_clouds"]


@dataclass(frozen=True)
class RawInputs:
    """What is said of arrays, records or a table that a model is to predict; nothing for what is a cloud or a data set.

    Attributes
    ----------
    mask, scalars, context, order
        As for `ParticleCloud.from_padded`.
    event
        As for `ParticleCloud.from_pandas`.
    units
        Of the momenta; by default those of the events on which the model was fitted.
    """

    mask: Tensor | ArrayLike | None = None
    scalars: Tensor | ArrayLike | None = None
    context: Tensor | ArrayLike | None = None
    event: str | None = None
    order: str | Sequence[str] = MOMENTUM_ORDER
    units: Units | None = None

    def read(self, data: Any, fitted: FittedInputs) -> ParticleCloud | None:
        """The cloud of arrays, of an awkward array, of a data frame or of a list of arrays; None for anything else.

        Raises
        ------
        InputError
            If the values are no events, or something is said that does not go with such data.
        """
        units = self.units or fitted.units or "GeV"
        with warnings.catch_warnings():
            if fitted.activity is not None:
                # What the model knows of its events says more than what colliders have.
                warnings.simplefilter("ignore", UnitsWarning)
            if isinstance(data, np.ndarray | Tensor):
                return ParticleCloud.from_padded(
                    data,
                    self.mask,
                    self.scalars,
                    self.context,
                    order=self.order,
                    units=units,
                    scalar_names=_names(fitted.scalars, self.scalars),
                    context_names=_names(fitted.context, self.context),
                )
            if type(data).__module__.partition(".")[0] == "awkward":
                self._refuse_all_but("units", "an awkward array")
                return ParticleCloud.from_awkward(data, fitted.scalars, units=units)
            if is_table(data):
                self._refuse_all_but("units", "event", "a data frame")
                return ParticleCloud.from_pandas(
                    data, event=self.event, scalars=fitted.scalars, context=fitted.context, units=units
                )
            if isinstance(data, list) and data and isinstance(data[0], np.ndarray | Tensor):
                self._refuse_all_but("units", "order", "scalars", "context", "a list of arrays")
                return ParticleCloud.from_list(
                    data,
                    self.scalars,  # type: ignore[arg-type]
                    self.context,
                    order=self.order,
                    units=units,
                    scalar_names=_names(fitted.scalars, self.scalars),
                    context_names=_names(fitted.context, self.context),
                )
        self._refuse_all_but("a cloud, a data set or batches")
        return None

    def _refuse_all_but(self, *allowed: str) -> None:
        """Refuse what is said beside such data, the last of `allowed`."""
        *names, what = allowed
        usual = RawInputs()
        said = [
            name
            for name in ("mask", "scalars", "context", "event", "order", "units")
            if name not in names and getattr(self, name) is not getattr(usual, name)
        ]
        if said:
            raise InputError(
                f"{' and '.join(said)} cannot be said beside {what}, which says it itself; give arrays "
                "(momenta, mask), or leave it out"
            )


def read_clouds(
    data: Any,
    batch_size: int,
    raw: RawInputs | None = None,
    fitted: FittedInputs | None = None,
) -> Iterator[ParticleCloud]:
    """The clouds of what `Model.predict` takes, in order, at most `batch_size` events each where they are not batches.

    Raises
    ------
    InputError
        If it is nothing of what is taken.
    """
    cloud = (raw or RawInputs()).read(data, fitted or FittedInputs())
    if cloud is not None:
        yield from _cut(cloud.to_packed(), batch_size)
    elif isinstance(data, ParticleCloud):
        yield data
    elif hasattr(data, "batch") and hasattr(data, "__len__"):
        for start in range(0, len(data), batch_size):
            yield data.batch(np.arange(start, min(start + batch_size, len(data)))).cloud
    elif isinstance(data, Iterable):
        for batch in data:
            yield batch.cloud if isinstance(batch, Batch) else batch
    else:
        raise InputError(
            "predict takes a ParticleCloud, a data set, batches, padded momenta (B, N, 4) with a mask, an awkward array "
            f"or a data frame, not {type(data).__name__}"
        )


def _cut(cloud: ParticleCloud, size: int) -> Iterator[ParticleCloud]:
    """A packed cloud in pieces of consecutive events."""
    assert isinstance(cloud.layout, Packed)
    lengths = cloud.layout.lengths
    row = 0
    for start in range(0, len(lengths), size):
        part = list(lengths[start : start + size])
        stop = row + sum(part)
        yield replace(
            cloud,
            momenta=cloud.momenta[row:stop],
            scalars=cloud.scalars[row:stop],
            vectors=cloud.vectors[row:stop],
            context=cloud.context[start : start + size],
            layout=Packed.from_lengths(part, device=cloud.device),
        )
        row = stop


def _names(known: tuple[str, ...], values: Any) -> tuple[str, ...]:
    """Columns without names are those of the fit, where there are as many."""
    width = getattr(values, "shape", (0,))[-1]
    return known if known and width == len(known) else ()
