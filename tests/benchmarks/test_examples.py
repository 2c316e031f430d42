"""Scripts of the examples run, on as little as it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "examples"


def test_what_is_learned_of_the_symmetry(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    networks = ("transformer on momenta", "lloca without spurions")
    options = ["--seeds", "2", "--steps", "1", "2", "--jets", "200", "--events", "8", "--networks", *networks]
    ran = subprocess.run(
        [sys.executable, str(SCRIPTS / "symmetry_learned.py"), "--out", str(tmp_path), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    courses = json.loads((tmp_path / "spectra.json").read_text())
    free, kept = ([moment["subgroups"]["SO⁺(1,3)"][0] for moment in courses[name]] for name in networks)
    assert len(free) == len(kept) == 3
    assert max(kept) < 1e-9 < 1e-3 < min(free)
    assert (tmp_path / "symmetry-learned.png").stat().st_size > 10_000
    assert (tmp_path / "table.md").read_text().count("\n") == 2 + 2 * 3
