"""How are the numbers of a network kept beside its source code?

A parameter file is little-endian: magic, version, number of particles, of context and of outputs (unsigned, 32 bits),
how many numbers there are (64 bits), SHA-256 of the specification and of the layout of the steps as text, the numbers in
float64, and the CRC-32 of all that.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from lorentzoo.exporting.source.program import Program

__all__ = ["HEADER_BYTES", "MAGIC", "VERSION", "write_parameters"]

MAGIC: Final = b"LZPARAM\n"
VERSION: Final = 1
_HEADER: Final = struct.Struct("<8s4IQ64s64s")
HEADER_BYTES: Final = _HEADER.size


def write_parameters(program: Program, spec_sha256: str) -> bytes:
    """The parameter file of a program."""
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        program.num_particles,
        program.num_context,
        len(program.outputs),
        len(program.numbers),
        spec_sha256.encode(),
        program.layout_sha256.encode(),
    )
    payload = header + program.numbers.astype("<f8").tobytes()
    return payload + struct.pack("<I", zlib.crc32(payload))
