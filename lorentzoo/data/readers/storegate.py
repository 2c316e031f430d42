"""Which collection does an element link of ATLAS mean?

A link holds a key of 30 bits: the CRC-64 (reversed polynomial 0x95AC9329AC4BC9B5, all bits set at first) of the
collection's name and then of the number of its class, as Athena's StoreGate makes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

__all__ = ["key_of", "names_by_key"]

_POLYNOMIAL: Final = 0x95AC9329AC4BC9B5
_KEY_BITS: Final = 30
_CLASSES: Final[dict[str, int]] = {
    "FlowElementContainer": 1158384067,
    "PFOContainer": 1177172577,
    "TrackParticleContainer": 1287425431,
    "CaloClusterContainer": 1219821989,
    "TruthParticleContainer": 1237340765,
    "JetContainer": 1244316195,
}
"""Numbers of the classes of constituents."""


def key_of(name: str, container: str) -> int:
    """The key of a collection by its name and its class.

    Examples
    --------
    >>> key_of("InDetTrackParticles", "TrackParticleContainer")
    490246363
    """
    crc = (1 << 64) - 1
    number = _CLASSES[container]
    class_bytes = number.to_bytes((number.bit_length() + 7) // 8, "little")
    for byte in name.encode() + class_bytes:
        crc = _table()[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc & ((1 << _KEY_BITS) - 1)


def names_by_key(names: Iterable[str]) -> dict[int, str]:
    """Collections by the keys that links to them may have, one for each class."""
    return {key_of(name, container): name for name in names for container in _CLASSES}


@lru_cache(maxsize=1)
def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        found.append(value)
    return tuple(found)
