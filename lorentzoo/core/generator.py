"""What must a generative model offer?

A `Generator` is a probability density of events: it can be trained by its `loss`, drawn from, and evaluated. Where it
needs a network it says which head that network is to have, and `lorentzoo.compose` makes the network of the same five
slots as any other model.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor, nn

from lorentzoo.core.cloud import Batch, ParticleCloud
from lorentzoo.core.errors import CompositionError, NotFittedError, ParameterError
from lorentzoo.core.interfaces import Part
from lorentzoo.core.layout import Packed
from lorentzoo.core.model import Model
from lorentzoo.core.symmetry import Symmetry
from lorentzoo.core.trainable import Trainable

__all__ = ["Generator", "Template"]


class Generator(Part, Trainable):
    """A density of events, given their scalars and context, and their multiplicities unless these are drawn too.

    Densities are relative to Lorentz-invariant measures: Π d⁴p for particles of any mass, Π d³p/2E for particles on a
    mass shell, in powers of GeV. Everything outside the network runs in float64.

    A subclass takes its own parameters and, as far as it asks for them, ``in_scalars`` and ``in_context``, which the
    composition fills: the numbers of each particle and of each event that clouds bring.

    Attributes
    ----------
    needs_network
        Whether it makes no sense without a backbone.
    has_density
        True, or the reason why `log_prob` cannot be had.
    drawn_scalars
        How many of the first scalars of each particle are drawn as the momenta are, instead of taken from the condition.
    network
        The composed network; None without one.
    num_particles
        The fixed number of particles of its events; 0 where any number will do.
    task
        Name of the task for which it is trained.
    """

    needs_network: ClassVar[bool] = True
    has_density: ClassVar[bool | str] = True
    drawn_scalars: int = 0
    network: Model | None
    task: ClassVar[str] = "generation"  # type: ignore[misc]
    in_scalars: int = 0
    in_context: int = 0
    num_particles: int = 0

    def __init__(self) -> None:
        super().__init__()
        self.network = None

    # ---- what the composition asks ---------------------------------------------------------

    @property
    def network_head(self) -> Mapping[str, Any]:
        """Name and parameters of the head that its network is to have."""
        raise CompositionError(f"{type(self).__name__} has no use for a network; leave the backbone out")

    @property
    def further_context(self) -> int:
        """Numbers of each event that it gives its network in front of the cloud's own context."""
        return 0

    @property
    def further_scalars(self) -> int:
        """Numbers of each particle that it gives its network behind the cloud's own scalars."""
        return 0

    def example_events(self, count: int) -> Batch | None:
        """Events of the kind that it learns, for tests; None where any events of particles will do."""
        return None

    def connect(self, network: Model | None) -> None:
        """Take the network; called once, by the composition."""
        self.network = network
        if network is not None:
            self.permutation_symmetric = network.permutation_symmetric  # type: ignore[misc]
            self.exact = network.exact

    @property
    def all_networks(self) -> list[Model]:
        """Its network, or those of the generators of which it is made."""
        return [] if self.network is None else [self.network]

    # ---- what it does ----------------------------------------------------------------------

    @abstractmethod
    def loss(
        self, cloud: ParticleCloud, weight: Tensor | None = None, *, rng: torch.Generator | None = None
    ) -> Tensor:
        """Mean of the training loss over events.

        Parameters
        ----------
        cloud
            Events to learn.
        weight
            Event weights (B,).
        rng
            Source of the random numbers that the loss needs.
        """

    @abstractmethod
    def sample(
        self, n: int, condition: ParticleCloud | None = None, *, rng: torch.Generator | None = None
    ) -> ParticleCloud:
        """Draw events.

        Parameters
        ----------
        n
            How many.
        condition
            Events (n of them, or one for all) whose multiplicities, scalars (but for `drawn_scalars`) and context the
            drawn ones are to have; their energies are not read. By default those that all training events had in
            common.
        rng
            Source of random numbers.

        Returns
        -------
        A packed cloud, in GeV, with the scalars and the context of the condition.
        """

    def sample_like(self, cloud: ParticleCloud, *, rng: torch.Generator | None = None) -> ParticleCloud:
        """One event for each of a cloud, with its scalars and context, and its multiplicity unless that is drawn too."""
        return self.sample(cloud.num_events, cloud, rng=rng)

    @abstractmethod
    def log_prob(self, cloud: ParticleCloud) -> Tensor:
        """Logarithm of the density of each event, given its multiplicity (unless that is drawn too), scalars and context.

        Returns
        -------
        Shape (B,), float64; -inf for events that cannot be drawn, e.g. outside the cuts.

        Raises
        ------
        NoDensityError
            With the reason, where `has_density` is not True.
        """

    def sample_with_log_prob(
        self, n: int, condition: ParticleCloud | None = None, *, rng: torch.Generator | None = None
    ) -> tuple[ParticleCloud, Tensor]:
        """Events and the logarithms of their densities (n,); parameters as in `sample`."""
        cloud = self.sample(n, condition, rng=rng)
        return cloud, self.log_prob(cloud)

    def embed(self, cloud: ParticleCloud) -> NoReturn:
        """What a model that predicts has before its last map, a generator has not.

        Raises
        ------
        ParameterError
            Always: its network maps draws, not events, and sees a time or the particles before.
        """
        raise ParameterError(
            "a generator gives no embedding of events: its network sees draws on their way to events; embed with a model "
            "that predicts something of events"
        )

    def complete(self, rng: torch.Generator | None = None) -> None:
        """Measure what follows from trained weights and is part of the density; by default nothing.

        Parameters
        ----------
        rng
            Source of the random numbers that it needs; always the same by default.
        """

    def batch_loss(self, batch: Batch, rng: torch.Generator | None = None) -> Tensor:
        """The loss of the events of a batch."""
        return self.loss(batch.cloud, batch.weight, rng=rng)

    def run_forward(self, cloud: ParticleCloud) -> Tensor:
        """The loss of the events: what one pass of training computes."""
        return self.loss(cloud)

    # ---- what it is ------------------------------------------------------------------------

    @property
    @abstractmethod
    def symmetry_paths(self) -> dict[str, Symmetry]:
        """What each ingredient of the density keeps; `symmetry` is their intersection."""

    def summary(self) -> str:
        """The network's parts and the symmetry of the density, path by path, as text."""
        lines = [f"generator  {type(self).__name__:<24} {self.num_parameters:>12,}"]
        for network in self.all_networks:
            lines += ["  " + line for line in network.summary().splitlines()]
        lines.append(f"density    {self.symmetry.describe()}")
        lines += [f"  {path:<22} {symmetry.name}" for path, symmetry in self.symmetry_paths.items()]
        return "\n".join(lines)

    def training_cloud(self, cloud: ParticleCloud) -> ParticleCloud:
        """The cloud packed and in GeV, after checking that it brings the scalars and the context asked for.

        Raises
        ------
        ValueError
            Naming what the generator was made for and what the cloud has.
        """
        for what, wanted, given in (
            ("in_scalars", self.in_scalars, cloud.scalars.shape[-1]),
            ("in_context", self.in_context, cloud.context.shape[-1]),
        ):
            if wanted != given:
                raise ValueError(f"the generator was made for {what}={wanted}, but the cloud has {given}")
        return cloud.to_packed().to_units("GeV")


