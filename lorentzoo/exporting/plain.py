"""How does a model of clouds become a network of plain tensors?"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import ParameterError
from lorentzoo.core.exportable import is_process_specific
from lorentzoo.core.layout import Padded
from lorentzoo.core.model import Model
from lorentzoo.verification.events import random_cloud

__all__ = ["Column", "PlainModel", "Sizes"]

_LONGEST: Final = 40
"""Particles of the longest event where the number of places is free."""


@dataclass(frozen=True)
class Sizes:
    """Multiplicities of some events, and the number of places of their rows."""

    lengths: tuple[int, ...]
    places: int

    def __str__(self) -> str:
        return f"events of {list(self.lengths)} particles in {self.places} places"


@dataclass(frozen=True)
class Column:
    """One input or output of a file: its type, its axes (names where they are free), names and units of its columns."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    columns: tuple[str, ...] = ()
    units: str | None = None


class PlainModel(nn.Module):
    """A model in evaluation mode whose inputs and outputs are plain tensors.

    Parameters
    ----------
    model
        It is copied.
    dtype
        Of weights, inputs and outputs; the model's own by default. Momenta are taken to float64 inside.
    name
        What the network is called where its outputs are.
    max_particles
        The only number of places; any number with None.
    given
        Events as those of the model, packed, in GeV, on which a file is compared besides drawn ones; instead of these
        where the model is for events of certain processes.

    Raises
    ------
    ParameterError
        If the model is for events of certain processes and none are given, or they have more particles than places.
    """

    output_names: tuple[str, ...] = ("output", "prediction")
    """What the head gives, and what `Model.predict` makes of it."""
    takes_batches: bool = True
    """Whether the first axis of inputs is that of events."""

    def __init__(
        self,
        model: Model,
        dtype: torch.dtype | None = None,
        *,
        name: str = "model",
        max_particles: int | None = None,
        given: ParticleCloud | None = None,
    ) -> None:
        super().__init__()
        # Of a copy, so that neither mode nor type of the original change.
        self.model = copy.deepcopy(model).cpu().eval()
        if dtype is not None and dtype != model.dtype:
            self.model.to(dtype)
        self.dtype = self.model.dtype
        self.name = name
        self.max_particles = max_particles
        self.requires_grad_(False)
        if given is None and is_process_specific(self.model):
            raise ParameterError(
                "this model is for events of the processes that it was fitted to: give some by like= (--dataset on the "
                "command line), on which its file is checked"
            )
        self.given = None if given is None else self.model.fitted_inputs.arrange(given)
        longest = 0 if given is None else int(given.layout.counts().max())
        if max_particles is not None and longest > max_particles:
            raise ParameterError(
                f"events of like= have up to {longest} particles, and max_particles is {max_particles}"
            )
        self._longest = longest

    @property
    def inputs(self) -> tuple[Column, ...]:
        """``momenta``, ``mask`` and, as far as the model has them, ``scalars`` and ``context``."""
        model, number = self.model, self.number
        scalars, context = self.column_names
        events, places = "events", self.places
        columns = (
            Column("momenta", number, (events, places, 4), ("E", "px", "py", "pz"), "GeV"),
            Column("mask", "bool", (events, places)),
            Column("scalars", number, (events, places, model.in_scalars), scalars),
            Column("context", number, (events, model.in_context), context),
        )
        return tuple(column for column in columns if column.shape[-1] != 0)

    @property
    def number(self) -> str:
        """Name of the type of numbers."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def places(self) -> int | str:
        """The number of places, or the name of that axis."""
        return "particles" if self.max_particles is None else self.max_particles

    @property
    def column_names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of scalars and of context, in order; as the model was fitted, or numbered."""
        model, fitted = self.model, self.model.fitted_inputs
        return (
            tuple(fitted.scalars) or tuple(f"scalar_{number}" for number in range(model.in_scalars)),
            tuple(fitted.context) or tuple(f"context_{number}" for number in range(model.in_context)),
        )

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(column.name for column in self.inputs)

    @property
    def free_axes(self) -> tuple[dict[int, Any], ...]:
        """The axes of each input that are of any length, for `torch.export`."""
        free = torch.export.Dim.DYNAMIC
        return tuple(
            {axis: free for axis, length in enumerate(column.shape) if isinstance(length, str)}
            for column in self.inputs
        )

    @property
    def sizes(self) -> tuple[Sizes, ...]:
        """The events on which files are compared: the golden ones, one event, one particle, none, and the longest."""
        longest = _LONGEST if self.max_particles is None else self.max_particles
        events = ((9, 4, 1, 12, 0, 6), (5,), (1,), (0, 3), (0,), (longest, 2, 0))
        capped = [tuple(min(n, longest) for n in lengths) for lengths in events]
        return tuple(
            Sizes(lengths, max(*lengths, 1) if self.max_particles is None else self.max_particles)
            for lengths in capped
        )

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Output and prediction of events in rows.

        Parameters
        ----------
        inputs
            In the order of `inputs`: momenta (B, N, 4) in GeV, mask (B, N), true where there is a particle, and, as far
            as the model has them, scalars (B, N, S) and context (B, C).
        """
        given = dict(zip(self.input_names, inputs, strict=True))
        return self.run(given["momenta"], given["mask"], given.get("scalars"), given.get("context"))

    def run(
        self, momenta: Tensor, mask: Tensor, scalars: Tensor | None, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Output and prediction of events in rows, in the model's own order of axes."""
        fitted = self.model.fitted_inputs
        cloud = ParticleCloud.from_padded(
            momenta,
            mask,
            scalars,
            context,
            scalar_names=() if scalars is None else fitted.scalars,
            context_names=() if context is None else fitted.context,
            validate=False,
        )
        output = self.model(cloud)
        return output.to(self.dtype), self._predict_from(output)

    def _predict_from(self, output: Tensor) -> Tensor:
        return self.model.head.predict(output.double()).to(self.dtype)

    def expect(self, wanted: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> Sequence[NDArray[Any]]:
        """What a file should give besides its output, of which the head predicts.

        Parameters
        ----------
        wanted
            Outputs of this network.
        found
            Outputs of the file.
        """
        output = found[0]
        if output.shape != wanted[0].shape:
            return wanted
        with torch.no_grad():
            return [wanted[0], self._predict_from(torch.from_numpy(output)).numpy()]

    def pack(self, momenta: Tensor, mask: Tensor, scalars: Tensor, context: Tensor) -> tuple[Tensor, ...]:
        """Events in rows as the inputs of this network."""
        numbers = {"momenta": momenta, "scalars": scalars, "context": context}
        given = {"mask": mask, **{name: x.to(self.dtype) for name, x in numbers.items()}}
        return tuple(given[name] for name in self.input_names)

    def draw(self, sizes: Sizes, seed: int = 0) -> tuple[Tensor, ...]:
        """Random events as its inputs."""
        model = self.model
        cloud = random_cloud(
            sizes.lengths, in_scalars=model.in_scalars, in_context=model.in_context, seed=seed
        )
        return self._pad(cloud, sizes.places)

    @property
    def example(self) -> tuple[Tensor, ...]:
        """Some events as its inputs, the golden ones; two at least where there is an axis of events."""
        return next(iter(self.samples()))[1]

    def samples(self) -> Iterator[tuple[str, tuple[Tensor, ...]]]:
        """Events on which a file is compared, as its inputs, and what they are; the golden ones come first."""
        if self.given is not None:
            yield from self._choose(self.given)
        if not is_process_specific(self.model):
            yield from ((str(size), self.draw(size, seed)) for seed, size in enumerate(self.sizes))

    def _choose(self, given: ParticleCloud) -> Iterator[tuple[str, tuple[Tensor, ...]]]:
        # An axis of length one would be taken for fixed, in the events from which a graph is made.
        places = max(self._longest, 2) if self.max_particles is None else self.max_particles
        count = given.num_events
        several = given if count > 1 else given.select(torch.tensor([0, 0]))
        yield f"the first {count} given events", self._pad(several, places)
        first = given.select(torch.tensor([0]))
        alone = int(first.layout.counts().max()) if self.max_particles is None else places
        yield "the first given event", self._pad(first, max(alone, 1))
        yield "no event", self._pad(given.select(torch.tensor([], dtype=torch.int64)), places)

    def _pad(self, cloud: ParticleCloud, places: int) -> tuple[Tensor, ...]:
        padded = cloud.to_padded(places)
        assert isinstance(padded.layout, Padded)
        return self.pack(padded.momenta, padded.layout.mask, padded.scalars, padded.context)

    def describe_profile(self) -> dict[str, Any]:
        """What the metadata of a file say besides the hash of the specification: texts by key."""
        return {}

    def files_beside(self, path: Any) -> dict[Any, bytes]:
        """Further files that the experiment's software reads, by path."""
        return {}
