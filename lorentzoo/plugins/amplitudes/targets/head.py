"""How does a network learn the ratio of an amplitude to a reference?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lorentzoo import Batch, Features, Head, ParticleCloud
from lorentzoo.nn import Activation, Columns, EventSteps, Pooling, make_part
from lorentzoo.plugins.amplitudes.targets.chain import ReferenceName, References, amplitude_column
from lorentzoo.plugins.amplitudes.targets.region import TrainingRegion

__all__ = ["AmplitudeRatio"]


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
        `process` at tree level, so that x/R is a K-factor of either sign. ``"dipoles"``: a sum of leading-colour dipoles
        for q q̄ → Z + n g, each times the amplitude of one gluon fewer at mapped momenta, down to the exact one.
        ``"fitted-dipoles"``: the factors and this sum, with fitted powers. ``"none"``: 1. Several of them are multiplied,
        each fitted to what those before it leave.
    process
        Name of the process, for ``"tree"``.
    degree, identical, num_particles
        Of ``"log-polynomial"``: its degree, whether identical particles are ``"ordered"`` or ``"averaged"``, and the
        particles of the largest events.
    stop
        Of dipoles: at how many gluons the lower amplitude is exact.
    transform
        ``"log"``, ``"signed-log"`` or ``"none"``, of the ratio.
    normalised
        Whether predictions are multiplied by one number at the end of a training, so that they sum up to the total of the
        training set: the mean of a logarithm is not the logarithm of a mean (Duan, J. Am. Stat. Assoc. 78 (1983) 605).
    pooling, hidden, dropout, activation
        As for `regress`.

    Raises
    ------
    AmplitudeError
        If the reference needs a process and has none, or the other way round, or there is no such process or reference.
    """

    task: ClassVar[str] = "amplitudes"
    older_buffers: ClassVar = {"normalisation": 1.0}
    normalisation: Tensor

    def __init__(
        self,
        reference: ReferenceName | Sequence[ReferenceName] = "none",
        process: str | None = None,
        degree: int = 3,
        identical: Literal["ordered", "averaged"] = "ordered",
        num_particles: int = 7,
        stop: int = 1,
        transform: Literal["none", "log", "signed-log"] = "log",
        normalised: bool = False,
        pooling: Pooling = "mean",
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        activation: Activation = "relu",
        *,
        in_scalars: int | None = None,
    ) -> None:
        super().__init__()
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
        self.normalised = normalised
        # Of all predictions; see `normalise`.
        self.register_buffer("normalisation", torch.tensor(1.0, dtype=torch.float64))
        self.references = References(reference, process, degree, identical, num_particles, stop)
        self.process_specific = len(self.references) > 0
        self.exportable = self.references.exportable  # type: ignore[misc]

    @property
    def pooling(self) -> Pooling | None:
        """That of the head inside, which a composition may switch off."""
        return self.ratio.pooling

    @pooling.setter
    def pooling(self, value: Pooling | None) -> None:
        self.ratio.pooling = value

    @property
    def last_map(self) -> nn.Module | None:
        """That of the head inside; references have none."""
        return self.ratio.last_map

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Fit the references to ln|x|, and T to the ratios; and see where events lie."""
        batches = list(batches)
        self.normalisation.fill_(1.0)
        self.region.fit(batch.cloud for batch in batches)
        logs = self.references.fit(batches)
        self.ratio.fit_statistics(
            [
                replace(batch, target=amplitude_column(batch.target) / log.exp().unsqueeze(-1))
                for batch, log in zip(batches, logs, strict=True)
            ]
        )

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """T(x/R) of each event, and beside it ln R where there is a reference; shape (B, 1) or (B, 2)."""
        output: Tensor = self.ratio(features, cloud)
        if not len(self.references):
            return output
        # In float64: rounding of ln R would be an error of the prediction.
        logs = self.references.evaluate(cloud)
        return torch.cat([output.to(logs), logs.unsqueeze(-1)], dim=-1)

    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean squared error of T(x/R)."""
        return self.ratio.loss(output[:, :1], amplitude_column(target) / self._reference_of(output), weight)

    def predict(self, output: Tensor) -> Tensor:
        """Targets in their own units, shape (B, 1)."""
        return self.ratio.predict(output[:, :1]) * (self.normalisation * self._reference_of(output))

    def write_steps(self, features: Columns, event: EventSteps) -> Columns:
        """Targets in their own units."""
        predicted: Columns = self.ratio.write_steps(features, event)  # type: ignore[operator]
        if float(self.normalisation) != 1:
            factor = self.normalisation.reshape(1)
            predicted = event.scale(predicted, factor, torch.zeros_like(factor))
        if not len(self.references):
            return predicted
        reference = event.combine("exp", self.references.write_steps(event))
        return event.combine("multiply", predicted, reference)

    @staticmethod
    def _reference_of(output: Tensor) -> Tensor:
        """R of a raw output, shape (B, 1), float64."""
        return output[:, 1:].double().exp() if output.shape[1] > 1 else torch.ones_like(output).double()
