"""Packages as pip installs them: they appear, work, disappear; broken ones harm no one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from sites import Site

pytest.importorskip("hatchling")
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples, copied so that building leaves no trace in the repository."""
    import shutil

    target = tmp_path_factory.mktemp("examples")
    for name in ("plugin", "task_plugin", "broken_plugin"):
        shutil.copytree(EXAMPLES / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "build"))
    return target


TRAIN = """
import json, torch, lorentzoo as lz
from lorentzoo.testing import random_cloud
torch.manual_seed(0)
model = lz.compose(backbone="moments:width=8", embedding=["kinematics", "momenta"], frames="random-beam")
batch = lz.Batch(random_cloud([5, 9, 3]), torch.tensor([0, 1, 0]), torch.ones(3), torch.arange(3))
optimiser = torch.optim.AdamW(model.parameters())
before = [p.clone() for p in model.parameters()]
for _ in range(2):
    optimiser.zero_grad()
    model.loss(batch).backward()
    optimiser.step()
moved = any(not torch.equal(a, b) for a, b in zip(before, model.parameters()))
print(json.dumps([moved, model.spec["plugins"]["backbone/moments"]]))
lz.save(model, "run")
assert lz.load("run").spec == model.spec
"""


def names_of(listed: subprocess.CompletedProcess[str]) -> set[str]:
    return {component["name"] for component in json.loads(listed.stdout)}


def test_a_package_appears_works_and_disappears(copies: Path, tmp_path: Path) -> None:
    place = Site(tmp_path / "venv")
    assert "moments" not in names_of(place.cli("list", "backbone", "--json"))
    place.install(copies / "plugin")

    listed = json.loads(place.cli("list", "--pattern", "moments", "--json").stdout)
    assert [(c["kind"], c["plugin"]) for c in listed] == [("backbone", "moments"), ("model", "moments")]
    described = place.cli("describe", "moments", "--kind", "backbone").stdout
    assert "width: int = 64" in described
    plugins = {p["name"]: p for p in json.loads(place.cli("plugins", "--json").stdout)}
    assert plugins["moments"]["version"] == "0.1.0"
    assert plugins["moments"]["error"] == ""
    assert not any("imports torch" in warning for warning in plugins["moments"]["warnings"])

    trained = place.run("-W", "error", "-c", TRAIN, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout) == [True, "moments (lorentzoo-moments 0.1.0)"]

    place.uninstall("lorentzoo-moments")
    assert "moments" not in names_of(place.cli("list", "backbone", "--json"))
    gone = place.run("-c", "import lorentzoo as lz; lz.load('run')", cwd=tmp_path)
    assert "there is no backbone 'moments'" in gone.stderr


STUDY = """
name: emissions
dataset: emissions:num_events=400
axes:
  backbone:
    - deep-sets
    - label: "slim $b^$"
      name: deep-sets
      hidden: [16]
fixed: {embedding: kinematics}
seeds: 2
training: {batch_size: 64}
budget: {steps: 4}
test: {busy: 2}
"""


def test_a_package_brings_a_task_of_its_own(copies: Path, tmp_path: Path) -> None:
    """Its metrics are in every table and file, its figure and table in the report, and no line of ours knows of it."""
    place = Site(tmp_path / "venv")
    place.install(copies / "task_plugin")
    listed = json.loads(place.cli("list", "task", "--json").stdout)
    assert "counting" in {component["name"] for component in listed}
    assert "task: counting" in place.cli("describe", "poisson", "--kind", "head").stdout

    (tmp_path / "study.yaml").write_text(STUDY)
    out = tmp_path / "out"
    ran = place.cli("study", "run", str(tmp_path / "study.yaml"), "--out", str(out), "--workers", "1")
    assert ran.returncode == 0, ran.stderr
    headings = ("Deviance", "Expected/observed [events]", "Expected/observed (busy)", "1 observed")
    texts = {name: (out / name).read_text() for name in ("tables.md", "report.html")}
    for heading in headings:
        for name, text in texts.items():
            assert heading in text, (heading, name)
    assert "Deviance" in (out / "tables.tex").read_text()
    assert "Deviance" in (out / "tables.txt").read_text()
    header = (out / "results.csv").read_text().splitlines()[0]
    assert "deviance,deviance_spread" in header
    assert "the row with the smallest Deviance" in texts["report.html"]
    assert "Mean of what is expected of events with an observed count." in texts["report.html"]
    assert "busy: 2" in texts["report.html"]
    shown = json.loads(place.cli("study", "show", str(out), "--json").stdout)
    assert all(row["deviance"] > 0 for row in shown["rows"])
    assert "last slim $b^$" in ran.stderr

    run = next((out / "runs").iterdir())
    evaluated = place.cli(
        "evaluate", str(run), "--test", "busy=1", "--plots", str(tmp_path / "figures"), "--json"
    )
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["deviance"] > 0
    assert (tmp_path / "figures" / "counts.png").is_file()
    refused = place.cli("evaluate", str(run), "--test", "bussy=1")
    assert "unknown key 'bussy'; did you mean 'busy'?" in refused.stderr

    ours = [path for path in (EXAMPLES.parent / "lorentzoo").rglob("*.py") if "emissions" in path.read_text()]
    assert ours == []


def test_broken_packages_are_named_and_harm_no_one(copies: Path, tmp_path: Path) -> None:
    place = Site(tmp_path / "venv")
    place.install(copies / "broken_plugin")
    place.install(copies / "plugin")

    ran = place.cli("plugins", "--json")
    assert ran.returncode == 1
    plugins = {p["name"]: p for p in json.loads(ran.stdout)}
    assert plugins["broken-import"]["error"] == "RuntimeError: this plugin fails on purpose"
    assert "kind 'backbones' is not one of" in plugins["broken-nonsense"]["error"]
    # A missing extra is no failure to load: the name is there and says what it needs when it is used.
    assert plugins["broken-extra"]["error"] == ""
    assert "FAILED: RuntimeError: this plugin fails on purpose" in place.cli("plugins").stdout

    listed = place.cli("list", "backbone")
    assert listed.returncode == 0
    assert "needs-extra" in listed.stdout
    assert "moments" in listed.stdout
    assert "2 plugin(s) failed to load: see `lorentzoo plugins`" in listed.stderr

    needs = place.cli("describe", "needs-extra")
    assert needs.returncode == 1
    assert needs.stderr.strip().count("\n") == 0
    assert 'pip install "lorentzoo-broken[fast]"' in needs.stderr

    unknown = place.cli("describe", "my-net", "--kind", "backbone")
    assert unknown.returncode == 1
    assert "broken-import: RuntimeError: this plugin fails on purpose" in unknown.stderr
    works = place.run(
        "-c", "import lorentzoo as lz; lz.create_model('moments'); lz.compose(backbone='deep-sets')"
    )
    assert works.returncode == 0, works.stderr


@pytest.mark.slow
def test_the_example_passes_its_own_tests(copies: Path, tmp_path: Path) -> None:
    place = Site(tmp_path / "venv")
    place.install(copies / "plugin")
    tests = str(copies / "plugin" / "tests")
    ran = place.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", tests)
    assert ran.returncode == 0, ran.stdout
