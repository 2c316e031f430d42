"""Does a package of `lorentzoo new-plugin` pass as it is, and do many plugins leave the command line fast and safe?"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from lorentzoo.cli.plugins import write_plugin
from lorentzoo.core.errors import PluginError


def pretend_installed(
    site: Path, distribution: str, points: Mapping[str, str], version: str = "0.1.0"
) -> None:
    """What pip leaves of a distribution with entry points for lorentzoo."""
    folder = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    lines = "".join(f"{name} = {module}\n" for name, module in points.items())
    (folder / "entry_points.txt").write_text(f"[lorentzoo]\n{lines}")


def run(*command: str, path: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LORENTZOO_", "PYTEST_"))}
    env |= {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *command], env=env, cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new package, as if it were installed."""
    folder = write_plugin("my-net", tmp_path_factory.mktemp("work") / "package")
    assert (
        '[project.entry-points.lorentzoo]\nmy-net = "lorentzoo_my_net"'
        in (folder / "pyproject.toml").read_text()
    )
    pretend_installed(folder / "src", "lorentzoo-my-net", {"my-net": "lorentzoo_my_net"})
    return folder


def test_a_new_package_passes_its_tests_and_the_kit(written: Path) -> None:
    ran = run(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "error",
        "-rA",
        path=written / "src",
        cwd=written,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for name in ("my-net", "backbone-my-net/my-net", "model-my-net/my-net"):
        assert f"PASSED lorentzoo::{name}\n" in ran.stdout
    assert "5 passed" in ran.stdout


def test_a_new_package_is_complete_and_clean(written: Path) -> None:
    files = {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()}
    files = {name for name in files if "dist-info" not in name and "__pycache__" not in name}
    assert files == {
        ".github/workflows/tests.yml",
        ".gitignore",
        "README.md",
        "docs/index.md",
        "pyproject.toml",
        "src/lorentzoo_my_net/__init__.py",
        "src/lorentzoo_my_net/network.py",
        "tests/test_lorentzoo_my_net.py",
    }
    assert not any(
        "@" + mark + "@" in (written / name).read_text() for name in files for mark in ("name", "package")
    )
    listed = run("-m", "lorentzoo", "plugins", "my-net", "--json", path=written / "src")
    (record,) = json.loads(listed.stdout)
    assert (record["error"], record["warnings"]) == ("", [])
    assert record["components"] == ["backbone/my-net", "model/my-net"]
    described = run("-m", "lorentzoo", "describe", "my-net", "--kind", "backbone", path=written / "src")
    assert "width: int = 64" in described.stdout


@pytest.mark.slow
def test_a_broken_network_fails_with_what_the_kit_says_and_can_be_excused(
    written: Path, tmp_path: Path
) -> None:
    """The report of the kit stands there, and no trace."""
    shutil.copytree(written, tmp_path / "copy")
    network = tmp_path / "copy/src/lorentzoo_my_net/network.py"
    text = network.read_text()
    assert 'mean = layout.spread(layout.pool(x, "mean"))' in text
    network.write_text(text.replace('layout.pool(x, "mean")', 'layout.pool(x, "sum") / 0.0'))
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--ignore=tests")
    ran = run(*command, path=tmp_path / "copy/src", cwd=tmp_path / "copy")
    assert ran.returncode == 1
    assert "backbone-my-net/my-net" in ran.stdout
    assert "Traceback" not in ran.stdout
    excused = run(
        *command,
        "-o",
        "lorentzoo_expected_failures=backbone/my-net",
        path=tmp_path / "copy/src",
        cwd=tmp_path / "copy",
    )
    assert "expected 'kind/name | check | reason', not 'backbone/my-net'" in excused.stderr


def test_an_unknown_plugin_is_said_in_one_line(written: Path) -> None:
    ran = run("-m", "pytest", "-q", "--lorentzoo", "nowhere", path=written / "src", cwd=written)
    assert ran.returncode == 4
    assert "ERROR: --lorentzoo: there is no plugin 'nowhere'; there are amplitudes" in ran.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MyNet", "'MyNet' is not a name for a plugin: lower-case kebab"),
        ("3net", "begins with a letter"),
        ("my_net", "such as my-net"),
        ("../x", "is not a name"),
        ("transformer", "the name 'transformer' is taken by a backbone of the plugin 'transformers'"),
        ("lgatr", "is taken by a"),
        ("tasks", "is taken by a plugin"),
    ],
)
def test_names_that_cannot_be_are_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=message):
        write_plugin(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(PluginError, match="is there and not empty; choose another folder with --out"):
        write_plugin("my-net", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


# ---- many plugins -----------------------------------------------------------------------------

HOSTILE = "\x1b[31mred\x1b[0m [bold]markup[/bold] \x07 \u202e<script>"
MODULE = """
from lorentzoo import Component, hookimpl

@hookimpl
def lorentzoo_components():
    return [Component("backbone", "net-{number}-" + str(i), target="nowhere:Net", summary={summary!r}) for i in range(5)]
"""


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty distributions with a plugin each."""
    site = tmp_path_factory.mktemp("crowd")
    for number in range(30):
        (site / f"crowd_{number}.py").write_text(MODULE.format(number=number, summary=HOSTILE))
        pretend_installed(site, f"crowd-{number}", {f"crowd-{number}": f"crowd_{number}"})
    return site


def test_listing_with_thirty_plugins_takes_less_than_half_a_second(crowd: Path) -> None:
    """Of processor time, which other work on the machine does not change."""
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = run("-m", "lorentzoo", "list", path=crowd)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert ran.returncode == 0, ran.stderr
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert ran.stdout.count("\tnet-") == 150
    assert min(spent) < 0.5, spent


@pytest.mark.parametrize(
    "command", [("list", "backbone"), ("list", "--json"), ("plugins",), ("describe", "net-3-1")]
)
def test_what_plugins_say_is_text(crowd: Path, command: tuple[str, ...]) -> None:
    """No order to a terminal comes through, and markup stays what it is."""
    ran = run("-m", "lorentzoo", *command, path=crowd)
    said = ran.stdout + ran.stderr
    assert not [sign for sign in ("\x1b", "\x07", "\u202e") if sign in said]
    if command[0] == "list":
        assert "[bold]markup[/bold]" in said
