"""How far does linear algebra on the logarithms of invariants go?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lorentzoo import ParticleCloud
from lorentzoo.nn import Columns, EventSteps
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.invariants import log_products, write_invariants
from lorentzoo.plugins.amplitudes.ordering import group_kinds, kind_codes, order_particles
from lorentzoo.plugins.amplitudes.targets.monomials import Monomials, count_monomials, list_monomials
from lorentzoo.plugins.amplitudes.targets.references import Reference
from lorentzoo.plugins.amplitudes.targets.ridge import RidgeSums

__all__ = ["LogPolynomial"]

_KINDS_OF_EVENTS: Final = 8
"""Sets of particles, by processes and multiplicities, that one polynomial reference holds."""
_MOST_MONOMIALS: Final = 20_000
"""The matrix of the normal equations of more would not fit into memory."""
_AT_ONCE: Final = 2_000_000
"""Values of monomials that are held together."""
_SAME: Final = 1e-6
"""Largest difference between codes of one kind, which rounding of scalars leaves."""


class LogPolynomial(Reference):
    """The exponential of a polynomial in all ln p_i·p_j, fitted by ridge regression for each set of particles.

    ``ln R = Σ_k c_k Π_v x_v^k_v`` over all monomials up to a degree, x the standardised logarithms. The ridge is the
    one of least generalised cross-validation (Golub, Heath and Wahba 1979). All in float64 and closed form.

    Parameters
    ----------
    degree
        Largest degree of the monomials.
    identical
        ``"ordered"``: particles of each kind are put in the order of `order_particles`. ``"averaged"``: the polynomial is
        symmetric under their exchange, so that it has fewer coefficients. Either way R does not depend on the order of
        the particles, and on momenta by invariants alone.
    num_particles
        Particles of the largest events.

    Raises
    ------
    AmplitudeError
        If there are too many monomials, or in `fit` too few events for them.
    """

    codes: Tensor
    centre: Tensor
    width: Tensor
    coefficients: Tensor

    def __init__(
        self,
        degree: int = 3,
        identical: Literal["ordered", "averaged"] = "ordered",
        num_particles: int = 7,
    ) -> None:
        super().__init__()
        if degree < 1 or num_particles < 2:
            raise AmplitudeError(
                f"the degree must be at least 1 and num_particles at least 2, not {degree} and {num_particles}"
            )
        pairs = num_particles * (num_particles - 1) // 2
        most = count_monomials(pairs, degree)
        if most > _MOST_MONOMIALS:
            raise AmplitudeError(
                f"there are {most} monomials of degree {degree} in the {pairs} products of {num_particles} momenta, more "
                f"than {_MOST_MONOMIALS}; lower degree, or num_particles to that of the largest events"
            )
        self.degree = degree
        self.averaged = identical == "averaged"
        self.num_particles = num_particles
        # As `codes`, since a graph cannot read numbers.
        self._sets: tuple[tuple[float, ...], ...] = ()
        # By sets of particles; codes of absent particles are NaN.
        self.register_statistics(
            codes=torch.full((_KINDS_OF_EVENTS, num_particles), torch.nan, dtype=torch.float64),
            centre=torch.zeros(_KINDS_OF_EVENTS, pairs, dtype=torch.float64),
            width=torch.ones(_KINDS_OF_EVENTS, pairs, dtype=torch.float64),
            coefficients=torch.zeros(_KINDS_OF_EVENTS, most, dtype=torch.float64),
        )

    # ---- fitting ----------------------------------------------------------------------------------

    def fit(self, clouds: Sequence[ParticleCloud], logs: Sequence[Tensor]) -> None:
        """Fit the coefficients of each set of particles that there is."""
        events: dict[tuple[float, ...], list[tuple[Tensor, Tensor]]] = {}
        for cloud, log in zip(clouds, logs, strict=True):
            momenta, codes = self._arrange(cloud)
            for row, chosen in _groups(codes):
                counted = chosen & torch.isfinite(log)
                events.setdefault(_key(row), []).append((momenta[counted, : len(row)], log[counted]))
        if len(events) > _KINDS_OF_EVENTS:
            raise AmplitudeError(
                f"the events are of {len(events)} different sets of particles, and a polynomial is fitted to at most "
                f"{_KINDS_OF_EVENTS}: scalars should say what a particle is, and nothing else"
            )
        self.codes.fill_(torch.nan)
        ordered = sorted(events.items(), key=lambda item: (len(item[0]), item[0]))
        self._sets = tuple(kinds for kinds, _ in ordered)
        for place, (kinds, found) in enumerate(ordered):
            self.codes[place, : len(kinds)] = torch.tensor(kinds, dtype=torch.float64)
            self._fit_one(place, torch.cat([p for p, _ in found]), torch.cat([log for _, log in found]))
        self.fitted.fill_(True)

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        if not self.codes.is_meta:
            rows = ([code for code in row if not math.isnan(code)] for row in self.codes.tolist())
            self._sets = tuple(tuple(row) for row in rows if row)

    def _fit_one(self, place: int, momenta: Tensor, log: Tensor) -> None:
        monomials = self._monomials(place)
        if len(log) < monomials.columns:
            raise AmplitudeError(
                f"a polynomial of degree {self.degree} has {monomials.columns} coefficients for events of "
                f"{momenta.shape[1]} particles, but only {len(log)} of them have a target with a logarithm; lower the "
                "degree, take identical='averaged', or more events"
            )
        x = log_products(momenta)
        variables = x.shape[1]
        mean, deviation = x.mean(0), x.std(0)
        if self.averaged:
            mean, deviation = self._average(place, mean), self._average(place, deviation)
        self.centre[place, :variables] = mean
        self.width[place, :variables] = torch.where(deviation > 1e-9, deviation, torch.ones_like(deviation))
        sums = RidgeSums(monomials.columns)
        for values, start in self._columns(place, momenta, monomials):
            sums.add(values, log[start : start + len(values)])
        self.coefficients[place] = 0
        self.coefficients[place, : monomials.columns] = sums.solve()

    def _average(self, place: int, numbers: Tensor) -> Tensor:
        """Numbers of pairs, averaged over those that exchanges take into each other."""
        column = list_monomials(_sizes_of(self._sets[place]), 1, averaged=True).column[1:] - 1
        column = column.to(numbers.device)
        total = torch.zeros_like(numbers).index_add_(0, column, numbers)
        return (total / torch.zeros_like(numbers).index_add_(0, column, torch.ones_like(numbers)))[column]

    # ---- evaluating -------------------------------------------------------------------------------

    def evaluate(self, cloud: ParticleCloud) -> Tensor:
        """ln R of each event, (B,)."""
        self.require_fitted()
        momenta, codes = self._arrange(cloud)
        if torch.compiler.is_compiling():
            return self._evaluate_as_graph(momenta, codes)
        result = torch.full((len(momenta),), torch.nan, dtype=torch.float64, device=momenta.device)
        for row, chosen in _groups(codes):
            place = self._find(row)
            monomials = self._monomials(place)
            # As a matrix, whose product torch's counter of operations counts.
            coefficients = self.coefficients[place, : monomials.columns].double().unsqueeze(-1)
            values = [
                (columns @ coefficients).squeeze(-1)
                for columns, _ in self._columns(place, momenta[chosen, : len(row)], monomials)
            ]
            result = result.masked_scatter(chosen, torch.cat(values))
        return result

    def _evaluate_as_graph(self, momenta: Tensor, codes: Tensor) -> Tensor:
        """ln R of arranged events, (B,): that of each set for all events, of which each takes its own; else NaN."""
        # As many places as the largest events need, whatever their number is.
        momenta = F.pad(momenta, (0, 0, 0, self.num_particles))
        codes = F.pad(codes, (0, self.num_particles), value=torch.nan)
        counts = (~torch.isnan(codes)).sum(1)
        result = torch.full_like(momenta[:, 0, 0], torch.nan)
        for place, row in enumerate(self._sets):
            monomials, number = self._monomials(place), len(row)
            known = torch.tensor(row, dtype=torch.float64, device=codes.device)
            chosen = (counts == number) & ((codes[:, :number] - known).abs() < _SAME).all(1)
            x = self._standardise(place, momenta[:, :number])
            coefficients = self.coefficients[place].double()[monomials.column.to(codes.device)]
            result = torch.where(chosen, coefficients @ monomials.evaluate_each(x), result)
        return result

    def write_steps(self, event: EventSteps) -> Columns:
        """ln R."""
        self.require_fitted()
        groups = group_kinds(event.scalars)
        codes = kind_codes(event.scalars)[[place for group in groups for place in group]]
        place = self._find(codes)
        monomials = self._monomials(place)
        logs, _ = write_invariants(
            event, event.order(event.momenta, groups), event.num_particles, masses=False
        )
        x = event.standardise(logs, self.centre[place, : len(logs)], self.width[place, : len(logs)])
        coefficients = self.coefficients[place, : monomials.columns].double()
        return event.polynomial(x, self.degree, coefficients[monomials.column])

    def _columns(self, place: int, momenta: Tensor, monomials: Monomials) -> Iterator[tuple[Tensor, int]]:
        """Values of the columns, in blocks of events, and where each block begins."""
        x = self._standardise(place, momenta)
        step = max(_AT_ONCE // len(monomials.parent), 1)
        for start in range(0, len(x), step):
            yield monomials.evaluate(x[start : start + step]), start

    def _standardise(self, place: int, momenta: Tensor) -> Tensor:
        """The standardised logarithms, (B, pairs), float64."""
        x = log_products(momenta)
        x = (x - self.centre[place, : x.shape[1]]) / self.width[place, : x.shape[1]]
        return x.double()

    def _arrange(self, cloud: ParticleCloud) -> tuple[Tensor, Tensor]:
        """Momenta (B, N, 4) in order, and codes of their kinds (B, N), NaN where there is no particle."""
        momenta = cloud.momenta.to(torch.float64)
        rows = cloud.layout.pad(torch.cat([momenta, torch.ones_like(momenta[..., :1])], dim=-1))
        momenta, mask = rows[..., :4], rows[..., 4] > 0
        codes = cloud.layout.pad(kind_codes(cloud.scalars))
        places = order_particles(momenta, codes, mask)
        codes = torch.where(mask, codes, torch.nan).gather(1, places)
        return momenta.gather(1, places.unsqueeze(-1).expand_as(momenta)), codes

    def _find(self, row: Tensor) -> int:
        """Which set of particles a row of codes is."""
        wanted = row.tolist()
        for place, known in enumerate(self._sets):
            if len(known) == len(wanted) and all(
                abs(a - b) < _SAME for a, b in zip(known, wanted, strict=True)
            ):
                return place
        seen = sorted({len(known) for known in self._sets})
        raise AmplitudeError(
            f"the polynomial was fitted to no events of these {len(row)} particles (but to events of "
            f"{', '.join(map(str, seen))} particles); put some in the training set"
        )

    def _monomials(self, place: int) -> Monomials:
        return list_monomials(_sizes_of(self._sets[place]), self.degree, self.averaged)


def _sizes_of(row: Sequence[float]) -> tuple[int, ...]:
    """How many particles of each kind there are."""
    return tuple(len(list(same)) for _, same in groupby(round(code / _SAME) for code in row))


def _groups(codes: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Each set of particles that there is, its codes and which events are of it."""
    rounded = torch.where(torch.isnan(codes), -1.0, (codes / _SAME).round())
    kinds, of_event = torch.unique(rounded, dim=0, return_inverse=True)
    for number in range(len(kinds)):
        chosen = of_event == number
        row = codes[int(chosen.nonzero()[0])]
        yield row[~torch.isnan(row)], chosen


def _key(row: Tensor) -> tuple[float, ...]:
    return tuple(round(code / _SAME) * _SAME for code in row.tolist())
