"""How does a network learn the ratio of an amplitude to a reference?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from lorentzoo import Batch, Features, Head, ParticleCloud
from lorentzoo.nn import Activation, Pooling, make_part
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.targets.polynomial import LogPolynomial
from lorentzoo.plugins.amplitudes.targets.references import Factorised, Reference, Tree
from lorentzoo.plugins.amplitudes.targets.region import TrainingRegion

__all__ = ["AmplitudeRatio", "ReferenceName"]

ReferenceName = Literal["none", "factorised", "log-polynomial", "tree"]


class AmplitudeRatio(Head):
    """Targets as multiples of a reference: the network learns T(x/R), and predicts R times the inverse of T.

    T standardises, after a logarithm if wanted, as in the head `regress`, which does all that concerns T. The reference
    is evaluated on the momenta of each event; its fitted numbers live with the weights. `region` knows the range of the
    training events.

    Parameters
    ----------
    reference
        ``"factorised"``: a product of powers of the factors of soft and collinear emission for q q̄ → Z + n g, with
        powers fitted to the training set for each n. ``"log-polynomial"``: the exponential of a polynomial in the
        logarithms of all p_i·p_j, fitted for each set of particles, of any process. ``"tree"``: the exact |M|² of
        `process` at tree level, so that x/R is a K-factor of either sign. ``"none"``: 1. Several of them are multiplied,
        each fitted to what those before it leave.
    process
        Name of the process, for ``"tree"``.
    degree, identical, num_particles
        Of ``"log-polynomial"``: its degree, whether identical particles are ``"ordered"`` or ``"averaged"``, and the
        particles of the largest events.
    transform
        ``"log"``, ``"signed-log"`` or ``"none"``, of the ratio.
    pooling, hidden, dropout, activation
        As for `regress`.

    Raises
    ------
    AmplitudeError
        If the reference needs a process and has none, or the other way round, or there is no such process or reference.
    """

    task: ClassVar[str] = "amplitudes"

    def __init__(
        self,
        reference: ReferenceName | Sequence[ReferenceName] = "none",
        process: str | None = None,
        degree: int = 3,
        identical: Literal["ordered", "averaged"] = "ordered",
        num_particles: int = 7,
        transform: Literal["none", "log", "signed-log"] = "log",
        pooling: Pooling = "mean",
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        activation: Activation = "relu",
        *,
        in_scalars: int | None = None,
    ) -> None:
        super().__init__()
        names = [reference] if isinstance(reference, str) else list(reference)
        if len(set(names)) < len(names) or not names or (len(names) > 1 and "none" in names):
            raise AmplitudeError(f"references are named once each, and 'none' stands alone: {names} given")
        if ("tree" in names) != (process is not None):
            raise AmplitudeError(
                f"reference='tree' and the name of a process go together; given are {reference!r} and {process!r}"
            )
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
        found: list[Reference] = []
        for name in names:
            if name not in get_args(ReferenceName):
                raise AmplitudeError(
                    f"there is no reference {name!r}; known are {', '.join(get_args(ReferenceName))}"
                )
            if name == "factorised":
                found.append(Factorised())
            elif name == "log-polynomial":
                found.append(LogPolynomial(degree, identical, num_particles))
            elif name == "tree":
                assert process is not None
                found.append(Tree(process))
        self.references = nn.ModuleList(found)
        if found:
            self.exportable = "the reference asks each event for its particles"  # type: ignore[misc]

    @property
    def pooling(self) -> Pooling | None:
        """That of the head inside, which a composition may switch off."""
        return self.ratio.pooling

    @pooling.setter
    def pooling(self, value: Pooling | None) -> None:
        self.ratio.pooling = value

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Fit each reference to ln|x| over those before it, and then T to the ratios; and see where events lie."""
        batches = list(batches)
        self.region.fit(batch.cloud for batch in batches)
        targets = [_as_column(batch.target) for batch in batches]
        left = [
            torch.where(
                (target != 0) & (batch.weight.unsqueeze(-1) != 0), target.abs().log(), torch.nan
            ).squeeze(-1)
            for target, batch in zip(targets, batches, strict=True)
        ]
        clouds = [batch.cloud for batch in batches]
        total = [torch.zeros_like(log) for log in left]
        for reference in self.references:
            assert isinstance(reference, Reference)
            reference.fit(clouds, left)
            logs = [reference.evaluate(cloud) for cloud in clouds]
            left = [before - log for before, log in zip(left, logs, strict=True)]
            total = [before + log for before, log in zip(total, logs, strict=True)]
        self.ratio.fit_statistics(
            [
                replace(batch, target=target / log.exp().unsqueeze(-1))
                for batch, target, log in zip(batches, targets, total, strict=True)
            ]
        )

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """T(x/R) of each event, and beside it ln R where there is a reference; shape (B, 1) or (B, 2)."""
        output: Tensor = self.ratio(features, cloud)
        if not len(self.references):
            return output
        logs = torch.stack([reference.evaluate(cloud) for reference in self.references]).sum(0)  # type: ignore[operator]
        return torch.cat([output.to(logs), logs.unsqueeze(-1)], dim=-1)

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


def _as_column(target: Tensor) -> Tensor:
    """Targets (B,) or (B, 1) as (B, 1), float64."""
    if target.ndim > 2 or target.numel() != len(target):
        raise AmplitudeError(
            f"an amplitude is one number an event, but the targets have shape {tuple(target.shape)}"
        )
    return target.double().reshape(-1, 1)
