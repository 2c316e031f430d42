"""How does a density of events of one multiplicity become one of events of several?"""

from __future__ import annotations

import copy
import inspect
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, cast

import torch
from torch import Tensor, nn

from lorentzoo import Batch, Generator, Model, ParticleCloud, Symmetry
from lorentzoo.densities import Cuts, SolverError
from lorentzoo.nn import CompositionError, DensityWarning, Template, find_class, make_part, read_range
from lorentzoo.plugins.multiplicities.acceptance import Acceptance
from lorentzoo.plugins.multiplicities.examples import events_of
from lorentzoo.plugins.multiplicities.kinds import ParticleKinds
from lorentzoo.plugins.multiplicities.numbers import NumberOfParticles

__all__ = ["VaryingMultiplicity"]

_ROUNDS: Final = 1000
_SEED: Final = 20241101


class VaryingMultiplicity(Generator):
    """Events of several multiplicities n: p(n, x | c) = P(n | c) q_n(x | c) 1[x passes the cuts] / A_n(c).

    P is a categorical that is fitted to the training events, see `NumberOfParticles`; q_n the density of any other
    generator, one for all n or one for each.

    The cuts `delta_r_min`, `pt_min` and `eta_max` are held by rejection: events are drawn until they pass all cuts, those
    of q_n included, and the density is divided by the accepted part A_n of q_n. It is measured on N drawn events once the
    weights are trained (`complete`, which `lorentzoo.train` calls). ln p has its statistical error √((1 - A)/(A N)), the
    same for all events of a multiplicity and context; `acceptance` holds both. Cuts on single particles are those of
    q_n, whose base and coordinates keep them. Its base may keep the distance as well, but for a part
    (``flow-matching:delta_r_min=0.5,delta_r_leak=0.1``): more events are accepted then. Without the leak some events
    would have no density, since the flow may lead out of the base's part of phase space.

    Parameters
    ----------
    multiplicities
        Numbers of particles that an event may have: a list, or a range such as ``"6-10"``.
    generator
        Name, inline text or mapping of the generator of events, e.g. ``"flow-matching:pt_min=22"``.
    networks
        ``"shared"``: one generator for all multiplicities, whose network is told n as a one-hot before the context;
        ``"each"``: one for each n, whose networks start alike.
    delta_r_min
        Least distance ΔR (with pseudorapidities) of two particles, held by rejection; 0 for none.
    pt_min, eta_max
        Least transverse momentum in GeV and largest |η| that are held by rejection, for a q_n that holds none.
    acceptance_events
        Drawn events of each multiplicity and context on which the acceptance is measured.

    Raises
    ------
    CompositionError
        If one generator cannot serve several multiplicities.
    ValueError
        If a number makes no sense.
    """

    def __init__(
        self,
        multiplicities: int | str | Sequence[int],
        generator: str | Mapping[str, Any] = "flow-matching",
        networks: Literal["shared", "each"] = "shared",
        delta_r_min: float = 0.0,
        pt_min: float = 0.0,
        eta_max: float = math.inf,
        acceptance_events: int = 1000,
        *,
        in_scalars: int = 0,
        in_context: int = 0,
    ) -> None:
        super().__init__()
        self.multiplicities = _read_numbers(multiplicities)
        if acceptance_events < 1:
            raise ValueError(f"acceptance_events must be at least 1, not {acceptance_events}")
        kinds = len(self.multiplicities)
        self.shared = networks == "shared"
        self.acceptance_events = acceptance_events
        if self.shared and _is_of_one_length(generator):
            raise CompositionError(
                f"one {generator!r} draws events of one multiplicity; networks='each' makes one for each"
            )
        made = (
            [_make(generator, in_scalars, in_context + kinds)]
            if self.shared
            else [_make(generator, in_scalars, in_context, num_particles=n) for n in self.multiplicities]
        )
        self.generators = nn.ModuleList(made)
        self.needs_network = made[0].needs_network  # type: ignore[misc]
        self.numbers = NumberOfParticles(self.multiplicities, in_context)
        self.kinds = ParticleKinds(self.multiplicities, in_scalars, in_context)
        self.acceptance = Acceptance(kinds, in_context)
        self.template = Template(0, in_scalars, in_context)
        own: Cuts = getattr(self._first, "cuts", Cuts())
        rejected = Cuts(pt_min=pt_min, eta_max=eta_max, delta_r_min=delta_r_min)
        self.rejects = rejected.any
        self.cuts = own.tightened(rejected)
        self.register_statistics()

    # ---- the networks ----------------------------------------------------------------------

    @property
    def _first(self) -> Generator:
        return cast("Generator", self.generators[0])

    @property
    def network_head(self) -> Mapping[str, Any]:
        """That of the generator of events."""
        return self._first.network_head

    @property
    def further_context(self) -> int:
        """What the generator of events gives its network, and the one-hot of the multiplicity of a shared one."""
        return self._first.further_context + (len(self.multiplicities) if self.shared else 0)

    @property
    def further_scalars(self) -> int:
        """That of the generator of events."""
        return self._first.further_scalars

    def connect(self, network: Model | None) -> None:
        """Give each generator its network."""
        for place, generator in enumerate(self.generators):
            own = network if place == 0 or network is None else copy.deepcopy(network)
            cast("Generator", generator).connect(own)
        self.permutation_symmetric = self._first.permutation_symmetric  # type: ignore[misc]
        self.exact = self._first.exact

    @property
    def all_networks(self) -> list[Model]:
        """Those of the generators of events."""
        return [network for each in self.generators for network in cast("Generator", each).all_networks]

    def example_events(self, count: int) -> Batch:
        """Jets of shipped top pairs, see `events_of`."""
        return events_of(self.multiplicities, count, self.cuts, self.in_scalars, self.in_context)

    # ---- training --------------------------------------------------------------------------

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """The categorical of the multiplicities, what particles events have, and what the generators of events need.

        Raises
        ------
        ValueError
            If training events lie outside the cuts, have another multiplicity than those stated, or none of some.
        """
        batches = [replace(batch, cloud=self._read(batch.cloud)) for batch in self.read_batches(batches)]
        passed = torch.cat([self.cuts.events(b.cloud.momenta, b.cloud.layout) for b in batches])
        if not bool(passed.all()):
            raise ValueError(
                f"{int((~passed).sum())} of {len(passed)} training events do not pass {self.cuts}; apply the cuts to the "
                "data, or loosen them here"
            )
        context = torch.cat([batch.cloud.context for batch in batches])
        counts = torch.cat([batch.cloud.multiplicity() for batch in batches])
        self.numbers.fit(counts, torch.cat([batch.weight for batch in batches]), context)
        self.kinds.fit(batches)
        if self.rejects:
            self.kinds.require_agreement("rejection at the cuts")
            self.acceptance.fit(context)
        seen: list[list[Batch]] = [[] for _ in self.generators]
        for batch in batches:
            for place, events in self._shares(batch.cloud):
                seen[place].append(_choose(batch, events, self._shown(batch.cloud)))
        for generator, own in zip(self.generators, seen, strict=True):
            cast("Generator", generator).fit_statistics(own)
        self.mark_fitted()

    def loss(
        self, cloud: ParticleCloud, weight: Tensor | None = None, *, rng: torch.Generator | None = None
    ) -> Tensor:
        """Mean of the losses of the generators of events; the categorical is fitted beforehand."""
        self.require_fitted()
        if self.training:
            self.acceptance.forget()
        cloud = self._read(cloud)
        if self.shared or not cloud.num_events:
            return self._first.loss(self._shown(cloud), weight, rng=rng)
        given = torch.ones(cloud.num_events, dtype=torch.float64) if weight is None else weight
        given = given.to(cloud.device)
        parts = []
        for place, events in self._shares(cloud):
            own = given[events]
            loss = cast("Generator", self.generators[place]).loss(cloud.select(events), own, rng=rng)
            parts.append(loss * own.abs().sum().to(loss))
        total = given.abs().sum()
        return torch.stack(parts).sum() / torch.where(total == 0, torch.ones_like(total), total)

    @torch.no_grad()
    def complete(self, rng: torch.Generator | None = None) -> None:
        """Measure the accepted part of drawn events, where a distance is held by rejection."""
        if not self.rejects:
            return
        self.require_fitted()
        rng = torch.Generator().manual_seed(_SEED) if rng is None else rng
        self.acceptance.forget()
        for kind, number in enumerate(self.multiplicities):
            counts = torch.full((self.acceptance_events,), number, device=self.device)
            for place, context in enumerate(self.acceptance.known_contexts):
                cloud = self.kinds.cloud(
                    counts, torch.full_like(counts, kind), context.expand(len(counts), -1)
                )
                self.acceptance.count(kind, place, *self._count_accepted(cloud, rng))

    def _count_accepted(self, cloud: ParticleCloud, rng: torch.Generator) -> tuple[int, int]:
        """How many drawn events pass the cuts, and how many could be drawn at all."""
        try:
            momenta = self._draw(cloud, rng, torch.arange(cloud.num_events))
        except SolverError:
            if cloud.num_events == 1:
                return 0, 0
            halves = torch.arange(cloud.num_events).chunk(2)
            found = [self._count_accepted(cloud.select(half), rng) for half in halves]
            return found[0][0] + found[1][0], found[0][1] + found[1][1]
        return int(self.cuts.events(momenta, cloud.layout).sum()), cloud.num_events

    # ---- sampling and densities ------------------------------------------------------------

    @torch.no_grad()
    def sample(
        self,
        n: int,
        condition: ParticleCloud | None = None,
        *,
        multiplicity: int | None = None,
        context: Tensor | None = None,
        rng: torch.Generator | None = None,
    ) -> ParticleCloud:
        """Draw events.

        Parameters
        ----------
        n
            How many.
        condition
            As for `Generator.sample`: multiplicities are then its own.
        multiplicity
            Number of particles of all events; drawn from the categorical by default.
        context
            Of all events (C,), or of each (n, C); by default that which all training events had.
        rng
            Source of random numbers.

        Raises
        ------
        ValueError
            If a multiplicity was not seen in training.
        NotFittedError
            If scalars or context do not follow from the training events.
        RuntimeError
            If hardly any event passes the cuts.
        """
        self.require_fitted()
        if condition is not None:
            if multiplicity is not None or context is not None:
                raise ValueError("a condition has multiplicities and context of its own; give it, or those")
            return self._fill(self._read(self.template.cloud(n, condition, self.device)), rng)
        if n < 0:
            raise ValueError(f"n must not be negative, but is {n}")
        given = self.kinds.read_context(context, n, self.device)
        if multiplicity is None:
            counts = self.numbers.sample(given, rng)
        else:
            counts = torch.full((n,), multiplicity, device=self.device)
        return self._fill(self.kinds.cloud(counts, self._places(counts), given), rng)

    def sample_like(self, cloud: ParticleCloud, *, rng: torch.Generator | None = None) -> ParticleCloud:
        """One event for each of a cloud, with its context and a multiplicity that is drawn."""
        return self.sample(cloud.num_events, context=cloud.context, rng=rng)

    @torch.no_grad()
    def log_prob(self, cloud: ParticleCloud) -> Tensor:
        """Logarithm of the density of each event (B,) given its scalars and context, of its multiplicity included.

        It is relative to Π d⁴p of as many particles as the event has, in powers of GeV: integrals over momenta, summed
        over multiplicities, are one. Events outside the cuts have -inf; of those for which the generator of events fails
        it is NaN, and a `DensityWarning` names them.
        """
        self.require_fitted()
        cloud = self._read(cloud)
        place = self._places(cloud.multiplicity())
        result = self.numbers.log_prob(cloud.multiplicity(), cloud.context)
        if self.rejects:
            self.kinds.require_known(cloud, place)
            result = result - self.acceptance.log(place, cloud.context)
            passed = self.cuts.events(cloud.momenta, cloud.layout)
            result = torch.where(passed, result, -math.inf)
        shown = self._shown(cloud)
        for number, events in self._shares(cloud):
            inside = events & torch.isfinite(result)
            if bool(inside.any()):
                with warnings.catch_warnings():
                    # It counts the events of its own share.
                    warnings.simplefilter("ignore", DensityWarning)
                    found = cast("Generator", self.generators[number]).log_prob(shown.select(inside))
                result[inside] = result[inside] + found
        failed = result.isnan().nonzero().squeeze(1).tolist()
        if failed:
            warnings.warn(
                f"log_prob is NaN where it is not known: the generator of events fails for {len(failed)} events, first "
                f"for event {failed[0]}",
                DensityWarning,
                stacklevel=2,
            )
        return result

    def _fill(self, cloud: ParticleCloud, rng: torch.Generator | None) -> ParticleCloud:
        """The events with drawn momenta; those that do not pass the cuts are drawn again."""
        todo = torch.arange(cloud.num_events)
        if not self.rejects:
            return replace(cloud, momenta=self._draw(cloud, rng, todo))
        momenta = cloud.momenta.clone()
        for _ in range(_ROUNDS):
            if not len(todo):
                return replace(cloud, momenta=momenta)
            part = cloud.select(todo)
            drawn = self._draw(part, rng, todo)
            passed = self.cuts.events(drawn, part.layout)
            accepted = torch.zeros(cloud.num_events, dtype=torch.bool, device=cloud.device)
            accepted[todo[passed.cpu()]] = True
            momenta[cloud.layout.spread(accepted)] = drawn[part.layout.spread(passed)]
            todo = todo[~passed.cpu()]
        raise RuntimeError(
            f"after {_ROUNDS} rounds {len(todo)} drawn events do not pass {self.cuts}, first one of "
            f"{int(cloud.multiplicity()[todo[0]])} particles: train longer"
        )

    def _draw(self, cloud: ParticleCloud, rng: torch.Generator | None, numbers: Tensor) -> Tensor:
        """Momenta (P, 4) of the generators of events, for events of these numbers, by which failing ones are named."""
        momenta, shown = torch.empty_like(cloud.momenta), self._shown(cloud)
        for place, events in self._shares(cloud):
            part = shown.select(events)
            try:
                drawn = cast("Generator", self.generators[place]).sample(part.num_events, part, rng=rng)
            except SolverError as error:
                named = numbers[events.cpu()][error.events].tolist()
                raise SolverError(named, error.times, error.method, error.reason) from error
            momenta[cloud.layout.spread(events)] = drawn.momenta
        return momenta

    # ---- events ----------------------------------------------------------------------------

    def _read(self, cloud: ParticleCloud) -> ParticleCloud:
        """The cloud packed and in GeV, if all its multiplicities are known."""
        cloud = self.training_cloud(cloud)
        self._places(cloud.multiplicity())
        return cloud

    def _places(self, counts: Tensor) -> Tensor:
        """Places of numbers of particles (B,) among the multiplicities.

        Raises
        ------
        ValueError
            If one is not among them.
        """
        place = self.numbers.place(counts)
        wrong = (place < 0).nonzero().squeeze(1)
        if len(wrong):
            raise ValueError(
                f"event {int(wrong[0])} has {int(counts[wrong[0]])} particles, a multiplicity that the generator does "
                f"not learn: multiplicities={list(self.multiplicities)}"
            )
        return place

    def _shown(self, cloud: ParticleCloud) -> ParticleCloud:
        """The events as the generators of events see them."""
        if not self.shared:
            return cloud
        place = self.numbers.place(cloud.multiplicity())
        kind = nn.functional.one_hot(place, len(self.multiplicities)).to(cloud.context)
        return replace(cloud, context=torch.cat([kind, cloud.context], dim=-1), context_names=())

    def _shares(self, cloud: ParticleCloud) -> Iterator[tuple[int, Tensor]]:
        """Numbers of the generators of events, and which events are theirs (B,), bool."""
        if self.shared:
            yield 0, torch.ones(cloud.num_events, dtype=torch.bool, device=cloud.device)
            return
        place = self.numbers.place(cloud.multiplicity())
        for kind in range(len(self.multiplicities)):
            if bool((place == kind).any()):
                yield kind, place == kind

    # ---- what it is ------------------------------------------------------------------------

    @property
    def symmetry_paths(self) -> dict[str, Symmetry]:
        """Those of the generator of events, and the cuts that are held by rejection."""
        cuts = {"rejection": self.cuts.symmetry} if self.rejects else {}
        return {**self._first.symmetry_paths, **cuts}

    def summary(self) -> str:
        """As for any generator, with probabilities and acceptances of the multiplicities."""
        lines = [super().summary()]
        if not self.is_fitted or self.in_context:
            return lines[0]
        probs = self.numbers.offsets.exp().tolist()
        for kind, number in enumerate(self.multiplicities):
            line = f"{number} particles  {100 * probs[kind]:.1f} %"
            if self.rejects and float(self.acceptance.drawn[kind, 0]):
                share, error = float(self.acceptance.values[kind, 0]), float(self.acceptance.errors[kind, 0])
                line += f", {100 * share:.1f} ± {100 * error:.1f} % of drawn events pass the cuts"
            lines.append(line)
        return "\n".join(lines)


