"""How do arrays, records and tables that one has at hand become events in memory?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud, Units
from lorentzoo.core.intake import MOMENTUM_ORDER
from lorentzoo.core.tables import read_table
from lorentzoo.data.events import EventData
from lorentzoo.data.readers.columns import as_names

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["EventsFromArrays"]


class EventsFromArrays(EventData):
    """Events in memory that are made of arrays, records and tables: the constructors of `JetDataset`."""

    @classmethod
    @abstractmethod
    def from_cloud(
        cls,
        cloud: ParticleCloud,
        target: Any = None,
        weight: Tensor | ArrayLike | None = None,
        event_id: Tensor | ArrayLike | None = None,
        *,
        class_names: Sequence[str] = (),
        target_names: Sequence[str] = (),
        target_units: Sequence[str] = (),
        splits: Tensor | ArrayLike | Literal["hash"] | None = "hash",
        max_constituents: int | None = None,
    ) -> Self:
        """The events of a cloud, see `JetDataset.from_cloud`."""

    @classmethod
    def from_padded(
        cls,
        momenta: Tensor | ArrayLike,
        mask: Tensor | ArrayLike | None = None,
        target: Any = None,
        weight: Tensor | ArrayLike | None = None,
        event_id: Tensor | ArrayLike | None = None,
        *,
        scalars: Tensor | ArrayLike | None = None,
        context: Tensor | ArrayLike | None = None,
        order: str | Sequence[str] = MOMENTUM_ORDER,
        units: Units = "GeV",
        scalar_names: Sequence[str] = (),
        context_names: Sequence[str] = (),
        class_names: Sequence[str] = (),
        target_names: Sequence[str] = (),
        target_units: Sequence[str] = (),
        splits: Tensor | ArrayLike | Literal["hash"] | None = "hash",
        max_constituents: int | None = None,
        validate: bool = True,
    ) -> Self:
        """Events of padded arrays.

        Parameters
        ----------
        momenta, mask, scalars, context, order, units, scalar_names, context_names, validate
            As for `ParticleCloud.from_padded`.
        target, weight, event_id, class_names, target_names, target_units, splits, max_constituents
            As for `from_cloud`.

        Examples
        --------
        >>> import numpy as np
        >>> from lorentzoo import JetDataset
        >>> jets = np.array([[[50.0, 0.1, 2.0, 0.1], [30.0, 0.2, 2.1, 0.1]], [[70.0, -1.0, 0.5, 0.5], [0.0] * 4]])
        >>> JetDataset.from_padded(jets, target=["qcd", "top"], order="pt,eta,phi,mass")
        JetDataset(2 events, 3 particles; classes: qcd, top)
        """
        cloud = ParticleCloud.from_padded(
            momenta,
            mask,
            scalars,
            context,
            order=order,
            units=units,
            scalar_names=scalar_names,
            context_names=context_names,
            validate=validate,
        )
        return cls.from_cloud(
            cloud,
            target,
            weight,
            event_id,
            class_names=class_names,
            target_names=target_names,
            target_units=target_units,
            splits=splits,
            max_constituents=max_constituents,
        )

    @classmethod
    def from_awkward(
        cls,
        array: Any,
        target: Any = None,
        weight: Any = None,
        event_id: Any = None,
        *,
        momentum: Mapping[str, str] | None = None,
        scalars: Sequence[str] = (),
        units: Units = "GeV",
        class_names: Sequence[str] = (),
        target_names: Sequence[str] = (),
        target_units: Sequence[str] = (),
        splits: Tensor | ArrayLike | Literal["hash"] | None = "hash",
        max_constituents: int | None = None,
        validate: bool = True,
    ) -> Self:
        """Events of an awkward array of records, as `vector`, coffea and uproot make them.

        Parameters
        ----------
        array, momentum, scalars, units, validate
            As for `ParticleCloud.from_awkward`.
        target, weight, event_id, class_names, target_names, target_units, splits, max_constituents
            As for `from_cloud`; awkward arrays of one number an event are taken, too.
        """
        return cls.from_cloud(
            ParticleCloud.from_awkward(array, scalars, momentum=momentum, units=units, validate=validate),
            target,
            weight,
            event_id,
            class_names=class_names,
            target_names=target_names,
            target_units=target_units,
            splits=splits,
            max_constituents=max_constituents,
        )

    @classmethod
    def from_pandas(
        cls,
        frame: Any,
        target: str | Sequence[str] | None = None,
        weight: str | None = None,
        event: str | None = None,
        *,
        momentum: Mapping[str, str] | None = None,
        scalars: Sequence[str] = (),
        context: Sequence[str] = (),
        units: Units = "GeV",
        class_names: Sequence[str] = (),
        target_units: Sequence[str] = (),
        splits: str | None = None,
        max_constituents: int | None = None,
        validate: bool = True,
    ) -> Self:
        """Events of a data frame, one row a particle or one row an event.

        Parameters
        ----------
        frame, event, momentum, scalars, context, units, validate
            As for `ParticleCloud.from_pandas`.
        target, weight
            Columns with one value an event: the same in all its rows. One target of whole numbers or text is the class.
        class_names, target_units, max_constituents
            As for `from_cloud`.
        splits
            Column with the split of each event, 0 train, 1 validation, 2 test; by default 60:15:25 by a hash of its
            number.
        """
        table = read_table(frame, event, momentum, scalars)
        names = as_names(target)
        columns = [table.value(name, "target") for name in names]
        classes = len(names) == 1 and columns[0].dtype.kind not in "f"
        values = columns[0] if len(names) == 1 else np.stack(columns, axis=1) if names else None
        return cls.from_cloud(
            ParticleCloud.from_pandas(
                frame,
                event=event,
                momentum=momentum,
                scalars=scalars,
                context=context,
                units=units,
                validate=validate,
            ),
            values,
            None if weight is None else table.value(weight, "weight"),
            table.event_numbers(),
            class_names=class_names,
            target_names=() if classes or class_names else names,
            target_units=target_units,
            splits="hash" if splits is None else table.value(splits, "splits"),
            max_constituents=max_constituents,
        )
