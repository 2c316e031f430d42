"""How is a block of consecutive events of a file read, checked, and brought into the form in which it is used?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.columns import EventValueError, id_column
from lorentzoo.data.readers.columns import EventColumns, join_columns
from lorentzoo.data.readers.options import EventFiles
from lorentzoo.data.readers.source import EventFileError, Events, Source, check_units, find_bad

__all__ = ["Block", "BlockReader", "common_classes", "common_scalars", "require_same_columns"]

_ROWS_PER_FILE: Final = 1 << 32


@dataclass(frozen=True)
class Block:
    """Consecutive events of one file: its number among the files, the file, first row and row after the last."""

    file: int
    source: Source
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class BlockReader:
    """Reads blocks of files.

    Parameters
    ----------
    files
        How the files are read.
    scalar_names
        Scalars of each particle, in the order in which they are wanted.
    """

    def __init__(self, files: EventFiles, scalar_names: tuple[str, ...]) -> None:
        self._files, self._scalar_names = files, scalar_names

    def settings(self) -> dict[str, object]:
        """How particles are read, beside what a source says of itself."""
        return {"max_constituents": self._files.max_constituents, "scalars": self._scalar_names}

    @property
    def skips_bad(self) -> bool:
        """Whether events that cannot be used are left out, instead of an error."""
        return self._files.on_bad == "skip"

    def read(self, block: Block) -> Events:
        """The events as they are in the file, their units checked.

        Raises
        ------
        EventFileError
            If the file is damaged, or the momenta look like another unit.
        """
        events = block.source.read(block.start, block.stop)
        if self._files.check_units:
            check_units(block.source.path, events, self._files.units)
        return events.in_order(block.source.scalar_names, self._scalar_names)

    def read_columns(self, block: Block) -> tuple[EventColumns, NDArray[np.int64]]:
        """Target, weight, context and number of the events, and which of them have values that are not finite.

        Raises
        ------
        EventFileError
            If there are some, and they are not to be left out.
        """
        columns = block.source.read_columns(block.start, block.stop)
        bad = columns.find_bad()
        if len(bad) and not self.skips_bad:
            raise EventFileError(
                block.source.path,
                f"row {block.start + int(bad[0])} has a target, weight or context that is not finite "
                f"({len(bad)} of the events {block.start} to {block.stop}); on_bad='skip' leaves such events out",
            )
        return columns, bad

    def find_bad(self, block: Block, events: Events) -> NDArray[np.int64]:
        """Events whose particles cannot be used.

        Raises
        ------
        EventFileError
            If there are some, and they are not to be left out.
        """
        bad = find_bad(events)
        if len(bad) and not self.skips_bad:
            raise EventFileError(
                block.source.path,
                f"{len(bad)} of the events {block.start} to {block.stop} hold values that are not finite, energies that "
                f"are not positive or space-like momenta, first row {block.start + int(bad[0])}; pass on_bad='skip' to "
                "leave such events out",
            )
        return bad

    def prepare(self, events: Events) -> Events:
        """The events in the form in which they are used: hardest particles, none outside the light cone by rounding."""
        return events.keep_hardest(self._files.max_constituents).on_light_cone()

    def event_ids(self, block: Block, columns: EventColumns | None) -> NDArray[np.int64]:
        """Numbers of all events of the block: those of the file, or the number of the file and the row.

        Raises
        ------
        EventFileError
            If the file's are not whole numbers.
        """
        if columns is None or columns.event_id is None:
            return block.file * _ROWS_PER_FILE + block.source.row_numbers(block.start, block.stop)
        try:
            return np.asarray(id_column(join_columns([columns.event_id]), len(block)).numpy())
        except EventValueError as error:
            raise EventFileError(
                block.source.path, f"column {self._files.event_id!r} from row {block.start} on: {error}"
            ) from error


def common_scalars(sources: Sequence[Source]) -> tuple[str, ...]:
    """Names of the scalars that all files have, in the order of the first one.

    Raises
    ------
    EventFileError
        Naming the first file with others.
    """
    first = sources[0]
    for source in sources[1:]:
        if sorted(source.scalar_names) != sorted(first.scalar_names):
            raise EventFileError(
                source.path,
                f"its scalars {list(source.scalar_names)} are not those of {first.path}, {list(first.scalar_names)}",
            )
    return first.scalar_names


def common_classes(sources: Sequence[Source]) -> tuple[str, ...]:
    """Names of the classes of all files; where they are only counted, as many as in the file with most.

    Raises
    ------
    EventFileError
        Naming the first file with others.
    """
    most = max(sources, key=lambda source: len(source.class_names))
    for source in sources:
        same = most.class_names[: len(source.class_names)] == source.class_names
        if not same or (source.class_names != most.class_names and not source.classes_counted):
            raise EventFileError(
                source.path,
                f"its classes {list(source.class_names)} are not those of {most.path}, {list(most.class_names)}",
            )
    return most.class_names


def require_same_columns(block: Block, columns: EventColumns, first: Block, expected: EventColumns) -> None:
    """Refuse a block whose columns have other names than those of the first one.

    Raises
    ------
    EventFileError
        Naming both files and their columns.
    """
    if (columns.target_names, columns.context_names) != (expected.target_names, expected.context_names):
        raise EventFileError(
            block.source.path,
            f"its columns {[*columns.target_names, *columns.context_names]} are not those of "
            f"{first.source.path}, {[*expected.target_names, *expected.context_names]}",
        )