def _read_numbers(given: int | str | Sequence[int]) -> tuple[int, ...]:
    numbers = tuple(read_range(given, "multiplicities")) if isinstance(given, int | str) else tuple(given)
    if not numbers or min(numbers) < 1 or len(set(numbers)) < len(numbers):
        raise ValueError(f"multiplicities are different numbers of at least 1 particle, not {list(numbers)}")
    return tuple(sorted(numbers))


def _is_of_one_length(generator: str | Mapping[str, Any]) -> bool:
    """Whether its constructor asks for a number of particles."""
    parameter = inspect.signature(find_class("generator", generator)).parameters.get("num_particles")
    return parameter is not None and parameter.default is inspect.Parameter.empty


def _make(generator: str | Mapping[str, Any], in_scalars: int, in_context: int, **filled: int) -> Generator:
    made: Generator = make_part(
        "generator", generator, Generator, in_scalars=in_scalars, in_context=in_context, **filled
    )
    if made.drawn_scalars:
        raise CompositionError(f"{type(made).__name__} draws scalars, which have no density by multiplicity")
    made.in_scalars, made.in_context = in_scalars, in_context
    return made


def _choose(batch: Batch, events: Tensor, shown: ParticleCloud) -> Batch:
    """Some events of a batch, as they are shown to a generator."""
    return Batch(shown.select(events), batch.target[events], batch.weight[events], batch.event_id[events])
