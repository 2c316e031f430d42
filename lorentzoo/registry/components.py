"""What does the registry know of a component before anything of it is imported?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib import import_module
from typing import Any, Final, Literal, get_args

from lorentzoo.core.errors import MissingExtraError, PluginError
from lorentzoo.core.text import plain

__all__ = ["KINDS", "NAME_PATTERN", "Component", "Kind", "has_passed"]

Kind = Literal[
    "spurions", "frames", "embedding", "backbone", "head", "model", "dataset", "generator", "task", "executor"
]
KINDS: Final[tuple[str, ...]] = get_args(Kind)

NAME_PATTERN: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""Lower-case kebab."""
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def has_passed(month: str) -> bool:
    """Whether a month such as ``"2027-06"`` is over."""
    return date.today().strftime("%Y-%m") > month


@dataclass(frozen=True)
class Component:
    """A name, what it stands for, and where its code is: plain data.

    Parameters
    ----------
    kind
        The slot that it fills, or ``"model"`` (a named composition), ``"dataset"``, ``"generator"``,
        ``"task"``, ``"executor"``.
    name
        Lower-case kebab.
    target
        ``"package.module:attribute"``, imported on first use. Models have none.
    summary
        One line.
    reference
        Paper or source, e.g. ``"arXiv:2405.14806"``.
    defaults
        Parameters that this name sets; the caller's own win.
    spec
        For models: the composition, slot by slot.
    extra
        The optional dependencies that the target needs: the name of an extra of the plugin's own package, or
        ``"lorentzoo[name]"``.
    recipe
        For models: the published training options, which `lorentzoo train` starts from.
    renamed_from
        Names that it had before. They are read, with a `RenamedWarning`, until `deprecated_until`, and in what was saved
        with them always; they are not listed, and a component of such a name comes first.
    renamed_parameters
        New names of parameters by old ones, read as long.
    deprecated_until
        The last month of old names that are written by hand, ``"2027-06"``.
    older_defaults
        Defaults that parameters had before a version of the package that brings the plugin, by that version:
        ``{"2.0": {"activation": "relu"}}``. What was saved with an older version keeps them.
    published_flops
        For backbones and frames: ``"package.module:function"`` that counts the arithmetic of the published
        implementation from a `lorentzoo.nn.FlopsSetting`, see `lorentzoo.studies.published_flops`.

    size_of
        For models that are a size of another one: its name; see `lorentzoo.make_taggers`.

    Raises
    ------
    ValueError
        If kind, name or target make no sense.
    """

    kind: Kind
    name: str
    target: str = ""
    summary: str = ""
    reference: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    extra: str = ""
    plugin: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    published_flops: str = ""
    renamed_from: tuple[str, ...] = ()
    renamed_parameters: Mapping[str, str] = field(default_factory=dict)
    deprecated_until: str = ""
    older_defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    size_of: str = ""

    def __post_init__(self) -> None:
        for name in ("summary", "reference"):
            # A stranger's text is text: it gives no orders to terminals.
            object.__setattr__(self, name, plain(getattr(self, name)))
        if self.kind not in KINDS:
            raise ValueError(f"component {self.name!r}: kind {self.kind!r} is not one of {list(KINDS)}")
        if not isinstance(self.name, str) or not NAME_PATTERN.fullmatch(self.name):
            raise ValueError(f"component name {self.name!r} is not lower-case kebab such as 'my-net'")
        if self.kind == "model":
            if "backbone" not in self.spec and "generator" not in self.spec:
                raise ValueError(
                    f"model {self.name!r} needs a spec that names at least a backbone (or a generator)"
                )
        elif self.target.count(":") != 1:
            raise ValueError(
                f"{self.kind} {self.name!r}: target {self.target!r} is not 'package.module:attribute'"
            )

        self._check_old_names()

    def _check_old_names(self) -> None:
        label = f"{self.kind} {self.name!r}"
        if isinstance(self.renamed_from, str):
            raise ValueError(f"{label}: renamed_from is a tuple of names, not {self.renamed_from!r}")
        for name in self.renamed_from:
            if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
                raise ValueError(f"{label}: old name {name!r} is not lower-case kebab such as 'my-net'")
            if name == self.name:
                raise ValueError(f"{label} is renamed from itself")
        for old, new in self.renamed_parameters.items():
            if old == new or new in self.renamed_parameters:
                raise ValueError(
                    f"{label}: parameter {old!r} is renamed to {new!r}, which is an old name itself"
                )
        dated = _MONTH.fullmatch(self.deprecated_until)
        if (self.renamed_from or self.renamed_parameters) and not dated:
            raise ValueError(
                f"{label}: old names need the month until which they are read, deprecated_until='2027-06', not "
                f"{self.deprecated_until!r}"
            )
        for before in self.older_defaults:
            if not re.match(r"\d+(\.\d+)*", before):
                raise ValueError(f"{label}: older_defaults are by version such as '2.0', not by {before!r}")

    @property
    def full_name(self) -> str:
        """``plugin/name``, which is never ambiguous."""
        return f"{self.plugin}/{self.name}"

    def _requirement(self, distribution: str) -> str:
        """What to install: an extra of lorentzoo, or of the package that brings the plugin, and never a stranger's."""
        if self.extra.startswith("lorentzoo[") or not distribution:
            return self.extra
        name = self.extra.partition("[")[2].rstrip("]") or self.extra
        return f"{distribution}[{name}]"

    def load(self, distribution: str = "") -> Any:
        """Import the target.

        Parameters
        ----------
        distribution
            The package that brings the plugin.

        Raises
        ------
        MissingExtraError
            If an optional dependency is not installed; the message says what to install.
        PluginError
            If the target cannot be imported or does not exist.
        """
        module_name, attribute = self.target.split(":")
        try:
            module = import_module(module_name)
        except ModuleNotFoundError as error:
            # A module that its own package lacks is a fault of that package, which no extra mends.
            own = (error.name or "").startswith(module_name.partition(".")[0] + ".")
            if self.extra and not own:
                raise MissingExtraError(
                    f"{self.kind} {self.name!r} needs {error.name!r}, which is not installed; "
                    f'run: pip install "{self._requirement(distribution)}"'
                ) from error
            raise PluginError(
                f"{self.kind} {self.full_name!r}: cannot import {module_name!r}: {error}"
            ) from error
        except Exception as error:
            raise PluginError(
                f"{self.kind} {self.full_name!r}: importing {module_name!r} failed with {type(error).__name__}: {error}"
            ) from error
        try:
            return getattr(module, attribute)
        except AttributeError:
            raise PluginError(
                f"{self.kind} {self.full_name!r}: {module_name!r} has no {attribute!r}"
            ) from None
