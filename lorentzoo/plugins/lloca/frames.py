"""Which frames can be learned, and what symmetry does each give?"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

import torch
from torch import Tensor, nn

from lorentzoo import Batch, Embedding, Frames, FramesNet, Layout, ParticleCloud, Symmetry
from lorentzoo.nn import (
    Anchor,
    EmbeddingList,
    WeightReader,
    anchor_for,
    boost_to_rest,
    cap_gamma,
    draw_for_parameters,
    inner,
    make_part,
    mass_squared,
    require_package,
)
from lorentzoo.plugins.lloca.attentive import AttentiveVectors
from lorentzoo.plugins.lloca.equivectors import EdgeVectors
from lorentzoo.plugins.lloca.orthonormal import cap_boost, gram_schmidt_frames, polar_frames, rotation_frames
from lorentzoo.plugins.lloca.pairs import PairVectors, is_pair_network

__all__ = ["Beam", "BeamRotations", "GramSchmidt", "Learned", "Polar", "Rest", "Rotations"]


_PELICAN: Final[Mapping[str, Any]] = {
    "name": "pelican",
    "num_blocks": 1,
    "hidden_channels": 32,
    "message_ratio": 0.5,
    "factorised": False,
    "activation": "leaky-relu",
}
"""The network on pairs in arXiv:2508.14898."""
_LGATR: Final[Mapping[str, Any]] = {
    "name": "lgatr",
    "num_blocks": 1,
    "hidden_channels": 2,
    "hidden_scalars": 24,
    "num_heads": 1,
    "attention_ratio": 1,
    "mlp_ratio": 4,
    "head_scale": False,
}
"""The small L-GATr that gives queries and keys in arXiv:2508.14898."""
_SLIM: Final[Mapping[str, Any]] = {
    "name": "lgatr-slim",
    "num_blocks": 1,
    "hidden_vectors": 6,
    "hidden_scalars": 24,
    "num_heads": 1,
    "mlp_ratio": 4,
    "qkv_bias": False,
    "norm_gains": True,
    "activation": "gelu",
    "vector_activation": "sigmoid",
    "gate_scale": 0.5,
}
"""L-GATr-slim of lgatr 2.0 in its place, as in lloca 2.0; no sizes were published."""
_PUBLISHED: Final[Mapping[str, Mapping[str, Any]]] = {
    "pelican": _PELICAN,
    "lgatr": _LGATR,
    "lgatr-slim": _SLIM,
}


class Learned(FramesNet):
    """Frames from equivariantly predicted vectors.

    Parameters
    ----------
    equivectors
        Network that predicts the vectors: ``"mlp"``, the published network on each pair; ``"pelican"``, the published
        permutation-equivariant network on all pairs; ``"lgatr"``, a small L-GATr whose queries and keys weigh the pairs,
        of the published size; ``"lgatr-slim"``, the same of scalars and vectors alone; or an equivariant backbone by name
        with parameters of its own, e.g. ``"lgatr:num_blocks=1,hidden_channels=8"`` or
        ``"pelican:num_blocks=2,hidden_channels=24"``.
    lab_scalars
        Embeddings whose scalars, computed in the laboratory frame, also enter the network that predicts the
        vectors: ``"kinematics"`` in the published taggers. They cost the symmetry that they do not keep.
    hidden, num_layers
        Width and number of hidden layers of that network.
    is_global
        One frame an event, from the mean of the vectors over its rows.
    frozen
        Keep the network's first weights and never train them.
    redraw
        Draw them anew in every training step; together with ``is_global`` this is data augmentation.
    gamma_max
        Largest boost of a frame. A boost of γ costs γ² digits: at 1e3 frames are Lorentz matrices to 1e-9.
    in_scalars, in_context
        Auxiliary scalars of each particle, and numbers of each event, all of which enter that network.
    """

    num_vectors: ClassVar[int]
    residual: ClassVar[Symmetry]
    published_ignored = ("edge_inited",)

    def __init__(
        self,
        equivectors: str | Mapping[str, Any] = "mlp",
        lab_scalars: str | Mapping[str, Any] | Sequence[Any] | None = None,
        hidden: int = 128,
        num_layers: int = 2,
        is_global: bool = False,
        frozen: bool = False,
        redraw: bool = False,
        gamma_max: float = 1e3,
        *,
        in_scalars: int = 0,
        in_context: int = 0,
    ) -> None:
        super().__init__()
        if not gamma_max > 1:
            raise ValueError(f"gamma_max must exceed 1, not {gamma_max}")
        self.lab = _lab_embedding(lab_scalars)
        lab_width = len(self.lab.scalar_names) if self.lab is not None else 0
        width = in_scalars + in_context + lab_width
        self.equivectors: EdgeVectors | PairVectors | AttentiveVectors
        if isinstance(equivectors, str):
            equivectors = _PUBLISHED.get(equivectors, equivectors)
        if equivectors == "mlp":
            self.equivectors = EdgeVectors(self.num_vectors, width, hidden, num_layers)
            self.without_gradient = ("equivectors.last.bias",)  # the softmax over partners takes it away
        elif is_pair_network(equivectors):
            self.equivectors = PairVectors(self.num_vectors, width, equivectors)
        else:
            self.equivectors = AttentiveVectors(self.num_vectors, width, equivectors)
            idle = self.equivectors.network.without_gradient
            self.without_gradient = tuple(f"equivectors.network.{name}" for name in idle)
        self.is_global = is_global
        self.redraw = redraw
        self.gamma_max = gamma_max
        self.register_statistics()
        if frozen or redraw:
            self.equivectors.requires_grad_(False)

    # ---- symmetry -------------------------------------------------------------------------

    def group(self, spurions: Symmetry) -> Symmetry:
        """The construction's own group ∩ what the spurions leave ∩ what the laboratory scalars keep."""
        kept = self.residual & spurions
        return kept if self.lab is None else kept & self.lab.symmetry

    # ---- running --------------------------------------------------------------------------

    def forward(self, cloud: ParticleCloud) -> Frames:
        """Frames of all rows, float64; every operation on momenta runs in float64 whatever autocast says."""
        self.require_fitted()
        if self.redraw and self.training:
            with draw_for_parameters():
                self.equivectors.apply(_reset)
        device = cloud.device.type
        # Only where there is one to leave: a compiled graph has no place for it.
        lowered = torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False) if lowered else contextlib.nullcontext():
            return self._frames(cloud)

    def _frames(self, cloud: ParticleCloud) -> Frames:
        layout, p = cloud.layout, cloud.momenta
        total = cloud.total()
        # An event without particles has no total; anything time-like keeps its padded places finite.
        at_rest = torch.zeros_like(total)
        at_rest[..., 0] = 1.0
        total = torch.where(total[..., :1] > 0, total, at_rest)
        spread = layout.spread(torch.cat([total, _scale2(total).unsqueeze(-1)], dim=-1))
        support, mass2 = spread[..., :4], spread[..., 4]
        vectors = self.equivectors(p, self._scalars(cloud), _causal(cloud), mass2, layout)
        if self.is_global:
            mean = layout.pool(vectors, "mean")
            return Frames.of_events(layout, self._matrices(mean, total, total))
        return Frames.of_particles(layout, self._matrices(vectors, p, support))

    def read_published(self, reader: WeightReader, package: str) -> None:
        """Weights of the ``equivectors`` of ``lloca`` (1.3, 2.0), with their edge statistics and absolute floors."""
        require_package(package, "lloca-1.3", "lloca-2.0")
        if isinstance(self.equivectors, AttentiveVectors):
            self.equivectors.read_published(reader, package)
        else:
            self.equivectors.read_published(reader)

    def run_published(self, network: nn.Module, cloud: ParticleCloud) -> Tensor:
        scalars = self._scalars(cloud)
        frames: Tensor = network(cloud.momenta, scalars=scalars.to(cloud.momenta.dtype)).matrices
        return frames

    @abstractmethod
    def _matrices(self, vectors: Tensor, p: Tensor, support: Tensor) -> Tensor:
        """Vectors (..., K, 4), own momenta and support vectors (..., 4) -> frames (..., 4, 4)."""

    def _scalars(self, cloud: ParticleCloud) -> Tensor:
        dtype = next(self.equivectors.parameters()).dtype
        scalars = cloud.scalars.to(dtype)
        if cloud.context.shape[-1]:
            scalars = torch.cat([scalars, cloud.layout.spread(cloud.context.to(dtype))], dim=-1)
        if self.lab is None:
            return scalars
        lab = self.lab(cloud, Frames.identity(cloud.layout)).scalars
        particle = cloud.is_particle
        if particle is not None:
            # A beam has no azimuth of its own: its Δφ to the event would break the rotations that it keeps.
            lab = torch.where(particle.unsqueeze(-1), lab, torch.zeros_like(lab))
        return torch.cat([scalars, lab.to(dtype)], dim=-1)

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Mean and width of the logarithmic pair masses over the given batches, and what laboratory scalars need."""
        batches = list(batches)
        if self.lab is not None:
            self.lab.fit_statistics(batches)

        def events() -> Iterator[tuple[Tensor, Tensor, Layout]]:
            for batch in batches:
                cloud = batch.cloud
                yield cloud.momenta, cloud.layout.spread(_scale2(cloud.total())), cloud.layout

        with torch.no_grad():
            self.equivectors.fit(events())
        self.fitted.fill_(True)


class Polar(Learned):
    """A learned boost, then a learned rotation (the default; arXiv:2505.20280)."""

    num_vectors = 3
    # The third axis is a cross product, which parity does not turn around.
    residual = Symmetry(Symmetry.full().generators)

    def _matrices(self, vectors: Tensor, p: Tensor, support: Tensor) -> Tensor:
        return polar_frames(vectors[..., 0, :], vectors[..., 1:, :], support, self.gamma_max)


class GramSchmidt(Learned):
    """A learned tetrad, orthonormalised in Minkowski space; the same frames as `Polar` in exact arithmetic."""

    num_vectors = 3
    residual = Symmetry(Symmetry.full().generators)

    def _matrices(self, vectors: Tensor, p: Tensor, support: Tensor) -> Tensor:
        return gram_schmidt_frames(vectors, support, self.gamma_max)


class Rest(Learned):
    """Each particle's rest frame, with a learned rotation; light-like particles get ε M P/√P² for a mass."""

    num_vectors = 2
    residual = Symmetry(Symmetry.full().generators)

    def _matrices(self, vectors: Tensor, p: Tensor, support: Tensor) -> Tensor:
        regularised = p + support / self.gamma_max
        causal = (inner(p, p) >= 0) | (p[..., 0] > p[..., 1:].norm(dim=-1) * (1 - 1e-6))
        timelike = torch.where(causal.unsqueeze(-1), regularised, support)
        # Light particles of fast events move at more than γ_max in the laboratory; only relative to their event is a
        # bound covariant.
        bounded = cap_boost(timelike, support, self.gamma_max)
        return polar_frames(bounded, vectors, support, self.gamma_max**2)


