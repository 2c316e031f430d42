"""Which parts has a model, and what does each path through them keep?"""

from __future__ import annotations

from dataclasses import dataclass

from lorentzoo.core.anchor import Anchor
from lorentzoo.core.interfaces import Backbone, Embedding, FramesNet, Head, SpurionMode
from lorentzoo.core.spurions import Spurions
from lorentzoo.core.symmetry import Symmetry

__all__ = ["Slots"]


@dataclass(frozen=True)
class Slots:
    """The parts of a model and how they are put together; the parameters are those of `Model`."""

    spurions: Spurions
    frames_net: FramesNet
    embedding: Embedding
    backbone: Backbone
    head: Head
    spurion_mode: SpurionMode
    anchor: Anchor
    in_scalars: int
    in_context: int

    def symmetry_paths(self) -> dict[str, Symmetry]:
        """What each path keeps: that of scalars, spurions, vectors and messages."""
        frames, embedding, backbone = self.frames_net, self.embedding, self.backbone
        full = Symmetry.full()
        inside = frames.matrices_in
        covariant = frames.group(self.spurions.vector_symmetry if self.spurions.num_vectors else full)

        def through_frames(invariance: Symmetry) -> Symmetry:
            # A function that is invariant under the very group in which the frames lie does not see the frames.
            return invariance if inside <= invariance else covariant

        paths = {"scalars": through_frames(embedding.scalar_symmetry)}
        if embedding.fixed_symmetry != full:
            paths["fixed scalars"] = embedding.fixed_symmetry
        spurions = full
        # Reference vectors are seen as vectors. In fixed frames those of channels are the same numbers in every event.
        as_inputs = self.spurion_mode in ("tokens", "channels") and (
            backbone.equivariant
            or bool(embedding.vector_names)
            or (self.spurion_mode == "channels" and frames.learned)
        )
        if self.spurions.num_vectors and (embedding.reads_spurions or as_inputs):
            spurions = spurions & self.spurions.vector_symmetry
        if self.spurions.num_matrices and embedding.reads_matrices and backbone.reads_vectors is not None:
            spurions = spurions & self.spurions.matrix_symmetry
        paths["spurions"] = spurions
        reads = len(embedding.vector_names) > 0 or (
            self.spurion_mode == "channels" and self.spurions.num_vectors > 0 and frames.learned
        )
        if backbone.equivariant:
            paths["vectors"] = backbone.symmetry
        elif reads and backbone.reads_vectors == "inputs":
            paths["vectors"] = covariant
        elif reads and backbone.reads_vectors == "pairs":
            paths["vectors"] = through_frames(backbone.vector_symmetry)
        translates = frames.learned and not frames.is_global
        if not backbone.equivariant and translates and backbone.exchanges_vectors:
            paths["messages"] = covariant
        if self.head.out_vectors and not backbone.equivariant:
            paths["output vectors"] = covariant
        return paths

    @property
    def exact(self) -> bool:
        """Whether every part declares its statement of symmetry exact, and so is that of their composition.

        It is not where scalars that rotations leave alone are seen in learned frames beside space-like spurions, which
        turn frames without boosting them: such scalars see the boost of a frame and nothing else.
        """
        parts = (self.spurions, self.frames_net, self.embedding, self.backbone, self.head)
        turns = self.frames_net.learned and not self.spurions.are_causal
        sees_boosts = Symmetry.spanned_by("Jx", "Jy", "Jz") <= self.embedding.scalar_symmetry
        return all(part.exact for part in parts) and not (turns and sees_boosts)
