"""How does a model start from the weights of another one?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from lorentzoo.core.errors import RunError
from lorentzoo.core.freezing import find_part
from lorentzoo.core.model import Model
from lorentzoo.core.trainable import Trainable
from lorentzoo.output.files import checksum
from lorentzoo.registry.checkpoints import load
from lorentzoo.registry.creation import NamedModel, read_model_name
from lorentzoo.registry.saved import WEIGHTS, read_saved_spec
from lorentzoo.registry.sources import locate, names_weights
from lorentzoo.registry.specs import Spec, parse_part

__all__ = [
    "Start",
    "choose_start",
    "find_pretrained",
    "initial_weights",
    "pretrained_name",
    "state_pretrained",
    "weights_hash",
]

_AT: Final = "@"


@dataclass(frozen=True)
class Start:
    """What is to be built, and whose weights it starts from.

    Attributes
    ----------
    spec
        The composition, or slots to names.
    source
        Directory of the weights; None for new ones.
    stated
        What says on every machine which weights these are: their hash, or name and checksum of trained ones.
    """

    spec: Spec | Mapping[str, Any]
    source: Path | None = None
    stated: str | None = None


def choose_start(
    spec: Spec | Mapping[str, Any] | str | None,
    init_from: str | Path | None = None,
    head: str | Mapping[str, Any] | None = None,
) -> Start:
    """What is to be built, and whose weights it starts from.

    Parameters
    ----------
    spec
        Name of a model, which may name trained weights (``"particlenet-observables:pretrained=jets10-v1"``), a mapping of
        slots to names, or a `Spec`; by default the composition of `init_from`.
    init_from
        Directory of a run, or of a saved model, or the name of a model with trained weights.
    head
        Another head than that of the composition.

    Raises
    ------
    RunError
        If neither says what to build, or both whose weights to start from.
    """
    source, stated = (None, None) if init_from is None else _open_source(init_from)
    if spec is None:
        if source is None:
            raise RunError("name a model, or what its weights start from (init_from)")
        spec = read_saved_spec(locate(source)).spec
    if isinstance(spec, str):
        named = read_model_name(spec)
        if named.source is not None:
            if source is not None:
                raise RunError(
                    f"start either from the pretrained weights of {spec!r} or from {init_from}, not from both"
                )
            source, stated = named.source, state_pretrained(named)
        spec = named.spec
    if head is not None:
        data = spec.to_data() if isinstance(spec, Spec) else dict(spec)
        data["head"] = parse_part(head, "head").to_data()
        spec = Spec.from_data(data) if isinstance(spec, Spec) else data
    return Start(spec, source, stated)


def _open_source(init_from: str | Path) -> tuple[Path, str]:
    path = Path(init_from)
    if path.exists() or not names_weights(init_from):
        return path, weights_hash(path)
    named = read_model_name(str(init_from))
    return locate(init_from), state_pretrained(named)


def state_pretrained(named: NamedModel) -> str:
    """Trained weights by name and checksum, ``"model:pretrained=plugin/tag@checksum"``: the same on all machines."""
    assert named.source is not None
    return f"{named.name}{_AT}{weights_hash(named.source)[:16]}"


def pretrained_name(stated: str | None) -> str | None:
    """The name in what `state_pretrained` stated; None for hashes."""
    return (stated or "").rpartition(_AT)[0] or None


def find_pretrained(stated: str) -> Path | None:
    """The directory of weights that `state_pretrained` stated; None for hashes.

    Raises
    ------
    UnknownNameError
        If they are not installed here.
    RunError
        If others of that name are.
    """
    name = pretrained_name(stated)
    if name is None:
        return None
    source = read_model_name(name).source
    if source is None or not weights_hash(source).startswith(stated.rpartition(_AT)[2]):
        raise RunError(
            f"the weights {name!r} that are installed here are not those that were meant ({stated})"
        )
    return source


def initial_weights(model: Trainable, source: str | Path) -> dict[str, Tensor]:
    """Weights and fitted statistics of a saved model, as far as another model takes them.

    Everything but the head must fit. The head is taken where all of it fits, and starts anew otherwise; so is the last
    map of a backbone that projects, which emits what the head wants. Of a generator everything must fit.

    Parameters
    ----------
    model
        The model or generator to start.
    source
        Directory of a run, or of a model saved by `lorentzoo.save`.

    Returns
    -------
    For ``initial`` of `lorentzoo.training.train.train`.

    Raises
    ------
    RunError
        Naming what differs, e.g. an input layer for another number of features.
    """
    given = load(source)
    state, own = given.state_dict(), model.state_dict()
    of_head = _in_head(given, state) | _in_head(model, own)
    body = [name for name in own if name not in of_head]
    problems = [f"{name} is not there" for name in body if name not in state]
    problems += [
        f"{name} has shape {tuple(state[name].shape)}, needed {tuple(own[name].shape)}"
        for name in body
        if name in state and state[name].shape != own[name].shape
    ]
    problems += [f"{name} is not wanted" for name in state if name not in own and name not in of_head]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise RunError(
            f"the weights in {source} are of another network: {shown}. Parts other than the head must be the same, "
            "and so must be the scalars that the data brings"
        )
    fitting = list(body)
    for prefix in ("head.", "backbone."):
        wanted = {name: own[name].shape for name in own if name in of_head and name.startswith(prefix)}
        if wanted == {
            name: state[name].shape for name in state if name in of_head and name.startswith(prefix)
        }:
            fitting += wanted
    return {name: state[name] for name in fitting}


def _in_head(model: Trainable, names: Iterable[str]) -> set[str]:
    """Those names of parameters and buffers that another head may change; none of a generator."""
    if not isinstance(model, Model):
        return set()
    where = find_part(model, "head")
    return {name for name in names if where.holds(name)}


def weights_hash(source: str | Path) -> str:
    """Hash of the saved weights.

    Raises
    ------
    RunError
        If there are none.
    """
    path = locate(source) / WEIGHTS
    if not path.is_file():
        raise RunError(
            f"{source} holds no weights to start from: it is not the directory of a finished run or a saved model"
        )
    return checksum(path)
