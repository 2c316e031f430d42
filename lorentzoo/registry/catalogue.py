"""Which names exist, who offers them, and what failed to load?

Loading is our own loop over the entry points: each plugin stands under its own guard, so that a
broken one is reported by name and harms no one else.
"""

from __future__ import annotations

import difflib
import fnmatch
import os
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, TypeVar

import pluggy

from lorentzoo.core.errors import AmbiguousNameError, RenamedWarning, UnknownNameError
from lorentzoo.core.text import plain
from lorentzoo.registry import hookspecs
from lorentzoo.registry.components import KINDS, Component, Kind, has_passed
from lorentzoo.registry.weights import Weights

__all__ = [
    "Catalogue",
    "PluginRecord",
    "catalogue",
    "list_components",
    "list_plugins",
    "register",
]

GROUP: Final = "lorentzoo"
_SESSION: Final = "session"
_SLOW_MS: Final = 20.0
T = TypeVar("T")
D = TypeVar("D", Component, Weights)


@dataclass(frozen=True)
class PluginRecord:
    """How the loading of one plugin went.

    Attributes
    ----------
    name, distribution, version
        The entry point, and the package that brings it.
    components, weights
        What it offers.
    error
        Why it could not be loaded; empty if it was.
    milliseconds
        What its import cost.
    imports_torch
        Whether importing it imported torch, which a plugin module should not.
    is_ours
        Whether it comes with the package.
    """

    name: str
    distribution: str
    version: str
    components: tuple[Component, ...] = ()
    weights: tuple[Weights, ...] = ()
    error: str = ""
    milliseconds: float = 0.0
    imports_torch: bool = False
    is_ours: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a plugin's author should mend, though it works."""
        found = []
        if self.imports_torch:
            found.append("imports torch when loaded; name heavy code by `target` instead")
        elif self.milliseconds > _SLOW_MS:
            found.append(f"takes {self.milliseconds:.0f} ms to load; aim below {_SLOW_MS:.0f} ms")
        return tuple(found)


