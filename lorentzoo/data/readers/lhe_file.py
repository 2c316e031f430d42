"""What is in a Les Houches event file, from anywhere in it?

One pass notes where each event begins and ends; events are then parsed by pylhe, some at a time, with the head of the
file before them.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.readers.handles import PerProcess
from lorentzoo.data.readers.source import EventFileError, need

__all__ = ["LheFile", "LheRecords"]

_GZIP: Final = b"\x1f\x8b"
_CHUNK: Final = 1 << 20
_LONGEST_HEAD: Final = 1 << 26
"""Bytes of a head that are believed; those of MadGraph hold a few hundred kilobytes."""
_HEAD_ENDS: Final = b"</init>"
_FILE_ENDS: Final = b"</LesHouchesEvents>"
_BORDER: Final = re.compile(rb"<event(?=[\s>])|</event>|</LesHouchesEvents>")
_OVERLAP: Final = len(_FILE_ENDS)
_DAMAGES: Final = (RuntimeWarning, ValueError, IndexError, KeyError, OSError, EOFError, AssertionError)
"""What pylhe and gzip raise on damaged bytes."""


@dataclass(frozen=True, eq=False)
class LheRecords:
    """Consecutive events of a file.

    Attributes
    ----------
    momenta : ndarray, shape (P, 4), float64
        (E, px, py, pz) in GeV of all particles.
    ptr : ndarray, shape (B + 1,), int64
        Event i owns the rows ``ptr[i]:ptr[i + 1]``.
    pdg, status : ndarray, shape (P,), int64
        Number of the Particle Data Group; -1 incoming, 1 outgoing, 2 an intermediate resonance.
    mothers, colours : ndarray, shape (P, 2), int64
        First and last mother, counted from 1 within the event; colour and anticolour lines.
    spin : ndarray, shape (P,)
        Cosine of the angle between spin and direction of flight; 9 where it is unknown.
    process : ndarray, shape (B,), int64
        Number of the process.
    weight, scale, alpha_qed, alpha_s : ndarray, shape (B,)
        Nominal weight of either sign, scale in GeV, and couplings.
    weight_names : tuple of str
        Names (``id``) of further weights.
    weights : ndarray, shape (B, W)
        Their values; NaN where an event does not have one.
    """

    momenta: NDArray[np.float64]
    ptr: NDArray[np.int64]
    pdg: NDArray[np.int64]
    status: NDArray[np.int64]
    mothers: NDArray[np.int64]
    colours: NDArray[np.int64]
    spin: NDArray[np.float64]
    process: NDArray[np.int64]
    weight: NDArray[np.float64]
    scale: NDArray[np.float64]
    alpha_qed: NDArray[np.float64]
    alpha_s: NDArray[np.float64]
    weight_names: tuple[str, ...]
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weight)


class LheFile:
    """A Les Houches event file (versions 1 to 3), packed by gzip or not.

    Parameters
    ----------
    path
        The file.
    max_events
        Only so many events from its beginning; what follows is not looked at.
    """

    def __init__(self, path: Path, max_events: int | None = None) -> None:
        self.path, self._most = path, max_events
        self._stream = PerProcess(partial(_open, path))

    def close(self) -> None:
        """Close the file until its next use."""
        self._stream.close()

    @property
    def num_events(self) -> int:
        """How many events there are.

        Raises
        ------
        EventFileError
            If it is damaged or not such a file; the message says how many events came before.
        """
        return len(self._borders)

    @cached_property
    def processes(self) -> tuple[int, ...]:
        """Numbers of the processes that the head announces."""
        return tuple(int(each.procId) for each in self._head_of().init.procInfo)

    @cached_property
    def weight_labels(self) -> dict[str, str]:
        """Names (``id``) of the weights that the head announces, and what it says of each."""
        header = self._head_of().header
        announced = None if header is None else header.initrwgt
        if announced is None:
            return {}
        return {each.id: " ".join((each.name or "").split()) for each in announced.iter_weights()}

    def read(self, start: int, stop: int, *, weights: bool = True) -> LheRecords:
        """Events `start` to `stop`.

        Parameters
        ----------
        start, stop
            Which events.
        weights
            Whether to read further weights; it takes most of the time where there are many.

        Raises
        ------
        EventFileError
            If one of them is damaged, or its momenta are not finite.
        """
        borders = self._borders[start:stop]
        events = list(self._parse(borders, start, weights)) if len(borders) else []
        particles = [particle for event in events for particle in event.particles]
        names = tuple(dict.fromkeys(name for event in events for name in event.weights))

        def of_particles(*fields: str) -> NDArray[np.float64]:
            rows = [[getattr(particle, field) for field in fields] for particle in particles]
            return np.array(rows, dtype=np.float64).reshape(len(particles), len(fields))

        def of_events(field: str) -> NDArray[np.float64]:
            return np.array([getattr(event.eventinfo, field) for event in events], dtype=np.float64)

        ptr = np.cumsum([0, *(len(event.particles) for event in events)]).astype(np.int64)
        momenta = of_particles("e", "px", "py", "pz")
        bad = ~np.isfinite(momenta).all(-1)
        if bad.any():
            row = start + int(np.searchsorted(ptr, np.argmax(bad), side="right")) - 1
            raise EventFileError(self.path, f"event {row} has momenta that are not finite")
        values = [[event.weights.get(name, math.nan) for name in names] for event in events]
        return LheRecords(
            momenta=momenta,
            ptr=ptr,
            pdg=of_particles("id")[:, 0].astype(np.int64),
            status=of_particles("status")[:, 0].astype(np.int64),
            mothers=of_particles("mother1", "mother2").astype(np.int64),
            colours=of_particles("color1", "color2").astype(np.int64),
            spin=of_particles("spin")[:, 0],
            process=of_events("pid").astype(np.int64),
            weight=of_events("weight"),
            scale=of_events("scale"),
            alpha_qed=of_events("aqed"),
            alpha_s=of_events("aqcd"),
            weight_names=names,
            weights=np.array(values, dtype=np.float64).reshape(len(events), len(names)),
        )

    # ---- helpers --------------------------------------------------------------------------

    @cached_property
    def _head(self) -> bytes:
        stream, head = self._stream(), b""
        try:
            stream.seek(0)
            while _HEAD_ENDS not in head and len(head) < _LONGEST_HEAD and (chunk := stream.read(_CHUNK)):
                head += chunk
        except _DAMAGES as cause:
            raise self._damaged(0, cause) from cause
        if _HEAD_ENDS not in head:
            raise self._damaged(0, "it has no <init> block")
        return head[: head.index(_HEAD_ENDS) + len(_HEAD_ENDS)]

    @cached_property
    def _borders(self) -> NDArray[np.int64]:
        """First byte of each event and the one after its last, (n, 2)."""
        _ = self._head  # what is wrong with it is said there
        found: list[tuple[int, int]] = []
        begun, complete = -1, False
        try:
            for kind, place in self._find_borders():
                if kind == _FILE_ENDS:
                    complete = True
                    break
                if kind == b"</event>" and begun >= 0:
                    found.append((begun, place + len(kind)))
                    begun = -1
                    if len(found) == self._most:
                        complete = True
                        break
                elif kind != b"</event>":
                    if begun >= 0:
                        break
                    begun = place
        except _DAMAGES as cause:
            raise self._damaged(len(found), cause) from cause
        if not complete or begun >= 0:
            raise self._damaged(len(found), "it breaks off in the middle")
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def _find_borders(self) -> Iterator[tuple[bytes, int]]:
        """Where tags of events stand, behind the head."""
        stream, position, kept = self._stream(), len(self._head), b""
        stream.seek(position)
        while chunk := stream.read(_CHUNK):
            text = kept + chunk
            last = 0
            for match in _BORDER.finditer(text):
                yield match.group(), position + match.start()
                last = match.end()
            # A tag may stand across two chunks.
            kept_from = max(last, len(text) - _OVERLAP)
            kept, position = text[kept_from:], position + kept_from

    def _parse(self, borders: NDArray[np.int64], start: int, weights: bool) -> Iterator[Any]:
        pylhe, parsed = need("pylhe", "Les Houches files"), start
        try:
            stream, first = self._stream(), int(borders[0, 0])
            stream.seek(first)
            text = stream.read(int(borders[-1, 1]) - first)
            # Whatever stands between events (comments, groups) stays out.
            events = [text[begin - first : end - first] for begin, end in borders.tolist()]
            whole = io.BytesIO(b"\n".join([self._head, *events, _FILE_ENDS]))
            with warnings.catch_warnings():
                # pylhe ends a damaged file with a warning, as if it were complete.
                warnings.simplefilter("error", RuntimeWarning)
                for event in pylhe.LHEFile.frombuffer(whole, with_attributes=weights).events:
                    if len(event.particles) != event.eventinfo.nparticles:
                        raise ValueError(
                            f"{len(event.particles)} particles where {event.eventinfo.nparticles} are announced"
                        )
                    parsed += 1
                    yield event
        except _DAMAGES as cause:
            raise self._damaged(parsed, cause) from cause

    def _head_of(self) -> Any:
        pylhe, head = need("pylhe", "Les Houches files"), self._head
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                return pylhe.LHEFile.frombuffer(io.BytesIO(head + b"\n" + _FILE_ENDS))
        except _DAMAGES as cause:
            raise self._damaged(0, cause) from cause

    def _damaged(self, events: int, cause: object) -> EventFileError:
        return EventFileError(
            self.path,
            f"damaged or not a file of events, after {events} events: {cause}; copy or download it again",
        )


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]
