"""How does a network learn several amplitudes, real or complex?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, Literal

import torch
from torch import Tensor

from lorentzoo import Batch, Features, Head, ParticleCloud
from lorentzoo.nn import Activation, Columns, EventSteps, Pooling, Readout, mean_and_deviation, mean_loss
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.targets.combinations import CombinationName, find_combinations

__all__ = ["AmplitudeComponents"]

_LEAST_SQUARE: Final = 1e-300
"""Of a point of the circle in source code, so that zero has a direction."""


class AmplitudeComponents(Head):
    """Several amplitudes of an event, as linear combinations z = M x with a definite symmetry, standardised.

    Parameters
    ----------
    num_targets
        Numbers of each event; of complex ones real and imaginary parts in turn.
    form
        ``"real"``: (z_k - ⟨z_k⟩)/σ_k. ``"joint"``: z_k complex, less its mean, over one σ_k = ⟨|z_k - ⟨z_k⟩|²⟩^½ for both
        parts, so that no phase is preferred. ``"polar"``: the standardised ln|z_k|, and the phase as a point of the
        circle, which has no seam.
    combinations
        M: ``"none"``, ``"sum-difference"``, ``"bose"`` or the rows of an invertible matrix, see `find_combinations`; of
        complex numbers with real coefficients.
    pooling, hidden, dropout, activation
        As for `regress`.

    Raises
    ------
    AmplitudeError
        If the combinations do not fit, complex numbers have no imaginary part, or in fitting if one without modulus is
        wanted by its modulus.
    """

    task: ClassVar[str] = "regression"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_targets: int = 1,
        form: Literal["real", "joint", "polar"] = "real",
        combinations: CombinationName | Sequence[Sequence[float]] = "none",
        pooling: Pooling = "mean",
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        activation: Activation = "relu",
        *,
        in_scalars: int | None = None,
    ) -> None:
        super().__init__()
        if form != "real" and num_targets % 2:
            raise AmplitudeError(
                f"complex targets have real and imaginary parts in turn, but there are {num_targets} numbers; take "
                "form='real'"
            )
        self.num_targets, self.form, self.pooling = num_targets, form, pooling
        count = num_targets if form == "real" else num_targets // 2
        matrix = find_combinations(combinations, count)
        # No buffers: half precision would make them no longer inverse to each other.
        self.matrix, self.inverse = matrix, torch.linalg.inv(matrix)
        parts = {"real": 1, "joint": 2, "polar": 3}[form]
        self.readout = Readout(in_scalars, count * parts, hidden, dropout, activation)
        self.out_scalars = self.readout.wants
        centres = (count, 2) if form == "joint" else (count, 1)
        self.register_statistics(mean=torch.zeros(centres), std=torch.ones(count, 1))

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Means and deviations of the combinations, weighted by event."""
        batches = list(batches)
        weight = torch.cat([batch.weight for batch in batches])
        values = self._combine(torch.cat([batch.target for batch in batches]))
        if self.form == "polar":
            zero = (values.square().sum(-1) == 0).any(1) & (weight != 0)
            if bool(zero.any()):
                first = int(torch.cat([batch.event_id for batch in batches])[zero][0])
                raise AmplitudeError(
                    f"form='polar' takes the logarithm of the modulus, but an amplitude of event {first} is zero; take "
                    "form='joint', or leave such events out"
                )
            values = _log_modulus(values)
        mean, deviation = mean_and_deviation(values.flatten(1), weight)
        self.mean.copy_(mean.unflatten(0, (-1, values.shape[-1])))
        spread = deviation.unflatten(0, (-1, values.shape[-1])).square().sum(-1, keepdim=True).sqrt()
        self.std.copy_(spread)
        self.mark_fitted()

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """Standardised numbers, (B, K), (B, 2 K) or (B, 3 K) for K real or complex amplitudes."""
        output: Tensor = self.readout(features, cloud, self.pooling)
        return output

    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean squared error of the standardised numbers; of a phase the squared distance on the circle."""
        wanted = self.standardise_targets(target).to(output.dtype)
        return mean_loss((output - wanted).square().mean(-1), weight)

    def standardise_targets(self, target: Tensor) -> Tensor:
        """What the raw output should be, float64."""
        self.require_fitted()
        values = self._combine(target)
        if self.form != "polar":
            return ((values - self.mean.double()) / self.std.double()).flatten(1)
        modulus = values.norm(dim=-1, keepdim=True)
        tiny = torch.finfo(values.dtype).tiny
        logs = (_log_modulus(values) - self.mean.double()) / self.std.double()
        return torch.cat([logs, values / modulus.clamp(min=tiny)], dim=-1).flatten(1)

    def predict(self, output: Tensor) -> Tensor:
        """Targets in their own units, shape (B, num_targets)."""
        self.require_fitted()
        values = output.unflatten(-1, (len(self.matrix), -1))
        if self.form == "polar":
            point = values[..., 1:]
            unit = point / point.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(point.dtype).tiny)
            values = torch.exp(values[..., :1] * self.std + self.mean) * unit
        else:
            values = values * self.std + self.mean
        return (self.inverse.to(values) @ values).flatten(1)

    def write_steps(self, features: Columns, event: EventSteps) -> Columns:
        """Targets in their own units."""
        self.require_fitted()
        output = self.readout.write_steps(features, event)
        count, parts = len(self.matrix), 1 if self.form == "real" else 2
        inverse = torch.kron(self.inverse.double().contiguous(), torch.eye(parts, dtype=torch.float64))
        deviation = self.std.double().flatten()
        if self.form != "polar":
            weight = inverse * deviation.repeat_interleave(parts)
            return event.affine(output, weight, inverse @ self.mean.double().flatten(), exact=True)
        logs, *point = (output.take(range(part, 3 * count, 3)) for part in range(3))
        modulus = event.combine("exp", event.scale(logs, deviation, self.mean.double().flatten()))
        squares = [event.combine("multiply", each, each) for each in point]
        norm = event.combine("sqrt", event.combine("add", *squares, Columns((_LEAST_SQUARE,) * count)))
        unit = [event.combine("divide", each, norm) for each in point]
        values = sum((event.combine("multiply", modulus, each) for each in unit), Columns(()))
        places = [part * count + k for k in range(count) for part in range(2)]
        return event.affine(values.take(places), inverse, None, exact=True)

    def _combine(self, target: Tensor) -> Tensor:
        """Combinations (B, K, 1 or 2), float64, of targets (B, num_targets)."""
        if target.reshape(len(target), -1).shape[1] != self.num_targets:
            raise AmplitudeError(
                f"the head has num_targets={self.num_targets}, but the targets have shape {tuple(target.shape)}"
            )
        values = target.to(torch.float64).reshape(len(target), len(self.matrix), -1)
        return self.matrix.to(values) @ values


def _log_modulus(values: Tensor) -> Tensor:
    """ln|z|, (B, K, 2) to (B, K, 1)."""
    return values.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(values.dtype).tiny).log()
