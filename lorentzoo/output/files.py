"""How does a file appear on disk completely or not at all?"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from lorentzoo.registry.files import write_atomically

__all__ = [
    "canonical_json",
    "checksum",
    "digest_of",
    "name_folder",
    "write_bytes",
    "write_json",
    "write_text",
]


def write_bytes(path: Path, payload: bytes) -> None:
    """Write a file, completely or not at all; its folder is made if needed.

    Raises
    ------
    OSError
        Naming the file, if the disk does not take it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, payload)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, completely or not at all."""
    # A lone surrogate, as in a label read from a broken file name, must not end hours of training.
    write_bytes(path, text.encode(errors="replace"))


def write_json(path: Path, data: Any) -> None:
    """Write indented JSON, completely or not at all."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def name_folder(text: str) -> str:
    """A name as that of a folder: nothing in it leads elsewhere.

    >>> name_folder("../../a study")
    'a-study'
    """
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "unnamed"


def canonical_json(data: Mapping[str, Any]) -> str:
    """One text for equal data: keys sorted, no spaces."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of(data: Mapping[str, Any]) -> str:
    """Short hash of plain data, 16 hexadecimal digits."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()[:16]


def checksum(path: Path) -> str:
    """SHA-256 of a file's contents."""
    with path.open("rb") as stream:
        return (
            hashlib.file_digest(stream, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else _by_hand(stream)
        )


def _by_hand(stream: IO[bytes]) -> str:
    # Python 3.10 has no hashlib.file_digest.
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
