"""What must a part of a network offer, and what does it declare about itself?

Five slots, five base classes. A third party subclasses one of them; the constructor takes what the
composition knows (``in_scalars``, ``in_vectors``, ``in_context``, ``out_scalars``, ``out_vectors``, as
far as it asks for them) and its own parameters, all by keyword.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from lorentzoo.core.anchor import Anchor, anchor_for
from lorentzoo.core.cloud import Batch, ParticleCloud
from lorentzoo.core.errors import CheckpointError, NotFittedError
from lorentzoo.core.features import Features
from lorentzoo.core.foreign import PublishedOption, WeightReader
from lorentzoo.core.frames import Frames
from lorentzoo.core.layout import Layout
from lorentzoo.core.reps import Reps
from lorentzoo.core.stages import Staged
from lorentzoo.core.symmetry import Symmetry

__all__ = [
    "Backbone",
    "Embedding",
    "FramesNet",
    "Head",
    "Part",
    "Pooling",
    "SpurionMode",
]

SpurionMode = Literal["tokens", "channels", "drop"]
Pooling = Literal["mean", "sum", "max", "global-token"]


class Part(nn.Module, ABC):
    """What all parts declare.

    Attributes
    ----------
    exportable
        True, or the reason why the part cannot be exported.
    permutation_symmetric
        Whether the order of the particles is without meaning.
    exact
        Whether the statement of symmetry is exact: a model that is measured to be more symmetric than
        computed is then an error, otherwise it is reported as accidental.
    without_gradient
        Names (or `fnmatch` patterns) of parameters that cannot change the output and are there because a published
        network has them. The conformance kit asks every other parameter for a gradient.
    process_specific
        Whether it is for events of the processes that it was fitted to, told by their particles; drawn events mean
        nothing to it, so that an export is checked on events that are given.
    older_buffers
        Values of buffers that weights written before there were any stand for; None for what the constructor gives.
    """

    exportable: ClassVar[bool | str] = True
    permutation_symmetric: ClassVar[bool] = True
    exact: bool = True
    process_specific: bool = False
    without_gradient: tuple[str, ...] = ()
    older_buffers: ClassVar[Mapping[str, float | None]] = {}

    published_ignored: ClassVar[tuple[str, ...]] = ()
    """Endings of keys in published state dicts that hold no weights."""

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Take statistics from data, once, before the first step; parts without any do nothing.

        Fitted values are buffers that live with the weights, beside a flag that `require_fitted` checks.
        """

    def register_statistics(self, **buffers: Tensor) -> None:
        """Declare fitted buffers and their ``fitted`` flag."""
        self.register_buffer("fitted", torch.tensor(False))
        for name, value in buffers.items():
            self.register_buffer(name, value)

    def mark_fitted(self) -> None:
        """Declare the statistics fitted, where there are any."""
        if "fitted" in self._buffers:
            self.fitted.fill_(True)

    def require_fitted(self) -> None:
        """Refuse to run before the statistics were fitted.

        Raises
        ------
        NotFittedError
            Naming the part and the remedy.
        """
        if torch.compiler.is_compiling() or self.fitted.device.type == "meta":
            return
        if not getattr(self, "_known_fitted", False):
            # One host synchronisation in the life of the part, not one a step.
            if not bool(self.fitted):
                raise NotFittedError(
                    f"{type(self).__name__} has statistics that were not fitted to data; "
                    "call model.fit_statistics(loader) once before the first step, or load a trained model"
                )
            self._known_fitted = True

    fitted: Tensor


class FramesNet(Part):
    """Gives each particle its local frame.

    Attributes
    ----------
    learned
        Whether frames depend on the event. Fixed frames (identity, augmentation) are covariant under nothing.
    is_global
        Whether all particles of an event share a frame; messages then need no translation.
    """

    learned: ClassVar[bool] = True
    is_global: bool = False

    @abstractmethod
    def forward(self, cloud: ParticleCloud) -> Frames:
        """Frames of all rows of the cloud (spurions included), in float64."""

    def read_published(self, reader: WeightReader, package: str) -> None:
        """Read the weights of a published frames-net; see `lorentzoo.import_weights`."""
        raise CheckpointError(f"{type(self).__name__} cannot read the weights of {package!r}")

    def run_published(self, network: nn.Module, cloud: ParticleCloud) -> Tensor:
        """The frames (*lead, 4, 4) that a published frames-net gives the particles of a padded cloud."""
        raise CheckpointError(
            f"{type(self).__name__} cannot run the published {type(network).__name__} for `check`"
        )

    def group(self, spurions: Symmetry) -> Symmetry:
        """The transformations Λ under which L goes to L Λ⁻¹.

        Parameters
        ----------
        spurions
            What the spurions in the cloud leave.
        """
        raise NotImplementedError

    @property
    def matrices_in(self) -> Symmetry:
        """The subgroup in which all frames lie; trivial for identity frames."""
        return Symmetry.full()

    @property
    def message_anchor(self) -> Anchor:
        """The frame of the event from which its particles' frames differ by moderate numbers: within `matrices_in`.

        Rotations of a fast event are moderate in the laboratory; seen from its rest frame they would be boosts.
        """
        return anchor_for(self.matrices_in)


