"""What became of all cases is printed at the end."""

from __future__ import annotations

from typing import Any

from fuzzing import COUNTS


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for name, counts in COUNTS.items():
        terminalreporter.write_line(
            f"fuzz {name}: {counts.total()} cases, {counts['accepted']} accepted, {counts['refused']} refused, "
            f"{counts['faults']} faults, {counts['hangs']} hangs"
        )
