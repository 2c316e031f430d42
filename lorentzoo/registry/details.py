"""What is told of a saved model beside its composition: data, metrics, cost, limits, licence?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, field_validator

from lorentzoo.core.errors import CheckpointError
from lorentzoo.registry.plain_data import check_plain, read_json_file
from lorentzoo.registry.saved import DETAILS, NEW, read_saved_spec, seal
from lorentzoo.registry.settings import read_settings
from lorentzoo.registry.sources import locate

__all__ = [
    "CostDetails",
    "DataDetails",
    "Details",
    "MetricDetails",
    "read_details",
    "write_down",
]

_FORMAT: Final = 1

_Finite = Annotated[NonNegativeFloat, Field(allow_inf_nan=False)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataDetails(_Value):
    """Events on which a model was trained.

    Attributes
    ----------
    name
        As `lorentzoo.load_dataset` takes it, ``"name:key=value"``, or in words.
    fingerprint
        Hash of all events, as ``data.fingerprint()`` gives it.
    events
        Number of training events.
    licence
        Of the data.
    description
        How the events were chosen, and what else is to be known of them.
    references
        Papers and programs behind the data.
    """

    name: Annotated[str, Field(min_length=1)]
    fingerprint: str = ""
    events: NonNegativeInt | None = None
    licence: str = ""
    description: str = ""
    references: tuple[str, ...] = ()


class MetricDetails(_Value):
    """One number of a test.

    Attributes
    ----------
    value, error
        The number and its statistical error, or the spread over seeds; the note says which.
    note
        On which events, and what else is to be known.
    """

    value: float
    error: _Finite | None = None
    note: str = ""

    @field_validator("value")
    @classmethod
    def _is_number(cls, value: float) -> float:
        if value != value:
            raise ValueError("it is not a number (NaN); leave the metric out")
        return value


class CostDetails(_Value):
    """What a model costs.

    Attributes
    ----------
    parameters
        Trainable parameters; those of the model by default.
    flops
        Floating-point operations of the forward pass of one event.
    multiplicity
        Particles of that event.
    seconds
        CPU-seconds of its training.
    machine
        On which it was trained.
    """

    parameters: NonNegativeInt | None = None
    flops: _Finite | None = None
    multiplicity: NonNegativeInt | None = None
    seconds: _Finite | None = None
    machine: str = ""


class Details(_Value):
    """What is told of a saved model beside its composition; what is not known is left out.

    Attributes
    ----------
    task, symmetry
        What it was trained for, and the name of its computed symmetry: those of the model, put by `lorentzoo.save`.
    data
        Events on which it was trained; a name alone is enough.
    metrics
        Numbers of a test by name; a number alone is enough.
    command
        The exact command that trained it.
    cost
        Parameters, arithmetic, time and machine.
    limits
        What it must not be used for, in sentences.
    licence
        Of the weights, e.g. ``"MIT"`` or ``"CC-BY-4.0"``.
    version
        Of the weights.
    versions
        Of what trained it, by package; where none are stated those of Python, lorentzoo and torch at the save.

    Examples
    --------
    >>> Details(data="toptag:num_jets=2000", metrics={"auc": 0.98}).metrics["auc"].value
    0.98
    """

    task: str = ""
    symmetry: str = ""
    data: DataDetails | None = None
    metrics: Mapping[str, MetricDetails] = {}
    command: str = ""
    cost: CostDetails | None = None
    limits: tuple[str, ...] = ()
    licence: str = ""
    version: str = ""
    versions: Mapping[str, str] = {}

    @field_validator("data", mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data

    @field_validator("metrics", mode="before")
    @classmethod
    def _numbers(cls, metrics: Any) -> Any:
        if not isinstance(metrics, Mapping):
            return metrics
        return {
            name: {"value": one} if isinstance(one, int | float) else one for name, one in metrics.items()
        }

    @classmethod
    def of(cls, details: Details | Mapping[str, Any] | None) -> Details:
        """Details, or a mapping with their keys.

        Raises
        ------
        CheckpointError
            Naming every key that is unknown or has a value that does not fit.
        """
        checked: Details = read_settings(cls, details, "details", CheckpointError)
        check_plain(checked.model_dump(), "details", CheckpointError)
        return checked

    def to_data(self) -> dict[str, Any]:
        """Plain data without what is not known; ``Details.of(data)`` again."""
        return self.model_dump(exclude_defaults=True)


def read_details(directory: str | Path) -> Details:
    """What was told of a saved model when it was saved; empty where nothing was.

    Parameters
    ----------
    directory
        Of the saved model, or of a run; or ``"hf://owner/name"``, as for `lorentzoo.load`.

    Raises
    ------
    CheckpointError
        If it is not a saved model, or its details are damaged or belong to other weights.
    """
    directory = locate(directory)
    weights = read_saved_spec(directory).weights.get("sha256")
    # A save that was killed after its commit leaves the details that count under the new name.
    paths = [path for name in (DETAILS, DETAILS + NEW) if (path := directory / name).exists()]
    for path in paths:
        data = _read_file(path)
        if data.pop("weights", None) == weights:
            try:
                return Details.of({key: value for key, value in data.items() if key != "format"})
            except CheckpointError as error:
                raise CheckpointError(f"{path}: {error}") from None
    if paths:
        raise CheckpointError(
            f"{paths[0]} is of other weights than those beside it; save the model again, or remove the file"
        )
    return Details()


def write_down(details: Details, weights: str) -> bytes:
    """The file of details, of weights with this checksum."""
    data = {"format": _FORMAT, "weights": weights, **details.to_data()}
    # Sealed as it will be read.
    data = json.loads(json.dumps(data, ensure_ascii=False).encode(errors="replace"))
    data["checksum"] = seal(data)
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()


def _read_file(path: Path) -> dict[str, Any]:
    """What a file of details states, without its own checksum."""
    try:
        data = read_json_file(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("format"), int):
        raise CheckpointError(f"{path} does not hold the details of a saved model")
    if data["format"] > _FORMAT:
        raise CheckpointError(
            f"{path} has format {data['format']}, but this version reads formats up to {_FORMAT}: upgrade lorentzoo"
        )
    if data.pop("checksum", None) != seal(data):
        raise CheckpointError(
            f"{path} is damaged: its checksum is not the one it states. Restore it from a copy, or say what it is to "
            "tell by lorentzoo.save(..., details=...)"
        )
    return data
