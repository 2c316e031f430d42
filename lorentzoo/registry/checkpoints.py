"""How is a model kept on disk, so that it survives anything that happens while saving?

A checkpoint is a directory with ``spec.json`` and ``weights.safetensors``. The specification states the
checksum of its weights. New weights are written beside the old ones first; replacing ``spec.json`` is
the one atomic step that makes them count. Nothing is pickled, so loading runs no code of the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as write_tensors
from torch import Tensor

from lorentzoo.core.adapters import copy_merged
from lorentzoo.core.compiled import compile_model
from lorentzoo.core.errors import CheckpointError, ParameterError, SpecError
from lorentzoo.core.fitted_inputs import FittedInputs
from lorentzoo.core.model import Model
from lorentzoo.core.trainable import Trainable, complete_state
from lorentzoo.registry.composition import build
from lorentzoo.registry.files import locked, remove_stale, write_atomically
from lorentzoo.registry.plain_data import read_json_file
from lorentzoo.registry.specs import FORMAT, Spec

__all__ = ["load", "load_state", "save"]

_SPEC: Final = "spec.json"
_WEIGHTS: Final = "weights.safetensors"
_NEW: Final = "weights.safetensors.new"
_ATTEMPTS: Final = 5
_PAUSE: Final = 0.02
"""Seconds before files that do not belong together are read again, at first."""


def save(model: Trainable, directory: str | Path) -> Path:
    """Save a model or a generator as ``spec.json`` and ``weights.safetensors``, adapters merged into its weights.

    Parameters
    ----------
    model
        A model with a specification, as `compose` and `create_model` make it.
    directory
        Made if needed. A checkpoint that is there is replaced as a whole, or, should anything fail, left as it was.

    Returns
    -------
    The directory.

    Raises
    ------
    CheckpointError
        If the model has no specification, or the disk does not take the files.
    """
    if not isinstance(model, Trainable) or not isinstance(model.spec, Spec):
        raise CheckpointError(
            "this model has no specification; make it by lorentzoo.compose or create_model to save it"
        )
    model = copy_merged(model)
    _require_loadable(model)
    directory = Path(directory)
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    payload = write_tensors(state)
    data = model.spec.to_data()
    data["weights"] = {
        "sha256": hashlib.sha256(payload).hexdigest(),
        "bytes": len(payload),
        "dtype": str(model.dtype).removeprefix("torch."),
    }
    if inputs := model.fitted_inputs.to_data():
        data["inputs"] = inputs
    data["checksum"] = _seal(data)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Writers come one after another; readers need no lock, since they try again where files do not belong together.
        with locked(directory):
            remove_stale(directory, (_NEW, _SPEC))
            _finish_interrupted(directory)
            write_atomically(directory / _NEW, payload)
            write_atomically(directory / _SPEC, (json.dumps(data, indent=2) + "\n").encode())
            os.replace(directory / _NEW, directory / _WEIGHTS)
    except OSError as error:
        raise CheckpointError(
            f"could not save to {directory}: {error.strerror or error}. What was saved there before is untouched."
        ) from error
    return directory


def load(directory: str | Path, *, device: torch.device | str = "cpu", compile: bool = False) -> Any:
    """Load what `save` wrote, a `Model` or a `Generator`, in evaluation mode.

    Parameters
    ----------
    directory
        Of the checkpoint.
    device
        Where to put it.
    compile
        Whether a model is to run as one compiled graph for batches of any lengths, which the first call makes: see
        `lorentzoo.core.compiled`.

    Raises
    ------
    CheckpointError
        If files are missing, truncated or damaged, or the weights are not those of the specification.
    SpecError
        If the specification cannot be read or is of a newer version.
    ParameterError
        If a generator is to be compiled.
    """
    directory = Path(directory)
    if directory.is_file():
        raise CheckpointError(
            f"{directory} is a file; a saved model is a directory with {_SPEC} and {_WEIGHTS}"
        )
    spec, stated, payload = _read_pair(directory)
    weights = stated["weights"]
    state = read_tensors(payload)
    model = build(spec)
    dtype = getattr(torch, str(weights.get("dtype", "float32")), torch.float32)
    if model.dtype != dtype:
        model.to(dtype)
    load_state(model, state, source=str(directory), own_types=True)
    model.fitted_inputs = FittedInputs.from_data(stated["inputs"])
    model.to(device).eval()
    if compile:
        if not isinstance(model, Model):
            raise ParameterError(f"compile=True is for models that predict, not for a {type(model).__name__}")
        compile_model(model)
    return model


def load_state(
    model: torch.nn.Module, state: dict[str, Tensor], *, source: str, own_types: bool = False
) -> None:
    """Copy a state dict strictly.

    Parameters
    ----------
    model
        Into which it is copied.
    state
        Tensors by name.
    source
        Where they come from, for messages.
    own_types
        Whether entries keep the types in which they come: statistics in float64 beside weights in float32.

    Raises
    ------
    CheckpointError
        Naming every missing, unexpected and misshapen entry.
    """
    state = complete_state(model, state)
    own = model.state_dict()
    missing = sorted(set(own) - set(state))
    unexpected = sorted(set(state) - set(own))
    misshapen = [
        f"{name}: {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if missing or unexpected or misshapen:
        raise CheckpointError(
            f"the weights in {source} are not those of this model: "
            f"missing {missing or 'none'}, unexpected {unexpected or 'none'}, wrong shape {misshapen or 'none'}"
        )
    if own_types:
        for name, tensor in model.state_dict(keep_vars=True).items():
            tensor.data = tensor.data.to(state[name].dtype)
    model.load_state_dict(state)


def _finish_interrupted(directory: Path) -> None:
    """Put weights in place that a save killed after its commit left under the new name, before that name is reused."""
    new, spec = directory / _NEW, directory / _SPEC
    if not (new.is_file() and spec.is_file()):
        return
    try:
        stated = read_json_file(spec)["weights"]["sha256"]
    except (ValueError, KeyError, TypeError):
        return
    if hashlib.sha256(new.read_bytes()).hexdigest() == stated:
        os.replace(new, directory / _WEIGHTS)


_known_loadable: WeakKeyDictionary[Trainable, Any] = WeakKeyDictionary()
"""What models looked like when they were last found to be what their specifications make."""


def _require_loadable(model: Trainable) -> None:
    """Refuse a model whose specification makes another one, e.g. since a part was put in by hand."""
    look = _describe(model)
    if _known_loadable.get(model) == (model.spec, look):
        return
    with torch.random.fork_rng(devices=[]):
        wanted = _describe(_build_without_memory(model.spec))
    if look != wanted:
        parts = {
            name for name, kind in (*look.items(), *wanted.items()) if look.get(name) != wanted.get(name)
        }
        named = ", ".join(sorted({name.partition(".")[0] for name in parts}))
        raise CheckpointError(
            f"what is to be saved is not what its specification makes ({named} differs), so it could not be loaded; put "
            "another head in by lorentzoo.replace_head, other parts by lorentzoo.compose"
        )
    _known_loadable[model] = (model.spec, look)


def _describe(model: Trainable) -> dict[str, Any]:
    """Classes of the parts, and shapes of all tensors that are saved."""
    kinds: dict[str, Any] = {name: type(part) for name, part in model.named_children()}
    return kinds | {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _build_without_memory(spec: Spec) -> Trainable:
    try:
        with torch.device("meta"):
            return build(spec)
    except (NotImplementedError, RuntimeError, ValueError):  # some parts look at values when they are made
        return build(spec)


def _read_pair(directory: Path) -> tuple[Spec, dict[str, Any], bytes]:
    """Specification and weights that belong together, also while another process writes."""
    for attempt in range(_ATTEMPTS - 1):
        with contextlib.suppress(CheckpointError):
            spec, stated = _read_spec(directory)
            return spec, stated, _read_weights(directory, stated["weights"])
        time.sleep(_PAUSE * (attempt + 1))
    spec, stated = _read_spec(directory)
    return spec, stated, _read_weights(directory, stated["weights"])


def _seal(data: dict[str, Any]) -> str:
    """Checksum of a specification with the checksum of its weights."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _read_spec(directory: Path) -> tuple[Spec, dict[str, Any]]:
    path = directory / _SPEC
    try:
        data = read_json_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{directory} is not a saved model: it has no {_SPEC}") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    if not isinstance(data, dict):
        raise SpecError(f"{path} does not hold a specification")
    # Files of earlier versions state no checksum of their own.
    stated = data.pop("checksum", None)
    newer = isinstance(data.get("format"), int) and data["format"] > FORMAT
    if stated is not None and not newer and stated != _seal(data):
        raise CheckpointError(
            f"{path} is damaged: its checksum is not the one it states. Restore it from a copy."
        )
    beside = {name: data.pop(name, {}) for name in ("weights", "inputs")}
    return Spec.from_data(data), {
        name: value if isinstance(value, dict) else {} for name, value in beside.items()
    }


def _read_weights(directory: Path, stated: dict[str, Any]) -> bytes:
    found = False
    size = 0
    for path in _candidates(directory):
        found = True
        payload = path.read_bytes()
        size = len(payload)
        if hashlib.sha256(payload).hexdigest() == stated.get("sha256"):
            try:
                read_tensors(payload)
            except SafetensorError as error:
                raise CheckpointError(f"{path} is not a safetensors file: {error}") from None
            return payload
    path = directory / _WEIGHTS
    if not found:
        raise CheckpointError(f"{directory} is not a saved model: it has no {_WEIGHTS}")
    if "sha256" not in stated:
        raise CheckpointError(f"{directory / _SPEC} does not state the checksum of its weights")
    if size < stated.get("bytes", 0):
        raise CheckpointError(
            f"{path} is truncated: {size} of {stated['bytes']} bytes. Restore it from a copy."
        )
    raise CheckpointError(
        f"{path} is damaged: its checksum is not the one in {_SPEC}. Restore it from a copy."
    )


def _candidates(directory: Path) -> Iterator[Path]:
    # A save that was killed after its commit leaves the committed weights under the new name.
    for name in (_WEIGHTS, _NEW):
        if (directory / name).is_file():
            yield directory / name
