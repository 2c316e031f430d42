"""Which parts make no sense together?"""

from __future__ import annotations

from lorentzoo.core.errors import CompositionError
from lorentzoo.core.interfaces import Backbone, Embedding, FramesNet, Head
from lorentzoo.core.spurions import Spurions
from lorentzoo.registry.parameters import parameters_of
from lorentzoo.registry.specs import Spec

__all__ = ["refuse_nonsense"]


def refuse_nonsense(
    spec: Spec,
    spurions: Spurions,
    frames: FramesNet,
    embedding: Embedding,
    backbone: Backbone,
    head: Head,
    mode: str,
) -> None:
    """Refuse parts that make no sense together, or of which one would have no effect.

    Raises
    ------
    CompositionError
        Saying which parts, why, and what to choose instead.
    """
    name = spec.backbone.name
    names = ", ".join(item.name for item in spec.embedding) or "none"
    if mode not in backbone.spurion_modes:
        raise CompositionError(
            f"backbone {name!r} takes spurions as {list(backbone.spurion_modes)}, not as {mode!r}"
        )
    missing = [scalar for scalar in backbone.requires_scalars if scalar not in embedding.scalar_names]
    if missing:
        raise CompositionError(
            f"backbone {name!r} needs the scalar channels {missing}, which the embedding ({names}) does not give; "
            "add e.g. 'kinematics'"
        )
    if backbone.equivariant and not embedding.vector_names and backbone.reads_vectors is not None:
        raise CompositionError(
            f"backbone {name!r} is equivariant and reads four-vectors, but the embedding ({names}) gives none; "
            "add 'momenta'"
        )
    if backbone.equivariant and frames.learned and not embedding.scalar_names:
        raise CompositionError(
            f"frames {spec.frames.name!r} would have no effect: backbone {name!r} is symmetric by its layers and ignores "
            "them, and no scalar is computed in them; use frames='identity'"
        )
    if head.out_vectors and "out_vectors" not in parameters_of(type(backbone)):
        raise CompositionError(
            f"head {spec.head.name!r} reads {head.out_vectors} vector a particle, but backbone {name!r} gives none; use "
            "one that takes out_vectors, e.g. 'lgatr-slim' or 'transformer'"
        )
    if type(head).pooling is None and backbone.pools:
        raise CompositionError(
            f"head {spec.head.name!r} predicts of each particle, but backbone {name!r} pools over the particles itself; "
            "use one that keeps them, e.g. 'transformer'"
        )
    if not head.passes_gradients:
        untrained = [
            item.name
            for item, part in ((spec.frames, frames), (spec.backbone, backbone))
            if any(parameter.requires_grad for parameter in part.parameters())
        ]
        if untrained:
            raise CompositionError(
                f"head {spec.head.name!r} passes no gradients, so the weights of {untrained} would stay as they were "
                "drawn; use a backbone without any, e.g. 'substructure'"
            )
    if head.pooling == "global-token" and not backbone.mixes_particles:
        raise CompositionError(
            f"backbone {name!r} treats every particle on its own, so a global token would see none of them; "
            "use pooling='sum' or 'mean' in the head"
        )
    if (
        head.pooling == "global-token"
        and frames.learned
        and not backbone.equivariant
        and backbone.exchanges_vectors
    ):
        raise CompositionError(
            "a global token has no momentum and therefore no local frame: with frames "
            f"{spec.frames.name!r} use pooling='mean' in the head"
        )
    if spurions.num_vectors and mode == "drop" and not frames.learned and not embedding.reads_spurions:
        raise CompositionError(
            f"spurions {list(spurions.vector_names)} would have no effect: backbone {name!r} drops them, frames "
            f"{spec.frames.name!r} are fixed and the embedding ({names}) does not read them; "
            "set spurion_mode to 'tokens' or 'channels', or leave them out"
        )
