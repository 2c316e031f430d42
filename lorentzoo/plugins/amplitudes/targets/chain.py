"""How do several references make one?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lorentzoo import Batch, ParticleCloud
from lorentzoo.nn import Columns, EventSteps
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.targets.dipoles import Dipoles
from lorentzoo.plugins.amplitudes.targets.polynomial import LogPolynomial
from lorentzoo.plugins.amplitudes.targets.references import Factorised, Reference, Tree

__all__ = ["ReferenceName", "References", "amplitude_column"]

ReferenceName = Literal["none", "factorised", "log-polynomial", "tree", "dipoles", "fitted-dipoles"]


class References(nn.ModuleList):
    """A product of references, each fitted to what those before it leave; 1 without any.

    Parameters
    ----------
    names
        One or several, once each; ``"none"`` stands alone.
    process
        Name of the process, for ``"tree"``.
    degree, identical, num_particles
        Of ``"log-polynomial"``.
    stop
        Of ``"dipoles"`` and ``"fitted-dipoles"``.

    Raises
    ------
    AmplitudeError
        If the reference needs a process and has none, or the other way round, or there is no such process or reference.
    """

    def __init__(
        self,
        names: ReferenceName | Sequence[ReferenceName],
        process: str | None,
        degree: int,
        identical: Literal["ordered", "averaged"],
        num_particles: int,
        stop: int,
    ) -> None:
        super().__init__()
        given = [names] if isinstance(names, str) else list(names)
        if len(set(given)) < len(given) or not given or (len(given) > 1 and "none" in given):
            raise AmplitudeError(f"references are named once each, and 'none' stands alone: {given} given")
        if ("tree" in given) != (process is not None):
            raise AmplitudeError(
                f"reference='tree' and the name of a process go together; given are {names!r} and {process!r}"
            )
        for name in given:
            if name not in get_args(ReferenceName):
                raise AmplitudeError(
                    f"there is no reference {name!r}; known are {', '.join(get_args(ReferenceName))}"
                )
            if name == "factorised":
                self.append(Factorised())
            elif name == "log-polynomial":
                self.append(LogPolynomial(degree, identical, num_particles))
            elif name == "dipoles":
                self.append(Dipoles(stop))
            elif name == "fitted-dipoles":
                self.append(Factorised(Dipoles(stop)))
            elif name == "tree":
                assert process is not None
                self.append(Tree(process))

    @property
    def exportable(self) -> bool | str:
        """True, or the first reason of a reference."""
        for reference in self:
            assert isinstance(reference, Reference)
            if reference.exportable is not True:
                return reference.exportable
        return True

    def fit(self, batches: Iterable[Batch]) -> list[Tensor]:
        """Fit each to ln|x| over those before it, and give ln R of each batch, (B,)."""
        batches = list(batches)
        clouds = [batch.cloud for batch in batches]
        left = []
        for batch in batches:
            target = amplitude_column(batch.target).squeeze(-1)
            left.append(torch.where((target != 0) & (batch.weight != 0), target.abs().log(), torch.nan))
        total = [torch.zeros_like(log) for log in left]
        for reference in self:
            assert isinstance(reference, Reference)
            reference.fit(clouds, left)
            logs = [reference.evaluate(cloud) for cloud in clouds]
            left = [before - log for before, log in zip(left, logs, strict=True)]
            total = [before + log for before, log in zip(total, logs, strict=True)]
        return total

    def write_steps(self, event: EventSteps) -> Columns:
        """ln R."""
        logs = [reference.write_steps(event) for reference in self]  # type: ignore[operator]
        return event.combine("add", *logs)

    def evaluate(self, cloud: ParticleCloud) -> Tensor:
        """ln R of each event, shape (B,), float64."""
        total = torch.zeros(cloud.layout.num_events, dtype=torch.float64, device=cloud.momenta.device)
        for reference in self:
            assert isinstance(reference, Reference)
            total = total + reference.evaluate(cloud)
        return total


def amplitude_column(target: Tensor) -> Tensor:
    """Targets (B,) or (B, 1) as (B, 1), float64.

    Raises
    ------
    AmplitudeError
        If there are several numbers an event.
    """
    if target.ndim > 2 or target.numel() != len(target):
        raise AmplitudeError(
            f"an amplitude is one number an event, but the targets have shape {tuple(target.shape)}"
        )
    return target.double().reshape(-1, 1)