class Catalogue:
    """All components, by kind and name."""

    def __init__(self, points: Iterable[EntryPoint]) -> None:
        self.plugins: list[PluginRecord] = []
        self._components: dict[str, dict[str, list[Component]]] = {kind: {} for kind in KINDS}
        self._session: dict[tuple[str, str], Any] = {}
        manager = pluggy.PluginManager("lorentzoo")
        manager.add_hookspecs(hookspecs)
        for point in points:
            record = _load(manager, point, taken={record.name for record in self.plugins})
            self.plugins.append(record)
            for component in record.components:
                self._add(component)

    def _add(self, component: Component) -> None:
        self._components[component.kind].setdefault(component.name, []).append(component)

    def names(self, kind: str, pattern: str | None = None) -> list[str]:
        """Names of a kind, sorted; an ambiguous one is listed as each ``plugin/name``."""
        _check_kind(kind)
        found = []
        for name, offers in self._components[kind].items():
            found += [name] if len(offers) == 1 else [component.full_name for component in offers]
        return sorted(name for name in found if pattern is None or fnmatch.fnmatchcase(name, pattern))

    def components(self, kind: str | None = None) -> list[Component]:
        """All components (of a kind), sorted by kind and name."""
        kinds = KINDS if kind is None else (kind,)
        return [c for k in kinds for name in sorted(self._components[k]) for c in self._components[k][name]]

    def find(self, kind: str, name: str, prefer: Collection[str] = (), *, saved: bool = False) -> Component:
        """The component of this name or ``plugin/name``.

        Parameters
        ----------
        kind, name
            What it is, and how it is called.
        prefer
            The plugins of which one is meant where several offer the name: what a specification recorded, or those that
            come with the package.
        saved
            Whether the name was recorded by a save, so that an old one is read without a word, whatever its date.

        Raises
        ------
        UnknownNameError
            With the closest names, and the plugins that failed to load, since the name may have been theirs.
        AmbiguousNameError
            If several plugins offer the bare name.
        """
        _check_kind(kind)
        if not isinstance(name, str):
            raise UnknownNameError(f"a {kind} is named by text, not by {name!r}")
        plugin, _, bare = name.rpartition("/")
        offers = self._components[kind].get(bare, [])
        if plugin:
            offers = [component for component in offers if component.plugin == plugin]
        renamed = not offers
        if renamed:
            offers = [
                component
                for component in self.components(kind)
                if bare in component.renamed_from and plugin in ("", component.plugin)
            ]
        if not offers:
            raise UnknownNameError(self._unknown(kind, name))
        if len(offers) > 1:
            offers = [component for component in offers if component.plugin in prefer] or offers
        if len(offers) > 1:
            full = " and ".join(repr(component.full_name) for component in offers)
            raise AmbiguousNameError(f"several plugins offer the {kind} {name!r}; write {full}")
        if renamed and not saved:
            _tell_renamed(name, offers[0])
        return offers[0]

    def weights(self, model: str | None = None) -> list[Weights]:
        """Trained weights (of a model), sorted by model and tag."""
        found = [item for record in self.plugins for item in record.weights if model in (None, item.model)]
        return sorted(found, key=lambda item: (item.model, item.tag, item.plugin))

    def find_weights(self, model: str, tag: str | bool) -> Weights:
        """The weights of a model with this tag or ``plugin/tag``; True stands for the only ones.

        Raises
        ------
        UnknownNameError
            With the tags that this model has, or the models that have any.
        AmbiguousNameError
            If several plugins offer the tag, or there are several for True.
        """
        known = self.weights(model)
        if tag is True and len(known) > 1:
            tags = " or ".join(repr(item.full_tag) for item in known)
            raise AmbiguousNameError(f"model {model!r} has several weights: write pretrained={tags}")
        if tag is True:
            tag = known[0].full_tag if known else "any"
        if not isinstance(tag, str):
            raise UnknownNameError(f"weights are named by their tag, such as 'jets10-v1', not by {tag!r}")
        plugin, _, bare = tag.rpartition("/")
        offers = [item for item in known if item.tag == bare and plugin in ("", item.plugin)]
        if not offers:
            raise UnknownNameError(self._unknown_weights(model, tag, known))
        if len(offers) > 1:
            full = " and ".join(repr(item.full_tag) for item in offers)
            raise AmbiguousNameError(f"several plugins offer weights {tag!r} of {model!r}; write {full}")
        return offers[0]

    def _unknown_weights(self, model: str, tag: str, known: list[Weights]) -> str:
        others = sorted({item.model for item in self.weights()})
        if known:
            said = f"model {model!r} has no weights {tag!r}; it has {', '.join(repr(item.tag) for item in known)}."
        elif others:
            said = f"model {model!r} has no pretrained weights; there are some of {', '.join(others)}."
        else:
            said = "no pretrained weights are installed: install a distribution that brings some (lorentzoo-weights)."
        return " ".join([said, *self._failures()])

    def target(self, component: Component) -> Any:
        """The class or function behind a component."""
        key = (component.kind, component.name)
        if component.plugin == _SESSION and key in self._session:
            return self._session[key]
        return component.load(self._distribution_of(component.plugin))

    @property
    def own_plugins(self) -> frozenset[str]:
        """Names of the plugins that come with the package."""
        return frozenset(record.name for record in self.plugins if record.is_ours)

    def _distribution_of(self, plugin: str) -> str:
        return next((record.distribution for record in self.plugins if record.name == plugin), "")

    def register(self, component: Component, target: Any) -> None:
        """Add a component for this process; registering the same name again replaces it."""
        offers = self._components[component.kind].setdefault(component.name, [])
        offers[:] = [offer for offer in offers if offer.plugin != _SESSION]
        offers.append(component)
        self._session[component.kind, component.name] = target

    def _unknown(self, kind: str, name: str) -> str:
        bare = name.rpartition("/")[2]
        lines = []
        close = difflib.get_close_matches(bare, self.names(kind), n=3, cutoff=0.5)
        elsewhere = [k for k in KINDS if k != kind and bare in self._components[k]]
        if close:
            lines.append("Did you mean " + " or ".join(repr(match) for match in close) + "?")
        if elsewhere:
            lines.append(f"The name exists under another kind: {', '.join(elsewhere)}.")
        lines.append(f"`lorentzoo list {kind}` shows all {len(self.names(kind))}.")
        return " ".join([f"there is no {kind} {name!r}.", *lines, *self._failures()])

    def _failures(self) -> list[str]:
        """What may be the reason why a name is unknown."""
        causes = "; ".join(f"{record.name}: {record.error}" for record in self.plugins if record.error)
        return [f"Plugins that failed to load, whose name it may be: {causes}"] if causes else []


_current: Catalogue | None = None


def catalogue(*, reload: bool = False) -> Catalogue:
    """The catalogue of this process, loaded on first use.

    ``LORENTZOO_DISABLE_PLUGINS=1`` leaves third-party plugins out; ``LORENTZOO_PLUGINS=a,b`` allows only those.
    """
    global _current
    if _current is None or reload:
        _current = Catalogue(_allowed(entry_points(group=GROUP)))
    return _current