class Template(nn.Module):
    """What every event consists of: the number of particles, their scalars and the context, where all events agree.

    Parameters
    ----------
    num_particles
        Of every event; 0 where they differ.
    in_scalars, in_context
        Numbers of each particle and of each event.
    """

    scalars: Tensor
    context: Tensor
    known: Tensor

    def __init__(self, num_particles: int, in_scalars: int = 0, in_context: int = 0) -> None:
        super().__init__()
        if num_particles < 0:
            raise ValueError(f"num_particles must not be negative, but is {num_particles}")
        self.num_particles = num_particles
        self.register_buffer("scalars", torch.zeros(num_particles, in_scalars))
        self.register_buffer("context", torch.zeros(in_context))
        self.register_buffer("known", torch.tensor(False))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Take number, scalars and context from training batches, where they are the same in all events.

        Raises
        ------
        ValueError
            If an event has another number of particles than stated.
        """
        if not self.num_particles:
            return
        scalars, context = [], []
        for batch in batches:
            cloud = batch.cloud.to_packed()
            wrong = cloud.multiplicity() != self.num_particles
            if bool(wrong.any()):
                first = int(wrong.nonzero()[0, 0])
                raise ValueError(
                    f"the generator was made for events of num_particles={self.num_particles}, but event {first} of a "
                    f"training batch has {int(cloud.multiplicity()[first])}"
                )
            scalars.append(cloud.scalars.unflatten(0, (-1, self.num_particles)).to(self.scalars))
            context.append(cloud.context.to(self.context))
        every, events = torch.cat(scalars), torch.cat(context)
        if len(every) and bool((every == every[:1]).all()) and bool((events == events[:1]).all()):
            self.scalars.copy_(every[0])
            self.context.copy_(events[0])
            self.known.fill_(True)

    def cloud(self, n: int, condition: ParticleCloud | None, device: torch.device) -> ParticleCloud:
        """The packed cloud of n events that is to be filled with momenta; particles are at rest.

        Raises
        ------
        ValueError
            If the condition has neither n events nor one.
        NotFittedError
            If there is neither a condition nor anything that all training events had in common.
        """
        if n < 0:
            raise ValueError(f"n must not be negative, but is {n}")
        if condition is not None:
            return _expand(condition.to_packed(), n).to(device)
        if not self.num_particles or not bool(self.known):
            raise NotFittedError(
                "what are the events to consist of? Give `condition`, a cloud whose multiplicities, scalars and context "
                "are used; or set num_particles where all training events are alike, and call fit_statistics first"
            )
        rest = torch.zeros(n * self.num_particles, 4, dtype=torch.float64, device=device)
        rest[:, 0] = 1.0
        layout = Packed.from_lengths([self.num_particles] * n, device=device)
        return ParticleCloud.from_packed(
            rest,
            layout.ptr,
            self.scalars.to(device).repeat(n, 1),
            self.context.to(device).expand(n, -1),
            validate=False,
        )


def _expand(condition: ParticleCloud, n: int) -> ParticleCloud:
    if condition.num_events == n:
        return condition
    if condition.num_events != 1:
        raise ValueError(
            f"the condition has {condition.num_events} events, but n = {n} are to be drawn: give n, or one for all"
        )
    particles = len(condition.momenta)
    return replace(
        condition,
        momenta=condition.momenta.repeat(n, 1),
        layout=Packed.from_lengths([particles] * n, device=condition.device),
        scalars=condition.scalars.repeat(n, 1),
        context=condition.context.expand(n, -1),
        vectors=condition.vectors.repeat(n, 1, 1),
    )
