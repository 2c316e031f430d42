"""Which steps lead from the momenta of an event to a prediction?

A part that can say so has a method `write_steps`; plain source code in other languages is made of what it says. Steps are
few and small: affine maps, activations, invariants of momenta, an order of identical particles. What is the same for all
events, such as the scalars that say what the particles are, is a number already when steps are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lorentzoo.core.errors import ExportError

__all__ = [
    "ACTIVATIONS",
    "Column",
    "Columns",
    "EventSteps",
    "Operation",
    "Step",
    "StepsOfBackbone",
    "StepsOfEmbedding",
    "StepsOfHead",
]

Activation = Literal["gelu", "relu", "silu"]
Operation = Literal["add", "multiply", "divide", "log", "exp", "sqrt", "abs_log_inverse"]
"""Of columns, one by one; the last is sign(x) (exp|x| - 1)."""

ACTIVATIONS: Final[dict[type[nn.Module], Activation]] = {nn.GELU: "gelu", nn.ReLU: "relu", nn.SiLU: "silu"}


@dataclass(frozen=True)
class Column:
    """One number of an event: a place in what a step gives."""

    step: int
    place: int


@dataclass(frozen=True)
class Columns:
    """A row of numbers of an event, some of which may be the same for all events.

    Attributes
    ----------
    items
        A place in the values of a step, or a number.
    """

    items: tuple[Column | float, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __add__(self, other: Columns) -> Columns:
        return Columns(self.items + other.items)

    def count_adjacent(self, start: int) -> int:
        """How many of them, from one on, stand side by side in what a step gives; 1 where that one is a number."""
        first, count = self.items[start], 1
        while (
            isinstance(first, Column)
            and start + count < len(self)
            and self.items[start + count] == Column(first.step, first.place + count)
        ):
            count += 1
        return count

    def replace(self, places: Sequence[int], by: Columns) -> Columns:
        """With others at some places."""
        items = list(self.items)
        for place, item in zip(places, by.items, strict=True):
            items[place] = item
        return Columns(tuple(items))

    def take(self, places: Iterable[int]) -> Columns:
        """Some of them, in this order."""
        return Columns(tuple(self.items[place] for place in places))


@dataclass(frozen=True)
class Step:
    """What is done to some columns.

    Attributes
    ----------
    kind
        Name of the operation, as the methods of `EventSteps` have them.
    inputs
        Columns that are read.
    width
        How many numbers it gives.
    exact
        Whether it is in float64, whatever the type of the network's numbers is.
    numbers
        Tensors that it needs, by name, float64.
    settings
        Further settings, plain data.
    """

    kind: str
    inputs: tuple[Columns, ...]
    width: int
    exact: bool
    numbers: dict[str, Tensor] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EventSteps:
    """An event as parts see it, and the steps so far.

    Attributes
    ----------
    momenta
        Four columns (E, px, py, pz) a particle, as the part before leaves them; at first in GeV.
    scalars
        What the particles are, shape (N, S), float64, the same for all events.
    scalar_names
        Names of the scalars.
    context
        Columns of the event.
    steps
        In order, shared by all copies.
    """

    momenta: Columns
    scalars: Tensor
    scalar_names: tuple[str, ...]
    context: Columns
    steps: list[Step]

    @classmethod
    def start(cls, scalars: Tensor, scalar_names: Sequence[str], num_context: int) -> EventSteps:
        """An event of N particles with scalars (N, S) and some numbers of its own."""
        steps: list[Step] = []
        event = cls(Columns(()), scalars.double(), tuple(scalar_names), Columns(()), steps)
        momenta = event._write("momenta", (), 4 * len(scalars), exact=True)
        context = event._write("context", (), num_context, exact=True)
        return cls(momenta, scalars.double(), tuple(scalar_names), context, steps)

    @property
    def num_particles(self) -> int:
        """Particles of the event."""
        return len(self.momenta) // 4

    # ---- momenta ----------------------------------------------------------------------------------

    def boost_to_rest(self, momenta: Columns) -> Columns:
        """All momenta in the rest frame of their sum, which is kept from the light cone."""
        return self._write("boost_to_rest", (momenta,), len(momenta), exact=True)

    def order(self, momenta: Columns, groups: Sequence[Sequence[int]]) -> Columns:
        """Particles of each group in a row, by falling Σ_j (p_i·p_j)²; groups follow each other."""
        flat = [place for group in groups for place in group]
        chosen = momenta.take(4 * place + c for place in flat for c in range(4))
        if all(len(group) == 1 for group in groups):
            return chosen
        sizes = [len(group) for group in groups]
        return self._write("order", (chosen,), len(chosen), exact=True, sizes=sizes)

    def products(self, momenta: Columns) -> Columns:
        """p_i·p_j of all pairs i < j."""
        count = len(momenta) // 4
        return self._write("products", (momenta,), count * (count - 1) // 2, exact=True)

    def log_products(self, momenta: Columns, floor: float, tiny: float) -> Columns:
        """ln p_i·p_j of all pairs, not below `floor` times the largest of the event, nor that below `tiny`."""
        count = len(momenta) // 4
        width = count * (count - 1) // 2
        return self._write("log_products", (momenta,), width, exact=True, floor=floor, tiny=tiny)

    def log_masses(
        self, momenta: Columns, systems: Sequence[Sequence[int]], floor: float, tiny: float
    ) -> Columns:
        """ln |(Σ ±p)²| of systems, with a minus for the two particles of largest p_i·p_j; floors as before."""
        return self._write(
            "log_masses",
            (momenta,),
            len(systems),
            exact=True,
            systems=[list(system) for system in systems],
            floor=floor,
            tiny=tiny,
        )

    def mass_squared(self, momenta: Columns) -> Columns:
        """(E - |p|)(E + |p|) of the sum of momenta."""
        return self._write("mass_squared", (momenta,), 1, exact=True)

    def call_source(self, momenta: Columns, name: str, source: str) -> Columns:
        """A function ``double name(const double *p)`` of momenta, which C source defines."""
        return self._write("call_source", (momenta,), 1, exact=True, name=name, source=source)

    # ---- numbers ----------------------------------------------------------------------------------

    def scale(self, columns: Columns, factor: Tensor, shift: Tensor) -> Columns:
        """x · factor + shift, column by column, in float64."""
        numbers = {"factor": factor.double(), "shift": shift.double()}
        return self._write("scale", (columns,), len(columns), exact=True, numbers=numbers)

    def standardise(self, columns: Columns, mean: Tensor, deviation: Tensor) -> Columns:
        """(x - mean)/deviation, column by column, in float64."""
        numbers = {"mean": mean.double(), "deviation": deviation.double()}
        return self._write("standardise", (columns,), len(columns), exact=True, numbers=numbers)

    def affine(
        self, columns: Columns, weight: Tensor, bias: Tensor | None, *, exact: bool = False
    ) -> Columns:
        """W x + b; columns that are numbers become part of b. Shapes (out, in) and (out,)."""
        weight = weight.detach().double()
        total = weight.new_zeros(len(weight)) if bias is None else bias.detach().double()
        free = [place for place, item in enumerate(columns.items) if isinstance(item, Column)]
        fixed = [(place, item) for place, item in enumerate(columns.items) if not isinstance(item, Column)]
        for place, number in fixed:
            total = total + weight[:, place] * number
        if not free:
            return Columns(tuple(total.tolist()))
        numbers = {"weight": weight[:, free], "bias": total}
        return self._write("affine", (columns.take(free),), len(weight), exact=exact, numbers=numbers)

    def activate(self, columns: Columns, activation: nn.Module) -> Columns:
        """An activation of each column.

        Raises
        ------
        ExportError
            If it is none of those that source code has.
        """
        name = ACTIVATIONS.get(type(activation))
        if name is None or getattr(activation, "approximate", "none") != "none":
            raise ExportError(
                f"source code has no form of the activation {activation}; there are {', '.join(ACTIVATIONS.values())}"
            )
        # Rarely, all of them are numbers, where nothing of an event is read.
        fixed = [item for item in columns.items if not isinstance(item, Column)]
        if len(fixed) == len(columns):
            return Columns(tuple(activation(torch.tensor(fixed, dtype=torch.float64)).tolist()))
        return self._write(name, (columns,), len(columns), exact=False)

    def run_layers(self, columns: Columns, layers: Iterable[nn.Module]) -> Columns:
        """Linear layers, activations and dropout, one after the other."""
        for layer in layers:
            if isinstance(layer, nn.Linear):
                columns = self.affine(columns, layer.weight, layer.bias)
            elif not isinstance(layer, nn.Dropout | nn.Identity):
                columns = self.activate(columns, layer)
        return columns

    def combine(self, operation: Operation, *operands: Columns, exact: bool = True) -> Columns:
        """An operation on columns of equal number, one by one; sums and products take any number of operands."""
        return self._write("combine", operands, len(operands[0]), exact=exact, operation=operation)

    def polynomial(self, columns: Columns, degree: int, coefficients: Tensor) -> Columns:
        """Σ_k c_k x^k over all monomials up to a degree, which follow by degree and lexicographically by factors."""
        numbers = {"coefficients": coefficients.detach().double()}
        return self._write("polynomial", (columns,), 1, exact=True, numbers=numbers, degree=degree)

    # ---- helpers ----------------------------------------------------------------------------------

    def _write(
        self,
        kind: str,
        inputs: tuple[Columns, ...],
        width: int,
        *,
        exact: bool,
        numbers: dict[str, Tensor] | None = None,
        **settings: Any,
    ) -> Columns:
        self.steps.append(Step(kind, inputs, width, exact, numbers or {}, settings))
        return Columns(tuple(Column(len(self.steps) - 1, place) for place in range(width)))


@runtime_checkable
class StepsOfEmbedding(Protocol):
    """An embedding that says its steps."""

    def write_steps(self, event: EventSteps) -> EventSteps:
        """The event as backbones see it."""


@runtime_checkable
class StepsOfBackbone(Protocol):
    """A backbone that pools and says its steps."""

    def write_steps(self, event: EventSteps) -> Columns:
        """Its scalars of an event."""


@runtime_checkable
class StepsOfHead(Protocol):
    """A head that says its steps."""

    def write_steps(self, features: Columns, event: EventSteps) -> Columns:
        """Its prediction; the event's momenta are those of the laboratory, in GeV."""
