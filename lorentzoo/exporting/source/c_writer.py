"""How are steps written in C99?"""

from __future__ import annotations

from collections.abc import Sequence

from lorentzoo.core.errors import ExportError
from lorentzoo.core.steps import Column, Columns, Step
from lorentzoo.exporting.source.about import About
from lorentzoo.exporting.source.body import Body
from lorentzoo.exporting.source.parameters import HEADER_BYTES, VERSION
from lorentzoo.exporting.source.program import Program
from lorentzoo.exporting.source.text import fill_template, literal, select_tools

__all__ = ["write_c", "write_header"]


def write_header(program: Program, about: About) -> str:
    """The header file."""
    names = " and ".join(f"ans[e][{k}] {name}" for k, name in enumerate(about.target_names))
    complex_form = (
        f"\n/* {names} are those of one complex number: ans may point to `double _Complex`, "
        "`std::complex<double>`\n * or, in Fortran, to a COMPLEX(KIND=8). */"
        if about.is_complex
        else ""
    )
    return fill_template("network.h", about.keys(program, c_style=True) | {"COMPLEX": complex_form})


def write_c(program: Program, about: About) -> str:
    """The source file."""
    body = _CBody(program)
    body.write()
    context = program.num_context
    finite = (
        "            for (int k = 0; k < LZ_CONTEXT; ++k) "
        "finite &= isfinite(context[(begin + e) * LZ_CONTEXT + k]) != 0;\n"
        if context
        else ""
    )
    own = "\n".join(
        dict.fromkeys(step.settings["source"] for step in program.steps if "source" in step.settings)
    )
    keys = about.keys(program, c_style=True) | {
        "FILE_VERSION": str(VERSION),
        "HEADER": str(HEADER_BYTES),
        "CONTEXT_PARAMETER": ", const double *context" if context else "",
        "CONTEXT_ARGUMENT": ", context" if context else "",
        "CONTEXT_BLOCK": ", context + begin * LZ_CONTEXT" if context else "",
        "CONTEXT_FINITE": finite,
        "TOOLS": select_tools("tools.c", body.tools) + own,
        "STEPS_CODE": "\n".join(f"    {line}" if line else "" for line in body.lines),
    }
    return fill_template("network.c", keys)


