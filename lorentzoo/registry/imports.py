"""How do weights that were trained with a published package come into a model of the zoo?"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lorentzoo.core.errors import CheckpointError
from lorentzoo.core.foreign import WeightReader, complete_options
from lorentzoo.core.model import Model
from lorentzoo.registry.published import check_published
from lorentzoo.registry.specs import Spec

__all__ = ["import_weights"]


def import_weights(
    model: Model,
    source: Mapping[str, Tensor] | str | Path,
    package: str,
    *,
    part: Literal["network", "frames"] = "network",
    prefix: str = "",
    options: Mapping[str, Any] | None = None,
    check: nn.Module | None = None,
) -> Model:
    """Read the state dict of a published network into a model.

    Parameters
    ----------
    model
        Made with the hyperparameters of the published network.
    source
        A state dict, or a file of one (safetensors, or torch's format, of which only tensors are read).
    package
        Package and version of the source, e.g. ``"lgatr-2.0"``, ``"lloca-1.3"``, ``"weaver-0.5"``.
    part
        ``"network"``: backbone and last layers; ``"frames"``: the network that predicts frames.
    prefix
        Only keys that begin with it are read, and it is taken off.
    options
        Arguments of the published constructor that change its numbers and leave no trace in a state dict, e.g.
        ``{"preserve_variance": True}``; what is left out has the package's default. Asked for where there are any.
    check
        The published network with these weights. Both are run in float64 on drawn events.

    Returns
    -------
    The model.

    Raises
    ------
    StateDictError
        If keys are missing, extra or misshapen, each named; the model is then unchanged.
    CheckpointError
        If the file cannot be read, or this part cannot read that package, or the options were not given or cannot be
        computed here, or the two networks differ by more than 1e-6; the model is then unchanged.
    """
    if check is not None:
        trial = copy.deepcopy(model)
        import_weights(trial, source, package, part=part, prefix=prefix, options=options)
        check_published(trial, check, package, part)
    state = _read(source) if isinstance(source, str | Path) else source
    state = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    if not state:
        raise CheckpointError(f"the source holds no key that begins with {prefix!r}")
    declared = {} if part == "frames" else model.backbone.published_options(package)
    if part == "frames":
        reader = WeightReader(state, model.frames_net.published_ignored)
        model.frames_net.read_published(reader, package)
    else:
        reader = WeightReader(state, model.backbone.published_ignored)
        prefixes = model.backbone.read_published(reader, package)
        if prefixes:
            model.head.read_published(reader, prefixes)
    chosen = complete_options(declared, options, package)
    reader.finish()
    if part == "frames":
        model.frames_net.mark_fitted()
        return model
    adopted = model.backbone.adopt(package, chosen)
    if adopted and isinstance(model.spec, Spec):
        model.spec = replace(model.spec, backbone=model.spec.backbone.merged(adopted))
    return model


def _read(path: str | Path) -> dict[str, Tensor]:
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {path}") from None
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read as a state dict: {error}") from error
    for key in ("model", "state_dict", "model_state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise CheckpointError(f"{path} holds no state dict of tensors")
    return loaded
