"""Does a generator keep what the package promises of a density?"""

from __future__ import annotations

import copy
import math
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import NoDensityError
from lorentzoo.core.generator import Generator
from lorentzoo.core.layout import Packed
from lorentzoo.registry.checkpoints import load, save
from lorentzoo.registry.composition import build_generator
from lorentzoo.registry.specs import Spec
from lorentzoo.testing.report import ConformanceError, relative_change, require
from lorentzoo.verification.densities import fit_if_new, training_events
from lorentzoo.verification.verify import verify

__all__ = ["GENERATOR_CHECKS", "GeneratorSubject"]

_TOLERANCE: Final = 1e-8
"""Relative difference of densities that rounding may make on the way through a solver and learned frames."""


class GeneratorSubject:
    """A generator under test: fitted to `training_events`, in float64 and evaluation mode, tame enough to solve."""

    def __init__(self, generator: Generator) -> None:
        self.original = generator
        self.generator = copy.deepcopy(generator).double().eval()
        fit_if_new(self.generator)
        with torch.no_grad():
            for parameter in self.generator.parameters():
                parameter.mul_(0.7)
        self.generator.complete()

    @cached_property
    def events(self) -> ParticleCloud:
        """Eight events of the generator itself."""
        condition = training_events(self.generator, 8).cloud
        return self.generator.sample(8, condition, rng=torch.Generator().manual_seed(0))

    @cached_property
    def density(self) -> Tensor:
        """Logarithms of their densities."""
        return self.log_prob(self.events)

    def log_prob(self, cloud: ParticleCloud, generator: Generator | None = None) -> Tensor:
        """Logarithms of densities, of this generator by default."""
        return (generator or self.generator).log_prob(cloud)

    @property
    def has_density(self) -> bool:
        """Whether densities can be looked at."""
        return self.generator.has_density is True

    @cached_property
    def wanted(self) -> Tensor:
        """What `answer` says of its own events."""
        return self.answer(self.events)

    def answer(self, cloud: ParticleCloud, generator: Generator | None = None) -> Tensor:
        """Logarithms of densities, or where there are none what is drawn for these events as condition."""
        if self.has_density:
            return self.log_prob(cloud, generator)
        made = generator or self.generator
        drawn = made.sample(cloud.num_events, cloud, rng=torch.Generator().manual_seed(0))
        return torch.cat([drawn.momenta, drawn.scalars.double()], dim=-1)


def _declarations(s: GeneratorSubject) -> None:
    made = s.original
    require(made.symmetry.is_closed, f"the declared symmetry {made.symmetry.describe()} is not a Lie algebra")
    require(bool(made.symmetry_paths), "it does not say which ingredient keeps what")
    require(isinstance(made.exact, bool), "exact is not a bool")
    require(made.permutation_symmetric in (True, False), "permutation_symmetric is not a bool")
    connected = bool(made.all_networks) or not made.needs_network
    require(connected, "it needs a network, but has none")


def _loss(s: GeneratorSubject) -> None:
    made = copy.deepcopy(s.generator).train()
    batch = training_events(made, 16)
    loss = made.loss(batch.cloud, batch.weight, rng=torch.Generator().manual_seed(0))
    require(loss.ndim == 0 and bool(torch.isfinite(loss)), "the loss is not a finite number")
    again = made.loss(batch.cloud, batch.weight, rng=torch.Generator().manual_seed(0))
    require(
        float((again - loss).detach().abs()) == 0, "the loss is not given by its generator of random numbers"
    )
    loss.backward()
    wanted = [(n, p) for n, p in made.named_parameters() if p.requires_grad]
    bad = [n for n, p in wanted if p.grad is not None and not bool(torch.isfinite(p.grad).all())]
    require(not bad, f"gradients are not finite: {bad}")
    reached = [n for n, p in wanted if p.grad is not None and bool(p.grad.any())]
    require(bool(reached) or not wanted, "no parameter has a gradient")


def _samples(s: GeneratorSubject) -> None:
    condition = training_events(s.generator, 8).cloud
    cloud = s.events
    require(cloud.units == "GeV", f"samples are in {cloud.units}")
    require(isinstance(cloud.layout, Packed), "samples are not packed")
    require(
        torch.equal(cloud.multiplicity(), condition.multiplicity()), "multiplicities are not the condition's"
    )
    taken = slice(s.generator.drawn_scalars, None)
    require(
        torch.equal(cloud.scalars[..., taken], condition.scalars[..., taken]),
        "scalars are not the condition's",
    )
    require(torch.equal(cloud.context, condition.context), "the context is not the condition's")
    cloud.validate()
    again = s.generator.sample(8, condition, rng=torch.Generator().manual_seed(0))
    require(torch.equal(again.momenta, cloud.momenta), "samples are not given by their generator")
    other = s.generator.sample(8, condition, rng=torch.Generator().manual_seed(1))
    require(not torch.equal(other.momenta, cloud.momenta), "another seed gives the same samples")


