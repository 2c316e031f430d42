"""Which parameters of a model are trained, and which stay as they are?"""

from __future__ import annotations

import re
from collections import Counter
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, NamedTuple, get_args

from torch import nn
from typing_extensions import Self

from lorentzoo.core.errors import ParameterError
from lorentzoo.core.stages import Staged

__all__ = ["PARTS", "Freezable", "PartName", "Where", "find_part", "parameters_of_part", "plain_name"]

PartName = Literal["frames", "embedding", "backbone", "head"]
PARTS: Final[tuple[PartName, ...]] = get_args(PartName)
"""Parts of a model that can be frozen, or have a learning rate of their own."""

_ADAPTED = re.compile(r"parametrizations\.(\w+)\.original$")
_FACTOR = re.compile(r"\bparametrizations\.\w+\.\d+\.")


def plain_name(name: str) -> str:
    """The name of a parameter as it is without adapters."""
    return _ADAPTED.sub(r"\1", name)


def parameters_of_part(model: nn.Module, part: PartName) -> dict[str, nn.Parameter]:
    """Parameters of a part, with those of adapters in it; errors as of `find_part`."""
    where = find_part(model, part)
    return {name: parameter for name, parameter in model.named_parameters() if where.holds(plain_name(name))}


class Freezable(nn.Module):
    """A module of which parts can be frozen.

    Attributes
    ----------
    frozen
        Rules for what is frozen, as `freeze` takes them; the last that fits counts.
    adapters
        What is trained in the place of its weights, see `lorentzoo.adapt`; None without.
    """

    frozen: tuple[str, ...] = ()
    adapters: Any = None
    _by_adapters: frozenset[str] = frozenset()
    _off: frozenset[str] = frozenset()

    def freeze(self, *patterns: str) -> Self:
        """Leave parts as they are in training.

        Frozen parameters take no gradient. Modules all of whose parameters are frozen stay in evaluation mode, whatever
        `train` says: batch norms keep their statistics, and dropout does nothing. A model that is saved and loaded again
        has nothing frozen.

        Parameters
        ----------
        patterns
            ``"frames"``, ``"embedding"``, ``"backbone"`` or ``"head"``; the path of a module, ``"backbone.blocks.0"``; or
            a glob of names of parameters, ``"backbone.blocks.[0-3].*"``. With ``"!"`` in front what it names is trained
            again. The last map of a backbone that projects counts as the head's.

        Returns
        -------
        This model.

        Raises
        ------
        ParameterError
            If a pattern names nothing.
        """
        kept = (rule for rule in self.frozen if rule not in patterns)
        return self._follow((*kept, *patterns), self._by_adapters)

    def unfreeze(self, *patterns: str) -> Self:
        """Train again what was frozen: all of it, or what patterns name; parameters, value and errors as of `freeze`."""
        kept = [
            rule for rule in self.frozen if rule not in patterns and rule.removeprefix("!") not in patterns
        ]
        rules = (*kept, *(f"!{pattern}" for pattern in patterns if not pattern.startswith("!")))
        return self._follow(rules if patterns else (), self._by_adapters)

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        if mode and (self.frozen or self._by_adapters):
            self._hold()
        return self

    def frozen_names(self) -> frozenset[str]:
        """Plain names of the parameters that the rules freeze."""
        return _select(self, self.frozen)

    def stand_in(self, names: frozenset[str], adapters: Any) -> None:
        """Freeze what adapters stand in for, by plain names; None and no names end it."""
        self.adapters = adapters
        self._follow(self.frozen, names)

    def _follow(self, rules: tuple[str, ...], by_adapters: frozenset[str]) -> Self:
        """Freeze what rules name, and what adapters stand in for."""
        names = _select(self, rules) | by_adapters
        off = set(self._off)
        for name, parameter in _own_parameters(self).items():
            if name in names and parameter.requires_grad:
                parameter.requires_grad_(False)
                off.add(name)
            elif name in off and name not in names:
                parameter.requires_grad_(True)
                off.discard(name)
        self.frozen = rules if any(not rule.startswith("!") for rule in rules) else ()
        self._by_adapters, self._off = by_adapters, frozenset(off)
        return self.train(self.training)

    def _hold(self) -> None:
        """Put modules of which nothing is trained in evaluation mode."""
        names = _select(self, self.frozen) | self._by_adapters
        counted: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        for name, _ in self.named_parameters():
            path, frozen = plain_name(name), plain_name(name) in names
            while path:
                path = path.rpartition(".")[0]
                counted[frozen][path] += 1
        held = {""} if counted[True][""] and not counted[False][""] else set()
        for path, module in self.named_modules():
            inside = path.rpartition(".")[0] in held
            without = not counted[True][path] and not counted[False][path]
            if (without and (inside or _is_chosen(self, path))) or (
                counted[True][path] and not counted[False][path]
            ):
                held.add(path)
                module.training = False


