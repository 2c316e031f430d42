"""What lies in the folder of a saved model, and does it belong together?

``spec.json`` states the checksum of the weights that it is of, and its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, deserialize

from lorentzoo.core.errors import CheckpointError, SpecError
from lorentzoo.registry.plain_data import read_json_file
from lorentzoo.registry.specs import FORMAT, Spec

__all__ = ["CARD", "DETAILS", "NEW", "SPEC", "WEIGHTS", "SavedSpec", "read_pair", "read_saved_spec", "seal"]

SPEC: Final = "spec.json"
WEIGHTS: Final = "weights.safetensors"
DETAILS: Final = "details.json"
CARD: Final = "README.md"
NEW: Final = ".new"
"""End of the names under which files are written before the save that they belong to counts."""
_ATTEMPTS: Final = 5
_PAUSE: Final = 0.02
"""Seconds before files that do not belong together are read again, at first."""


@dataclass(frozen=True)
class SavedSpec:
    """What ``spec.json`` states.

    Attributes
    ----------
    spec
        The composition.
    weights
        Checksum (``sha256``), size (``bytes``) and ``dtype`` of the weights.
    inputs
        What is known of the events of the fit, as `FittedInputs.to_data` wrote it.
    quantisation
        To which integers the weights are rounded, as `write_quantisation` wrote it; empty where they are not.
    """

    spec: Spec
    weights: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    quantisation: Mapping[str, Any] = field(default_factory=dict)


def read_saved_spec(directory: str | Path) -> SavedSpec:
    """The composition of a saved model, without its weights.

    Raises
    ------
    CheckpointError
        If it is not a saved model, or its specification is damaged.
    SpecError
        If the specification cannot be read or is of a newer version.
    """
    path = Path(directory) / SPEC
    try:
        data = read_json_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{directory} is not a saved model: it has no {SPEC}") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    if not isinstance(data, dict):
        raise SpecError(f"{path} does not hold a specification")
    stated = data.pop("checksum", None)
    number = data.get("format", 1)
    # Files of the first format may state no checksum of their own; how newer ones do it is not known here.
    known = isinstance(number, int) and number <= FORMAT
    if known and (stated is not None or number > 1) and stated != seal(data):
        raise CheckpointError(
            f"{path} is damaged: its checksum is not the one it states. Restore it from a copy."
        )
    beside = {name: data.pop(name, {}) for name in ("weights", "inputs", "quantisation")}
    return SavedSpec(
        Spec.from_data(data), **{name: value for name, value in beside.items() if isinstance(value, dict)}
    )


def read_pair(directory: Path) -> tuple[SavedSpec, bytes]:
    """Specification and weights that belong together, also while another process writes.

    Raises
    ------
    CheckpointError
        If files are missing, truncated or damaged, or the weights are not those of the specification.
    SpecError
        As for `read_saved_spec`.
    """
    for attempt in range(_ATTEMPTS - 1):
        with contextlib.suppress(CheckpointError):
            saved = read_saved_spec(directory)
            return saved, _read_weights(directory, saved.weights)
        time.sleep(_PAUSE * (attempt + 1))
    saved = read_saved_spec(directory)
    return saved, _read_weights(directory, saved.weights)


def seal(data: Mapping[str, Any]) -> str:
    """Checksum of plain data, e.g. of a specification with the checksum of its weights."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _read_weights(directory: Path, stated: Mapping[str, Any]) -> bytes:
    found = False
    size = 0
    for path in _candidates(directory):
        found = True
        payload = path.read_bytes()
        size = len(payload)
        if hashlib.sha256(payload).hexdigest() == stated.get("sha256"):
            try:
                # Not by safetensors.torch: who looks at specifications and details need not wait for torch.
                deserialize(payload)
            except SafetensorError as error:
                raise CheckpointError(f"{path} is not a safetensors file: {error}") from None
            return payload
    path = directory / WEIGHTS
    if not found:
        raise CheckpointError(f"{directory} is not a saved model: it has no {WEIGHTS}")
    if "sha256" not in stated:
        raise CheckpointError(f"{directory / SPEC} does not state the checksum of its weights")
    if size < stated.get("bytes", 0):
        raise CheckpointError(
            f"{path} is truncated: {size} of {stated['bytes']} bytes. Restore it from a copy."
        )
    raise CheckpointError(
        f"{path} is damaged: its checksum is not the one in {SPEC}. Restore it from a copy."
    )


def _candidates(directory: Path) -> Iterator[Path]:
    # A save that was killed after its commit leaves the committed weights under the new name.
    for name in (WEIGHTS, WEIGHTS + NEW):
        if (directory / name).is_file():
            yield directory / name