def list_components(kind: Kind, pattern: str | None = None) -> list[str]:
    """Names of a kind, sorted, optionally by a glob pattern.

    >>> "transformer" in list_components("backbone")
    True
    """
    return catalogue().names(kind, pattern)


def list_plugins() -> list[PluginRecord]:
    """Every plugin found, with what it offers or why it failed."""
    return list(catalogue().plugins)


def register(kind: Kind, name: str, *, summary: str = "", reference: str = "") -> Callable[[T], T]:
    """Add a class or function under a name, for this process only; usable as a decorator.

    >>> register("backbone", "toy")(object)
    <class 'object'>
    """

    def decorate(target: T) -> T:
        module, qualname = getattr(target, "__module__", "?"), getattr(target, "__qualname__", "?")
        component = Component(
            kind, name, target=f"{module}:{qualname}", summary=summary, reference=reference, plugin=_SESSION
        )
        catalogue().register(component, target)
        return target

    return decorate


def _allowed(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    disabled = os.environ.get("LORENTZOO_DISABLE_PLUGINS", "") not in ("", "0")
    only = os.environ.get("LORENTZOO_PLUGINS")
    allowed = None if only is None else {name.strip() for name in only.split(",") if name.strip()}
    chosen = []
    for point in points:
        if not _is_ours(point) and (disabled or (allowed is not None and point.name not in allowed)):
            continue
        chosen.append(point)
    # Ours first, so that a third party's clash is reported as theirs.
    return sorted(chosen, key=lambda point: (not _is_ours(point), point.name))


def _is_ours(point: EntryPoint) -> bool:
    # A distribution is not trusted for its name: ours are modules of this package.
    module = point.value.partition(":")[0]
    return module.startswith("lorentzoo.") and point.dist is not None and point.dist.name == "lorentzoo"


def _load(manager: pluggy.PluginManager, point: EntryPoint, taken: set[str]) -> PluginRecord:
    distribution = point.dist.name if point.dist is not None else ""
    version = point.dist.version if point.dist is not None else ""
    name = point.name if point.name not in taken else f"{distribution}.{point.name}"
    record = PluginRecord(name, distribution, version, is_ours=_is_ours(point))
    had_torch, start = "torch" in sys.modules, time.perf_counter()
    try:
        plugin = point.load()
        manager.register(plugin, name)
        others = [other for other in manager.get_plugins() if other is not plugin]
        answers = manager.subset_hook_caller("lorentzoo_components", others)()
        weights = manager.subset_hook_caller("lorentzoo_weights", others)()
        if not answers and not weights:
            raise ValueError(
                "it has no `@hookimpl def lorentzoo_components()` (or `lorentzoo_weights()`), or that returns None"
            )
        record = replace(
            record,
            components=_read_answers(answers, Component, name),
            weights=_read_answers(weights, Weights, name),
        )
        names = [
            f"{component.kind} {name}"
            for component in record.components
            for name in (component.name, *component.renamed_from)
        ]
        names += [f"weights {item.name}" for item in record.weights]
        twice = sorted({each for each in names if names.count(each) > 1})
        if twice:
            raise ValueError(f"it offers {' and '.join(twice)} more than once")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may raise anything
        return replace(record, components=(), weights=(), error=plain(f"{type(error).__name__}: {error}"))
    milliseconds = 1e3 * (time.perf_counter() - start)
    torch_came = not had_torch and "torch" in sys.modules
    return replace(record, milliseconds=milliseconds, imports_torch=torch_came)


def _read_answers(answers: Iterable[Iterable[Any]], kind: type[D], plugin: str) -> tuple[D, ...]:
    """What a hook of a plugin returned, all of one class, with the plugin's name."""
    found = []
    for item in (item for answer in answers for item in answer):
        if not isinstance(item, kind):
            raise TypeError(f"plugin {plugin!r} declares {item!r}, which is not a {kind.__name__}")
        found.append(replace(item, plugin=plugin))
    return tuple(found)


def _tell_renamed(name: str, component: Component) -> None:
    """Warn of an old name, or refuse it after its date."""
    what = f"the {component.kind} {name!r} is now called {component.name!r}"
    if has_passed(component.deprecated_until):
        raise UnknownNameError(f"{what}; the old name was read until {component.deprecated_until}")
    warnings.warn(
        f"{what}; the old name is read until {component.deprecated_until}", RenamedWarning, stacklevel=4
    )


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        close = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UnknownNameError(f"there is no kind {kind!r}; kinds are {', '.join(KINDS)}.{hint}")
