"""What importing and listing costs, and which plugins the environment lets in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(code: str, path: Path | None = None, **environment: str) -> str:
    env = {**os.environ, **environment}
    for name in ("LORENTZOO_DISABLE_PLUGINS", "LORENTZOO_PLUGINS"):
        if name not in environment:
            env.pop(name, None)
    if path is not None:
        env["PYTHONPATH"] = os.pathsep.join([str(path), env.get("PYTHONPATH", "")])
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


LISTED = """
import sys, json, time
start = time.perf_counter()
{code}
print(json.dumps([time.perf_counter() - start, sorted(m for m in ("torch", "numpy", "pydantic") if m in sys.modules)]))
"""


@pytest.mark.parametrize(
    "code",
    [
        "import lorentzoo",
        "import lorentzoo as lz; lz.list_components('backbone'); lz.list_models()",
        "import lorentzoo as lz; lz.list_plugins()",
        "import lorentzoo.testing",
        "from lorentzoo import Component, hookimpl",
        "import lorentzoo; assert 'ParticleCloud' in dir(lorentzoo)",
    ],
)
def test_importing_and_listing_import_no_torch(code: str) -> None:
    seconds, heavy = json.loads(run(LISTED.format(code=code)).splitlines()[-1])
    assert "torch" not in heavy
    # Half a second is promised on an idle machine; here others may be at work.
    assert seconds < 1.5


def test_all_public_names_resolve() -> None:
    import lorentzoo

    for name in lorentzoo.__all__:
        assert getattr(lorentzoo, name) is not None
    with pytest.raises(AttributeError, match="module 'lorentzoo' has no attribute 'creat_model'"):
        _ = lorentzoo.creat_model


@pytest.fixture
def third_party(tmp_path: Path) -> Path:
    """Two distributions that are only on the path, as pip would leave them."""
    for name in ("alpha", "beta"):
        (tmp_path / f"{name}_net.py").write_text(
            "from lorentzoo import Component, hookimpl\n\n@hookimpl\ndef lorentzoo_components():\n"
            f"    return [Component('backbone', '{name}', '{name}_net:Net', 'A net')]\n"
        )
        info = tmp_path / f"{name}_net-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-net\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[lorentzoo]\n{name} = {name}_net\n")
    return tmp_path


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, ["alpha", "beta"]),
        ({"LORENTZOO_DISABLE_PLUGINS": "0"}, ["alpha", "beta"]),
        ({"LORENTZOO_DISABLE_PLUGINS": "1"}, []),
        ({"LORENTZOO_PLUGINS": "beta"}, ["beta"]),
        ({"LORENTZOO_PLUGINS": "alpha, beta"}, ["alpha", "beta"]),
        ({"LORENTZOO_PLUGINS": ""}, []),
        ({"LORENTZOO_PLUGINS": "beta", "LORENTZOO_DISABLE_PLUGINS": "1"}, []),
    ],
)
def test_the_environment_says_which_plugins_load(
    third_party: Path, environment: dict[str, str], found: list[str]
) -> None:
    code = (
        "import json, sys, lorentzoo as lz; names = lz.list_components('backbone')\n"
        "records = {r.name: [r.distribution, r.version] for r in lz.list_plugins()}\n"
        "print(json.dumps([names, records, [m for m in sys.modules if m.endswith('_net')]]))"
    )
    names, records, modules = json.loads(run(code, third_party, **environment))
    assert [name for name in ("alpha", "beta") if name in names] == found
    # What is not allowed is not even imported.
    assert sorted(modules) == [f"{name}_net" for name in found]
    assert "deep-sets" in names
    for name in found:
        assert records[name] == [f"{name}-net", "1.2"]
