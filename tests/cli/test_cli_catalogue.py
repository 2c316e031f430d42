"""``lorentzoo catalogue`` writes a page of what its pattern names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from calling import Answer


def test_a_page_of_some_components(call: Callable[..., Answer], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    answer = call("catalogue", "--out", str(folder), "--pattern", "mlp*", "--title", "Perceptrons <here>")
    assert answer.code == 0, answer.err
    assert answer.out.strip() == str(folder / "catalogue.html")
    assert "catalogue: model mlp" in answer.err
    page = (folder / "catalogue.html").read_text(encoding="utf-8")
    assert "<h1>Perceptrons &lt;here&gt;</h1>" in page
    assert 'id="model/sets/mlp"' in page
    assert "particlenet" not in page


def test_a_pattern_of_nothing_is_refused(call: Callable[..., Answer], tmp_path: Path) -> None:
    answer = call("catalogue", "--out", str(tmp_path), "--pattern", "nothing-like-it")
    assert answer.code == 1
    assert "no component is called 'nothing-like-it'; `lorentzoo list` names them" in answer.err
    assert not list(tmp_path.iterdir())