class Where(NamedTuple):
    """Where a part is: paths of modules, and of modules inside them that are left out."""

    inside: tuple[str, ...]
    without: tuple[str, ...] = ()

    def holds(self, name: str) -> bool:
        """Whether a parameter or a module lies there."""
        return _is_below(name, self.inside) and not _is_below(name, self.without)


def _is_below(name: str, paths: tuple[str, ...]) -> bool:
    return any(name == path or name.startswith(f"{path}.") for path in paths)


def _own_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """All parameters by their plain names, without those that adapters have brought."""
    return {plain_name(name): p for name, p in model.named_parameters() if not _FACTOR.search(name)}


def find_part(model: nn.Module, part: PartName) -> Where:
    """Where a part of a model, or of a generator's network, is.

    The last map of a backbone that projects is the head's, since it emits what the head wants.

    Raises
    ------
    ParameterError
        If there is no network.
    """
    network = model if hasattr(model, "backbone") else getattr(model, "network", None)
    if not isinstance(network, nn.Module):
        raise ParameterError(
            f"this {type(model).__name__} has no network, and so no {part}; name its parameters instead, of which it has "
            + ", ".join([*_own_parameters(model)][:4])
        )
    prefix = "" if network is model else "network."
    backbone = network.get_submodule("backbone")
    last = backbone.last_map if isinstance(backbone, Staged) else None
    own = tuple(f"{prefix}backbone.{name}" for name, module in backbone.named_modules() if module is last)
    if part == "backbone":
        return Where((f"{prefix}backbone",), own)
    if part == "head":
        return Where((f"{prefix}head", *own))
    return Where((f"{prefix}{'frames_net' if part == 'frames' else part}",))


def _find(model: nn.Module, pattern: str) -> Where | None:
    """Where a part or the path of a module is; None for a glob."""
    if pattern in PARTS:
        return find_part(model, pattern)
    return Where((pattern,)) if pattern in dict(model.named_modules()) else None


def _select(model: nn.Module, rules: tuple[str, ...]) -> frozenset[str]:
    """Plain names of the parameters that rules freeze."""
    known = frozenset(_own_parameters(model))
    chosen: frozenset[str] = frozenset()
    for rule in rules:
        pattern = rule.removeprefix("!")
        where = _find(model, pattern)
        if where is not None:
            names = frozenset(filter(where.holds, known))
        else:
            names = frozenset(name for name in known if fnmatchcase(name, pattern))
            if not names:
                near = get_close_matches(pattern, [*PARTS, *dict(model.named_modules()), *known], n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise ParameterError(
                    f"{rule!r} names nothing of this model; {hint}there are the parts {', '.join(PARTS)}, paths of "
                    "modules and globs of the names of parameters, as model.named_parameters() gives them"
                )
        chosen = chosen - names if rule.startswith("!") else chosen | names
    return chosen


def _is_chosen(model: Freezable, path: str) -> bool:
    """Whether a module without parameters lies where a rule says; the last rule counts."""
    for rule in reversed(model.frozen):
        where = _find(model, rule.removeprefix("!"))
        if where is not None and where.holds(path):
            return not rule.startswith("!")
    return False
