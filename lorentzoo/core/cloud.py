"""What is a batch of events?

A `ParticleCloud` holds the four-momenta of all particles of a batch in float64, what else is known
of each particle and of each event, and the layout that says which particle belongs where. Values
are checked once, when a cloud is made from outside data; never in a forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lorentzoo.core.cloud_tensors import GLOBAL, PARTICLE, SPURION, CloudTensors
from lorentzoo.core.errors import InputError
from lorentzoo.core.intake import (
    MOMENTUM_ORDER,
    read_columns,
    read_mask,
    read_momenta,
    read_names,
    read_ptr,
    read_vectors,
    unpack_awkward,
    unpack_events,
    unpack_pyg,
)
from lorentzoo.core.layout import Layout, Packed, Padded
from lorentzoo.core.modes import leave_inference_mode
from lorentzoo.core.momentum_columns import read_order
from lorentzoo.core.plausible import check_finite, check_momenta
from lorentzoo.core.tables import read_table
from lorentzoo.core.units import IN_GEV, Units, warn_of_units

__all__ = ["GLOBAL", "PARTICLE", "SPURION", "Batch", "ParticleCloud", "Units"]


@dataclass(frozen=True)
class ParticleCloud(CloudTensors):
    """A batch of events: immutable; every operation returns a new cloud.

    Parameters
    ----------
    momenta
        (E, px, py, pz) of each particle, shape (*lead, 4), float64. The leading shape is (P,) in a
        packed layout, (B, N) in a padded one.
    layout
        Which particle belongs to which event.
    scalars
        Lorentz-invariant properties of each particle (charge, particle id, ...), shape (*lead, S).
    context
        Properties of each event (process, time of a flow, ...), shape (B, C).
    vectors
        Further four-vectors of each particle, shape (*lead, V, 4), float64; they transform with the momenta.
    roles
        `PARTICLE`, `SPURION` or `GLOBAL` for each row, shape (*lead,), int64; None means all particles.
    units
        Units of the momenta.
    scalar_names, context_names, vector_names
        Names of the columns.
    tokens
        Rows in front of every event that are not particles (spurions).

    See Also
    --------
    ParticleCloud.from_padded, ParticleCloud.from_packed, ParticleCloud.from_list,
    ParticleCloud.from_awkward, ParticleCloud.from_pandas, ParticleCloud.from_pyg : make a cloud of outside data.
    """

    @classmethod
    def from_padded(
        cls,
        momenta: Tensor | ArrayLike,
        mask: Tensor | ArrayLike | None = None,
        scalars: Tensor | ArrayLike | None = None,
        context: Tensor | ArrayLike | None = None,
        *,
        vectors: Tensor | ArrayLike | None = None,
        order: str | Sequence[str] = MOMENTUM_ORDER,
        units: Units = "GeV",
        scalar_names: Sequence[str] = (),
        context_names: Sequence[str] = (),
        vector_names: Sequence[str] = (),
        validate: bool = True,
    ) -> ParticleCloud:
        """A cloud in the padded layout.

        Parameters
        ----------
        momenta
            Shape (B, N, 4). What stands in padded places is ignored.
        mask
            True where there is a particle, shape (B, N); without one, places of zeros are padding.
        scalars, context, vectors
            Shapes (B, N, S), (B, C) and (B, N, V, 4).
        order
            Components that stand side by side in `momenta`, e.g. ``"pt,eta,phi,mass"``; massless without an energy and a
            mass, ``"pt,eta,phi"`` of shape (B, N, 3).
        units
            Units of the momenta.
        validate
            Check the values: finite, energies from 1e-60 to 1e10 GeV, nothing space-like; and warn where the
            events look like those of other units.

        Raises
        ------
        InputError
            On wrong shapes and on values that are no momenta; the message names the first event and particle.
        """
        with leave_inference_mode():
            p = read_momenta(momenta, 3, "(B, N, 4)", order)
            real = (p != 0).any(-1) if mask is None else read_mask(mask, tuple(p.shape[:2]), p.device)
        return cls._make(
            p,
            Padded(real),
            scalars,
            context,
            vectors,
            units,
            scalar_names,
            context_names,
            vector_names,
            validate,
        )

    @classmethod
    def from_packed(
        cls,
        momenta: Tensor | ArrayLike,
        ptr: Tensor | ArrayLike,
        scalars: Tensor | ArrayLike | None = None,
        context: Tensor | ArrayLike | None = None,
        *,
        vectors: Tensor | ArrayLike | None = None,
        order: str | Sequence[str] = MOMENTUM_ORDER,
        units: Units = "GeV",
        scalar_names: Sequence[str] = (),
        context_names: Sequence[str] = (),
        vector_names: Sequence[str] = (),
        validate: bool = True,
    ) -> ParticleCloud:
        """A cloud in the packed layout: momenta (P, 4) and ptr (B+1), event b being rows ptr[b] to ptr[b+1]."""
        with leave_inference_mode():
            p = read_momenta(momenta, 2, "(P, 4)", order)
            layout = Packed(read_ptr(ptr, p.device))
        if layout.num_rows != p.shape[0]:
            raise InputError(f"ptr ends at {layout.num_rows}, but there are {p.shape[0]} particles")
        return cls._make(
            p, layout, scalars, context, vectors, units, scalar_names, context_names, vector_names, validate
        )

    @classmethod
    def from_list(
        cls,
        momenta: Sequence[Tensor | ArrayLike],
        scalars: Sequence[Tensor | ArrayLike] | None = None,
        context: Tensor | ArrayLike | None = None,
        *,
        order: str | Sequence[str] = MOMENTUM_ORDER,
        units: Units = "GeV",
        scalar_names: Sequence[str] = (),
        context_names: Sequence[str] = (),
        validate: bool = True,
    ) -> ParticleCloud:
        """A packed cloud from one (n, 4) array an event, of (E, px, py, pz) or in another `order`."""
        p, ptr, rows = unpack_events(momenta, scalars, len(read_order(order)))
        return cls.from_packed(
            p,
            ptr,
            rows,
            context,
            order=order,
            units=units,
            scalar_names=scalar_names,
            context_names=context_names,
            validate=validate,
        )

    @classmethod
    def from_awkward(
        cls,
        array: Any,
        scalars: Sequence[str] = (),
        *,
        momentum: Mapping[str, str] | None = None,
        units: Units = "GeV",
        validate: bool = True,
    ) -> ParticleCloud:
        """A packed cloud from an awkward array of records, those of `vector` and coffea among them.

        Parameters
        ----------
        array
            Awkward array of shape (B, var) with fields for a transverse part (px, py or pt, phi), a longitudinal one (pz,
            eta or theta), and an energy or a mass; vectors that are stored as x, y, z, t or rho, phi, eta, tau are read
            as well. Where an energy and a mass are there, the energy goes with px and py, the mass with pt and phi.
        scalars
            Further fields that become scalars, in this order.
        momentum
            Field of each component, where they are called otherwise, e.g. ``{"pt": "Jet_pt", "eta": "Jet_eta", "phi":
            "Jet_phi"}``; massless without an energy and a mass.
        """
        p, ptr, rows = unpack_awkward(array, scalars, momentum)
        return cls.from_packed(p, ptr, rows, units=units, scalar_names=tuple(scalars), validate=validate)

    @classmethod
    def from_pandas(
        cls,
        frame: Any,
        *,
        event: str | None = None,
        momentum: Mapping[str, str] | None = None,
        scalars: Sequence[str] = (),
        context: Sequence[str] = (),
        units: Units = "GeV",
        validate: bool = True,
    ) -> ParticleCloud:
        """A packed cloud from a data frame, of pandas or anything with its columns.

        Parameters
        ----------
        frame
            One row a particle, where `event` or the first level of the index says of which event it is; or one row an
            event, with numbered columns ``pt_0, eta_0, phi_0, mass_0, pt_1, ...``, whose places of zeros (or NaN) are
            padding. Events come in the order of their first rows.
        event
            Column with the number of each row's event.
        momentum
            Column of each component (without its number), as for `from_awkward`.
        scalars
            Columns (without their numbers) that become scalars.
        context
            Columns that become the context; the same in all rows of an event.
        """
        table = read_table(frame, event, momentum, scalars)
        return cls.from_packed(
            table.momenta,
            table.ptr,
            table.scalars if scalars else None,
            table.values(read_names(context, "context"), "context") if context else None,
            units=units,
            scalar_names=tuple(scalars),
            context_names=tuple(context),
            validate=validate,
        )

    @classmethod
    def from_pyg(cls, data: Any, *, units: Units = "GeV", validate: bool = True) -> ParticleCloud:
        """A packed cloud from a torch-geometric `Data` or `Batch`.

        Momenta are read from ``data.momenta`` (P, 4), scalars from ``data.x`` (P, S) and the context from
        ``data.context`` (B, C) where present. Events are as ``data.ptr`` or ``data.batch`` says, one without both.
        """
        momenta, ptr, scalars, context = unpack_pyg(data)
        return cls.from_packed(momenta, ptr, scalars, context, units=units, validate=validate)

    @classmethod
    def _make(
        cls,
        momenta: Tensor,
        layout: Layout,
        scalars: Tensor | ArrayLike | None,
        context: Tensor | ArrayLike | None,
        vectors: Tensor | ArrayLike | None,
        units: str,
        scalar_names: Sequence[str],
        context_names: Sequence[str],
        vector_names: Sequence[str],
        validate: bool,
    ) -> ParticleCloud:
        if not isinstance(units, str) or units not in IN_GEV:
            raise InputError(f"units must be one of {sorted(IN_GEV)}, not {units!r}")
        scalar_names, context_names, vector_names = (
            read_names(names, what)
            for names, what in (
                (scalar_names, "scalar_names"),
                (context_names, "context_names"),
                (vector_names, "vector_names"),
            )
        )
        lead, b = tuple(momenta.shape[:-1]), layout.num_events
        with leave_inference_mode():
            s = read_columns(scalars, lead, momenta.device, "scalars", scalar_names)
            c = read_columns(context, (b,), momenta.device, "context", context_names)
            v = read_vectors(vectors, lead, momenta.device)
            if isinstance(layout, Padded):
                real = layout.mask.unsqueeze(-1)
                at_rest = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64, device=momenta.device)
                # A particle at rest in padded places keeps every function of momenta finite there.
                momenta = torch.where(real, momenta, at_rest)
                s = torch.where(real, s, torch.zeros_like(s))
                v = torch.where(real.unsqueeze(-1), v, torch.zeros_like(v))
        cloud = cls(
            momenta,
            layout,
            s,
            c,
            v,
            None,
            units,  # type: ignore[arg-type]
            scalar_names,
            context_names,
            vector_names,
        )
        if validate:
            cloud.validate()
            warn_of_units(momenta, layout, cloud.units)
        return cloud

    def validate(self) -> ParticleCloud:
        """Check every value and return the cloud.

        Raises
        ------
        InputError
            Naming the first event and particle with a NaN or infinite value, an energy that is not positive or
            above 1e10 GeV or below 1e-60 GeV, or a space-like momentum (m² < 0 beyond rounding).
        """
        check_momenta(self.momenta, self.layout, self.units)
        for what, values in (("scalars", self.scalars), ("context", self.context), ("vectors", self.vectors)):
            check_finite(values, what)
        return self

    def to_padded(self, length: int | None = None) -> ParticleCloud:
        """The same events padded to the longest one, or to `length` places."""
        if isinstance(self.layout, Padded) and length is None:
            return self
        packed = self.to_packed()
        if packed.roles is not None:
            raise InputError(
                "a cloud with tokens cannot change its layout; convert it before adding spurions"
            )
        assert isinstance(packed.layout, Packed)
        longest = max(packed.layout.lengths, default=0)
        n = longest if length is None else length
        if n < longest:
            raise InputError(f"length {n} is shorter than the longest event ({longest} particles)")
        extra = n - longest
        real = torch.arange(n, device=self.device)[None] < packed.layout.counts()[:, None]

        def widen(x: Tensor) -> Tensor:
            dense = packed.layout.pad(x)
            return torch.cat([dense, dense.new_zeros(dense.shape[0], extra, *dense.shape[2:])], dim=1)

        return ParticleCloud._make(
            widen(packed.momenta),
            Padded(real),
            widen(packed.scalars),
            packed.context,
            widen(packed.vectors),
            packed.units,
            packed.scalar_names,
            packed.context_names,
            packed.vector_names,
            validate=False,
        )


@dataclass(frozen=True)
class Batch:
    """A cloud with what is to be learned from it.

    Parameters
    ----------
    cloud
        The events.
    target
        Class indices (B,) int64, or values (B, ...) float.
    weight
        Event weights (B,), float64; they go through sampling, loss, metrics and curves.
    event_id
        Identifiers (B,), int64, stable over runs and layouts.
    """

    cloud: ParticleCloud
    target: Tensor
    weight: Tensor
    event_id: Tensor

    def __len__(self) -> int:
        return self.cloud.num_events

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return self._map(lambda x: x.to(device, non_blocking=x.is_pinned()), self.cloud.to(device))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory, from which a GPU fetches it while it computes."""
        return self._map(Tensor.pin_memory, self.cloud.pin_memory())

    def part(self, start: int, stop: int) -> Batch:
        """Events from `start` up to `stop` of a packed batch."""
        return self._map(lambda x: x[start:stop], self.cloud.select(torch.arange(start, stop)))

    def _map(self, function: Callable[[Tensor], Tensor], cloud: ParticleCloud) -> Batch:
        return Batch(cloud, function(self.target), function(self.weight), function(self.event_id))