class Rotations(Learned):
    """Learned rotations without a boost: what stays is SO(3)."""

    num_vectors = 2
    residual = Symmetry.spanned_by("Jx", "Jy", "Jz")

    @property
    def matrices_in(self) -> Symmetry:
        return self.residual

    def _matrices(self, vectors: Tensor, p: Tensor, support: Tensor) -> Tensor:
        return rotation_frames(vectors, support)


class _AboutBeam(Learned):
    """Frames whose rotation is fixed by the beam and one learned direction.

    Parameters
    ----------
    axes
        ``"beam-last"``: the local third axis is the beam, so that frames lie in the subgroup and beam quantities
        mean in them what they mean in the laboratory. ``"published"``: the order of arXiv:2508.14898.
    """

    def __init__(
        self,
        equivectors: str | Mapping[str, Any] = "mlp",
        lab_scalars: str | Mapping[str, Any] | Sequence[Any] | None = None,
        hidden: int = 128,
        num_layers: int = 2,
        is_global: bool = False,
        frozen: bool = False,
        redraw: bool = False,
        gamma_max: float = 1e3,
        axes: Literal["beam-last", "published"] = "beam-last",
        *,
        in_scalars: int = 0,
        in_context: int = 0,
    ) -> None:
        super().__init__(
            equivectors,
            lab_scalars,
            hidden,
            num_layers,
            is_global,
            frozen,
            redraw,
            gamma_max,
            in_scalars=in_scalars,
            in_context=in_context,
        )
        self.axes = axes

    @property
    def matrices_in(self) -> Symmetry:
        return self.residual if self.axes == "beam-last" else Symmetry.full()

    @property
    def message_anchor(self) -> Anchor:
        # The published order of axes is one more rotation.
        return anchor_for(self.residual)

    def _about_beam(self, learned: Tensor, support: Tensor, *, beam_first: bool) -> Tensor:
        beam = torch.zeros_like(learned)
        beam[..., 3] = 1.0
        if self.axes == "published":
            order = [beam, learned] if beam_first else [learned, beam]
            return rotation_frames(torch.stack(order, dim=-2), support)
        # Axes (beam, across, normal) of the construction become (across, normal, beam): a cyclic turn.
        rotation = rotation_frames(torch.stack([beam, learned], dim=-2), support)
        return torch.cat([rotation[..., :1, :], rotation[..., 2:, :], rotation[..., 1:2, :]], dim=-2)


