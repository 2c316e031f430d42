"""A virtual environment of its own, into which packages are installed as pip does."""

from __future__ import annotations

import os
import site
import subprocess
import venv
from pathlib import Path


class Site:
    """A virtual environment of its own that sees the packages of the current one."""

    def __init__(self, directory: Path) -> None:
        venv.create(directory, with_pip=False, symlinks=True)
        self.python = next(directory.glob("[bS]*/python*"))
        (site_packages,) = directory.glob("[lL]ib/**/site-packages")
        lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
        (site_packages / "outer.pth").write_text("\n".join(lines) + "\n")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("LORENTZOO_")}
        self.env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), *command], env=self.env, cwd=cwd, capture_output=True, text=True, check=False
        )

    def install(self, source: Path) -> None:
        options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
        ran = self.run("-m", "pip", "install", *options, str(source))
        assert ran.returncode == 0, ran.stderr

    def uninstall(self, name: str) -> None:
        ran = self.run("-m", "pip", "uninstall", "--yes", "--quiet", name)
        assert ran.returncode == 0, ran.stderr

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("-c", "from lorentzoo.cli.main import main; main()", *arguments)
