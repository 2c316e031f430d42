"""How does a model start from the weights of another one?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from lorentzoo.core.errors import RunError
from lorentzoo.core.freezing import find_part
from lorentzoo.core.model import Model
from lorentzoo.core.trainable import Trainable
from lorentzoo.output.files import checksum
from lorentzoo.registry.checkpoints import load
from lorentzoo.registry.specs import Spec

__all__ = ["initial_weights", "saved_spec", "weights_hash"]


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


def saved_spec(source: str | Path) -> Spec:
    """The composition of a saved model.

    Raises
    ------
    RunError
        If the source holds no model with a specification.
    """
    model = load(source)
    if not isinstance(model.spec, Spec):
        raise RunError(f"{source} holds no model that another one could start from")
    return model.spec


def weights_hash(source: str | Path) -> str:
    """Hash of the saved weights.

    Raises
    ------
    RunError
        If there are none.
    """
    path = Path(source) / "weights.safetensors"
    if not path.is_file():
        raise RunError(
            f"{source} holds no weights to start from: it is not the directory of a finished run or a saved model"
        )
    return checksum(path)
