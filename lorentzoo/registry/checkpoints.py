"""How is a model kept on disk, so that it survives anything that happens while saving?

A checkpoint is a directory with ``spec.json``, ``weights.safetensors``, ``details.json`` and ``README.md``. The
specification states the checksum of its weights. New files are written beside the old ones first; replacing
``spec.json`` is the one atomic step that makes them count. Nothing is pickled, so loading runs no code of the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from safetensors.torch import load as read_tensors
from safetensors.torch import save as write_tensors
from torch import Tensor

import lorentzoo
from lorentzoo.core.adapters import copy_merged
from lorentzoo.core.compiled import compile_model
from lorentzoo.core.errors import CheckpointError, ParameterError, RenamedWarning
from lorentzoo.core.fitted_inputs import FittedInputs
from lorentzoo.core.model import Model
from lorentzoo.core.quantisation import quantise
from lorentzoo.core.trainable import Trainable, complete_state
from lorentzoo.registry.cards import keep_foreign_card, write_card
from lorentzoo.registry.composition import build
from lorentzoo.registry.details import CostDetails, Details, write_down
from lorentzoo.registry.files import locked, remove_stale, write_atomically
from lorentzoo.registry.plain_data import read_json_file
from lorentzoo.registry.quantisation import (
    pack_state,
    read_quantisation,
    unpack_state,
    write_quantisation,
)
from lorentzoo.registry.renaming import update_spec
from lorentzoo.registry.saved import CARD, DETAILS, NEW, SPEC, WEIGHTS, read_pair, seal
from lorentzoo.registry.sources import locate
from lorentzoo.registry.specs import Spec

__all__ = ["load", "load_state", "save"]


def save(
    model: Trainable, directory: str | Path, *, details: Details | Mapping[str, Any] | None = None
) -> Path:
    """Save a model or a generator as ``spec.json`` and ``weights.safetensors``, with what is told of it.

    Adapters are merged into the weights. Of a quantised model (`lorentzoo.quantise`) integers and scales are written,
    which `load` multiplies again. ``details.json`` holds the details, and ``README.md`` is the card: composition,
    computed symmetry, events of the fit, details, versions, and the papers of every part. The card belongs to the save
    and is written anew; one that was changed by hand, or that is something else, is kept as ``README.before.md``, with
    a `CardWarning`.

    Parameters
    ----------
    model
        A model with a specification, as `compose` and `create_model` make it.
    directory
        Made if needed. A checkpoint that is there is replaced as a whole, or, should anything fail, left as it was.
    details
        Data, metrics, cost, limits and licence, as a `Details` or a mapping with its keys. What is left out is said to be
        not recorded.

    Returns
    -------
    The directory.

    Raises
    ------
    CheckpointError
        If the model has no specification, details do not fit, weights of a quantised model are no longer integers, or the
        disk does not take the files.
    """
    told = Details.of(details)
    if not isinstance(model, Trainable) or not isinstance(model.spec, Spec):
        raise CheckpointError(
            "this model has no specification; make it by lorentzoo.compose or create_model to save it"
        )
    model = copy_merged(model)
    _require_loadable(model)
    told = _complete_details(told, model)
    directory = Path(directory)
    payload = write_tensors(pack_state(model))
    digest = hashlib.sha256(payload).hexdigest()
    data = model.spec.to_data()
    data["weights"] = {
        "sha256": digest,
        "bytes": len(payload),
        "dtype": str(model.dtype).removeprefix("torch."),
    }
    if inputs := model.fitted_inputs.to_data():
        data["inputs"] = inputs
    if model.quantisation is not None:
        data["quantisation"] = write_quantisation(model.quantisation)
    data["checksum"] = seal(data)
    # Weights come last: while they are under the new name, a save is not finished.
    beside = {
        DETAILS: write_down(told, digest),
        CARD: write_card(model, model.spec, told).encode(errors="replace"),
        WEIGHTS: payload,
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Writers come one after another; readers need no lock, since they try again where files do not belong together.
        with locked(directory):
            remove_stale(directory, (SPEC, *(name + NEW for name in beside)))
            _finish_interrupted(directory)
            for name, contents in beside.items():
                write_atomically(directory / (name + NEW), contents)
            keep_foreign_card(directory)
            write_atomically(directory / SPEC, (json.dumps(data, indent=2) + "\n").encode())
            for name in beside:
                os.replace(directory / (name + NEW), directory / name)
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
        Of the checkpoint; or ``"hf://owner/name"`` of the Hugging Face Hub, with ``@revision`` and ``/folder`` if wanted:
        see `lorentzoo.registry.hub.locate`.
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

    Warns
    -----
    RenamedWarning
        Once, if names of parts or parameters, or defaults, have changed since: what was saved keeps its meaning, and
        ``lorentzoo migrate`` writes it anew.
    """
    directory = locate(directory)
    if directory.is_file():
        raise CheckpointError(
            f"{directory} is a file; a saved model is a directory with {SPEC} and {WEIGHTS}"
        )
    saved, payload = read_pair(directory)
    state = read_tensors(payload)
    spec = update_spec(saved.spec)
    _tell_changes(directory, saved.spec, spec)
    model = build(spec)
    dtype = getattr(torch, str(saved.weights.get("dtype", "float32")), torch.float32)
    if model.dtype != dtype:
        model.to(dtype)
    quantisation = read_quantisation(saved.quantisation) if saved.quantisation else None
    if quantisation is not None:
        state = unpack_state(model, state, quantisation)
    load_state(model, state, source=str(directory), own_types=True)
    if quantisation is not None:
        quantise(model, quantisation)
    model.fitted_inputs = FittedInputs.from_data(saved.inputs)
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


def _tell_changes(directory: Path, old: Spec, new: Spec) -> None:
    """One note of what is read by other names than it was saved by, or has other defaults today."""
    before, after = old.to_data(), new.to_data()
    changed = [slot for slot in old.slots if before[slot] != after[slot]]
    if changed:
        warnings.warn(
            f"{directory} was saved when {', '.join(changed)} had other names or defaults; it is read with the meaning "
            f"that it had. `lorentzoo migrate {directory}` writes it anew.",
            RenamedWarning,
            stacklevel=3,
        )


def _complete_details(details: Details, model: Trainable) -> Details:
    """The same details with what the model says itself, and with the versions of this save if none are stated."""
    cost = details.cost or CostDetails()
    if cost.parameters is None:
        cost = cost.model_copy(update={"parameters": model.num_parameters})
    here = {
        "python": platform.python_version(),
        "lorentzoo": lorentzoo.__version__,
        "torch": str(torch.__version__),
    }
    return details.model_copy(
        update={
            "task": model.task,
            "symmetry": model.symmetry.name,
            "cost": cost,
            "versions": details.versions or here,
        }
    )


def _finish_interrupted(directory: Path) -> None:
    """Put files in place that a save killed after its commit left under new names, before these names are reused."""
    new, spec = directory / (WEIGHTS + NEW), directory / SPEC
    if not (new.is_file() and spec.is_file()):
        return
    try:
        stated = read_json_file(spec)["weights"]["sha256"]
    except (ValueError, KeyError, TypeError):
        return
    if hashlib.sha256(new.read_bytes()).hexdigest() == stated:
        for name in (DETAILS, CARD, WEIGHTS):
            if (directory / (name + NEW)).is_file():
                os.replace(directory / (name + NEW), directory / name)


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
