"""What is the same in every language that steps are written in?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from lorentzoo.core.steps import Column, Columns, Step
from lorentzoo.exporting.source.program import Program

__all__ = ["Body"]

_OPERATORS: Final = {"add": " + ", "multiply": " * ", "divide": " / "}
_ACTIVATIONS: Final = ("gelu", "relu", "silu")


@dataclass
class Body(ABC):
    """Statements that evaluate a block of events step by step, and the tools that they call.

    Attributes
    ----------
    program
        The steps.
    tools
        Names of the functions that are called.
    lines
        Statements so far.
    packed
        How many arrays were put together from columns of several steps.
    """

    program: Program
    tools: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    packed: int = 0

    end: ClassVar[str] = ""
    """Of a statement."""

    def write(self) -> None:
        """Statements of all steps, and of the answers."""
        writers: dict[str, Callable[[int, Step], None]] = {
            "momenta": self._input,
            "context": self._input,
            "affine": self._affine,
            "combine": self._combine,
            **dict.fromkeys(_ACTIVATIONS, self._activation),
        }
        for number, step in enumerate(self.program.steps):
            writers.get(step.kind, self._of_event)(number, step)
        self.lines.append("")
        outputs = enumerate(self.program.outputs.items)
        self._loop([f"{self._answer(k)} = {self._value(item)}{self.end}" for k, item in outputs])

    def _combine(self, number: int, step: Step) -> None:
        operation = step.settings["operation"]
        self._declare(number, step, operation.replace("_", " "))
        whole = [self._whole(columns, exact=step.exact) for columns in step.inputs]
        if all(whole) and step.width > 1:
            self._combine_arrays(number, step, whole)
            return
        rows = [[self._value(item) for item in columns.items] for columns in step.inputs]
        self._loop(
            [
                f"{self._item(f'v{number}', k)} = {self._operation(operation, operands)}{self.end}"
                for k, operands in enumerate(zip(*rows, strict=True))
            ]
        )

    def _operation(self, operation: str, operands: Sequence[str]) -> str:
        if operation in _OPERATORS:
            return _OPERATORS[operation].join(operands)
        if operation == "abs_log_inverse":
            self.tools.add(operation)
        return f"{operation}({operands[0]})"

    def _value(self, item: Column | float) -> str:
        if isinstance(item, Column):
            return self._item(self._name(item.step), item.place)
        return self._literal(item)

    def _whole(self, columns: Columns, *, exact: bool) -> str:
        """The array of a step, if the columns are all that it gives, in the type that is wanted; else nothing."""
        found = self.program.find_whole(columns, exact=exact)
        return "" if found is None else self._name(found)

    def _name(self, step: int) -> str:
        """The array of a step."""
        return f"v{step}"

    @abstractmethod
    def _input(self, number: int, step: Step) -> None: ...

    @abstractmethod
    def _affine(self, number: int, step: Step) -> None: ...

    @abstractmethod
    def _activation(self, number: int, step: Step) -> None: ...

    @abstractmethod
    def _combine_arrays(self, number: int, step: Step, arrays: Sequence[str]) -> None: ...

    @abstractmethod
    def _of_event(self, number: int, step: Step) -> None: ...

    @abstractmethod
    def _declare(self, number: int, step: Step, comment: str) -> None: ...

    @abstractmethod
    def _loop(self, statements: list[str]) -> None: ...

    @abstractmethod
    def _item(self, array: str, place: int) -> str: ...

    @abstractmethod
    def _answer(self, place: int) -> str: ...

    @abstractmethod
    def _literal(self, number: float) -> str: ...
