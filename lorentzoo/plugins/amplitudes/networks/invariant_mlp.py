"""What does a perceptron make of the invariants of an event?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout, Symmetry
from lorentzoo.nn import Activation, Columns, EventSteps, Standardised, stable_argsort
from lorentzoo.plugins.amplitudes.invariants import (
    log_masses,
    log_products,
    pairs_of,
    systems_of,
    systems_present,
    write_invariants,
)
from lorentzoo.plugins.amplitudes.ordering import group_kinds, kind_codes, order_particles

__all__ = ["EventInvariants", "InvariantMLP"]

_ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


class EventInvariants(Standardised, Backbone):
    """Standardised logarithms of invariants of an event, ln p_i·p_j of all pairs and more; nothing here is learned.

    Parameters
    ----------
    num_particles
        Particles of an event that are read; of fewer the products are zero (the mean), further ones are left out.
    order
        ``"invariants"``: particles of each kind, told by the scalars, are put in an order that depends on invariants
        alone, so that the result depends on no order of input. ``"input"``: as they come.
    masses
        Whether the virtualities ln |(Σ ±p)²| of all systems of particles are read too, see `log_masses`.
    read_scalars
        Whether the scalars of the particles and which places are taken are read too, as joint sets of several
        multiplicities need; and the context, which tells processes apart.
    read_momenta
        Whether the momenta themselves are read too, as each frame sees them: then the symmetry is that of the frames.

    Raises
    ------
    ValueError
        If it is not given the momenta and nothing else as vectors.
    """

    equivariant = True
    pools = True
    reads_vectors = "pairs"
    reads_context = True
    spurion_modes = ("drop",)

    def __init__(
        self,
        num_particles: int = 7,
        order: Literal["invariants", "input"] = "invariants",
        masses: bool = False,
        read_scalars: bool = True,
        read_momenta: bool = False,
        *,
        in_scalars: int = 0,
        in_vectors: int = 1,
        in_context: int = 0,
    ) -> None:
        super().__init__()
        if in_vectors != 1:
            raise ValueError("invariants need the momenta, and nothing else, as vectors: embedding 'momenta'")
        if num_particles < 2:
            raise ValueError(
                f"num_particles must be at least 2, of which there are pairs, not {num_particles}"
            )
        self.num_particles = num_particles
        self.order = order
        self.masses = masses
        self.read_scalars = read_scalars
        self.read_momenta = read_momenta
        self.equivariant = not read_momenta  # type: ignore[misc]
        self.permutation_symmetric = order == "invariants"  # type: ignore[misc]
        invariants = len(pairs_of(num_particles)[0]) + (len(systems_of(num_particles)) if masses else 0)
        self.register_standardisation(invariants)
        self.width = (
            invariants
            + (num_particles * (in_scalars + 1) + in_context if read_scalars else 0)
            + (4 * num_particles if read_momenta else 0)
        )

    @property
    def symmetry(self) -> Symmetry:
        """Everything, unless the momenta are read."""
        return Symmetry.trivial() if self.read_momenta else Symmetry.full()

    @property
    def vector_symmetry(self) -> Symmetry:
        """As `symmetry`."""
        return self.symmetry

    def fit_inputs(self, inputs: Iterable[tuple[Features, Frames, Layout]]) -> None:
        """Mean and deviation of each product, over the events that have its particles."""
        found, counted = [], []
        for features, frames, layout in inputs:
            momenta, _, _, mask = self._arrange(features, frames, layout)
            values, present = self._invariants(momenta, mask)
            found.append(values)
            counted.append(present)
        values, share = torch.cat(found), torch.cat(counted).to(torch.float64)
        number = share.sum(0).clamp(min=1)
        mean = (share * values).sum(0) / number
        deviation = ((share * (values - mean).square()).sum(0) / number).sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)))
        self.mark_fitted()

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars of each event, (B, width)."""
        return Features.of_scalars(self.read(features, frames, layout, context))

    def read(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Tensor:
        """The numbers of each event, (B, width)."""
        momenta, seen, scalars, mask = self._arrange(features, frames, layout)
        logs, present = self._invariants(momenta, mask)
        values = self.standardise_values(logs)
        values = torch.where(present, values, torch.zeros_like(values)).to(scalars.dtype)
        columns = [values]
        if self.read_scalars:
            columns += [scalars.flatten(1), mask.to(scalars.dtype), context.to(scalars.dtype)]
        if self.read_momenta:
            columns.append(seen.to(scalars.dtype).flatten(1))
        return torch.cat(columns, dim=-1)

    def write_steps(self, event: EventSteps) -> Columns:
        """The numbers of an event."""
        self.require_fitted()
        groups = (
            group_kinds(event.scalars)
            if self.order == "invariants"
            else [[i] for i in range(event.num_particles)]
        )
        momenta, total = event.order(event.momenta, groups), self.num_particles
        places = [place for group in groups for place in group][:total]
        momenta = momenta.take(range(4 * len(places)))
        logs, present = write_invariants(event, momenta, total, masses=self.masses)
        known = event.standardise(logs, self.mean[present], self.deviation[present])
        columns: list[Columns] = [Columns((0.0,) * len(self.mean)).replace(present, known)]
        missing = total - len(places)
        if self.read_scalars:
            scalars = event.scalars[places].flatten().tolist() + [0.0] * missing * event.scalars.shape[1]
            mask = [1.0] * len(places) + [0.0] * missing
            columns += [Columns((*scalars, *mask)), event.context]
        if self.read_momenta:
            columns += [momenta, Columns((0.0,) * (4 * missing))]
        return sum(columns, Columns(()))

    def _arrange(
        self, features: Features, frames: Frames, layout: Layout
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Momenta in one frame and as each frame sees them, scalars and mask of N = `num_particles` places, in order.

        Shapes (B, N, 4) twice, (B, N, S) and (B, N).
        """
        vectors = features.vectors.to(torch.float64)
        given = vectors.squeeze(-2)
        if self.read_momenta:
            # Products are of vectors in one frame; an equivariant backbone is given these.
            given = torch.cat([frames.return_vectors(vectors).squeeze(-2), given], dim=-1)
        rows = torch.cat([given, features.scalars.to(torch.float64), torch.ones_like(given[..., :1])], dim=-1)
        rows = layout.pad(rows)
        mask = rows[..., -1] > 0
        if self.order == "invariants":
            places = order_particles(rows[..., :4], kind_codes(rows[..., given.shape[-1] : -1]), mask)
        else:
            places = stable_argsort((~mask).to(torch.int8), dim=1)
        rows = rows.gather(1, places.unsqueeze(-1).expand_as(rows))
        # In an export the number of particles is a symbol, which must not be compared.
        exporting = torch.compiler.is_exporting()
        missing = self.num_particles if exporting else max(self.num_particles - rows.shape[1], 0)
        rows = F.pad(rows, (0, 0, 0, missing))[:, : self.num_particles]
        wide = given.shape[-1]
        scalars = rows[..., wide:-1].to(features.scalars.dtype)
        return rows[..., :4], rows[..., wide - 4 : wide], scalars, rows[..., -1] > 0

    def _invariants(self, momenta: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms of the invariants, and whether all of their particles are there, (B, invariants)."""
        first, second = (list(places) for places in pairs_of(self.num_particles))
        logs, present = log_products(momenta, mask), mask[:, first] & mask[:, second]
        if not self.masses:
            return logs, present
        return (
            torch.cat([logs, log_masses(momenta, mask)], dim=1),
            torch.cat([present, systems_present(mask)], dim=1),
        )


class InvariantMLP(EventInvariants):
    """Perceptron on the logarithms of all products of momenta of an event, and on what `EventInvariants` reads besides.

    Parameters
    ----------
    num_particles, order, masses, read_scalars, read_momenta
        As for `EventInvariants`.
    hidden
        Widths of the layers, each followed by the activation.
    skip
        Skip connections around layers of equal width, h + σ(W h + b), as in arXiv:2302.00753.
    activation
        ``"gelu"``, ``"relu"`` or ``"silu"``.
    """

    def __init__(
        self,
        num_particles: int = 7,
        hidden: Sequence[int] = (64, 64, 64),
        order: Literal["invariants", "input"] = "invariants",
        masses: bool = False,
        read_scalars: bool = True,
        read_momenta: bool = False,
        skip: bool = False,
        activation: Activation = "gelu",
        *,
        in_scalars: int = 0,
        in_vectors: int = 1,
        in_context: int = 0,
    ) -> None:
        super().__init__(
            num_particles,
            order,
            masses,
            read_scalars,
            read_momenta,
            in_scalars=in_scalars,
            in_vectors=in_vectors,
            in_context=in_context,
        )
        if not hidden or min(hidden) < 1:
            raise ValueError(f"hidden needs at least one layer, none empty, not {list(hidden)}")
        widths = [self.width, *hidden]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.activation = _ACTIVATIONS[activation]()
        self.skip = skip
        self.width = widths[-1]

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars of each event, (B, width)."""
        x = self.read(features, frames, layout, context)
        for layer in self.layers:
            out = self.activation(layer(x))
            x = x + out if self.skip and out.shape == x.shape else out
        return Features.of_scalars(x)

    def write_steps(self, event: EventSteps) -> Columns:
        """The layers on the numbers of an event."""
        x = super().write_steps(event)
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            out = event.activate(event.affine(x, layer.weight, layer.bias), self.activation)
            x = event.combine("add", x, out, exact=False) if self.skip and len(out) == len(x) else out
        return x
