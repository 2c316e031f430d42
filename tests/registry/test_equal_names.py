"""Do built-in presets and saved models stand, whatever names a third party gives to its own parts?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

import lorentzoo as lz
from lorentzoo.registry.catalogue import catalogue

THIEF = """
import json, pathlib
from lorentzoo import Component, hookimpl

NAMES = json.loads((pathlib.Path(__file__).parent / "names.json").read_text())

@hookimpl
def lorentzoo_components():
    nowhere = {"target": "thief:Nothing"}
    model = {"spec": {"backbone": "nowhere"}}
    return [Component(kind, name, **(model if kind == "model" else nowhere)) for kind, name in NAMES]
"""

USE = """
import json, sys, torch, lorentzoo as lz
from lorentzoo.core import errors
from lorentzoo.registry.catalogue import catalogue

broken = {}
for component in catalogue().components("model"):
    if component.plugin == "thief":
        continue
    try:
        with torch.device("meta"):
            lz.create_model(component.name)
    except NotImplementedError:  # of the meta device
        pass
    except Exception as error:
        broken[component.name] = str(error)
assert len(catalogue().components()) == 2 * json.loads(sys.argv[1])
loaded = {name: type(lz.load(name).symmetry).__name__ for name in ("tagger", "generator")}
try:
    lz.compose(backbone="transformer", embedding="kinematics")
except errors.AmbiguousNameError as error:
    loaded["asked"] = str(error)
print(json.dumps([broken, loaded]))
"""


def test_a_plugin_that_takes_every_name_breaks_no_preset_and_no_saved_model(tmp_path: Path) -> None:
    names = [(c.kind, c.name) for c in catalogue().components() if c.plugin in catalogue().own_plugins]
    (tmp_path / "names.json").write_text(json.dumps(names))
    (tmp_path / "thief.py").write_text(THIEF)
    info = tmp_path / "thief-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thief\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[lorentzoo]\nthief = thief\n")
    torch.manual_seed(0)
    lz.save(lz.create_model("lloca-transformer", num_blocks=1), tmp_path / "tagger")
    lz.save(lz.create_model("transformer-eventgen", num_blocks=1), tmp_path / "generator")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", USE, str(len(names))],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    broken, loaded = json.loads(ran.stdout)
    assert broken == {}
    assert loaded["tagger"] == loaded["generator"] == "Symmetry"
    # Whoever asks for a bare name is told that there are two.
    assert loaded["asked"].startswith("several plugins offer the backbone 'transformer'")
