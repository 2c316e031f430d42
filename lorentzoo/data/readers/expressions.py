"""Which events does an expression over their columns choose? Read as text, never run as code."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.core.errors import InputError

__all__ = ["Expression"]

_LONGEST: Final = 2_000
_MOST_PARTS: Final = 300
_BINARY: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.BitAnd: np.logical_and,
    ast.BitOr: np.logical_or,
}
_COMPARED: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FUNCTIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "abs": np.abs,
    "sqrt": np.sqrt,
    "log": np.log,
    "exp": np.exp,
}
_ALLOWED: Final = "columns, numbers, text, + - * / %, comparisons, `in [..]`, and/or/not, abs, sqrt, log, exp"


class Expression:
    """A condition on events, such as ``"abs(truth_pdg) == 6 and jet_pt > 500"``.

    Parameters
    ----------
    text
        Names of columns, numbers and text in quotes with ``+ - * / %``, comparisons (also chains, and ``in [1, 2]``),
        ``and``, ``or``, ``not`` (or ``&``, ``|``, ``~`` between parentheses), abs, sqrt, log, exp. A column in a folder
        is written with a point: ``jets.label`` is ``jets/label``.

    Attributes
    ----------
    names
        Columns that it reads, as they are written.

    Raises
    ------
    InputError
        If it is anything else; nothing of it is ever run.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
            raise InputError(f"a condition on events is text of at most {_LONGEST} characters, not {text!r}")
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise InputError(f"{text!r} is not a condition on events: {error}; it has {_ALLOWED}") from None
        nodes = list(ast.walk(self._tree))
        if len(nodes) > _MOST_PARTS:
            raise InputError(
                f"{text[:40]!r}... has {len(nodes)} parts; a condition has at most {_MOST_PARTS}"
            )
        found: dict[str, None] = {}
        self._collect(self._tree, found)
        self.names = tuple(found)

    def evaluate(self, columns: Mapping[str, NDArray[Any]], count: int) -> NDArray[np.bool_]:
        """Which of `count` events it chooses, shape (n,).

        Raises
        ------
        InputError
            If its columns cannot be compared so, or what comes out is not true or false.
        """
        try:
            with np.errstate(all="ignore"):
                value = self._value(self._tree, columns)
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.text!r} cannot be computed: {error}") from None
        chosen = np.asarray(value)
        if chosen.dtype != np.bool_:
            raise InputError(f"{self.text!r} is {chosen.dtype}, not true or false: compare it with something")
        return np.broadcast_to(chosen, (count,)) if chosen.ndim == 0 else chosen

    def _collect(self, node: ast.AST, found: dict[str, None]) -> None:
        """Check that only what is allowed is there, and take the names."""
        if isinstance(node, ast.Name | ast.Attribute):
            found[_dotted(node, self.text)] = None
            return
        inner: list[ast.AST] = []
        if isinstance(node, ast.BoolOp):
            inner = list(node.values)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
            inner = [node.operand]
        elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            inner = [node.left, node.right]
        elif isinstance(node, ast.Compare) and all(
            type(op) in _COMPARED or isinstance(op, ast.In | ast.NotIn) for op in node.ops
        ):
            for op, side in zip(node.ops, node.comparators, strict=True):
                listed = isinstance(side, ast.List | ast.Tuple)
                if listed != isinstance(op, ast.In | ast.NotIn):
                    raise self._refuse(side)
            inner = [
                node.left,
                *(
                    item
                    for side in node.comparators
                    for item in (side.elts if isinstance(side, ast.List | ast.Tuple) else [side])
                ),
            ]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
            if len(node.args) != 1 or node.keywords:
                raise self._refuse(node)
            inner = list(node.args)
        elif not (isinstance(node, ast.Constant) and isinstance(node.value, int | float | str)):
            raise self._refuse(node)
        for part in inner:
            self._collect(part, found)

    def _refuse(self, node: ast.AST) -> InputError:
        return InputError(f"{ast.unparse(node)!r} in {self.text!r} is not read; a condition has {_ALLOWED}")

    def _value(self, node: ast.AST, columns: Mapping[str, NDArray[Any]]) -> Any:
        if isinstance(node, ast.Name | ast.Attribute):
            return columns[_dotted(node, self.text)]
        if isinstance(node, ast.BoolOp):
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return join.reduce([self._value(part, columns) for part in node.values])
        if isinstance(node, ast.UnaryOp):
            operand = self._value(node.operand, columns)
            return -operand if isinstance(node.op, ast.USub) else np.logical_not(operand)
        if isinstance(node, ast.BinOp):
            return _BINARY[type(node.op)](self._value(node.left, columns), self._value(node.right, columns))
        if isinstance(node, ast.Compare):
            left, found = self._value(node.left, columns), []
            for op, side in zip(node.ops, node.comparators, strict=True):
                if isinstance(op, ast.In | ast.NotIn):
                    assert isinstance(side, ast.List | ast.Tuple)
                    among = np.logical_or.reduce([left == self._value(item, columns) for item in side.elts])
                    found.append(np.logical_not(among) if isinstance(op, ast.NotIn) else among)
                else:
                    right = self._value(side, columns)
                    found.append(_COMPARED[type(op)](left, right))
                    left = right
            return np.logical_and.reduce(found)
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            return _FUNCTIONS[node.func.id](self._value(node.args[0], columns))
        assert isinstance(node, ast.Constant)
        return node.value


def _dotted(node: ast.AST, text: str) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, text)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise InputError(f"{ast.unparse(node)!r} in {text!r} is not the name of a column")
