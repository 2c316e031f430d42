"""What is known of an amplitude before a network learns the rest?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from lorentzoo import ParticleCloud
from lorentzoo.nn import Columns, EventSteps, NotFittedError
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.processes import find_process
from lorentzoo.plugins.amplitudes.targets.factors import FACTORS, MOST_GLUONS, log_factors, write_factors

__all__ = ["Factorised", "Reference", "Tree"]

_LEAST_EVENTS: Final = 10
"""Events of a multiplicity from which its factors are fitted."""


class Reference(nn.Module, ABC):
    """A positive function R of the momenta of an event, some of whose numbers may be fitted to a training set.

    Attributes
    ----------
    permutation_symmetric
        Whether the order of the particles is without meaning.
    exportable
        True, or the reason why it is no graph.
    """

    permutation_symmetric: ClassVar[bool] = True
    exportable: ClassVar[bool | str] = True
    fitted: Tensor

    def register_statistics(self, **buffers: Tensor) -> None:
        """Declare fitted numbers and their flag, as parts of models do."""
        self.register_buffer("fitted", torch.tensor(False))
        for name, value in buffers.items():
            self.register_buffer(name, value)

    def require_fitted(self) -> None:
        """Refuse to be evaluated before it was fitted.

        Raises
        ------
        NotFittedError
            Naming the reference and the remedy.
        """
        if not torch.compiler.is_compiling() and not bool(self.fitted):
            raise NotFittedError(
                f"the reference {type(self).__name__} was not fitted to data; call model.fit_statistics(loader) once "
                "before the first step, or load a trained model"
            )

    def fit(self, clouds: Sequence[ParticleCloud], logs: Sequence[Tensor]) -> None:
        """Fit ln R to ln|x|; those that have nothing to be fitted do nothing.

        Parameters
        ----------
        clouds
            Events in GeV.
        logs
            ln|x| of each of them, (B,) float64; NaN where an event is not to be counted.
        """

    @abstractmethod
    def evaluate(self, cloud: ParticleCloud) -> Tensor:
        """ln R of each event, shape (B,), float64."""


class Tree(Reference):
    """The exact |M|² of a process at tree level."""

    exportable = "the exact |M|² is a sum over complex currents, for which graphs have no numbers"

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = find_process(process)

    def evaluate(self, cloud: ParticleCloud) -> Tensor:
        """ln |M|²; all events must have as many particles."""
        momenta = cloud.layout.pad(cloud.momenta.to(torch.float64))
        if bool((cloud.layout.counts() != momenta.shape[1]).any()):
            raise AmplitudeError("reference='tree' needs events with equally many particles")
        return self.process.squared(momenta).log()

    def write_steps(self, event: EventSteps) -> Columns:
        """ln |M|², by C source."""
        multiplicity = event.num_particles - len(self.process.incoming) - len(self.process.outgoing)
        name = f"tree_{self.process.name.replace('-', '_')}_{multiplicity}"
        source = self.process.write_source(name, multiplicity)
        return event.combine("log", event.call_source(event.momenta, name, source))


class Factorised(Reference):
    """A product of powers of the factors of soft and collinear emission for q q̄ → Z + n g, fitted for each n.

    ``ln R = c_n + Σ_k a_nk ln F_k`` with the factors of `log_factors`, by least squares.

    Parameters
    ----------
    further
        A reference with nothing to be fitted, which is one more factor.
    """

    coefficients: Tensor

    def __init__(self, further: Reference | None = None) -> None:
        super().__init__()
        self.further = further
        if further is not None:
            self.exportable = further.exportable  # type: ignore[misc]
        # Of the constant and the factors, by number of gluons.
        shape = (MOST_GLUONS + 1, 1 + len(FACTORS) + (further is not None))
        self.register_statistics(coefficients=torch.full(shape, torch.nan, dtype=torch.float64))

    def fit(self, clouds: Sequence[ParticleCloud], logs: Sequence[Tensor]) -> None:
        """Fit the powers of the factors by least squares."""
        found = [self._evaluate_factors(cloud) for cloud in clouds]
        factors = torch.cat([values for values, _ in found])
        gluons = torch.cat([number for _, number in found])
        target = torch.cat(list(logs)).unsqueeze(-1)
        counted = torch.isfinite(target.squeeze(-1))
        self.coefficients.fill_(torch.nan)
        for number in range(1, MOST_GLUONS + 1):
            chosen = counted & (gluons == number)
            if int(chosen.sum()) < _LEAST_EVENTS:
                continue
            columns = torch.cat([torch.ones_like(target[chosen]), factors[chosen]], dim=-1)
            # Of least norm where factors depend on each other, as at a single energy.
            solution = torch.linalg.lstsq(columns, target[chosen], driver="gelsd").solution
            self.coefficients[number] = solution.squeeze(-1)
        self.fitted.fill_(True)

    def evaluate(self, cloud: ParticleCloud) -> Tensor:
        """ln R of each event, (B,)."""
        self.require_fitted()
        factors, gluons = self._evaluate_factors(cloud)
        rows = self.coefficients[gluons]
        unknown = torch.isnan(rows).any(-1)
        # A graph gives NaN.
        if not torch.compiler.is_compiling() and bool(unknown.any()):
            raise AmplitudeError(
                f"the reference was fitted to no (or fewer than {_LEAST_EVENTS}) events of "
                f"{int(gluons[unknown][0])} gluons; put some in the training set, or take reference='none'"
            )
        return rows[:, 0] + (rows[:, 1:] * factors).sum(-1)

    def _evaluate_factors(self, cloud: ParticleCloud) -> tuple[Tensor, Tensor]:
        """Logarithms of all factors, and the number of gluons. Shapes (B, F), (B,)."""
        factors, gluons = log_factors(cloud)
        if self.further is not None:
            factors = torch.cat([factors, self.further.evaluate(cloud).unsqueeze(-1)], dim=-1)
        return factors, gluons

    def write_steps(self, event: EventSteps) -> Columns:
        """ln R."""
        self.require_fitted()
        factors, gluons = write_factors(event)
        if self.further is not None:
            factors = factors + self.further.write_steps(event)  # type: ignore[operator]
        row = self.coefficients[gluons].double()
        if bool(torch.isnan(row).any()):
            raise AmplitudeError(
                f"the reference was fitted to no (or fewer than {_LEAST_EVENTS}) events of {gluons} gluons"
            )
        return event.affine(factors, row[1:].unsqueeze(0), row[:1], exact=True)
