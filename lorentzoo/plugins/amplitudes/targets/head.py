"""How does a network learn the ratio of an amplitude to a reference?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Final, Literal

import torch
from torch import Tensor

from lorentzoo import Batch, Features, Head, ParticleCloud
from lorentzoo.nn import Activation, Pooling, make_part
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.processes import Process, find_process
from lorentzoo.plugins.amplitudes.targets.references import FACTORS, MOST_GLUONS, log_factors
from lorentzoo.plugins.amplitudes.targets.region import TrainingRegion

__all__ = ["AmplitudeRatio"]

Reference = Literal["none", "factorised", "tree"]
_LEAST_EVENTS: Final = 10
"""Events of a multiplicity from which its factors are fitted."""


class AmplitudeRatio(Head):
    """Targets as multiples of a reference: the network learns T(x/R), and predicts R times the inverse of T.

    T standardises, after a logarithm if wanted, as in the head `regress`, which does all that concerns T. The reference
    is evaluated on the momenta of each event; its fitted numbers live with the weights. `region` knows the range of the
    training events.

    Parameters
    ----------
    reference
        ``"factorised"``: a product of powers of the factors of soft and collinear emission for q q̄ → Z + n g, with
        powers fitted to the training set for each n. ``"tree"``: the exact |M|² of `process` at tree level, so that x/R
        is a K-factor of either sign. ``"none"``: 1.
    process
        Name of the process, for ``"tree"``.
    transform
        ``"log"``, ``"signed-log"`` or ``"none"``, of the ratio.
    pooling, hidden, dropout, activation
        As for `regress`.

    Raises
    ------
    AmplitudeError
        If the reference needs a process and has none, or the other way round, or there is no such process.
    """

    task: ClassVar[str] = "amplitudes"
    coefficients: Tensor

    def __init__(
        self,
        reference: Reference = "none",
        process: str | None = None,
        transform: Literal["none", "log", "signed-log"] = "log",
        pooling: Pooling = "mean",
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        activation: Activation = "relu",
        *,
        in_scalars: int | None = None,
    ) -> None:
        super().__init__()
        if (reference == "tree") != (process is not None):
            raise AmplitudeError(
                f"reference='tree' and the name of a process go together; given are {reference!r} and {process!r}"
            )
        self.reference = reference
        self.process: Process | None = None if process is None else find_process(process)
        parameters = {
            "name": "regress",
            "transform": transform,
            "pooling": pooling,
            "hidden": list(hidden),
            "dropout": dropout,
            "activation": activation,
        }
        self.ratio: Head = make_part("head", parameters, Head, in_scalars=in_scalars)
        self.out_scalars = self.ratio.out_scalars
        self.num_targets = 1
        self.region = TrainingRegion()
        if reference != "none":
            self.exportable = "the reference asks each event for its particles"  # type: ignore[misc]
        if reference == "factorised":
            # Of the constant and the factors, by number of gluons.
            shape = (MOST_GLUONS + 1, 1 + len(FACTORS))
            self.register_statistics(coefficients=torch.full(shape, torch.nan, dtype=torch.float64))

    @property
    def pooling(self) -> Pooling | None:
        """That of the head inside, which a composition may switch off."""
        return self.ratio.pooling

    @pooling.setter
    def pooling(self, value: Pooling | None) -> None:
        self.ratio.pooling = value

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Fit the powers of the factors by least squares on ln|x|, and then T to the ratios; and see where events lie."""
        batches = list(batches)
        self.region.fit(batch.cloud for batch in batches)
        if self.reference == "factorised":
            self._fit_factors(batches)
        ratios = []
        for batch in batches:
            target = _as_column(batch.target)
            ratio = target / self._evaluate(batch.cloud)
            ratios.append(replace(batch, target=ratio))
        self.ratio.fit_statistics(ratios)

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """T(x/R) of each event, and beside it ln R where there is a reference; shape (B, 1) or (B, 2)."""
        output: Tensor = self.ratio(features, cloud)
        if self.reference == "none":
            return output
        return torch.cat([output, self._evaluate(cloud).log().to(output)], dim=-1)

    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean squared error of T(x/R)."""
        return self.ratio.loss(output[:, :1], _as_column(target) / self._reference_of(output), weight)

    def predict(self, output: Tensor) -> Tensor:
        """Targets in their own units, shape (B, 1)."""
        return self.ratio.predict(output[:, :1]) * self._reference_of(output)

    @staticmethod
    def _reference_of(output: Tensor) -> Tensor:
        """R of a raw output, shape (B, 1), float64."""
        return output[:, 1:].double().exp() if output.shape[1] > 1 else torch.ones_like(output).double()

    def _evaluate(self, cloud: ParticleCloud) -> Tensor:
        """R of each event, shape (B, 1), float64."""
        if self.process is not None:
            momenta = cloud.layout.pad(cloud.momenta.to(torch.float64))
            if bool((cloud.layout.counts() != momenta.shape[1]).any()):
                raise AmplitudeError("reference='tree' needs events with equally many particles")
            return self.process.squared(momenta).unsqueeze(-1)
        if self.reference == "none":
            return torch.ones(cloud.layout.num_events, 1, dtype=torch.float64, device=cloud.momenta.device)
        self.require_fitted()
        factors, gluons = log_factors(cloud)
        rows = self.coefficients[gluons]
        unknown = torch.isnan(rows).any(-1).nonzero()
        if len(unknown):
            raise AmplitudeError(
                f"the reference was fitted to no (or fewer than {_LEAST_EVENTS}) events of {int(gluons[unknown[0]])} "
                "gluons; put some in the training set, or take reference='none'"
            )
        return (rows[:, :1] + (rows[:, 1:] * factors).sum(-1, keepdim=True)).exp()

    def _fit_factors(self, batches: Sequence[Batch]) -> None:
        found = [log_factors(batch.cloud) for batch in batches]
        factors = torch.cat([values for values, _ in found])
        gluons = torch.cat([number for _, number in found])
        target = torch.cat([_as_column(batch.target) for batch in batches]).abs()
        counted = (target.squeeze(-1) > 0) & (torch.cat([batch.weight for batch in batches]) != 0)
        self.coefficients.fill_(torch.nan)
        for number in range(1, MOST_GLUONS + 1):
            chosen = counted & (gluons == number)
            if int(chosen.sum()) < _LEAST_EVENTS:
                continue
            columns = torch.cat([torch.ones_like(target[chosen]), factors[chosen]], dim=-1)
            # Of least norm where factors depend on each other, as at a single energy.
            solution = torch.linalg.lstsq(columns, target[chosen].log(), driver="gelsd").solution
            self.coefficients[number] = solution.squeeze(-1)
        self.mark_fitted()


def _as_column(target: Tensor) -> Tensor:
    """Targets (B,) or (B, 1) as (B, 1), float64."""
    if target.ndim > 2 or target.numel() != len(target):
        raise AmplitudeError(
            f"an amplitude is one number an event, but the targets have shape {tuple(target.shape)}"
        )
    return target.double().reshape(-1, 1)
