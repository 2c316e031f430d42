"""What does a batch of events hold, and what can be done with it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from lorentzoo.core.errors import InputError
from lorentzoo.core.layout import Layout, Packed, Padded
from lorentzoo.core.units import IN_GEV, Units

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["GLOBAL", "PARTICLE", "SPURION", "CloudTensors"]

PARTICLE: Final = 0
SPURION: Final = 1
GLOBAL: Final = 2
"""Roles of the rows of a cloud: a particle, a reference vector (spurion), or a global token."""


@dataclass(frozen=True)
class CloudTensors:
    """The tensors of a `ParticleCloud`, and the verbs that give another cloud of them."""

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

    # ---- changing it ----------------------------------------------------------------------

    def to(self, device: torch.device | str) -> Self:
        """The same cloud on another device; what is in page-locked memory is fetched while the caller goes on."""
        return replace(
            self._map(lambda x: x.to(device, non_blocking=x.is_pinned())),
            layout=self.layout.to(device),
            particles_layout=None if self.particles_layout is None else self.particles_layout.to(device),
        )

    def pin_memory(self) -> Self:
        """The same cloud in page-locked memory, from which a GPU fetches it."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Self:
        return replace(
            self,
            momenta=function(self.momenta),
            scalars=function(self.scalars),
            context=function(self.context),
            vectors=function(self.vectors),
            roles=None if self.roles is None else function(self.roles),
        )

    def to_units(self, units: Units) -> Self:
        """The same cloud with momenta (and further vectors) in other units."""
        if units == self.units:
            return self
        factor = IN_GEV[self.units] / IN_GEV[units]
        return replace(self, momenta=self.momenta * factor, vectors=self.vectors * factor, units=units)

    def transform(self, matrices: Tensor) -> Self:
        """Apply Lorentz matrices, one (4, 4) or one an event (B, 4, 4), to momenta and further vectors."""
        if matrices.ndim == 3:
            matrices = self.layout.spread(matrices)
        momenta = (matrices @ self.momenta.unsqueeze(-1)).squeeze(-1)
        vectors = self.vectors @ matrices.transpose(-1, -2)
        return replace(self, momenta=momenta, vectors=vectors)

    def select(self, events: Tensor) -> Self:
        """Some events of a packed cloud, in their order (on the host; not for use inside a network).

        Parameters
        ----------
        events
            Which: a mask (B,), or numbers (b,) of events.
        """
        if not isinstance(self.layout, Packed) or self.roles is not None:
            raise InputError("events are selected from packed clouds without tokens; call to_packed() first")
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

    def to_packed(self) -> Self:
        """The same events without padding (on the host; not for use inside a network)."""
        if isinstance(self.layout, Packed):
            return self
        if self.roles is not None:
            raise InputError(
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

    def with_tokens(self, momenta: Tensor, role: int = SPURION) -> Self:
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

    # ---- for other packages ---------------------------------------------------------------

    def to_awkward(self) -> Any:
        """An awkward array of records E, px, py, pz and the named scalars, one entry an event."""
        import awkward as ak

        packed = self.to_packed()
        columns = dict(zip(("E", "px", "py", "pz"), packed.momenta.detach().cpu().numpy().T, strict=True))
        names = packed.scalar_names or tuple(f"scalar_{s}" for s in range(packed.scalars.shape[-1]))
        columns |= dict(zip(names, packed.scalars.detach().cpu().numpy().T, strict=True))
        assert isinstance(packed.layout, Packed)
        return ak.unflatten(ak.zip(columns), np.asarray(packed.layout.lengths), axis=0)

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