class _CBody(Body):
    """The function that evaluates a block in C."""

    end = ";"

    # ---- steps ------------------------------------------------------------------------------------

    def _input(self, number: int, step: Step) -> None:
        name = {"momenta": "p"}.get(step.kind, step.kind)
        if step.width:
            self.lines.append(
                f"const double(*const v{number})[{step.width}] = (const double(*)[{step.width}]){name};"
            )

    def _affine(self, number: int, step: Step) -> None:
        source = self._array(step.inputs[0], exact=step.exact)
        sizes = f"{len(step.inputs[0])}, {step.width}"
        store = "exact" if step.exact else "weight"
        weight, bias = (f"{store} + {self.program.offsets[number, name]}" for name in ("weight", "bias"))
        self._declare(number, step, f"W v + b: {len(step.inputs[0])} to {step.width}")
        if step.exact:
            self.tools.add("exact_affine")
            self._loop([f"exact_affine({sizes}, {weight}, {bias}, {source}[e], v{number}[e]);"])
        else:
            self.tools.add("affine")
            self.lines.append(f"affine(events, {sizes}, {weight}, {bias}, {source}[0], v{number}[0]);")

    def _activation(self, number: int, step: Step) -> None:
        self.tools.add(step.kind)
        source = self._array(step.inputs[0], exact=False)
        self._declare(number, step, "")
        self.lines.append(f"{step.kind}(events * {step.width}, {source}[0], v{number}[0]);")

    def _combine_arrays(self, number: int, step: Step, arrays: Sequence[str]) -> None:
        result = self._operation(step.settings["operation"], [f"{name}[e][k]" for name in arrays])
        self._loop([f"for (int k = 0; k < {step.width}; ++k) v{number}[e][k] = {result};"])

    def _of_event(self, number: int, step: Step) -> None:
        """Steps that a tool does event by event, in double precision."""
        source = f"{self._array(step.inputs[0], exact=True)}[e]"
        out, size = f"v{number}[e]", len(step.inputs[0])
        at = {name: f"exact + {self.program.offsets[number, name]}" for name in step.numbers}
        settings, particles = step.settings, size // 4
        self._declare(number, step, step.kind.replace("_", " "))
        if step.kind == "call_source":
            self._loop([f"v{number}[e][0] = {settings['name']}({source});"])
            return
        self.tools.add(step.kind)
        floors = f"{literal(settings['floor'])}, {literal(settings['tiny'])}" if "floor" in settings else ""
        if step.kind in ("boost_to_rest", "products"):
            call = f"{step.kind}({particles}, {source}, {out});"
        elif step.kind == "log_products":
            call = f"log_products({particles}, {source}, {floors}, {out});"
        elif step.kind == "mass_squared":
            call = f"v{number}[e][0] = mass_squared({particles}, {source});"
        elif step.kind == "order":
            table = self._table(f"groups{number}", settings["sizes"])
            call = f"order({len(settings['sizes'])}, {table}, {particles}, {source}, {out});"
        elif step.kind == "log_masses":
            systems = settings["systems"]
            # Each system is its size and its members.
            table = self._table(f"systems{number}", [x for system in systems for x in (len(system), *system)])
            call = f"log_masses({particles}, {source}, {len(systems)}, {table}, {floors}, {out});"
        elif step.kind == "standardise":
            call = f"standardise({size}, {at['mean']}, {at['deviation']}, {source}, {out});"
        elif step.kind == "scale":
            call = f"scale({size}, {at['factor']}, {at['shift']}, {source}, {out});"
        elif step.kind == "polynomial":
            count = len(step.numbers["coefficients"])
            self.lines += [f"double monomials{number}[{count}];", f"int last{number}[{count}];"]
            call = (
                f"v{number}[e][0] = polynomial({size}, {settings['degree']}, {count}, {at['coefficients']}, {source}, "
                f"monomials{number}, last{number});"
            )
        else:
            raise ExportError(f"the C writer has no form of the step {step.kind!r}")
        self._loop([call])

    # ---- helpers ----------------------------------------------------------------------------------

    def _declare(self, number: int, step: Step, comment: str) -> None:
        if comment:
            self.lines += ["", f"/* {comment} */"]
        kind = "double" if step.exact else "real"
        self.lines.append(f"{kind} v{number}[BLOCK][{step.width}];")

    def _table(self, name: str, entries: list[int]) -> str:
        self.lines.append(f"static const int {name}[] = {{{', '.join(map(str, entries))}}};")
        return name

    def _loop(self, statements: list[str]) -> None:
        """Statements for each event of the block."""
        if len(statements) == 1:
            self.lines.append(f"for (int e = 0; e < events; ++e) {statements[0]}")
            return
        self.lines += ["for (int e = 0; e < events; ++e) {", *(f"    {line}" for line in statements), "}"]

    def _item(self, array: str, place: int) -> str:
        return f"{array}[e][{place}]"

    def _answer(self, place: int) -> str:
        return f"ans[e * LZ_OUTPUTS + {place}]"

    def _literal(self, number: float) -> str:
        return literal(number)

    def _array(self, columns: Columns, *, exact: bool) -> str:
        """An array with the columns side by side."""
        found = self._whole(columns, exact=exact)
        if found:
            return found
        name, self.packed = f"x{self.packed}", self.packed + 1
        self.lines += ["", f"{'double' if exact else 'real'} {name}[BLOCK][{len(columns)}];"]
        statements, place = [], 0
        cast = "" if exact else "(real)"
        while place < len(columns):
            run, item = columns.count_adjacent(place), columns.items[place]
            if run > 2 and isinstance(item, Column):
                start = f"[e][{item.place} + k]" if item.place else "[e][k]"
                target = f"{name}[e][{place} + k]" if place else f"{name}[e][k]"
                statements.append(f"for (int k = 0; k < {run}; ++k) {target} = {cast}v{item.step}{start};")
            else:
                run = 1
                statements.append(f"{name}[e][{place}] = {cast}{self._value(item)};")
            place += run
        self._loop(statements)
        return name
