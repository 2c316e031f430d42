"""Are inputs what a model was fitted on: the same columns, and events of the same kind?"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from lorentzoo.core.cloud import Batch, ParticleCloud
from lorentzoo.core.errors import InputsWarning
from lorentzoo.core.units import IN_GEV, Units

__all__ = ["FittedInputs"]

_FAR: Final = 2.0
"""Beyond the lowest and the highest Σ pT by this factor, and above the largest multiplicity, events are far."""
_RANGES: Final = ("activity", "multiplicity", "pt", "eta")
_PART: Final = 0.1
"""Of the events that may be far without a word."""


@dataclass(frozen=True)
class FittedInputs:
    """Names of the columns on which a model was fitted, and what its events were like; empty where it knows nothing.

    Attributes
    ----------
    scalars, context
        Names in the order of the columns.
    activity
        Lowest and highest scalar sum of transverse momenta Σ pT of an event, in GeV.
    multiplicity
        Lowest and highest number of particles of an event.
    pt
        Lowest and highest transverse momentum of a particle, in GeV.
    eta
        Lowest and highest pseudorapidity of a particle; particles along the beam have none.
    units
        In which the momenta were given.
    """

    scalars: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    activity: tuple[float, float] | None = None
    multiplicity: tuple[int, int] | None = None
    pt: tuple[float, float] | None = None
    eta: tuple[float, float] | None = None
    units: Units | None = None

    @classmethod
    def read(cls, batches: Iterable[Batch]) -> FittedInputs:
        """What some batches are like; events of weight zero are not there."""
        found, activities, counts, spectra = cls(), [], [], []
        for batch in batches:
            cloud = batch.cloud
            if found.units is None:
                found = cls(cloud.scalar_names, cloud.context_names, units=cloud.units)
            there = batch.weight != 0
            activities.append(_activity(cloud)[there])
            counts.append(cloud.layout.counts()[there])
            spectra.append(_spectrum(cloud, there))
        if not activities or not sum(map(len, activities)):
            return found
        activity, count, spectrum = torch.cat(activities), torch.cat(counts), torch.cat(spectra)
        return replace(
            found,
            activity=(float(activity.min()), float(activity.max())),
            multiplicity=(int(count.min()), int(count.max())),
            pt=_range(spectrum[:, 0]),
            eta=_range(spectrum[:, 1]),
        )

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> FittedInputs:
        """Read what `to_data` gave."""
        ranges: dict[str, Any] = {name: tuple(data[name]) for name in _RANGES if data.get(name)}
        if data.get("units") in IN_GEV:
            ranges["units"] = data["units"]
        return cls(tuple(data.get("scalars", ())), tuple(data.get("context", ())), **ranges)

    def to_data(self) -> dict[str, Any]:
        """Plain data without what is not known; empty where nothing is."""
        stated = {
            "scalars": self.scalars,
            "context": self.context,
            "activity": self.activity,
            "multiplicity": self.multiplicity,
            "pt": self.pt,
            "eta": self.eta,
        }
        known: dict[str, Any] = {name: list(value) for name, value in stated.items() if value}
        if self.units:
            known["units"] = self.units
        return {"scalars": [], "context": [], **known} if known else {}

    def describe(self) -> str:
        """In which units and with which cuts events were given to the fit, as a line; empty where it knows nothing.

        >>> FittedInputs(activity=(480.0, 720.0), multiplicity=(5, 40), units="GeV").describe()
        'events in GeV, Σ pT 480 to 720 GeV, 5 to 40 particles'
        """
        if self.activity is None or self.multiplicity is None:
            return ""
        low, high = self.multiplicity
        said = [
            f"events in {self.units or 'GeV'}",
            f"Σ pT {self.activity[0]:.3g} to {self.activity[1]:.3g} GeV",
            f"{low} to {high} particles",
        ]
        if self.pt is not None:
            said.append(f"pT {self.pt[0]:.3g} to {self.pt[1]:.3g} GeV each")
        if self.eta is not None:
            said.append(f"η {self.eta[0]:.2f} to {self.eta[1]:.2f}")
        said += [
            f"{what}: {', '.join(names)}"
            for what, names in (("scalars", self.scalars), ("context", self.context))
            if names
        ]
        return ", ".join(said)

    def arrange(self, cloud: ParticleCloud) -> ParticleCloud:
        """The cloud with its columns in the order of the names; as it is where one side has no names.

        Raises
        ------
        ValueError
            If the cloud has columns of other names.
        """
        scalars, scalar_names = _arrange(cloud.scalars, cloud.scalar_names, self.scalars, "scalars")
        context, context_names = _arrange(cloud.context, cloud.context_names, self.context, "context")
        if (scalar_names, context_names) == (cloud.scalar_names, cloud.context_names):
            return cloud
        return replace(
            cloud, scalars=scalars, context=context, scalar_names=scalar_names, context_names=context_names
        )

    def doubt(self, cloud: ParticleCloud) -> str:
        """How events differ from those of the fit; nothing where at most a tenth of them is far.

        An event is far whose Σ pT is below half of the lowest or above twice the highest, or that has more than twice as
        many particles as any.
        """
        if self.activity is None or self.multiplicity is None or not cloud.layout.num_events:
            return ""
        reasons = []
        activity, count = _activity(cloud), cloud.layout.counts()
        low, high = self.activity
        outside = (activity < low / _FAR) | (activity > high * _FAR)
        if float(outside.double().mean()) > _PART:
            median = float(activity[outside].median())
            ratio = median / max(high, 1e-300)
            hint = (
                "" if 1 / 100 < ratio < 100 else f"; are the units right?{self._guess_units(cloud, median)}"
            )
            reasons.append(
                f"{int(outside.sum())} of {len(outside)} events have transverse momenta that sum up to {median:.3g} GeV "
                f"in the median, and it was fitted on {low:.3g} to {high:.3g} GeV{hint}"
            )
        many = count > _FAR * self.multiplicity[1]
        if float(many.double().mean()) > _PART:
            reasons.append(
                f"{int(many.sum())} of {len(many)} events have up to {int(count.max())} particles, and it was fitted on "
                f"{self.multiplicity[0]} to {self.multiplicity[1]}"
            )
        return "; ".join(reasons)

    def _guess_units(self, cloud: ParticleCloud, median: float) -> str:
        """The units in which the median Σ pT would be one of the fit."""
        assert self.activity is not None
        number, (low, high) = median / IN_GEV[cloud.units], self.activity
        fitting = [unit for unit, scale in IN_GEV.items() if low / _FAR <= number * scale <= high * _FAR]
        return f" They fit as {fitting[0]} (units={fitting[0]!r})" if fitting else ""

    def warn(self, cloud: ParticleCloud) -> bool:
        """Warn of events unlike those of the fit, by an `InputsWarning`; whether there was a reason to."""
        doubt = self.doubt(cloud)
        if doubt:
            warnings.warn(f"events unlike those that the model knows: {doubt}", InputsWarning, stacklevel=3)
        return bool(doubt)


# ---- helpers ----------------------------------------------------------------------------------


def _activity(cloud: ParticleCloud) -> Tensor:
    """Σ pT of each event in GeV, (B,), float64."""
    momenta = cloud.to_units("GeV").momenta.detach().to(torch.float64)
    return cloud.layout.pool(momenta[..., 1:3].norm(dim=-1, keepdim=True), "sum").squeeze(-1)


def _spectrum(cloud: ParticleCloud, there: Tensor) -> Tensor:
    """pT in GeV and pseudorapidity of each particle of the events that are there, (P, 2)."""
    packed = cloud.to_units("GeV").to_packed()
    momenta = packed.momenta.detach()[packed.layout.spread(there)]
    pt = momenta[:, 1:3].norm(dim=-1)
    return torch.stack([pt, torch.asinh(momenta[:, 3] / pt)], dim=-1)


def _range(values: Tensor) -> tuple[float, float] | None:
    """Lowest and highest of what is finite."""
    finite = values[torch.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else None


def _arrange(
    values: Tensor, names: tuple[str, ...], wanted: tuple[str, ...], what: str
) -> tuple[Tensor, tuple[str, ...]]:
    if not names or not wanted or names == wanted:
        return values, names
    if sorted(names) != sorted(wanted):
        raise ValueError(
            f"the model was fitted on the {what} {list(wanted)}, but the cloud has {list(names)}"
        )
    return values[..., [names.index(name) for name in wanted]], wanted
