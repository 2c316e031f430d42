"""What does the registry know of a component before anything of it is imported?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, Literal, get_args

from lorentzoo.core.errors import MissingExtraError, PluginError
from lorentzoo.core.text import plain

__all__ = ["KINDS", "NAME_PATTERN", "Component", "Kind"]

Kind = Literal[
    "spurions", "frames", "embedding", "backbone", "head", "model", "dataset", "generator", "task", "executor"
]
KINDS: Final[tuple[str, ...]] = get_args(Kind)

NAME_PATTERN: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""Lower-case kebab."""


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