def _densities(s: GeneratorSubject) -> None:
    if not s.has_density:
        reason = s.generator.has_density
        require(isinstance(reason, str) and bool(reason.strip()), "has_density is neither True nor a reason")
        try:
            s.generator.log_prob(s.events)
        except NoDensityError as error:
            require(str(reason) in str(error), "log_prob does not say why there is no density")
            return
        require(False, "it has no density, but log_prob gives one")
    require(s.density.dtype == torch.float64, f"densities are {s.density.dtype}")
    require(s.density.shape == (8,), f"densities of 8 events have shape {tuple(s.density.shape)}")
    require(bool(torch.isfinite(s.density).any()), "no sample has a finite density")
    condition = training_events(s.generator, 8).cloud
    cloud, density = s.generator.sample_with_log_prob(8, condition, rng=torch.Generator().manual_seed(0))
    change = _relative(cloud.momenta, s.events.momenta)
    require(change <= _TOLERANCE, f"samples with and without densities differ by {change:.1e}")
    difference = float((density - s.density)[torch.isfinite(s.density)].abs().median())
    require(
        difference < 1.0,
        f"densities of samples and of the same events differ by {difference:.2g} in the median",
    )


def _permutation(s: GeneratorSubject) -> None:
    if not s.has_density:
        return  # drawn events say nothing of it, since their random numbers come in the order of the particles
    cloud = s.events
    assert isinstance(cloud.layout, Packed)
    rng = torch.Generator().manual_seed(1)
    starts = cloud.layout.ptr.tolist()
    order = torch.cat(
        [
            start + torch.randperm(n, generator=rng)
            for start, n in zip(starts, cloud.layout.lengths, strict=False)
        ]
    )
    turned = replace(cloud, momenta=cloud.momenta[order], scalars=cloud.scalars[order])
    change = _relative(s.log_prob(turned), s.density)
    if s.generator.permutation_symmetric:
        require(change <= _TOLERANCE, f"the order of the particles changes the density by {change:.1e}")
    else:
        require(change > _TOLERANCE, "permutation_symmetric is False, but the order has no effect")


def _padded(s: GeneratorSubject) -> None:
    longest = int(s.events.multiplicity().max())
    change = _relative(s.answer(s.events.to_padded(longest + 2)), s.wanted)
    require(change <= _TOLERANCE, f"packed and padded events have answers that differ by {change:.1e}")


def _events_apart(s: GeneratorSubject) -> None:
    if not s.has_density:
        return  # drawn events say nothing of it, since their random numbers come in the order of the particles
    some = torch.tensor([1, 4, 6])
    change = _relative(s.log_prob(s.events.select(some)), s.density[some])
    require(change <= _TOLERANCE, f"an event's density depends on its batch ({change:.1e})")


def _symmetry(s: GeneratorSubject) -> None:
    if not s.has_density:
        return  # drawn events say nothing of it, since their random numbers come in the order of the particles
    result = verify(s.original)
    require(result.passed, result.verdict)


def _save_load(s: GeneratorSubject) -> None:
    if not isinstance(s.original.spec, Spec):
        raise ConformanceError("the generator has no specification, so it cannot be saved")
    again = build_generator(Spec.from_json(s.original.spec.to_json()))
    shapes = [{n: tuple(t.shape) for n, t in g.state_dict().items()} for g in (again, s.generator)]
    require(shapes[0] == shapes[1], "the specification does not rebuild the same generator")
    with tempfile.TemporaryDirectory() as directory:
        loaded = load(save(s.generator, directory))
    require(_same(s.answer(s.events, loaded), s.wanted), "a loaded generator answers differently")


def _copies(s: GeneratorSubject) -> None:
    for what, other in (
        ("deep", copy.deepcopy(s.generator)),
        ("pickled", pickle.loads(pickle.dumps(s.generator))),
    ):
        require(_same(s.answer(s.events, other), s.wanted), f"a {what} copy answers differently")


def _units(s: GeneratorSubject) -> None:
    change = _relative(s.answer(s.events.to_units("MeV")), s.wanted)
    require(change < 1e-6, f"events in MeV have answers that differ by {change:.1e}")


GENERATOR_CHECKS: Final[dict[str, Callable[[Any], None]]] = {
    "declarations": _declarations,
    "outputs finite": _loss,
    "samples": _samples,
    "densities": _densities,
    "permutation symmetry": _permutation,
    "packed equals padded": _padded,
    "events do not mix": _events_apart,
    "symmetry as declared": _symmetry,
    "save and load": _save_load,
    "copy and pickle": _copies,
    "units": _units,
}
"""The checks of a generator by name, in the order in which they run."""


def _same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.nan_to_num(), b.nan_to_num())


def _relative(a: Tensor, b: Tensor) -> float:
    """`relative_change` over the events that have a density, which must be the same in both."""
    if a.shape != b.shape or not torch.equal(torch.isfinite(a), torch.isfinite(b)):
        return math.inf
    good = torch.isfinite(b)
    return relative_change(a[good], b[good])