class BeamRotations(_AboutBeam):
    """Learned rotations about the beam: what stays is SO(2)_beam."""

    num_vectors = 1
    residual = Symmetry.spanned_by("Jz")

    @property
    def matrices_in(self) -> Symmetry:
        # The published order of axes is one more rotation.
        return self.residual if self.axes == "beam-last" else Symmetry.spanned_by("Jx", "Jy", "Jz")

    def _matrices(self, vectors: Tensor, p: Tensor, support: Tensor) -> Tensor:
        return self._about_beam(vectors[..., 0, :], support, beam_first=True)


class Beam(_AboutBeam):
    """Learned boosts along the beam and rotations about it: what stays is SO⁺(1,1)_beam × SO(2)_beam."""

    num_vectors = 2
    residual = Symmetry.spanned_by("Kz", "Jz")

    def _matrices(self, vectors: Tensor, p: Tensor, support: Tensor) -> Tensor:
        timelike = torch.where(vectors[..., 0, :1] > 0, vectors[..., 0, :], support)
        along = torch.stack(
            [timelike[..., 0], *[torch.zeros_like(timelike[..., 0])] * 2, timelike[..., 3]], dim=-1
        )
        boost = boost_to_rest(cap_gamma(along, self.gamma_max))
        seen = torch.stack([vectors[..., 1, :], support], dim=-2) @ boost.transpose(-1, -2)
        return self._about_beam(seen[..., 0, :], seen[..., 1, :], beam_first=False) @ boost


def _lab_embedding(lab_scalars: str | Mapping[str, Any] | Sequence[Any] | None) -> Embedding | None:
    if lab_scalars is None:
        return None
    items = [lab_scalars] if isinstance(lab_scalars, str | Mapping) else list(lab_scalars)
    parts = [make_part("embedding", item, Embedding) for item in items]
    if any(part.vector_names for part in parts):
        raise ValueError("lab_scalars must be embeddings of scalars; vectors have no place among invariants")
    return parts[0] if len(parts) == 1 else EmbeddingList(parts)


def _causal(cloud: ParticleCloud) -> Tensor:
    """One for particles and for spurions that are future causal, zero for space-like and past ones."""
    p = cloud.momenta
    particle = cloud.is_particle
    if particle is None:
        return torch.ones_like(p[..., 0])
    causal = (p[..., 0] > 0) & (inner(p, p) >= -1e-9 * p[..., 0].square())
    return (particle | causal).to(p.dtype)


def _scale2(total: Tensor) -> Tensor:
    """The event's mass squared, or its energy squared times 1e-12 where it is light-like."""
    return torch.maximum(mass_squared(total), 1e-12 * total[..., 0].square()).detach()


def _reset(module: nn.Module) -> None:
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()
