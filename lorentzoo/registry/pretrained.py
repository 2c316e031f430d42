"""Which trained weights are there, for which task, with which symmetry, and how large?"""

from __future__ import annotations

import difflib
import fnmatch
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lorentzoo.core.errors import LorentzooError, UnknownNameError
from lorentzoo.core.text import plain
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.details import Details, read_details
from lorentzoo.registry.saved import WEIGHTS
from lorentzoo.registry.weights import Weights

__all__ = ["Pretrained", "list_pretrained"]


@dataclass(frozen=True)
class Pretrained:
    """Trained weights with what was told of them when they were saved.

    Attributes
    ----------
    weights
        Model, tag and directory.
    details
        Data, metrics, cost, limits, licence.
    bytes
        Size of the weights.
    """

    weights: Weights
    details: Details
    bytes: int

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.weights.model

    @property
    def tag(self) -> str:
        """For `lorentzoo.create_model(model, pretrained=tag)`."""
        return self.weights.tag

    @property
    def name(self) -> str:
        """``"model:pretrained=tag"``, wherever a model is named."""
        return self.weights.name

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.details.task

    @property
    def symmetry(self) -> str:
        """Name of the computed symmetry."""
        return self.details.symmetry

    @property
    def parameters(self) -> int | None:
        """Number of parameters."""
        return None if self.details.cost is None else self.details.cost.parameters

    def to_data(self) -> dict[str, Any]:
        """Plain data, e.g. for JSON."""
        return {
            "name": self.name,
            "model": self.model,
            "tag": self.tag,
            "plugin": self.weights.plugin,
            "summary": self.weights.summary,
            "bytes": self.bytes,
            "directory": str(self.weights.path),
            **self.details.to_data(),
        }


def list_pretrained(
    pattern: str | None = None,
    *,
    task: str | None = None,
    symmetry: str | None = None,
    max_parameters: int | None = None,
) -> list[Pretrained]:
    """Trained weights of all distributions that are installed; neither torch nor any weights are loaded.

    Parameters
    ----------
    pattern
        Of the model's name, e.g. ``"lgatr*"``.
    task
        Name of the task, e.g. ``"classification"``.
    symmetry
        Name of the computed symmetry, e.g. ``"SO⁺(1,3)"``.
    max_parameters
        The largest number of parameters.

    Returns
    -------
    By model and tag. Weights that cannot be read are left out, with a warning that names them.

    Raises
    ------
    UnknownNameError
        If no weights have that task or symmetry.
    """
    known = [found for item in catalogue().weights() if (found := _read(item)) is not None]
    for what, wanted, names in (
        ("task", task, {item.task for item in known}),
        ("symmetry", symmetry, {item.symmetry for item in known}),
    ):
        _require_known(what, wanted, names)
    return [
        item
        for item in known
        if (pattern is None or fnmatch.fnmatchcase(item.model, pattern))
        and task in (None, item.task)
        and symmetry in (None, item.symmetry)
        and (max_parameters is None or (item.parameters is not None and item.parameters <= max_parameters))
    ]


def _read(weights: Weights) -> Pretrained | None:
    try:
        size = (weights.path / WEIGHTS).stat().st_size
        return Pretrained(weights, read_details(weights.path), size)
    except (LorentzooError, OSError) as error:
        warnings.warn(
            f"the weights {weights.full_tag!r} of {weights.model!r} cannot be read and are left out: {plain(error)}",
            stacklevel=3,
        )
        return None


def _require_known(what: str, wanted: str | None, names: Iterable[str]) -> None:
    known = sorted(name for name in names if name)
    if wanted is None or wanted in known or not known:
        return
    close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.4)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UnknownNameError(
        f"no pretrained weights have the {what} {wanted!r}; known are {', '.join(known)}.{hint}"
    )
