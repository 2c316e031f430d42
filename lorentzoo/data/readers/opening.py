"""How does a value type of files become a function that opens them?"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import fields
from typing import Final, ParamSpec

import torch

from lorentzoo.data.events import EventData
from lorentzoo.data.readers.files import FileDataset
from lorentzoo.data.readers.options import EventFiles
from lorentzoo.data.streaming.dataset import StreamedData

__all__ = ["open_files", "opens"]

P = ParamSpec("P")

_PARAMETERS: Final = "Parameters\n----------\n"


def open_files(files: EventFiles) -> EventData:
    """The events that an `EventFiles` means.

    Raises
    ------
    EventFileError
        Naming the file and what is wrong: a missing column, another unit, bad values, damage.
    FileNotFoundError
        Naming what has no file.
    """
    dataset: EventData
    if files.stream:
        dataset = StreamedData(files)
    else:
        in_blocks = FileDataset(files)
        dataset = in_blocks.load() if files.in_memory else in_blocks
    if files.split is not None:
        dataset = dataset.split(files.split)
    if files.num_jets is None:
        return dataset
    if not 1 <= files.num_jets <= len(dataset):
        raise ValueError(f"num_jets must be 1 to {len(dataset)}, what the files hold, not {files.num_jets}")
    return dataset.subset(torch.arange(files.num_jets))


def opens(kind: Callable[P, EventFiles]) -> Callable[P, EventData]:
    """The function that opens such files: its parameters are the fields of their value type."""

    def open_dataset(*args: P.args, **kwargs: P.kwargs) -> EventData:
        return open_files(kind(*args, **kwargs))

    assert isinstance(kind, type)
    assert issubclass(kind, EventFiles)
    open_dataset.__doc__ = _document(kind)
    # The registry validates parameters by the signature and its annotations.
    open_dataset.__signature__ = inspect.signature(kind)  # type: ignore[attr-defined]
    hints = typing.get_type_hints(kind)
    open_dataset.__annotations__ = {item.name: hints[item.name] for item in fields(kind)}
    return open_dataset


def _document(kind: type[EventFiles]) -> str:
    """What a format says of itself, with the parameters of all formats before its own."""
    summary = inspect.cleandoc(kind.__doc__ or "").partition(_PARAMETERS)[0]
    parameters = [
        inspect.cleandoc(each.__doc__ or "").partition(_PARAMETERS)[2]
        for each in reversed(kind.__mro__)
        if issubclass(each, EventFiles)
    ]
    return "\n".join([summary.rstrip(), "", _PARAMETERS + "\n".join(filter(None, parameters))])
