"""In which frame does each particle see the world?

A `Frames` value holds one Lorentz matrix L a particle; frames are passive, ``x_local = L x``, and
under a global transformation Λ of the event a covariant frame goes to ``L Λ⁻¹``. Identity and
global frames never materialise a matrix for each particle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lorentzoo.core.layout import Layout
from lorentzoo.core.minkowski import inverse as lorentz_inverse
from lorentzoo.core.minkowski import mass_squared
from lorentzoo.core.reps import Reps

__all__ = ["Frames"]


@dataclass(frozen=True)
class Frames:
    """One Lorentz matrix a particle: an immutable value, passed as an argument and never stored on a module.

    Parameters
    ----------
    layout
        Which particle belongs to which event.
    matrices
        Shape (*lead, 4, 4) for local frames, (B, 4, 4) for global ones (one an event), None for the identity.
    is_global
        Whether every particle of an event has the same frame.
    totals
        Total four-momenta (B, 4) of the events in the frame in which messages travel; None where no one asks for them.

    See Also
    --------
    Frames.identity, Frames.of_events, Frames.of_particles : make frames.
    """

    layout: Layout
    matrices: Tensor | None = None
    is_global: bool = True
    totals: Tensor | None = None

    @classmethod
    def identity(cls, layout: Layout) -> Frames:
        """The laboratory frame for every particle; no matrices are made."""
        return cls(layout)

    @classmethod
    def of_events(cls, layout: Layout, matrices: Tensor) -> Frames:
        """One frame an event, shape (B, 4, 4)."""
        return cls(layout, matrices, True)

    @classmethod
    def of_particles(cls, layout: Layout, matrices: Tensor) -> Frames:
        """One frame a particle, shape (*lead, 4, 4)."""
        if tuple(matrices.shape[:-2]) != tuple(layout.lead):
            raise ValueError(f"frames must have shape {(*layout.lead, 4, 4)}, not {tuple(matrices.shape)}")
        return cls(layout, matrices, False)

    @property
    def is_identity(self) -> bool:
        """Whether these are laboratory frames."""
        return self.matrices is None

    def per_particle(self, *, dtype: torch.dtype | None = None) -> Tensor:
        """The matrices of all particles, shape (*lead, 4, 4); materialises identity and global frames."""
        if self.matrices is None:
            eye = torch.eye(4, dtype=dtype or torch.float64, device=self.layout.device)
            return eye.expand(*self.layout.lead, 4, 4)
        matrices = self.layout.spread(self.matrices) if self.is_global else self.matrices
        return matrices if dtype is None else matrices.to(dtype)

    def to(self, dtype: torch.dtype) -> Frames:
        """The same frames in another floating-point type."""
        return self._map(lambda matrices: matrices.to(dtype))

    def inverse(self) -> Frames:
        """The inverse frames L⁻¹ = g Lᵀ g."""
        return self._map(lorentz_inverse)

    def compose(self, other: Frames) -> Frames:
        """The frames L_self · L_other (first other, then self)."""
        if self.matrices is None:
            return other
        if other.matrices is None:
            return self
        if self.is_global and other.is_global:
            return Frames(self.layout, self.matrices @ other.matrices, True)
        return Frames(self.layout, self.per_particle() @ other.per_particle(), False)

    def take_vectors(self, vectors: Tensor) -> Tensor:
        """Vectors in local frames, x_local = L x. Shape (*lead, V, 4) -> (*lead, V, 4)."""
        if self.matrices is None:
            return vectors
        matrices = self.per_particle(dtype=vectors.dtype)
        return vectors @ matrices.transpose(-1, -2)

    def return_vectors(self, vectors: Tensor) -> Tensor:
        """Vectors from local frames back to the global one, x = L⁻¹ x_local. Shape (*lead, V, 4)."""
        return self.inverse().take_vectors(vectors)

    def to_local(self, x: Tensor, reps: Reps) -> Tensor:
        """Features of a representation taken from the global frame to the local ones, ρ(L) x.

        Parameters
        ----------
        x
            Shape (*lead, ..., reps.dim): further dimensions (heads) share the particle's frame.
        reps
            The representation of the last dimension.
        """
        if self.matrices is None or reps.is_invariant:
            return x
        matrices = self.per_particle(dtype=x.dtype)
        between = x.ndim - 1 - len(self.layout.lead)
        matrices = matrices.reshape(*matrices.shape[:-2], *(1,) * between, 4, 4)
        return reps.transform(x, matrices)

    def to_global(self, x: Tensor, reps: Reps) -> Tensor:
        """Features taken from local frames to the global one, ρ(L⁻¹) x; shapes as in `to_local`."""
        return self.inverse().to_local(x, reps)

    def relative(self, i: Tensor, j: Tensor, *, dtype: torch.dtype | None = None) -> Tensor | None:
        """The matrices L_i L_j⁻¹ that take features from frame j to frame i.

        Parameters
        ----------
        i, j
            Rows of particles (in the flattened leading shape), any equal shapes (...).

        Returns
        -------
        Shape (..., 4, 4); None where every relative frame is the identity (identity and global frames).
        """
        if self.matrices is None or self.is_global:
            return None
        matrices = self.matrices if dtype is None else self.matrices.to(dtype)
        flat = matrices.reshape(-1, 4, 4)
        return flat[i] @ lorentz_inverse(flat[j])

    def boost_factors(self, *, dtype: torch.dtype | None = None, mass_floor: float = 0.0) -> Tensor:
        """γ of each frame, shape (*lead,); without gradients.

        Parameters
        ----------
        dtype
            Of the result.
        mass_floor
            0 measures against the frame in which messages travel, L^0_0. A positive ε in GeV measures against the
            event's total P, (L P)^0 / √(ε² + P²), which needs `totals`; 1 where there is none.

        Raises
        ------
        ValueError
            If the totals are not known.
        """
        if mass_floor == 0:
            return self.per_particle(dtype=dtype)[..., 0, 0].detach()
        if self.totals is None:
            raise ValueError(
                "mass_floor measures boosts against totals of events, which these frames do not have"
            )
        totals = self.totals.to(torch.promote_types(self.totals.dtype, torch.float32))
        scaled = totals / (mass_floor**2 + mass_squared(totals).clamp(min=0)).sqrt().unsqueeze(-1)
        energies = (self.per_particle(dtype=scaled.dtype)[..., 0, :] * self.layout.spread(scaled)).sum(-1)
        # Padded places and events without particles have no total, and features are divided by what this gives.
        energies = torch.where(energies > 0, energies, torch.ones_like(energies))
        return energies.to(dtype or energies.dtype).detach()

    def detach(self) -> Frames:
        """The same frames without gradients."""
        return self._map(Tensor.detach)

    def transform(self, matrices: Tensor) -> Frames:
        """The frames of the event transformed by Λ, L Λ⁻¹; Λ of shape (4, 4) or (B, 4, 4)."""
        if matrices.ndim == 2:
            matrices = matrices.expand(self.layout.num_events, 4, 4)
        return self.compose(Frames(self.layout, lorentz_inverse(matrices), True))

    def _map(self, fn: Callable[[Tensor], Tensor]) -> Frames:
        if self.matrices is None:
            return self
        return Frames(self.layout, fn(self.matrices), self.is_global, self.totals)
