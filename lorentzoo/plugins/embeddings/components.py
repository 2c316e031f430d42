"""How do four-momenta enter a network that reads numbers alone?"""

from __future__ import annotations

from lorentzoo import Embedding, Features, Frames, ParticleCloud, Symmetry

__all__ = ["Components"]


class Components(Embedding):
    """Energy and momentum of each particle in its frame, as four scalars.

    For backbones that take vectors as scalars only, e.g. ``graphnet``, whose vectors are for pair masses
    (arXiv:2505.20280).

    Parameters
    ----------
    scale
        Momenta are divided by this many GeV.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale must be positive, not {scale}")
        self.scale = scale

    @property
    def scalar_names(self) -> tuple[str, ...]:
        return ("energy", "px", "py", "pz")

    @property
    def vector_names(self) -> tuple[str, ...]:
        return ()

    @property
    def scalar_symmetry(self) -> Symmetry:
        """Nothing: they are the components of a vector."""
        return Symmetry.trivial()

    def forward(self, cloud: ParticleCloud, frames: Frames) -> Features:
        """Scalar channels, shape (*lead, 4)."""
        local = frames.take_vectors(cloud.momenta.unsqueeze(-2)).squeeze(-2)
        return Features.of_scalars(local / self.scale, self.scalar_names)
