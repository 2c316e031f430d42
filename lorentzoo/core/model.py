"""How do the five slots run as one network?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lorentzoo.core.anchor import Anchor, anchor_for, anchor_frames, anchor_matrices
from lorentzoo.core.cloud import Batch, ParticleCloud
from lorentzoo.core.errors import CompositionError, FittedError
from lorentzoo.core.features import Features
from lorentzoo.core.fitted_inputs import FittedInputs
from lorentzoo.core.frames import Frames
from lorentzoo.core.intake import MOMENTUM_ORDER
from lorentzoo.core.interfaces import Backbone, Embedding, FramesNet, Head, SpurionMode
from lorentzoo.core.layout import Extended, Layout
from lorentzoo.core.predict_inputs import RawInputs, read_clouds
from lorentzoo.core.spurions import Spurions
from lorentzoo.core.symmetry import Symmetry
from lorentzoo.core.tokens import add_global_token, drop_tokens, leave_anchor, silence_tokens
from lorentzoo.core.trainable import Trainable, is_fitted
from lorentzoo.core.units import Units

__all__ = ["Model"]


@dataclass(frozen=True)
class _Inputs:
    """What a backbone is given, and what of it are tokens."""

    features: Features
    frames: Frames
    layout: Layout
    context: Tensor
    global_token: Extended | None
    spurion_tokens: int


class Model(Trainable):
    """A composition of spurions, frames, embedding, backbone and head.

    Parameters
    ----------
    spurions, frames_net, embedding, backbone, head
        The parts. `lorentzoo.compose` makes them fit; here they are only run.
    spurion_mode
        How spurions reach the backbone: as tokens, as vector channels of every particle, or not at all.
    anchor
        ``"auto"``: by the computed symmetry, see `lorentzoo.core.anchor`. ``"none"`` is the ablation.
    spec
        The plain data from which `lorentzoo.compose` made this model.

    Notes
    -----
    Momenta may be in any units that the cloud declares; parts see GeV.
    """

    def __init__(
        self,
        spurions: Spurions,
        frames_net: FramesNet,
        embedding: Embedding,
        backbone: Backbone,
        head: Head,
        *,
        spurion_mode: SpurionMode | None = None,
        anchor: Anchor | str = "auto",
        in_scalars: int = 0,
        in_context: int = 0,
        spec: Any = None,
    ) -> None:
        super().__init__()
        self.spurions = spurions
        self.frames_net = frames_net
        self.embedding = embedding
        self.backbone = backbone
        self.head = head
        self.spurion_mode: SpurionMode = backbone.spurion_mode if spurion_mode is None else spurion_mode
        self.in_scalars = in_scalars
        self.in_context = in_context
        self.spec = spec
        if anchor not in ("auto", "none"):
            raise CompositionError(f"anchor is 'auto' or 'none', not {anchor!r}")
        self.anchor: Anchor = anchor_for(self.symmetry) if anchor == "auto" else "none"

    # ---- running --------------------------------------------------------------------------

    def forward(self, cloud: ParticleCloud, condition: ParticleCloud | None = None) -> Tensor:
        """The head's raw output for a batch of events.

        Parameters
        ----------
        cloud
            The events.
        condition
            A second cloud of the same events, with a layout of its own, for backbones that attend to one; it is
            embedded as the first.

        Raises
        ------
        ValueError
            If the cloud's scalars or context do not have the widths that the model was made for, or other names than
            those on which it was fitted. The same names in another order are put in order.
        """
        self.check_inputs(cloud)
        cloud = self.fitted_inputs.arrange(cloud).to_units("GeV")
        matrices = anchor_matrices(cloud, self.anchor)
        anchored = cloud if matrices is None else cloud.transform(matrices)
        if condition is not None:
            condition = condition.to_units("GeV")
            condition = condition if matrices is None else condition.transform(matrices)
        features = self.features(anchored, condition)
        if matrices is not None and features.in_vectors:
            features = leave_anchor(features, matrices, cloud.layout, pooled=self._pooled)
        return self.head(features, cloud)  # type: ignore[no-any-return]

    @property
    def _pooled(self) -> bool:
        return self.backbone.pools or self.head.pooling == "global-token"

    def features(self, cloud: ParticleCloud, condition: ParticleCloud | None = None) -> Features:
        """The backbone's features of an (anchored) cloud, vectors in the global frame."""
        seen = self._inputs(cloud)
        second = {} if condition is None else self._second(condition)
        out: Features = self.backbone(
            seen.features, self._for_messages(seen.frames, cloud), seen.layout, seen.context, **second
        )
        if out.in_vectors and not self.backbone.equivariant and not self.backbone.pools:
            out = replace(out, vectors=seen.frames.return_vectors(out.vectors.to(torch.float64)))
        if seen.global_token is not None:
            scalars, vectors = (
                seen.global_token.split(out.scalars)[0],
                seen.global_token.split(out.vectors)[0],
            )
            return Features(scalars.squeeze(1), vectors.squeeze(1))
        if self.spurion_mode == "tokens" and seen.spurion_tokens and not self.backbone.pools:
            extended = cloud.layout.append(seen.spurion_tokens)
            return Features(extended.split(out.scalars)[1], extended.split(out.vectors)[1])
        return out

    def _inputs(self, cloud: ParticleCloud) -> _Inputs:
        """What the backbone is given of an (anchored) cloud."""
        seen = self.spurions(cloud)
        frames = self.frames_net(seen)
        embedded = self.embedding(seen, frames)
        embedded = silence_tokens(embedded, seen)
        dtype = self.dtype
        # Vectors stay in float64 until they are in the frames in which the network sees them.
        features = self._with_own_scalars(embedded, seen)
        layout, context = seen.layout, cloud.context.to(dtype)
        if seen.tokens and self.spurion_mode != "tokens":
            extended = cloud.layout.append(seen.tokens)
            features, frames = drop_tokens(features, frames, extended)
            layout = cloud.layout
            if self.spurion_mode == "channels":
                features = self._with_channels(features, layout)
        if self.in_context and not self.backbone.reads_context:
            spread = layout.spread(context)
            features = replace(
                features,
                scalars=torch.cat([features.scalars, spread], dim=-1),
                scalar_names=features.scalar_names + tuple(f"context_{c}" for c in range(self.in_context)),
            )
        if not self.backbone.equivariant:
            features = replace(features, vectors=frames.take_vectors(features.vectors))
        tokens: Extended | None = None
        if self.head.pooling == "global-token" and not self.backbone.pools:
            tokens = layout.append(1)
            features = add_global_token(features, tokens)
            # The token lives in the frame of the event; where every particle has its own, it has none.
            layout = tokens.layout
            frames = Frames(layout, frames.matrices) if frames.is_global else Frames.identity(layout)
        features = replace(features, scalars=features.scalars.to(dtype))
        if self.backbone.reads_vectors != "pairs":
            features = features.to(dtype)
        return _Inputs(features, frames, layout, context, tokens, seen.tokens)

    def _for_messages(self, frames: Frames, cloud: ParticleCloud) -> Frames:
        """The frames relative to one of the event, in which they are moderate."""
        if frames.is_global or self.backbone.equivariant:
            return frames
        anchor = self.frames_net.message_anchor
        return anchor_frames(
            frames,
            cloud,
            "none" if self.anchor == anchor else anchor,
            with_totals=self.backbone.reads_totals,
        )

    def _second(self, condition: ParticleCloud) -> dict[str, Any]:
        """The second cloud's features, in the global frame, and its layout, for the backbone."""
        if not self.backbone.takes_condition:
            raise ValueError(
                f"{type(self.backbone).__name__} attends to no second cloud; leave `condition` out"
            )
        embedded: Features = self.embedding(condition, Frames.identity(condition.layout))
        return {
            "condition": self._with_own_scalars(embedded, condition).to(self.dtype),
            "condition_layout": condition.layout,
        }

    def _with_own_scalars(self, embedded: Features, cloud: ParticleCloud) -> Features:
        """The cloud's own scalars in front of the embedding's channels, unless it has placed them itself."""
        scalars = embedded.scalars.to(self.dtype)
        if self.embedding.places_scalars:
            return replace(embedded, scalars=scalars)
        names = cloud.scalar_names or tuple(f"scalar_{number}" for number in range(self.in_scalars))
        return replace(
            embedded,
            scalars=torch.cat([cloud.scalars.to(self.dtype), scalars], dim=-1),
            scalar_names=names + embedded.scalar_names,
        )

    def _with_channels(self, features: Features, layout: Layout) -> Features:
        vectors, _ = self.spurions.tensors(features.vectors.device)
        channels = vectors.to(features.vectors.dtype).expand(*layout.lead, -1, 4)
        return replace(
            features,
            vectors=torch.cat([features.vectors, channels], dim=-2),
            vector_names=features.vector_names + self.spurions.vector_names,
        )

    def check_inputs(self, cloud: ParticleCloud) -> None:
        """Refuse a cloud whose columns are not those that the model was made for, as `forward` says."""
        if not isinstance(cloud, ParticleCloud):
            raise TypeError(
                f"a model takes a ParticleCloud, not {type(cloud).__name__}; see ParticleCloud.from_padded"
            )
        if cloud.scalars.shape[-1] != self.in_scalars:
            raise ValueError(
                f"the model was made for in_scalars={self.in_scalars} scalars a particle, "
                f"but the cloud has {cloud.scalars.shape[-1]} {list(cloud.scalar_names)}"
            )
        if cloud.context.shape[-1] != self.in_context:
            raise ValueError(
                f"the model was made for in_context={self.in_context} numbers an event, "
                f"but the cloud has {cloud.context.shape[-1]} {list(cloud.context_names)}"
            )

    def loss(self, batch: Batch) -> Tensor:
        """The head's loss on a batch, weighted by event."""
        return self.head.loss(self(batch.cloud), batch.target, batch.weight)

    def batch_loss(self, batch: Batch, rng: torch.Generator | None = None) -> Tensor:
        """The head's loss on a batch; it needs no random numbers of its own."""
        return self.loss(batch)

    def loss_weights(self, batch: Batch) -> Tensor:
        """Those of the head."""
        return self.head.loss_weights(batch.target, batch.weight)

    def run_forward(self, cloud: ParticleCloud) -> Tensor:
        """The head's raw output."""
        return self(cloud)  # type: ignore[no-any-return]

    @property
    def task(self) -> str:  # type: ignore[override]
        """That of the head."""
        return self.head.task

    def fit_statistics(self, batches: Iterable[Batch], *, refit: bool = False) -> None:
        """Let every part take the statistics it needs from data, once, before the first step.

        Parameters
        ----------
        batches
            Training batches, e.g. a data loader. They are read once for each part that wants them.
        refit
            Whether parts that have statistics take new ones, which changes what a trained model predicts. Otherwise only
            parts without any take theirs, e.g. a new head.

        Raises
        ------
        FittedError
            If all parts have theirs, and `refit` is not set.
        ParameterError
            If these are not batches.
        """
        if self.is_fitted and not refit:
            raise FittedError(
                "the statistics of this model are fitted, and new ones would change what it predicts; pass refit=True if "
                "that is wanted"
            )
        given = self.read_batches(batches)
        self.fitted_inputs = FittedInputs.read(given)
        batches = [replace(batch, cloud=batch.cloud.to_units("GeV")) for batch in given]
        wanting = [part for part in (self.head, self.embedding) if refit or not is_fitted(part)]
        if self.head in wanting:
            self.head.fit_statistics(batches)
        anchored = []
        for batch in batches:
            matrices = anchor_matrices(batch.cloud, self.anchor)
            cloud = batch.cloud if matrices is None else batch.cloud.transform(matrices)
            anchored.append(replace(batch, cloud=cloud))
        if self.embedding in wanting:
            # As all that follows, it sees momenta in the coordinates in which the network does.
            self.embedding.fit_statistics(anchored)
        if refit or not is_fitted(self.frames_net):
            # Frames-nets see the cloud as the model shows it to them: anchored and with its spurions.
            self.frames_net.fit_statistics(
                [replace(batch, cloud=self.spurions(batch.cloud)) for batch in anchored]
            )
        if refit or not is_fitted(self.backbone):
            self.backbone.fit_inputs(self.show(batch.cloud) for batch in anchored)
        if self.head in wanting:
            self.head.fit_features((self._compute_features(batch.cloud), batch) for batch in anchored)

    @torch.no_grad()
    def show(self, cloud: ParticleCloud) -> tuple[Features, Frames, Layout]:
        """What the backbone is shown of an (anchored) cloud: features, frames for messages, and layout."""
        seen = self._inputs(cloud)
        return seen.features, self._for_messages(seen.frames, cloud), seen.layout

    @torch.no_grad()
    def _compute_features(self, cloud: ParticleCloud) -> Features:
        return self.features(cloud)

    @torch.no_grad()
    def predict(
        self,
        data: Any,
        mask: Tensor | ArrayLike | None = None,
        *,
        scalars: Tensor | ArrayLike | None = None,
        context: Tensor | ArrayLike | None = None,
        event: str | None = None,
        order: str | Sequence[str] = MOMENTUM_ORDER,
        units: Units | None = None,
        batch_size: int = 256,
        device: torch.device | str | None = None,
    ) -> NDArray[np.float64]:
        """Predictions for a data set, a loader of batches, a single cloud, or raw arrays, records and tables.

        Parameters
        ----------
        data
            A `ParticleCloud`, an iterable of `Batch`, a data set with ``batch(indices)`` and a length; padded momenta
            (B, N, 4), a list of arrays (n, 4); an awkward array or a data frame with fields for momenta and scalars.
        mask, scalars, context, order
            Of padded momenta, as for `ParticleCloud.from_padded`.
        event
            Of a data frame with one row a particle, the column that says of which event it is.
        units
            Of raw momenta; by default those of the events on which the model was fitted, see ``fitted_inputs``.
        batch_size
            Events at a time.
        device
            Where to run; the model's own device by default.

        Returns
        -------
        Probabilities (B, classes) or values (B, ...), float64, in the order of the data. Events that are far from those
        of the fit get a warning.
        """
        was_training, device = self.training, torch.device(self.device if device is None else device)
        self.eval().to(device)
        outputs, doubted = [], False
        raw = RawInputs(mask, scalars, context, event, order, units)
        try:
            for cloud in read_clouds(data, batch_size, raw, self.fitted_inputs):
                doubted = doubted or self.fitted_inputs.warn(cloud)
                outputs.append(self.head.predict(self(cloud.to(device)).double()).cpu().numpy())
        finally:
            self.train(was_training)
        return np.concatenate(outputs) if outputs else np.zeros((0,))

    # ---- what it is -----------------------------------------------------------------------

    @property
    def symmetry_paths(self) -> dict[str, Symmetry]:
        """What each path keeps: that of scalars, spurions, vectors and messages; `symmetry` is their intersection."""
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

    @property
    def permutation_symmetric(self) -> bool:
        """Whether the order of the particles is without meaning."""
        parts = (self.frames_net, self.embedding, self.backbone, self.head)
        return all(part.permutation_symmetric for part in parts)

    def summary(self) -> str:
        """Parts, parameters of each, and the computed symmetry, as text."""
        rows = []
        for name in ("spurions", "frames_net", "embedding", "backbone", "head"):
            part = getattr(self, name)
            count = sum(p.numel() for p in part.parameters() if p.requires_grad)
            rows.append(f"{name.removesuffix('_net'):<10} {type(part).__name__:<24} {count:>12,}")
        rows.append(f"{'total':<35} {self.num_parameters:>12,}")
        rows.append(f"symmetry   {self.symmetry.describe()}")
        for path, symmetry in self.symmetry_paths.items():
            rows.append(f"  {path:<14} {symmetry.name}")
        rows.append(f"anchor     {self.anchor}")
        if known := self.fitted_inputs.describe():
            rows.append(f"fitted on  {known}")
        return "\n".join(rows)
