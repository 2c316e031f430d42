"""The command line as a user calls it: output, exit codes, and one line for an error."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from calling import Answer

import lorentzoo as lz
from lorentzoo.cli.main import main

SMALL = "deep-sets:num_classes=2,pooling=mean"


def test_the_installed_command_imports_no_torch_to_list() -> None:
    code = (
        "import sys; from lorentzoo.cli.main import main; sys.argv = ['lorentzoo', 'list', 'backbone']\n"
        "try: main()\nexcept SystemExit as s: assert not s.code\n"
        "assert 'torch' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "transformer" in ran.stdout


# ---- list, describe, plugins ------------------------------------------------------------------


def test_list(call: Callable[..., Answer]) -> None:
    everything = call("list")
    assert everything.code == 0
    assert {line.split("\t")[0] for line in everything.out.splitlines()} >= {
        "spurions",
        "backbone",
        "model",
        "dataset",
    }
    models = call("list", "model", "--pattern", "deep*")
    assert models.out.splitlines()[0].split("\t")[:3] == ["model", "deep-sets", "sets"]
    data = call("list", "backbone", "--json").data
    assert {"kind", "name", "plugin", "summary", "reference"} == set(data[0])
    assert [entry["name"] for entry in data] == sorted(lz.list_components("backbone"))


def test_list_by_symmetry(call: Callable[..., Answer]) -> None:
    found = call("list", "--pattern", "deep-sets", "--symmetry", "SO(2)_beam", "--json")
    assert [entry["name"] for entry in found.data] == ["deep-sets"]
    assert call("list", "--pattern", "deep-sets", "--symmetry", "SO(3)", "--json").data == []
    assert "only models have a symmetry as a whole" in call("list", "backbone", "--symmetry", "SO(3)").err


def test_describe(call: Callable[..., Answer]) -> None:
    text = call("describe", "transformer", "--kind", "backbone").out
    assert "num_heads: int = 8" in text
    both = call("describe", "transformer", "--json").data
    assert [entry["kind"] for entry in both] == ["backbone", "model"]
    assert both[1]["symmetry"].startswith("SO(2)_beam")
    assert call("describe", "sets/deep-sets", "-k", "backbone").code == 0
    assert (
        call("describe", "backbone", "transformer").out
        == call("describe", "transformer", "-k", "backbone").out
    )
    text = call("describe", "generation").out
    assert "num_samples: int" in text
    assert "metrics: ['nll'" in text


def test_plugins(call: Callable[..., Answer]) -> None:
    answer = call("plugins", "--json")
    assert answer.code == 0
    assert {entry["name"] for entry in answer.data} >= {"sets", "spurions", "heads"}
    assert all(entry["error"] == "" for entry in answer.data)
    assert "ok" in call("plugins").out


def test_a_failed_plugin_gives_exit_code_one(
    call: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import EntryPoint

    from lorentzoo.registry import catalogue

    monkeypatch.setattr(
        catalogue, "_current", catalogue.Catalogue([EntryPoint("gone", "not_a_module", "lorentzoo")])
    )
    answer = call("plugins")
    assert answer.code == 1
    assert "FAILED: ModuleNotFoundError" in answer.out
    assert "1 plugin(s) failed to load" in call("list").err


# ---- verify -----------------------------------------------------------------------------------


def test_verify(call: Callable[..., Answer], tmp_path: Path) -> None:
    answer = call("verify", SMALL)
    assert answer.code == 0
    assert answer.out.startswith("passed: SO(2)_beam, computed and measured")
    figure = tmp_path / "curve.png"
    answer = call("verify", SMALL, "--json", "--plot", str(figure))
    assert answer.data["passed"] is True
    assert figure.stat().st_size > 1000


def test_verify_a_specification_and_a_saved_model(call: Callable[..., Answer], tmp_path: Path) -> None:
    model = lz.compose(backbone="deep-sets:hidden=[8]", embedding="kinematics-rotation")
    (tmp_path / "spec.yaml").write_text(model.spec.to_yaml(), encoding="utf-8")
    lz.save(model, tmp_path / "run")
    for form in ("spec.yaml", "run", "run/spec.json"):
        answer = call("verify", str(tmp_path / form), "--json")
        assert answer.code == 0, answer.err
        assert answer.data["measured"].startswith("SO(3)")


def test_verify_fails_with_exit_code_one(call: Callable[..., Answer], own_catalogue: None) -> None:
    from lorentzoo.plugins.sets.deep_sets import DeepSets

    lz.register("backbone", "cheat")(type("Cheat", (DeepSets,), {"equivariant": True}))
    answer = call("verify", "deep-sets:backbone=cheat,embedding=momenta,pooling=mean")
    assert answer.code == 1
    assert answer.out.startswith("FAILED: SO⁺(1,3) is claimed")


# ---- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("describe", "transfomer"), "Did you mean 'transformer'"),
        (("describe", "backbon", "transformer"), "Did you mean 'backbone'"),
        (
            ("describe", "backbone", "transformer", "-k", "head"),
            "two kinds were given: 'backbone' and 'head'",
        ),
        (("describe", "backbone", "transformer", "part"), "a name, or a kind and a name"),
        (("list", "backbones"), "Did you mean 'backbone'"),
        (("verify", "deep-sets:colour=3"), "has a parameter 'colour'"),
        (("verify", "deep-sets:"), "ends with ':' but gives no parameters"),
        (("verify", "no-such.yaml"), "there is no file no-such.yaml"),
        (("data", "info", "no-such-data"), "no-such-data"),
    ],
)
def test_an_error_is_one_line_on_standard_error(
    call: Callable[..., Answer], arguments: tuple[str, ...], words: str
) -> None:
    answer = call(*arguments)
    assert answer.code == 1
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert words in answer.err
    assert answer.err.strip().count("\n") == 0


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize("how", ["verify", "config", "set", "test"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "aliases counted as often as they occur"),
        ("!!python/object/apply:os.getcwd []", "tags such as"),
        ("[" * 5000, "levels deep"),
        ("a: 1\na: 2", "'a' occurs twice"),
    ],
)
def test_text_of_others_is_bounded_wherever_it_comes_in(
    call: Callable[..., Answer], tmp_path: Path, how: str, text: str, words: str
) -> None:
    path = tmp_path / "given.yaml"
    path.write_text(text, "utf-8")
    arguments = {
        "verify": ("verify", str(path)),
        "config": ("train", SMALL, "--config", str(path)),
        "set": ("train", SMALL, "--set", f"epochs={text}"),
        "test": ("train", SMALL, "--test", f"num_samples={text}"),
    }[how]
    answer = call(*arguments, *(() if how == "verify" else ("--out", str(tmp_path / "run"))))
    assert answer.code == 1
    assert answer.err.startswith("error: ")
    assert words in answer.err


@pytest.mark.parametrize("ending", ["yaml", "json"])
def test_a_pipe_or_folder_is_not_read(call: Callable[..., Answer], tmp_path: Path, ending: str) -> None:
    pipe, folder = tmp_path / f"pipe.{ending}", tmp_path / f"folder.{ending}"
    os.mkfifo(pipe)
    assert "is a folder, a pipe or a device" in call("verify", str(pipe)).err
    assert "is a folder, a pipe or a device" in call("train", SMALL, "--config", str(pipe)).err
    folder.mkdir()
    assert "is a folder, a pipe or a device" in call("train", str(folder)).err


def test_debug_shows_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["lorentzoo", "--debug", "describe", "transfomer"])
    with pytest.raises(LookupError, match="Did you mean 'transformer'"):
        main()


@pytest.mark.parametrize(
    "arguments", [("lst",), ("list", "--jsn"), ("describe",), ("data", "make", "x", "--jets", "0")]
)
def test_wrong_usage_gives_exit_code_two(call: Callable[..., Answer], arguments: tuple[str, ...]) -> None:
    answer = call(*arguments)
    assert answer.code == 2
    assert "Usage: " in answer.err
    assert "Traceback" not in answer.err


COMMANDS = [
    ("list",),
    ("describe",),
    ("cite",),
    ("plugins",),
    ("new-plugin",),
    ("verify",),
    ("train",),
    ("evaluate",),
    ("study", "run"),
    ("study", "show"),
    ("study", "work"),
    ("study", "collect"),
    ("study", "cancel"),
    ("data", "list"),
    ("data", "make"),
    ("data", "info"),
    ("table", "taggers"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(call: Callable[..., Answer], command: tuple[str, ...]) -> None:
    answer = call(*command, "--help")
    assert answer.code == 0
    assert "Example: lorentzoo " + " ".join(command) in " ".join(answer.out.split())


def test_help_names_every_command(call: Callable[..., Answer]) -> None:
    text = call("--help").out
    for command in COMMANDS:
        assert command[0] in text


# ---- data -------------------------------------------------------------------------------------


def test_data(call: Callable[..., Answer]) -> None:
    names = [entry["name"] for entry in call("data", "list", "--json").data]
    assert "toptag" in names
    assert "toptag" in call("data", "list").out
    info = call("data", "info", "toptag")
    assert info.code == 0
    assert call("data", "info", "toptag", "--json").data


# ---- tables -----------------------------------------------------------------------------------


def test_table_of_taggers(call: Callable[..., Answer], tmp_path: Path) -> None:
    pytest.importorskip("pytorch_lightning")
    small = ("pfn", "--particles", "6", "--batch-size", "4")
    answer = call("table", "taggers", *small)
    assert answer.code == 0
    assert "86,154" in answer.out
    assert "0.9714" in answer.out
    assert call("table", "taggers", *small, "--format", "json").data["rows"][0]["quoted"]["accuracy"] == 0.772
    written = tmp_path / "taggers.md"
    answer = call("table", "taggers", *small, "-f", "md", "-o", str(written))
    assert answer.out.strip() == str(written)
    assert written.read_text().startswith("### Taggers")
    answer = call("table", "taggers", "no-such-tagger")
    assert answer.code == 1
    assert (
        answer.err.strip() == "error: no model is called 'no-such-tagger'; `lorentzoo list model` names them"
    )


# ---- train and evaluate -----------------------------------------------------------------------


def test_train_and_evaluate(call: Callable[..., Answer], tmp_path: Path) -> None:
    pytest.importorskip("pytorch_lightning")
    run = tmp_path / "run"
    arguments = (
        "--dataset",
        "toptag:num_jets=300,max_constituents=10",
        "-s",
        "epochs=1",
        "-s",
        "batch_size=64",
    )
    answer = call("train", SMALL, *arguments, "--out", str(run), "--json")
    assert answer.code == 0, answer.err
    assert 0 <= answer.data["accuracy"] <= 1
    same = ("--dataset", "toptag:num_jets=300,max_constituents=10", "--json")
    again = call(
        "evaluate", str(run), *same, "--plots", str(tmp_path / "figures"), "--text", "scores.title=Mine"
    )
    assert again.code == 0, again.err
    assert again.data["auc"] == pytest.approx(answer.data["auc"])
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == {
        "rejection",
        "scores",
        "confusion",
        "calibration",
        "efficiency-pt",
        "efficiency-mass",
    }
    endings = {path.suffix for path in (tmp_path / "figures").glob("scores.*")}
    assert endings == {".pdf", ".png", ".csv"}
    text = call("evaluate", str(run), *same[:2]).out
    assert re.search(r"^accuracy +0\.\d+ ± 0\.\d+$", text, re.MULTILINE), text
    assert "accuracy_error" not in text
    # What is wrong with a text is said before anything is evaluated, or as soon as it is known what there is.
    wrong = call("evaluate", str(run), *same, "--text", "scores.colour=Mine")
    assert (wrong.code, "'scores.colour' is not a text of a report" in wrong.err) == (1, True)
    unknown = call("evaluate", str(run), *same, "--plots", str(tmp_path / "x"), "--text", "rok.title=Mine")
    assert "there is no figure 'rok' to give texts to; there are rejection, scores" in unknown.err


def test_a_saved_generator_is_evaluated(call: Callable[..., Answer], tmp_path: Path) -> None:
    pytest.importorskip("pytorch_lightning")
    events = lz.load_dataset("ttbar", num_events=500)
    flow = lz.compose(generator="rqs-flow:num_particles=6,bins=4,num_transforms=1,hidden=[8]", in_scalars=6)
    flow.fit_statistics([events.batch(range(500))])
    lz.save(flow, tmp_path / "flow")
    few = ("--num-samples", "500", "--num-log-prob", "50", "--json")
    answer = call("evaluate", str(tmp_path / "flow"), *few)
    assert answer.code == 1
    assert "does not say on which events it was trained: give a data set" in answer.err
    chosen = ("--dataset", "ttbar:num_events=2000", "--plots", str(tmp_path / "figures"))
    answer = call("evaluate", str(tmp_path / "flow"), *few, *chosen)
    assert answer.code == 0, answer.err
    assert answer.data["samples"] == 500
    assert answer.data["nll_events"] == 50
    assert answer.data["c2st_auc"] > 0.5
    names = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert names == {"marginals", "reweighted", "weights", "calibration"}


def test_a_generator_is_trained_and_tested_as_thoroughly_as_wanted(
    call: Callable[..., Answer], tmp_path: Path
) -> None:
    pytest.importorskip("pytorch_lightning")
    model = tmp_path / "model.yaml"
    model.write_text(
        "generator: {name: rqs-flow, num_particles: 6, bins: 4, num_transforms: 1, hidden: [8]}\n", "utf-8"
    )
    thoroughness = ("--num-samples", "300", "--num-log-prob", "20")
    out = ("-d", "ttbar:num_events=1500", "-s", "max_steps=2", "--out", str(tmp_path / "run"), "--json")
    answer = call("train", str(model), *thoroughness, *out)
    assert answer.code == 0, answer.err
    with np.load(tmp_path / "run" / "generation.npz") as found:
        assert found["log_prob"].shape == (20,)
    assert json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))["generation"]["num_samples"] == 300


def test_training_options_are_checked(call: Callable[..., Answer], tmp_path: Path) -> None:
    answer = call("train", SMALL, "-s", "epochs", "--out", str(tmp_path / "run"))
    assert answer.code == 1
    assert "--set takes key=value, not 'epochs'" in answer.err
    answer = call("train", SMALL, "-s", "epoch=3", "--out", str(tmp_path / "run"))
    assert answer.code == 1
    assert "epoch" in answer.err
    assert not (tmp_path / "run" / "weights.safetensors").exists()


def test_the_command_needs_no_click_but_typer_s_own() -> None:
    import typer

    if "click" in getattr(typer.Exit, "__module__", ""):
        pytest.skip("this typer depends on click")
    code = "import sys; sys.modules['click'] = None; import lorentzoo.cli.main"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


# ---- export -----------------------------------------------------------------------------------


def test_export(call: Callable[..., Answer], tmp_path: Path) -> None:
    saved = lz.save(lz.create_model(SMALL), tmp_path / "run")
    answer = call("export", str(saved), "--format", "torch-export", "--out", str(tmp_path / "a.pt2"))
    assert (answer.code, answer.out.strip()) == (0, str(tmp_path / "a.pt2")), answer.err
    assert {path.name for path in tmp_path.iterdir()} == {"run", "a.pt2", "a.json", "a.npz", "a_loader.py"}
    assert json.loads((tmp_path / "a.json").read_text())["spec"] == lz.load(saved).spec.to_data()


def test_export_of_what_cannot_be(call: Callable[..., Answer], tmp_path: Path) -> None:
    answer = call("export", "substructure-mlp", "--out", str(tmp_path / "a.onnx"))
    assert answer.code == 1
    assert "clustering takes as many steps as the jet has particles" in answer.err
    assert not list(tmp_path.iterdir())