class Embedding(Part):
    """Turns momenta, seen from each particle's frame, into named channels.

    Vectors are given in the global frame; the model takes them to local frames for backbones that
    are symmetric by frames.
    """

    @property
    @abstractmethod
    def scalar_names(self) -> tuple[str, ...]:
        """Names of the scalar channels."""

    @property
    @abstractmethod
    def vector_names(self) -> tuple[str, ...]:
        """Names of the vector channels."""

    @property
    @abstractmethod
    def scalar_symmetry(self) -> Symmetry:
        """What leaves invariant the scalars that are measured in the frames, when all momenta go together."""

    @property
    def fixed_symmetry(self) -> Symmetry:
        """What leaves invariant the scalars that are measured in the laboratory, whatever frames there are."""
        return Symmetry.full()

    @property
    def symmetry(self) -> Symmetry:
        """What leaves all scalars invariant where every frame is the laboratory's."""
        return self.scalar_symmetry & self.fixed_symmetry

    @property
    def reads_spurions(self) -> bool:
        """Whether the scalar functions depend on spurions in the cloud."""
        return False

    @property
    def reads_matrices(self) -> bool:
        """Whether the vectors that order-2 spurions make are among the channels."""
        return False

    @property
    def places_scalars(self) -> bool:
        """Whether the clouds' own scalars are among the channels, in an order that a published network wants.

        Otherwise the model puts them in front of the channels.
        """
        return False

    @abstractmethod
    def forward(self, cloud: ParticleCloud, frames: Frames) -> Features:
        """Features of all rows of the cloud, in float64."""


