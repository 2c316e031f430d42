"""How do networks without four-vectors among their inputs see momenta?"""

from __future__ import annotations

from lorentzoo import Embedding, Features, Frames, ParticleCloud, Symmetry

__all__ = ["MomentumComponents"]


class MomentumComponents(Embedding):
    """E, px, py and pz of each particle, as it sees itself in its own frame: four scalar channels.

    Parameters
    ----------
    scale
        Components are divided by this many GeV.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale must be positive, not {scale}")
        self.scale = scale

    @property
    def scalar_names(self) -> tuple[str, ...]:
        return ("e", "px", "py", "pz")

    @property
    def vector_names(self) -> tuple[str, ...]:
        return ()

    @property
    def scalar_symmetry(self) -> Symmetry:
        """Components keep nothing; in learned frames they are invariant under the frames' group."""
        return Symmetry.trivial()

    def forward(self, cloud: ParticleCloud, frames: Frames) -> Features:
        """Scalar channels, (*lead, 4)."""
        local = frames.take_vectors(cloud.momenta.unsqueeze(-2)).squeeze(-2)
        return Features.of_scalars(local / self.scale, self.scalar_names)
