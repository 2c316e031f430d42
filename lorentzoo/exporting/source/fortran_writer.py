"""How are steps written in Fortran 2008?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lorentzoo.core.errors import ExportError
from lorentzoo.core.steps import Column, Columns, Step
from lorentzoo.exporting.source.about import About
from lorentzoo.exporting.source.body import Body
from lorentzoo.exporting.source.parameters import HEADER_BYTES, VERSION
from lorentzoo.exporting.source.program import Program
from lorentzoo.exporting.source.text import fill_template, literal, select_tools

__all__ = ["write_fortran"]

_WIDEST = 120
"""Characters of a line, of 132 that the standard allows."""


def write_fortran(program: Program, about: About) -> str:
    """The source file, one module.

    Raises
    ------
    ExportError
        If a step is a function of which there is C source alone.
    """
    body = _FortranBody(program)
    body.write()
    context, single = program.num_context > 0, len(program.outputs) == 1
    keys = about.keys(program, c_style=False) | {
        "FILE_VERSION": str(VERSION),
        "HEADER": str(HEADER_BYTES),
        "CONTEXT_ARGUMENT": ", context" if context else "",
        "CONTEXT_DUMMY": ", context(:, :)" if context else "",
        "CONTEXT_ONE_DUMMY": ", context(lz_context)" if context else "",
        "CONTEXT_BLOCK_DUMMY": ", context(lz_context, events)" if context else "",
        "CONTEXT_BLOCK": ", context(:, start:final)" if context else "",
        "CONTEXT_ONE": ", reshape(context, [lz_context, 1])" if context else "",
        "CONTEXT_FINITE": " .and. all(ieee_is_finite(context(:, e)))" if context else "",
        # A single answer is a number, as in MadGraph.
        "ANS_ONE": "" if single else "(lz_outputs)",
        "FOUND_ONE": "(1, 1)" if single else "(:, 1)",
        "DECLARATIONS": "\n".join(f"    {line}" for line in body.declarations),
        "STEPS_CODE": "\n".join(_fold(f"    {line}") if line else "" for line in body.lines),
        "TOOLS": select_tools("tools.f90", body.tools),
    }
    return fill_template("network.f90", keys)


@dataclass
class _FortranBody(Body):
    """The subroutine that evaluates a block in Fortran, whose arrays are declared before its statements."""

    declarations: list[str] = field(default_factory=list)

    # ---- steps ------------------------------------------------------------------------------------

    def _input(self, number: int, step: Step) -> None:
        """They are arguments."""

    def _affine(self, number: int, step: Step) -> None:
        source = self._array(step.inputs[0], exact=step.exact)
        inputs = len(step.inputs[0])
        store = "exact" if step.exact else "weight"
        weight, bias = (self.program.offsets[number, name] for name in ("weight", "bias"))
        self._declare(number, step, f"W v + b: {inputs} to {step.width}")
        if step.exact:
            self.tools.add("exact_affine")
            numbers = f"exact({weight + 1}), exact({bias + 1}:{bias + step.width})"
            self._loop([f"call exact_affine({numbers}, {source}(:, e), v{number}(:, e))"])
            return
        self.tools.add("affine")
        numbers = f"{store}({weight + 1}), {store}({bias + 1})"
        self.lines.append(f"call affine({inputs}, {step.width}, events, {numbers}, {source}, v{number})")

    def _activation(self, number: int, step: Step) -> None:
        self.tools.add(step.kind)
        source = self._array(step.inputs[0], exact=False)
        self._declare(number, step, "")
        self.lines.append(f"v{number}(:, :events) = {step.kind}({source}(:, :events))")

    def _combine_arrays(self, number: int, step: Step, arrays: Sequence[str]) -> None:
        result = self._operation(step.settings["operation"], [f"{name}(:, :events)" for name in arrays])
        self.lines.append(f"v{number}(:, :events) = {result}")

    def _of_event(self, number: int, step: Step) -> None:
        """Steps that are done event by event, in double precision."""
        name, size = self._array(step.inputs[0], exact=True), len(step.inputs[0])
        source, out = f"{name}(:, e)", f"v{number}(:, e)"
        particles, settings = size // 4, step.settings
        momenta = f"reshape({source}, [4, {particles}])"
        at = {
            key: f"exact({self.program.offsets[number, key] + 1}:{self.program.offsets[number, key] + len(x)})"
            for key, x in step.numbers.items()
        }
        self._declare(number, step, step.kind.replace("_", " "))
        floors = f"{_real(settings['floor'])}, {_real(settings['tiny'])}" if "floor" in settings else ""
        tools = {step.kind}
        if step.kind in ("boost_to_rest", "order"):
            # Where momenta come out, they are an array of their own until they are a row again.
            self.declarations.append(f"real(real64) :: p{number}(0:3, {particles})")
            first = f"[{', '.join(map(str, settings['sizes']))}], " if step.kind == "order" else ""
            statements = [
                f"call {step.kind}({first}{momenta}, p{number})",
                f"{out} = reshape(p{number}, [{size}])",
            ]
        elif step.kind == "products":
            statements = [f"call products({momenta}, {out})"]
        elif step.kind == "log_products":
            statements = [f"call log_products({momenta}, {floors}, {out})"]
        elif step.kind == "mass_squared":
            statements = [f"v{number}(1, e) = mass_squared({momenta})"]
        elif step.kind == "log_masses":
            # Each system is its size and its members.
            entries = [x for system in settings["systems"] for x in (len(system), *(i + 1 for i in system))]
            table = f"[{', '.join(map(str, entries))}]"
            self.declarations.append(
                _fold(f"integer, parameter :: systems{number}({len(entries)}) = {table}", "    ")
            )
            statements = [f"call log_masses({momenta}, systems{number}, {floors}, {out})"]
        elif step.kind == "standardise":
            statements = [f"{out} = ({source} - {at['mean']}) / {at['deviation']}"]
            tools = set()
        elif step.kind == "scale":
            statements = [f"{out} = {source} * {at['factor']} + {at['shift']}"]
            tools = set()
        elif step.kind == "polynomial":
            call = f"polynomial({settings['degree']}, {at['coefficients']}, {source})"
            statements = [f"v{number}(1, e) = {call}"]
        else:
            raise ExportError(
                f"there is C source alone for {settings['name']!r}; take format='c', whose functions Fortran can call"
                if step.kind == "call_source"
                else f"the Fortran writer has no form of the step {step.kind!r}"
            )
        self.tools |= tools
        self._loop(statements)

    # ---- helpers ----------------------------------------------------------------------------------

    def _declare(self, number: int, step: Step, comment: str) -> None:
        if comment:
            self.lines += ["", f"! {comment}"]
        self.declarations.append(
            f"real({'real64' if step.exact else 'wp'}) :: v{number}({step.width}, block)"
        )

    def _loop(self, statements: list[str]) -> None:
        self.lines += ["do e = 1, events", *(f"  {line}" for line in statements), "end do"]

    def _name(self, step: int) -> str:
        kind = self.program.steps[step].kind
        return {"momenta": "p", "context": "context"}.get(kind, f"v{step}")

    def _item(self, array: str, place: int) -> str:
        return f"{array}({place + 1}, e)"

    def _answer(self, place: int) -> str:
        return f"ans({place + 1}, e)"

    def _literal(self, number: float) -> str:
        return _real(number)

    def _array(self, columns: Columns, *, exact: bool) -> str:
        """An array with the columns side by side."""
        found = self._whole(columns, exact=exact)
        if found:
            return found
        name, self.packed = f"x{self.packed}", self.packed + 1
        kind = "real64" if exact else "wp"
        self.declarations.append(f"real({kind}) :: {name}({len(columns)}, block)")
        self.lines.append("")
        statements, place = [], 0
        while place < len(columns):
            run, item = columns.count_adjacent(place), columns.items[place]
            if run > 2 and isinstance(item, Column):
                value = f"{self._name(item.step)}({item.place + 1}:{item.place + run}, e)"
                target = f"{name}({place + 1}:{place + run}, e)"
            else:
                run, value, target = 1, self._value(item), f"{name}({place + 1}, e)"
            statements.append(f"{target} = {value if exact else f'real({value}, wp)'}")
            place += run
        self._loop(statements)
        return name


def _real(number: float) -> str:
    return f"{literal(number)}_real64"


def _fold(line: str, indent: str = "") -> str:
    """A statement in lines that are short enough."""
    found = []
    while len(line) > _WIDEST:
        cut = line.rfind(" ", 0, _WIDEST)
        found.append(f"{line[:cut]} &")
        line = f"{indent}      {line[cut + 1 :]}"
    return "\n".join([*found, line])
