"""What is a batch of events?

A `ParticleCloud` holds the four-momenta of all particles of a batch in float64, what else is known
of each particle and of each event, and the layout that says which particle belongs where. Values
are checked once, when a cloud is made from outside data; never in a forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lorentzoo.core.layout import Layout, Packed, Padded

__all__ = ["GLOBAL", "PARTICLE", "SPURION", "Batch", "ParticleCloud", "Units"]

Units = Literal["MeV", "GeV", "TeV"]

PARTICLE: Final = 0
SPURION: Final = 1
GLOBAL: Final = 2
"""Roles of the rows of a cloud: a particle, a reference vector (spurion), or a global token."""

_IN_GEV: Final[dict[str, float]] = {"MeV": 1e-3, "GeV": 1.0, "TeV": 1e3}
_SPACELIKE_TOLERANCE: Final = 1e-4
"""How far below zero m²/E² may lie by the rounding of float32 momenta."""


@dataclass(frozen=True)
class ParticleCloud:
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
        Rows in front of every event that are no particles (spurions).

    See Also
    --------
    ParticleCloud.from_padded, ParticleCloud.from_packed, ParticleCloud.from_list,
    ParticleCloud.from_awkward, ParticleCloud.from_pyg : make a cloud from outside data, checked.
    """

    momenta: Tensor
    layout: Layout
    scalars: Tensor
    context: Tensor
    vectors: Tensor
    roles: Tensor | None = None
    units: Units = "GeV"
    scalar_names: tuple[str, ...] = ()
    context_names: tuple[str, ...] = ()
    vector_names: tuple[str, ...] = ()
    tokens: int = 0
    particles_layout: Layout | None = None

    # ---- making a cloud -------------------------------------------------------------------

    @classmethod
    def from_padded(
        cls,
        momenta: Tensor | ArrayLike,
        mask: Tensor | ArrayLike,
        scalars: Tensor | ArrayLike | None = None,
        context: Tensor | ArrayLike | None = None,
        *,
        vectors: Tensor | ArrayLike | None = None,
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
            True where there is a particle, shape (B, N).
        scalars, context, vectors
            Shapes (B, N, S), (B, C) and (B, N, V, 4).
        units
            Units of the momenta.
        validate
            Check the values: finite, energies positive, nothing space-like.

        Raises
        ------
        ValueError
            On wrong shapes and on values that are no momenta; the message names the first event and particle.
        """
        p = _momenta(momenta, 3, "(B, N, 4)")
        real = torch.as_tensor(mask).to(torch.bool)
        if tuple(real.shape) != tuple(p.shape[:2]):
            raise ValueError(
                f"mask must have shape {tuple(p.shape[:2])} like the momenta, not {tuple(real.shape)}"
            )
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
        units: Units = "GeV",
        scalar_names: Sequence[str] = (),
        context_names: Sequence[str] = (),
        vector_names: Sequence[str] = (),
        validate: bool = True,
    ) -> ParticleCloud:
        """A cloud in the packed layout: momenta (P, 4) and ptr (B+1), event b being rows ptr[b] to ptr[b+1]."""
        p = _momenta(momenta, 2, "(P, 4)")
        layout = Packed(torch.as_tensor(ptr).to(torch.int64))
        if layout.num_rows != p.shape[0]:
            raise ValueError(f"ptr ends at {layout.num_rows}, but there are {p.shape[0]} particles")
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
        units: Units = "GeV",
        scalar_names: Sequence[str] = (),
        context_names: Sequence[str] = (),
        validate: bool = True,
    ) -> ParticleCloud:
        """A packed cloud from one (n, 4) array an event."""
        events = [torch.as_tensor(event) for event in momenta]
        events = [event.reshape(0, 4) if event.numel() == 0 else event for event in events]
        for number, event in enumerate(events):
            if event.ndim != 2 or event.shape[1] != 4:
                raise ValueError(
                    f"event {number} must have shape (n, 4) with components (E, px, py, pz), not {tuple(event.shape)}"
                )
        p = torch.cat(events) if events else torch.zeros(0, 4)
        ptr = np.concatenate([[0], np.cumsum([len(event) for event in events])]).astype(np.int64)
        rows = None
        if scalars is not None:
            columns = [torch.as_tensor(event) for event in scalars]
            given, wanted = [len(event) for event in columns], [len(event) for event in events]
            if given != wanted:
                raise ValueError(f"scalars are for events of {given} particles, but the momenta of {wanted}")
            rows = torch.cat(columns) if columns else None
        return cls.from_packed(
            p,
            ptr,
            rows,
            context,
            units=units,
            scalar_names=scalar_names,
            context_names=context_names,
            validate=validate,
        )

    @classmethod
    def from_awkward(
        cls, array: Any, scalars: Sequence[str] = (), *, units: Units = "GeV", validate: bool = True
    ) -> ParticleCloud:
        """A packed cloud from an awkward array of records with fields E (or energy), px, py, pz.

        Parameters
        ----------
        array
            Awkward array of shape (B, var), e.g. of `vector`'s Momentum4D.
        scalars
            Further fields that become scalars, in this order.
        """
        import awkward as ak

        fields = set(ak.fields(array))
        energy = next((name for name in ("E", "energy", "e", "t") if name in fields), None)
        wanted = [energy, "px", "py", "pz", *scalars]
        missing = [name or "E" for name in wanted if name not in fields]
        if missing:
            raise ValueError(f"the awkward array has no field {missing}; its fields are {sorted(fields)}")
        flat = [ak.to_numpy(ak.flatten(array[name], axis=1)) for name in wanted]
        ptr = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(array["px"], axis=1)))]).astype(np.int64)
        momenta = np.stack([column.astype(np.float64) for column in flat[:4]], axis=-1)
        rows = np.stack([column.astype(np.float32) for column in flat[4:]], axis=-1) if scalars else None
        return cls.from_packed(
            momenta, ptr, rows, units=units, scalar_names=tuple(scalars), validate=validate
        )

    def to_awkward(self) -> Any:
        """An awkward array of records E, px, py, pz and the named scalars, one entry an event."""
        import awkward as ak

        packed = self.to_packed()
        columns = dict(zip(("E", "px", "py", "pz"), packed.momenta.detach().cpu().numpy().T, strict=True))
        names = packed.scalar_names or tuple(f"scalar_{s}" for s in range(packed.scalars.shape[-1]))
        columns |= dict(zip(names, packed.scalars.detach().cpu().numpy().T, strict=True))
        assert isinstance(packed.layout, Packed)
        return ak.unflatten(ak.zip(columns), np.asarray(packed.layout.lengths), axis=0)

    @classmethod
    def from_pyg(cls, data: Any, *, units: Units = "GeV", validate: bool = True) -> ParticleCloud:
        """A packed cloud from a torch-geometric `Data` or `Batch`.

        Momenta are read from ``data.momenta`` (P, 4), scalars from ``data.x`` (P, S) and the context from
        ``data.context`` (B, C) where present.
        """
        momenta = getattr(data, "momenta", None)
        if momenta is None:
            raise ValueError(
                f"the torch-geometric data has no `momenta` (P, 4); its attributes are {sorted(data.keys())}"
            )
        ptr = getattr(data, "ptr", None)
        if ptr is None:
            ptr = torch.tensor([0, momenta.shape[0]], dtype=torch.int64, device=momenta.device)
        return cls.from_packed(
            momenta,
            ptr,
            getattr(data, "x", None),
            getattr(data, "context", None),
            units=units,
            validate=validate,
        )

    def to_pyg(self) -> Any:
        """A torch-geometric `Batch` with `momenta`, `x` (the scalars), `context`, `batch` and `ptr`; no edges."""
        from torch_geometric.data import Batch as PygBatch

        packed = self.to_packed()
        assert isinstance(packed.layout, Packed)
        return PygBatch(
            momenta=packed.momenta,
            x=packed.scalars,
            context=packed.context,
            batch=packed.layout.event,
            ptr=packed.layout.ptr,
            num_nodes=packed.layout.num_rows,
        )

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
        if units not in _IN_GEV:
            raise ValueError(f"units must be one of {sorted(_IN_GEV)}, not {units!r}")
        lead, b = tuple(momenta.shape[:-1]), layout.num_events
        s = _columns(scalars, lead, momenta.device, "scalars", scalar_names)
        c = _columns(context, (b,), momenta.device, "context", context_names)
        if vectors is None:
            v = momenta.new_zeros(*lead, 0, 4)
        else:
            v = torch.as_tensor(vectors).to(dtype=torch.float64, device=momenta.device)
            if tuple(v.shape[:-2]) != lead or v.shape[-1] != 4:
                raise ValueError(f"vectors must have shape {(*lead, 'V', 4)}, not {tuple(v.shape)}")
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
            tuple(scalar_names),
            tuple(context_names),
            tuple(vector_names),
        )
        if validate:
            cloud.validate()
        return cloud

    # ---- what it is -----------------------------------------------------------------------

    @property
    def num_events(self) -> int:
        """Number of events B."""
        return self.layout.num_events

    @property
    def device(self) -> torch.device:
        """Where the cloud's tensors live."""
        return self.momenta.device

    @property
    def is_particle(self) -> Tensor | None:
        """Which rows are particles, shape (*lead,); None where all (real) rows are."""
        return None if self.roles is None else self.roles == PARTICLE

    def total(self) -> Tensor:
        """Total momentum of the particles of each event, shape (B, 4), float64."""
        return self.layout.pool(self.momenta, "sum", self.is_particle)

    def multiplicity(self) -> Tensor:
        """Number of particles of each event, shape (B,), without spurions and global tokens."""
        return self.layout.counts() - self.tokens

    def validate(self) -> ParticleCloud:
        """Check every value and return the cloud.

        Raises
        ------
        ValueError
            Naming the first event and particle with a NaN or infinite value, an energy that is not positive,
            or a space-like momentum (m² < 0 beyond rounding).
        """
        real = self.layout.mask
        p = self.momenta

        def report(bad: Tensor, what: str, remedy: str) -> None:
            if real is not None:
                bad = bad & real
            if bool(bad.any()):
                where = bad.nonzero()[0].tolist()
                event, particle = self._locate(where)
                value = p[tuple(where)].tolist()
                raise ValueError(
                    f"{what} in event {event}, particle {particle}: (E, px, py, pz) = {value} {self.units} "
                    f"({int(bad.sum())} of {bad.numel()} particles). {remedy}"
                )

        report(
            ~torch.isfinite(p).all(-1),
            "NaN or infinite momentum",
            "Remove these events, or set the mask where padding holds NaN.",
        )
        report(
            p[..., 0] <= 0,
            "energy that is not positive",
            "Components are ordered (E, px, py, pz); padding goes into the mask, not into zero momenta.",
        )
        squared = p[..., 0].square() - p[..., 1:].square().sum(-1)
        report(
            squared < -_SPACELIKE_TOLERANCE * p[..., 0].square(),
            "space-like momentum (E < |p|)",
            "Components are ordered (E, px, py, pz); recompute E from the mass if energies were rounded.",
        )
        for name, values in (("scalars", self.scalars), ("context", self.context), ("vectors", self.vectors)):
            if not bool(torch.isfinite(values).all()):
                where = (~torch.isfinite(values)).nonzero()[0].tolist()
                raise ValueError(f"NaN or infinite value in {name} at index {where}")
        return self

    def _locate(self, where: list[int]) -> tuple[int, int]:
        if isinstance(self.layout, Packed):
            event = int(self.layout.event[where[0]])
            return event, where[0] - int(self.layout.ptr[event])
        return where[0], where[1]

    # ---- changing it ----------------------------------------------------------------------

    def to(self, device: torch.device | str) -> ParticleCloud:
        """The same cloud on another device."""
        return replace(
            self,
            momenta=self.momenta.to(device),
            layout=self.layout.to(device),
            scalars=self.scalars.to(device),
            context=self.context.to(device),
            vectors=self.vectors.to(device),
            roles=None if self.roles is None else self.roles.to(device),
            particles_layout=None if self.particles_layout is None else self.particles_layout.to(device),
        )

    def to_units(self, units: Units) -> ParticleCloud:
        """The same cloud with momenta (and further vectors) in other units."""
        if units == self.units:
            return self
        factor = _IN_GEV[self.units] / _IN_GEV[units]
        return replace(self, momenta=self.momenta * factor, vectors=self.vectors * factor, units=units)

    def transform(self, matrices: Tensor) -> ParticleCloud:
        """Apply Lorentz matrices, one (4, 4) or one an event (B, 4, 4), to momenta and further vectors."""
        if matrices.ndim == 3:
            matrices = self.layout.spread(matrices)
        momenta = (matrices @ self.momenta.unsqueeze(-1)).squeeze(-1)
        vectors = self.vectors @ matrices.transpose(-1, -2)
        return replace(self, momenta=momenta, vectors=vectors)

    def select(self, events: Tensor) -> ParticleCloud:
        """Some events of a packed cloud, in their order (on the host; not for use inside a network).

        Parameters
        ----------
        events
            Which: a mask (B,), or numbers (b,) of events.
        """
        if not isinstance(self.layout, Packed) or self.roles is not None:
            raise ValueError("events are selected from packed clouds without tokens; call to_packed() first")
        mask = events
        if events.dtype != torch.bool:
            mask = torch.zeros(self.num_events, dtype=torch.bool, device=self.device)
            mask[events] = True
        rows = self.layout.spread(mask)
        kept = [length for length, chosen in zip(self.layout.lengths, mask.tolist(), strict=True) if chosen]
        return replace(
            self,
            momenta=self.momenta[rows],
            layout=Packed.from_lengths(kept, device=self.device),
            scalars=self.scalars[rows],
            context=self.context[mask],
            vectors=self.vectors[rows],
        )

    def to_packed(self) -> ParticleCloud:
        """The same events without padding (on the host; not for use inside a network)."""
        if isinstance(self.layout, Packed):
            return self
        if self.roles is not None:
            raise ValueError(
                "a cloud with tokens cannot change its layout; convert it before adding spurions"
            )
        assert isinstance(self.layout, Padded)
        mask = self.layout.mask
        return replace(
            self,
            momenta=self.momenta[mask],
            layout=Packed.from_lengths(mask.sum(1).tolist(), device=mask.device),
            scalars=self.scalars[mask],
            vectors=self.vectors[mask],
        )

    def to_padded(self, length: int | None = None) -> ParticleCloud:
        """The same events padded to the longest one, or to `length` places."""
        if isinstance(self.layout, Padded) and length is None:
            return self
        packed = self.to_packed()
        if packed.roles is not None:
            raise ValueError(
                "a cloud with tokens cannot change its layout; convert it before adding spurions"
            )
        assert isinstance(packed.layout, Packed)
        longest = max(packed.layout.lengths, default=0)
        n = longest if length is None else length
        if n < longest:
            raise ValueError(f"length {n} is shorter than the longest event ({longest} particles)")
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

    def with_tokens(self, momenta: Tensor, role: int = SPURION) -> ParticleCloud:
        """Put further rows in front of every event; their scalars and further vectors are zero.

        Parameters
        ----------
        momenta
            Shape (B, K, 4).
        role
            What the new rows are.
        """
        b, k = momenta.shape[0], momenta.shape[1]
        extended = self.layout.append(k)

        def join(x: Tensor, tokens: Tensor | None = None) -> Tensor:
            front = x.new_zeros(b, k, *x.shape[len(self.layout.lead) :]) if tokens is None else tokens
            return extended.join(front, x)

        old = self.roles
        if old is None:
            old = torch.zeros(self.momenta.shape[:-1], dtype=torch.int64, device=self.device)
        new = torch.full((b, k), role, dtype=torch.int64, device=self.device)
        return replace(
            self,
            momenta=join(self.momenta, momenta),
            layout=extended.layout,
            scalars=join(self.scalars),
            vectors=join(self.vectors),
            roles=join(old, new),
            tokens=self.tokens + k,
            particles_layout=self.layout if self.particles_layout is None else self.particles_layout,
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
        return Batch(
            self.cloud.to(device), self.target.to(device), self.weight.to(device), self.event_id.to(device)
        )

    def pin_memory(self) -> Batch:
        """The batch itself: tensors are moved as a whole, so page-locking brings nothing here."""
        return self


def _momenta(values: Tensor | ArrayLike, ndim: int, shape: str) -> Tensor:
    p = torch.as_tensor(values)
    if p.ndim != ndim or p.shape[-1] != 4:
        raise ValueError(
            f"momenta must have shape {shape} with components (E, px, py, pz), not {tuple(p.shape)}"
        )
    if p.dtype.is_complex:
        raise ValueError(f"momenta must be real numbers, not {p.dtype}")
    return p.to(torch.float64)


def _columns(
    values: Tensor | ArrayLike | None,
    lead: tuple[int, ...],
    device: torch.device,
    what: str,
    names: Sequence[str],
) -> Tensor:
    if values is None:
        if names:
            raise ValueError(f"{what} has names {list(names)} but no values")
        return torch.zeros(*lead, 0, device=device)
    x = torch.as_tensor(values, device=device)
    x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
    if tuple(x.shape[:-1]) != lead:
        raise ValueError(f"{what} must have shape {(*lead, 'columns')}, not {tuple(x.shape)}")
    if names and len(names) != x.shape[-1]:
        raise ValueError(f"{what} has {x.shape[-1]} columns but {len(names)} names {list(names)}")
    return x
