"""Do trained weights come by name, from whoever brings them, with a new head where one is asked for?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core import errors
from lorentzoo.registry.catalogue import Catalogue
from lorentzoo.registry.creation import read_model_name
from lorentzoo.testing import random_cloud

MODEL = "deep-sets"


def brings(*weights: str) -> str:
    """Source of a plugin that brings weights, and nothing else."""
    return (
        "from lorentzoo import Weights\n\n@hookimpl\ndef lorentzoo_weights():\n"
        f"    return [{', '.join(weights)}]\n"
    )


def weights(directory: Path, tag: str = "classes-v1", model: str = MODEL) -> str:
    return f"Weights({model!r}, {tag!r}, {str(directory)!r}, 'Three classes')"


@pytest.fixture
def trained(tmp_path: Path) -> Any:
    """A model of three classes with statistics, and its directory."""
    torch.manual_seed(3)
    model = lz.create_model(MODEL, num_classes=3, backbone={"hidden": [8]})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3)
    model.fit_statistics([batch(3)])
    return lz.load(lz.save(model, tmp_path / "saved")), tmp_path / "saved"


def batch(num_classes: int) -> lz.Batch:
    cloud = random_cloud([5, 9, 3, 4], seed=1)
    return lz.Batch(cloud, torch.arange(4) % num_classes, torch.ones(4), torch.arange(4))


@pytest.fixture
def installed(
    trained: Any, plugin: Callable[..., EntryPoint], with_plugins: Callable[..., Catalogue]
) -> Catalogue:
    return with_plugins(plugin("zoo-of-others", brings(weights(trained[1]))))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (MODEL, {"pretrained": "classes-v1"}),
        (MODEL, {"pretrained": "zoo-of-others/classes-v1"}),
        (MODEL, {"pretrained": True}),
        (f"{MODEL}:pretrained=classes-v1", {}),
        (f"{MODEL}:pretrained=classes-v1,num_classes=3", {}),
        (f"{MODEL}:pretrained=none-such", {"pretrained": "classes-v1"}),
    ],
)
def test_a_trained_model_by_name_is_the_saved_one(
    installed: Catalogue, trained: Any, name: str, options: dict[str, Any]
) -> None:
    model = lz.create_model(name, **options)
    cloud = batch(3).cloud
    assert not model.training
    assert model.spec == trained[0].spec
    assert torch.equal(model(cloud), trained[0](cloud))


def test_weights_are_loaded_and_told_of_by_name_like_a_folder(installed: Catalogue, trained: Any) -> None:
    name = f"{MODEL}:pretrained=classes-v1"
    cloud = batch(3).cloud
    assert torch.equal(lz.load(name)(cloud), trained[0](cloud))
    assert lz.read_details(name) == lz.read_details(trained[1])
    assert lz.cite(name) == lz.cite(trained[0])
    with pytest.raises(errors.CheckpointError, match=r"not as it was saved \(num_classes\)"):
        lz.load(f"{name},num_classes=2")
    with pytest.raises(errors.UnknownNameError, match="no weights 'v7'"):
        lz.load(f"{MODEL}:pretrained=v7")


@pytest.mark.parametrize("given", [{"num_classes": 2}, {"head": "classify:num_classes=2,hidden=[4]"}])
def test_another_head_is_new_and_all_else_is_trained(
    installed: Catalogue, trained: Any, given: dict[str, Any]
) -> None:
    model = lz.create_model(MODEL, pretrained="classes-v1", **given)
    assert model.training
    assert model(batch(2).cloud).shape == (4, 2)
    theirs = trained[0].state_dict()
    for name, value in model.state_dict().items():
        assert name.startswith("head.") or torch.equal(value, theirs[name]), name


def test_only_the_head_can_be_another(installed: Catalogue) -> None:
    with pytest.raises(
        errors.CompositionError, match=r"trained with other parts \(backbone\).*only the head"
    ):
        lz.create_model(MODEL, pretrained="classes-v1", backbone={"hidden": [16]})
    with pytest.raises(errors.CompositionError, match=r"trained with other parts \(inputs\)"):
        lz.create_model(MODEL, pretrained="classes-v1", in_scalars=2)


def test_without_a_tag_weights_are_new(installed: Catalogue) -> None:
    assert lz.create_model(MODEL, pretrained=False).training
    assert read_model_name(MODEL).source is None


def test_unknown_tags_and_models_say_what_there_is(installed: Catalogue) -> None:
    with pytest.raises(errors.UnknownNameError, match=r"no weights 'classes-v2'; it has 'classes-v1'"):
        lz.create_model(MODEL, pretrained="classes-v2")
    with pytest.raises(
        errors.UnknownNameError, match=r"'mlp' has no pretrained weights; there are some of.*deep-sets"
    ):
        lz.create_model("mlp", pretrained="classes-v1")
    with pytest.raises(errors.UnknownNameError, match=r"named by their tag, such as 'jets10-v1', not by 3"):
        lz.create_model(MODEL, pretrained=3)


def test_a_plugin_that_failed_is_named_where_weights_are_missing(
    plugin: Callable[..., EntryPoint], with_plugins: Callable[..., Catalogue]
) -> None:
    with_plugins(plugin("broken", "raise OSError('no disk')"))
    with pytest.raises(errors.UnknownNameError, match="broken: OSError: no disk"):
        lz.create_model(MODEL, pretrained="classes-v1")


def test_equal_tags_of_two_plugins_are_told_apart(
    trained: Any, plugin: Callable[..., EntryPoint], with_plugins: Callable[..., Catalogue]
) -> None:
    source = brings(weights(trained[1]))
    with_plugins(plugin("one", source), plugin("two", source))
    with pytest.raises(errors.AmbiguousNameError, match="'one/classes-v1' and 'two/classes-v1'"):
        lz.create_model(MODEL, pretrained="classes-v1")
    with pytest.raises(
        errors.AmbiguousNameError, match="several weights: write pretrained='one/classes-v1' or"
    ):
        lz.create_model(MODEL, pretrained=True)
    assert lz.create_model(MODEL, pretrained="two/classes-v1").spec == trained[0].spec


@pytest.mark.parametrize(
    ("offer", "message"),
    [
        ("Weights('deep-sets', 'V1', '/a')", r"tag 'V1' is not lower-case kebab"),
        ("Weights('Deep Sets', 'v1', '/a')", r"model 'Deep Sets' is not lower-case kebab"),
        ("Weights('deep-sets', 'v1', 'weights/a')", r"give the directory in full.*not 'weights/a'"),
        ("'deep-sets'", "declares 'deep-sets', which is not a Weights"),
        ("Weights('a', 'v1', '/a'), Weights('a', 'v1', '/b')", r"weights a:pretrained=v1 more than once"),
    ],
)
def test_nonsense_is_refused_by_name_and_harms_no_one(
    plugin: Callable[..., EntryPoint], with_plugins: Callable[..., Catalogue], offer: str, message: str
) -> None:
    import re

    current = with_plugins(plugin("odd", brings(offer)))
    record = next(record for record in current.plugins if record.name == "odd")
    assert re.search(message, record.error)
    assert record.weights == ()
    lz.create_model(MODEL)


def test_weights_of_another_model_are_refused(
    trained: Any, plugin: Callable[..., EntryPoint], with_plugins: Callable[..., Catalogue]
) -> None:
    with_plugins(plugin("odd", brings(weights(trained[1], model="mlp"))))
    with pytest.raises(
        errors.CheckpointError, match=r"holds 'deep-sets', but plugin 'odd' declares it as.*'mlp'"
    ):
        lz.create_model("mlp", pretrained="classes-v1")


def test_damaged_and_missing_files_are_said_when_they_are_wanted(
    trained: Any, plugin: Callable[..., EntryPoint], with_plugins: Callable[..., Catalogue], tmp_path: Path
) -> None:
    with_plugins(plugin("odd", brings(weights(trained[1]), weights(tmp_path / "nowhere", "gone-v1"))))
    with pytest.raises(errors.CheckpointError, match="is not a saved model"):
        lz.create_model(MODEL, pretrained="gone-v1")
    path = trained[1] / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(errors.CheckpointError, match="damaged"):
        lz.create_model(MODEL, pretrained="classes-v1")


def test_training_starts_from_trained_weights_by_name(installed: Catalogue, trained: Any) -> None:
    data = lz.load_dataset("toptag", num_jets=60, max_constituents=6)
    result = lz.train(f"{MODEL}:pretrained=classes-v1", data, epochs=1, learning_rate=1e-12, progress=False)
    theirs = trained[0].state_dict()
    body = {name: value for name, value in result.model.state_dict().items() if not name.startswith("head.")}
    assert body
    for name, value in body.items():
        assert torch.allclose(value, theirs[name], atol=1e-6), name
    with pytest.raises(errors.RunError, match="of another network"):
        lz.train(f"{MODEL}:pretrained=classes-v1,backbone={{hidden: [16]}}", data, epochs=1, progress=False)


def test_a_run_starts_from_trained_weights_by_name_or_from_a_directory(
    installed: Catalogue, trained: Any, tmp_path: Path
) -> None:
    from lorentzoo.studies import train_model
    from lorentzoo.training.transfer import weights_hash

    name, options = f"{MODEL}:pretrained=classes-v1", {"epochs": 1, "num_threads": 1}
    kwargs: dict[str, Any] = {"dataset": "toptag:num_jets=100,max_constituents=5", "config": options}
    by_name = train_model(name, out=tmp_path / "run", progress=False, **kwargs)
    assert by_name is not None
    checksum = weights_hash(trained[1])
    wanted = f"{MODEL}:pretrained=zoo-of-others/classes-v1"
    assert by_name.run.start_from == f"{wanted}@{checksum[:16]}"
    assert by_name.run.waits_for is None
    assert f"--init-from {wanted}" in lz.read_details(tmp_path / "run").command
    again = train_model(init_from=name, out=tmp_path / "again", progress=False, **kwargs)
    by_folder = train_model(init_from=trained[1], out=tmp_path / "folder", progress=False, **kwargs)
    assert again is not None
    assert by_folder is not None
    assert by_folder.run.start_from == checksum
    assert by_name.metrics == again.metrics == by_folder.metrics
    with pytest.raises(errors.RunError, match="not from both"):
        train_model(name, init_from=trained[1], out=tmp_path / "other", progress=False, **kwargs)
    with pytest.raises(errors.RunError, match="holds no weights to start from"):
        train_model(init_from=f"{MODEL}:num_classes=2", out=tmp_path / "other", progress=False, **kwargs)


def test_rows_of_a_study_start_from_trained_weights(
    installed: Catalogue, trained: Any, tmp_path: Path
) -> None:
    from lorentzoo.studies import run_study

    study = {
        "name": "tuning",
        "dataset": "toptag:num_jets=100,max_constituents=5",
        "axes": {
            "model": [
                {"label": "new", "name": MODEL, "backbone": {"hidden": [8]}},
                {"label": "trained", "name": MODEL, "pretrained": "classes-v1"},
            ]
        },
        "seeds": 1,
        "budget": {"steps": 1},
    }
    result = run_study(study, out=tmp_path, workers=1, progress=False)
    new, started = (row.runs[0] for row in result.rows)
    assert new.run.start_from is None
    assert started.run.start_from.startswith(f"{MODEL}:pretrained=zoo-of-others/classes-v1@")
    assert started.metrics != new.metrics

    study["axes"]["model"][1]["embedding"] = "momenta"  # type: ignore[index]
    with pytest.raises(errors.StudyError, match="of another network"):
        run_study(study, out=tmp_path / "other", workers=1, progress=False)


def test_weights_that_changed_since_a_run_was_planned_are_refused(installed: Catalogue, trained: Any) -> None:
    from lorentzoo.training.transfer import choose_start, find_pretrained

    stated = choose_start(f"{MODEL}:pretrained=classes-v1").stated
    assert stated is not None
    assert find_pretrained(stated) == trained[1]
    lz.save(lz.create_model(MODEL, num_classes=3, backbone={"hidden": [8]}), trained[1])
    with pytest.raises(errors.RunError, match="not those that were meant"):
        find_pretrained(stated)
    assert find_pretrained("0123456789abcdef") is None


def test_the_kit_looks_at_weights(
    trained: Any, plugin: Callable[..., EntryPoint], with_plugins: Callable[..., Catalogue]
) -> None:
    from lorentzoo.testing import check_plugin

    point = plugin("bare", brings(weights(trained[1])))
    with_plugins(point)
    (check,) = (one for one in check_plugin("bare").outcomes if one.check == "weights load and are told of")
    assert check.status == "failed"
    assert "does not tell its data, licence, limits" in check.detail
    lz.save(trained[0], trained[1], details={"data": "toptag", "licence": "MIT", "limits": ["None known."]})
    (check,) = (one for one in check_plugin("bare").outcomes if one.check == "weights load and are told of")
    assert check.status == "passed"


def test_listing_loads_neither_torch_nor_weights() -> None:
    code = "import sys, lorentzoo as lz; lz.list_pretrained(); assert 'torch' not in sys.modules"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
