"""How does a model start from the weights of another one?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lorentzoo.core.errors import RunError
from lorentzoo.core.trainable import Trainable
from lorentzoo.output.files import checksum
from lorentzoo.registry.checkpoints import load
from lorentzoo.registry.creation import read_model_name
from lorentzoo.registry.saved import read_saved_spec
from lorentzoo.registry.specs import Spec, parse_part

__all__ = ["choose_start", "initial_weights", "weights_hash"]


def choose_start(
    spec: Spec | Mapping[str, Any] | str | None,
    init_from: str | Path | None = None,
    head: str | Mapping[str, Any] | None = None,
) -> tuple[Spec | Mapping[str, Any], Path | None]:
    """What is to be built, and whose weights it starts from.

    Parameters
    ----------
    spec
        Name of a model, which may name trained weights (``"particlenet-observables:pretrained=jets10-v1"``), a mapping of
        slots to names, or a `Spec`; by default the composition of `init_from`.
    init_from
        Directory of a run, or of a saved model.
    head
        Another head than that of the composition.

    Returns
    -------
    The composition; and the directory of the weights, None for new ones.

    Raises
    ------
    RunError
        If neither says what to build, or both whose weights to start from.
    """
    source = None if init_from is None else Path(init_from)
    if spec is None:
        if source is None:
            raise RunError("name a model, or what its weights start from (init_from)")
        spec = read_saved_spec(source).spec
    if isinstance(spec, str):
        named = read_model_name(spec)
        if named.source is not None and source is not None:
            raise RunError(
                f"start either from the pretrained weights of {spec!r} or from {source}, not from both"
            )
        spec, source = named.spec, named.source or source
    if head is None:
        return spec, source
    data = {
        **(spec.to_data() if isinstance(spec, Spec) else spec),
        "head": parse_part(head, "head").to_data(),
    }
    return (Spec.from_data(data) if isinstance(spec, Spec) else data), source


def initial_weights(model: Trainable, source: str | Path) -> dict[str, Tensor]:
    """Weights and fitted statistics of a saved model, as far as another model takes them.

    Everything but the head must fit. The head is taken where all of it fits, and starts anew otherwise. Of a generator
    everything must fit.

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
    state, own = load(source).state_dict(), model.state_dict()
    body = [name for name in own if not name.startswith("head.")]
    problems = [f"{name} is not there" for name in body if name not in state]
    problems += [
        f"{name} has shape {tuple(state[name].shape)}, needed {tuple(own[name].shape)}"
        for name in body
        if name in state and state[name].shape != own[name].shape
    ]
    problems += [
        f"{name} is not wanted" for name in state if name not in own and not name.startswith("head.")
    ]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise RunError(
            f"the weights in {source} are of another network: {shown}. Parts other than the head must be the same, "
            "and so must be the scalars that the data brings"
        )
    head = [name for name in own if name.startswith("head.")]
    same_head = {name for name in state if name.startswith("head.")} == set(head) and all(
        state[name].shape == own[name].shape for name in head
    )
    return {name: state[name] for name in body + (head if same_head else [])}


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