class Backbone(Staged, Part):
    """The network itself.

    Attributes
    ----------
    equivariant
        True: symmetric by its layers, vectors are global and frames are ignored. False: made
        symmetric by frames, vectors come and go in local frames.
    projects
        True: it emits exactly ``out_scalars`` scalars, by its `last_map`. False: it emits `width` scalars, and the
        head owns the last linear map.
    pools
        Whether it returns one row an event (B, ...) instead of one a particle.
    reads_vectors
        How it uses vectors: ``"inputs"`` (as they are), ``"pairs"`` (through named functions of pairs
        only, whose invariance is `vector_symmetry`; they then stay in float64), or None.
    reads_context
        Whether it uses the context itself; otherwise the model spreads it over the scalars.
    spurion_mode, spurion_modes
        How spurions reach it by default, and which ways it allows.
    mixes_particles
        Whether particles see each other; otherwise a global token would learn nothing of them.
    takes_condition
        Whether its `forward` takes a second cloud, as ``condition`` (features) and ``condition_layout``.
    reads_totals
        Whether it needs the total momenta of events with local frames, see `Frames.boost_factors`.
    requires_scalars
        Names of scalar channels without which it makes no sense.
    num_particles
        The fixed number of particles it pads to; 0 where any number will do.
    """

    equivariant: ClassVar[bool] = False
    projects: ClassVar[bool] = False
    pools: bool = False
    reads_vectors: ClassVar[Literal["inputs", "pairs"] | None] = "inputs"
    reads_context: ClassVar[bool] = False
    spurion_mode: ClassVar[SpurionMode] = "drop"
    spurion_modes: ClassVar[tuple[SpurionMode, ...]] = ("drop", "tokens", "channels")
    mixes_particles: ClassVar[bool] = True
    takes_condition: bool = False
    reads_totals: bool = False
    requires_scalars: tuple[str, ...] = ()
    num_particles: int = 0
    width: int

    @property
    def vector_symmetry(self) -> Symmetry:
        """Invariance of the pair functions where `reads_vectors` is ``"pairs"``."""
        return Symmetry.trivial()

    @property
    def exchanges_vectors(self) -> bool:
        """Whether messages carry Lorentz indices, so that relative frames matter."""
        return False

    @property
    def symmetry(self) -> Symmetry:
        """What the layers themselves keep; only a matter for equivariant backbones."""
        return Symmetry.full() if self.equivariant else Symmetry.trivial()

    def fit_inputs(self, inputs: Iterable[tuple[Features, Frames, Layout]]) -> None:
        """Take statistics from what the model shows it, once, before the first step; most have none.

        Parameters
        ----------
        inputs
            Features, frames and layout of each batch, as in `forward`.
        """

    def read_published(self, reader: WeightReader, package: str) -> list[str]:
        """Read the weights of a published network and return the keys of what belongs to the head.

        Parameters
        ----------
        reader
            The published state dict.
        package
            Package and version, e.g. ``"lloca-2.0"``.

        Returns
        -------
        Prefixes of the published network's last linear layers, in order; none where this backbone projects.
        """
        raise CheckpointError(f"{type(self).__name__} cannot read the weights of {package!r}")

    def published_options(self, package: str) -> Mapping[str, PublishedOption]:
        """Arguments of the published constructor that change its numbers, and of which its state dict says nothing.

        Those that have a parameter of the same default here are left out: they are hyperparameters like any other.
        """
        return {}

    def adopt(self, package: str, options: Mapping[str, Any]) -> Mapping[str, object]:
        """Set what a published package computes differently from the same numbers.

        Parameters
        ----------
        package
            Package and version.
        options
            A value for each of the `published_options`.

        Returns
        -------
        The constructor's parameters that say so, for the specification.
        """
        return {}

    def run_published(
        self, network: nn.Module, package: str, features: Features, frames: Frames, context: Tensor
    ) -> Tensor:
        """What a published network gives from the inputs of this backbone.

        Parameters
        ----------
        network
            Of the published package.
        package
            Package and version.
        features, frames, context
            As in `forward`, in a padded layout without padding; local frames with totals.

        Returns
        -------
        The output of its last layer, (B, N, K) or, where it pools, (B, K); of a backbone that projects scalars and then
        the components of vectors.
        """
        raise CheckpointError(
            f"{type(self).__name__} cannot run the published {type(network).__name__} for `check`"
        )

    @abstractmethod
    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Features of the same rows, or of the events where `pools` is set."""


class Head(Part):
    """The last map, the prediction and its loss.

    Attributes
    ----------
    out_scalars, out_vectors
        What it asks of a backbone that projects.
    pooling
        How particles become an event; None for predictions of each particle.
    task
        Name of the task for which it is trained, e.g. ``"classification"``; any that a plugin offers.
    reps
        Lorentz representation of the output's last dimension; None where all of it is invariant.
    passes_gradients
        Whether what stands before it can be trained through it.
    """

    out_scalars: int
    out_vectors: int = 0
    pooling: Pooling | None = "mean"
    task: ClassVar[str]
    reps: Reps | None = None
    passes_gradients: ClassVar[bool] = True

    @property
    def last_map(self) -> nn.Module | None:
        """Its last map, the last `torch.nn.Linear` of its own unless it says otherwise; None where it has none."""
        maps = [module for module in self.modules() if isinstance(module, nn.Linear)]
        return maps[-1] if maps else None

    def fit_features(self, batches: Iterable[tuple[Features, Batch]]) -> None:
        """Learn what is learned without gradients, once, before the first step; most learn nothing so.

        Parameters
        ----------
        batches
            What the backbone gives for each batch, and the batch.
        """

    @abstractmethod
    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """The raw output (logits, scaled targets) from the backbone's features."""

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The mean loss, weighted by event."""

    def loss_weights(self, target: Tensor, weight: Tensor) -> Tensor:
        """What the loss of a batch divides by: for each mean in it the weights of the events, (B, M).

        Parameters
        ----------
        target
            Targets (B, ...).
        weight
            Event weights (B,).

        Returns
        -------
        By default one mean over all events. A loss of several calls `lorentzoo.nn.mean_loss` for each, in this order; it
        is then right also where a batch is shared out among processes.
        """
        return weight.unsqueeze(-1)

    def read_published(self, reader: WeightReader, prefixes: Sequence[str]) -> None:
        """Read the last linear layers of a published network, in order."""
        layers = [module for module in self.modules() if isinstance(module, nn.Linear)]
        if len(layers) != len(prefixes):
            raise CheckpointError(
                f"the head has {len(layers)} linear layers, the published network {len(prefixes)} "
                f"({', '.join(prefixes)}); give the head {max(len(prefixes) - 1, 0)} hidden widths"
            )
        for layer, prefix in zip(layers, prefixes, strict=True):
            reader.copy_module(layer, prefix)

    def predict(self, output: Tensor) -> Tensor:
        """What a user wants to see of the raw output: probabilities, targets in their own units."""
        return output

    def log_predict(self, output: Tensor) -> Tensor:
        """Logarithms of probabilities, for heads that predict such; exact also where they are rounded to 0 or 1."""
        return self.predict(output).log()
