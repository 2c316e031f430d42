"""What is kept of a trained network's test?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

__all__ = ["Evaluation"]


class Evaluation(Protocol):
    """What is kept of a trained network's test."""

    def metrics(self) -> dict[str, Any]:
        """Numbers by name, as plain data; a number may be a mapping with its ``"value"``."""

    def to_data(self) -> dict[str, Any]:
        """The numbers, and how many events stand behind them, as plain data."""

    def save(self, path: Path) -> None:
        """Write everything behind the numbers, completely or not at all."""
