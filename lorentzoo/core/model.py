"""How do the five slots run as one network?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lorentzoo.core.anchor import Anchor, anchor_for, anchor_matrices
from lorentzoo.core.cloud import Batch, ParticleCloud
from lorentzoo.core.embedded import EmbeddedEvents, embed, features_at, list_stages
from lorentzoo.core.errors import CompositionError, FittedError
from lorentzoo.core.features import Features
from lorentzoo.core.fitted_inputs import FittedInputs
from lorentzoo.core.frames import Frames
from lorentzoo.core.intake import MOMENTUM_ORDER
from lorentzoo.core.interfaces import Backbone, Embedding, FramesNet, Head, SpurionMode
from lorentzoo.core.layout import Layout
from lorentzoo.core.passage import Passage, enter
from lorentzoo.core.predict_inputs import RawInputs, read_clouds
from lorentzoo.core.slots import Slots
from lorentzoo.core.spurions import Spurions
from lorentzoo.core.symmetry import Symmetry
from lorentzoo.core.trainable import Trainable, is_fitted
from lorentzoo.core.units import Units

__all__ = ["Model"]


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
        self.anchor: Anchor = "none"
        if anchor == "auto":
            self.anchor = anchor_for(self.symmetry)

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
        passage = self._enter(cloud, condition)
        return self.head(passage.for_head(passage.run(self.backbone)), passage.cloud)  # type: ignore[no-any-return]

    def embed(self, cloud: ParticleCloud, condition: ParticleCloud | None = None) -> EmbeddedEvents:
        """Features before the last map, of events and of particles; they mean the same for every network.

        Parameters
        ----------
        cloud, condition
            As for `forward`.

        Returns
        -------
        ``.events`` is what the last linear map takes, ``.particles`` the last features of each particle. Scalars are left
        alone by `symmetry`; vectors, in the frame of the events and in their momenta's units (GeV) up to a factor, turn
        with them. Gradients pass.

        Raises
        ------
        CompositionError
            If the backbone projects and does not say what stands before.

        See Also
        --------
        lorentzoo.core.embedded.EmbeddedEvents : shapes, and what is None where.
        """
        return embed(self._enter(cloud, condition), self.backbone, self.head)

    @overload
    def features(
        self, cloud: ParticleCloud, stage: str = ..., *, condition: ParticleCloud | None = ...
    ) -> Features: ...

    @overload
    def features(
        self,
        cloud: ParticleCloud,
        *,
        intermediates: Sequence[str],
        condition: ParticleCloud | None = ...,
    ) -> dict[str, Features]: ...

    def features(
        self,
        cloud: ParticleCloud,
        stage: str = "backbone",
        *,
        intermediates: Sequence[str] | None = None,
        condition: ParticleCloud | None = None,
    ) -> Features | dict[str, Features]:
        """Features at a stage, or at several of one pass.

        Parameters
        ----------
        cloud, condition
            As for `forward`.
        stage
            ``"frames"``: the axes of each particle's frame, as four vectors. ``"embedding"``: what the backbone is given.
            ``"backbone.blocks.3"``: after that block, of the blocks in `stages`. ``"backbone"``: what the backbone gives.
            ``"pooled"``: the same of events, as the head pools it.
        intermediates
            Several of them.

        Returns
        -------
        Features of the particles (*lead, ...), or of the events (B, ...) where they are pooled; by name with
        `intermediates`. Vectors are in the frame of the events.

        Raises
        ------
        ParameterError
            If there is no such stage.
        """
        passage = self._enter(cloud, condition)
        names = [stage] if intermediates is None else list(intermediates)
        found = features_at(passage, self.backbone, self.head, names)
        return found[stage] if intermediates is None else found

    @property
    def stages(self) -> list[str]:
        """Names of the stages that `features` knows."""
        return list_stages(self.backbone, self.head)

    def _enter(self, cloud: ParticleCloud, condition: ParticleCloud | None = None) -> Passage:
        """The events on their way, after `check_inputs`."""
        self.check_inputs(cloud)
        cloud = self.fitted_inputs.arrange(cloud).to_units("GeV")
        matrices = anchor_matrices(cloud, self.anchor)
        anchored = cloud if matrices is None else cloud.transform(matrices)
        if condition is not None:
            condition = condition.to_units("GeV")
            condition = condition if matrices is None else condition.transform(matrices)
        return enter(self._slots, cloud, anchored, self.dtype, matrices=matrices, condition=condition)

    @property
    def _slots(self) -> Slots:
        return Slots(
            self.spurions,
            self.frames_net,
            self.embedding,
            self.backbone,
            self.head,
            self.spurion_mode,
            self.anchor,
            self.in_scalars,
            self.in_context,
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
            self.head.fit_features((self._give_head(batch.cloud), batch) for batch in anchored)

    @torch.no_grad()
    def show(self, cloud: ParticleCloud) -> tuple[Features, Frames, Layout]:
        """What the backbone is shown of an (anchored) cloud: features, frames for messages, and layout."""
        passage = enter(self._slots, cloud, cloud, self.dtype)
        return passage.shown, passage.messages, passage.layout

    @torch.no_grad()
    def _give_head(self, cloud: ParticleCloud) -> Features:
        """What the head is given of an anchored cloud."""
        passage = enter(self._slots, cloud, cloud, self.dtype)
        return passage.for_head(passage.run(self.backbone))

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
        return self._slots.symmetry_paths()

    @property
    def exact(self) -> bool:
        """Whether every part declares its statement of symmetry exact, and so is that of their composition."""
        return self._slots.exact

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
