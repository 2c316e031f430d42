"""Every page's Python runs as printed.

Blocks marked ``python`` or ``pycon`` run from top to bottom of a page, in one namespace and an empty directory. Two
comments in the Markdown, which no reader sees, steer this:

- ``<!-- not run: why -->`` before a block leaves it out;
- ``<!-- run first: code -->`` anywhere runs the code at that place: it makes what a reader has at hand.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("own_catalogue")

MODULE = "page_of_the_docs"
ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PIECE = re.compile(
    r"^<!-- run first:\s(?P<first>.*?)-->"
    r"|(?:^<!-- not run: (?P<why>[^\n]+) -->\s+)?^```(?P<kind>python|pycon)\n(?P<code>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


def run_page(text: str, name: str) -> tuple[int, list[str]]:
    """Run a page's blocks; how many ran, and why others did not."""
    # A module that can be imported, so that what a page defines can be pickled.
    module = ModuleType(MODULE)
    sys.modules[MODULE] = module
    namespace = vars(module)
    count, reasons = 0, []
    for piece in PIECE.finditer(text):
        line = text.count("\n", 0, piece.start("first" if piece["first"] is not None else "code"))
        if piece["why"] is not None:
            reasons.append(piece["why"])
            continue
        if piece["kind"] == "pycon":
            run_session(piece["code"], namespace, name, line)
        else:
            # Errors show the line of the page.
            code = "\n" * line + (piece["first"] or piece["code"])
            exec(compile(code, name, "exec"), namespace)
        count += piece["first"] is None
    return count, reasons


def run_session(code: str, namespace: dict[str, Any], name: str, line: int) -> None:
    """Run a session of the interpreter: what it prints is what stands there, where anything stands there."""
    wanted = doctest.DocTestParser().get_doctest(code, namespace, name, name, line)
    for example in wanted.examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(example.source, name, "single"), namespace)
        if example.want:
            assert printed.getvalue() == example.want, f"{name}, line {line + example.lineno + 1}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_every_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    text = page.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, MODULE, ModuleType(MODULE))
    count, reasons = run_page(text, str(page.relative_to(ROOT)))
    fences = len(re.findall(r"^```(?:python|pycon)$", text, re.MULTILINE))
    assert count + len(reasons) == fences, "a block is marked in a way that this test does not read"


def test_what_is_wrong_on_a_page_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULE, ModuleType(MODULE))
    assert run_page("```python\nx = 1\n```\n\n<!-- not run: no x -->\n\n```python\ny\n```\n", "page") == (
        1,
        ["no x"],
    )
    assert run_page("<!-- run first:\nx = 1\n-->\n```pycon\n>>> x\n1\n```\n", "page") == (1, [])
    with pytest.raises(AssertionError, match="page, line 2"):
        run_page("```pycon\n>>> 1\n2\n```\n", "page")
    with pytest.raises(NameError):
        run_page("```python\nnowhere\n```\n", "page")
