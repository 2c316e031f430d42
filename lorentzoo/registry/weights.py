"""What does a plugin say of trained weights that it brings?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lorentzoo.core.text import plain
from lorentzoo.registry.components import NAME_PATTERN

__all__ = ["Weights"]


@dataclass(frozen=True)
class Weights:
    """Trained weights of a model of the zoo: where they are, as plain data.

    Parameters
    ----------
    model
        Name of the model.
    tag
        What it was trained on, and which version of that, e.g. ``"jets10-v1"``: lower-case kebab.
    directory
        What `lorentzoo.save` wrote, with its card and details; it is opened when the weights are asked for.
    summary
        One line.

    Raises
    ------
    ValueError
        If a name is none, or the directory is not given in full.
    """

    model: str
    tag: str
    directory: str | os.PathLike[str]
    summary: str = ""
    plugin: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "summary", plain(self.summary))
        for name, value in (("model", self.model), ("tag", self.tag)):
            if not isinstance(value, str) or not NAME_PATTERN.fullmatch(value):
                raise ValueError(f"weights: {name} {value!r} is not lower-case kebab such as 'jets10-v1'")
        if not self.path.is_absolute():
            raise ValueError(
                f"weights {self.name!r}: give the directory in full, e.g. Path(__file__).parent / 'my-weights', "
                f"not {os.fspath(self.directory)!r}"
            )

    @property
    def path(self) -> Path:
        """The directory."""
        return Path(self.directory)

    @property
    def name(self) -> str:
        """What stands for the trained model wherever a model is named: ``"model:pretrained=tag"``."""
        return f"{self.model}:pretrained={self.tag}"

    @property
    def full_tag(self) -> str:
        """``plugin/tag``, which is never ambiguous."""
        return f"{self.plugin}/{self.tag}"
