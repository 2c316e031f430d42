"""Does the command line behave as people expect: -h, --version, python -m, completion of names?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lorentzoo as lz

# What a shell asks; the answer must come without the weight of torch.
COMPLETE = """
import sys
sys.argv = ["lorentzoo"]
from lorentzoo.cli.main import main
try:
    main()
finally:
    assert "torch" not in sys.modules and "lorentzoo.core.cloud" not in sys.modules
"""


def ask(*words: str) -> list[str]:
    """What bash is offered for the last word."""
    ran = subprocess.run(
        [sys.executable, "-c", COMPLETE],
        env={
            **os.environ,
            "_LORENTZOO_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(("lorentzoo", *words)),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    return ran.stdout.split()


def names(kind: str, start: str = "") -> list[str]:
    return [name for name in lz.list_components(kind) if name.startswith(start)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ver",), ["verify"]),
        (("study", "c"), ["collect", "cancel"]),
        (("verify", "lloca-p"), lambda: names("model", "lloca-p")),
        (("train", "transformer", "--dataset", "top"), lambda: names("dataset", "top")),
        (("train", "transformer", "--head", "cl"), lambda: names("head", "cl")),
        (("describe", "kinem"), lambda: names("embedding", "kinem")),
        (("list", "back"), ["backbone"]),
        (("plugins", "trans"), ["transformers"]),
        (("describe", "--kind", "spur"), ["spurions"]),
    ],
)
def test_commands_and_names_are_completed_without_torch(words: tuple[str, ...], offered: object) -> None:
    expected = offered() if callable(offered) else offered
    assert expected
    assert ask(*words) == expected


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lorentzoo", *arguments], capture_output=True, text=True, check=False
    )


def test_version() -> None:
    ran = run("--version")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"lorentzoo {lz.__version__}\n", "")


@pytest.mark.parametrize("command", [(), ("train",), ("study",), ("study", "run"), ("data", "make")])
def test_h_is_help(command: tuple[str, ...]) -> None:
    short, long = run(*command, "-h"), run(*command, "--help")
    assert short.returncode == 0
    assert short.stdout == long.stdout
    assert "Usage: " in short.stdout


def test_a_plugin_by_name(tmp_path: Path) -> None:
    ran = run("plugins", "sets")
    assert [line.split("\t")[0] for line in ran.stdout.splitlines()] == ["sets"]
    wrong = run("plugins", "nowhere")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: there is no plugin 'nowhere'; there are ")
