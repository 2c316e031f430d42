"""How sure is a network of an amplitude?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Independent, LogNormal

from lorentzoo import Batch, DensityHead, Features, ParticleCloud
from lorentzoo.nn import Activation, Pooling, Readout, mean_and_deviation
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.targets.chain import ReferenceName, References, amplitude_column
from lorentzoo.plugins.amplitudes.targets.region import TrainingRegion

__all__ = ["AmplitudeDensity"]

_LEAST_WIDTH: Final = 1e-4
"""In standard deviations of ln x/R."""
_START: Final = math.log(math.e - 1)
"""Where softplus is one."""


class AmplitudeDensity(DensityHead):
    """A log-normal distribution of a positive amplitude around a multiple of a reference, ln x = ln R + μ + σ ε.

    μ and σ are functions of the event (a heteroscedastic regression), trained by maximum likelihood; σ says where the
    surrogate can be trusted (arXiv:2206.14831). The task shows pulls and coverage.

    Parameters
    ----------
    reference, process, degree, identical, num_particles, stop
        As for `AmplitudeRatio`.
    calibrated
        Whether all widths are multiplied by one number at the end of a training, so that 68 % of the validation events
        lie within one of them; see `calibrate`.
    pooling, hidden, dropout, activation
        As for `regress`.

    Raises
    ------
    AmplitudeError
        As for `AmplitudeRatio`, and in fitting if a target is not positive.
    """

    task: ClassVar[str] = "amplitudes"
    older_buffers: ClassVar = {"temperature": 1.0}
    temperature: Tensor

    def __init__(
        self,
        reference: ReferenceName | Sequence[ReferenceName] = "none",
        process: str | None = None,
        degree: int = 3,
        identical: Literal["ordered", "averaged"] = "ordered",
        num_particles: int = 7,
        stop: int = 1,
        calibrated: bool = False,
        pooling: Pooling = "mean",
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        activation: Activation = "relu",
        *,
        in_scalars: int | None = None,
    ) -> None:
        super().__init__(1)
        self.region = TrainingRegion()
        self.calibrated = calibrated
        # Of all widths; see `calibrate`.
        self.register_buffer("temperature", torch.tensor(1.0, dtype=torch.float64))
        self.references = References(reference, process, degree, identical, num_particles, stop)
        self.process_specific = len(self.references) > 0
        # Its mean is known in closed form, so that no distribution is made for it.
        self.exportable = self.references.exportable  # type: ignore[misc,assignment]
        self.pooling = pooling
        self.readout = Readout(in_scalars, 2, hidden, dropout, activation)
        self.out_scalars = self.readout.wants

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Fit the references to ln x, and the mean and deviation of ln x/R; and see where events lie."""
        batches = list(batches)
        self.region.fit(batch.cloud for batch in batches)
        for batch in batches:
            wrong = (amplitude_column(batch.target).squeeze(-1) <= 0) & (batch.weight != 0)
            if bool(wrong.any()):
                first = int(wrong.nonzero()[0, 0])
                raise AmplitudeError(
                    f"a log-normal distribution needs positive targets, but event {int(batch.event_id[first])} has "
                    f"{float(batch.target[first]):g}; leave such events out, or take the head 'amplitude-ratio'"
                )
        logs = self.references.fit(batches)
        weight = torch.cat([batch.weight for batch in batches])
        target = torch.cat([amplitude_column(batch.target) for batch in batches])
        left = torch.where(target > 0, target, torch.ones_like(target)).log() - torch.cat(logs).unsqueeze(-1)
        mean, deviation = mean_and_deviation(left, weight)
        self.mean.copy_(mean)
        self.std.copy_(deviation)
        self.temperature.fill_(1.0)
        self.mark_fitted()

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """Mean and raw width of standardised ln x/R, and ln R where there is a reference; shape (B, 2) or (B, 3)."""
        output: Tensor = self.readout(features, cloud, self.pooling)
        if not len(self.references):
            return output
        logs = self.references.evaluate(cloud)
        return torch.cat([output.to(logs), logs.unsqueeze(-1)], dim=-1)

    def distribution(self, output: Tensor) -> Independent:
        """The distribution of the amplitude (B, 1) in its own units, float64, of raw outputs (B, 2) or (B, 3)."""
        return Independent(LogNormal(*self._logarithm(output)), 1)

    def predict(self, output: Tensor) -> Tensor:
        """Means of the distributions, exp(μ + σ²/2), shape (B, 1)."""
        mean, scale = self._logarithm(output)
        return torch.exp(mean + scale.square() / 2).to(output.dtype)

    def _logarithm(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and width of ln x, (B, 1), float64."""
        self.require_fitted()
        mean, raw, *found = output.double().split(1, dim=-1)
        reference = found[0] if found else torch.zeros_like(mean)
        width, centre = self.std.double(), self.mean.double()
        scale = self.temperature.double() * width * (F.softplus(raw + _START) + _LEAST_WIDTH)
        return reference + centre + width * mean, scale
