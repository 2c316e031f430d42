"""Models go to the Hub and come back, by a server on this machine; nothing else is ever asked."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_server import TOKEN, HubServer
from typer.testing import CliRunner

import lorentzoo as lz
from lorentzoo.cli.main import app
from lorentzoo.core.errors import CheckpointError, MissingExtraError
from lorentzoo.core.model import Model
from lorentzoo.registry.cards import is_as_written
from lorentzoo.registry.hub import FILES, HubAddress, fetch
from lorentzoo.registry.saved import CARD, DETAILS, SPEC, WEIGHTS
from lorentzoo.studies.single import evaluate_run, train_model
from lorentzoo.testing import random_cloud

close_session = pytest.importorskip("huggingface_hub.utils").close_session
# Of huggingface_hub's own use of its HTTP library.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def made(seed: int = 0) -> Model:
    torch.manual_seed(seed)
    return lz.compose(backbone="deep-sets:hidden=[4]").eval()


def same(a: Model, b: Model) -> bool:
    cloud = random_cloud()
    return torch.equal(a(cloud), b(cloud))


def contents(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in FILES}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub, to which this process is logged in."""
    from huggingface_hub import constants

    close_session()
    server = HubServer()
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.close()


# ---- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("hf://owner/name", HubAddress("owner/name")),
        ("hf://owner/name@v1.0", HubAddress("owner/name", "v1.0")),
        ("hf://owner/name@refs/pr/3/top", HubAddress("owner/name", "refs/pr/3", "top")),
        ("hf://owner/my.name_2/a/b", HubAddress("owner/my.name_2", None, "a/b")),
    ],
)
def test_addresses_are_read_also_as_paths_and_written(text: str, address: HubAddress) -> None:
    assert HubAddress.parse(text) == address
    assert HubAddress.parse(Path(text)) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://name",
        "hf://owner/name@",
        "hf://owner/../name",
        "hf://owner/name/../..",
        "hf://o/n@a b",
        "hf://o/n/*",
    ],
)
def test_what_is_no_address_is_said(text: str) -> None:
    with pytest.raises(CheckpointError, match="is not an address of the Hub: expected hf://owner/name"):
        lz.load(text)


# ---- there and back -------------------------------------------------------------------------------


def test_a_model_goes_there_and_comes_back(hub: HubServer) -> None:
    model = made()
    told = {"licence": "MIT", "metrics": {"auc": 0.9}, "limits": ["None known."]}
    address = lz.push(model, "hf://owner/name", details=told)
    assert HubAddress.parse(address).revision in hub.repositories["owner/name"].commits
    for where in (address, "hf://owner/name", Path("hf://owner/name@main")):
        assert same(lz.load(where), model)
        assert lz.read_details(where).licence == "MIT"
    assert lz.cite("hf://owner/name") == lz.cite(model)
    card = hub.repositories["owner/name"].commits[HubAddress.parse(address).revision or ""][CARD].decode()
    assert is_as_written(card)
    assert "lz.load('hf://owner/name')" in card
    # One commit beside that of the repository itself; the weights went as a large file.
    assert len(hub.repositories["owner/name"].commits) == 2
    assert any(request.startswith("PUT /lfs/") for request in hub.requests)


def test_a_repository_is_private_unless_it_is_to_be_seen(hub: HubServer) -> None:
    lz.push(made(), "hf://owner/hidden")
    lz.push(made(), "hf://owner/shown", private=False)
    assert hub.repositories["owner/hidden"].private
    assert not hub.repositories["owner/shown"].private


def test_a_folder_goes_there_with_its_details_and_a_card_that_was_written_by_hand(
    hub: HubServer, tmp_path: Path
) -> None:
    directory = lz.save(made(), tmp_path / "run", details={"version": "v7"})
    (directory / "notes.pkl").write_bytes(pickle.dumps("never sent"))
    lz.push(directory, "hf://owner/name")
    assert lz.read_details("hf://owner/name").version == "v7"
    assert "lz.load('hf://owner/name')" in fetch("hf://owner/name").joinpath(CARD).read_text()
    (directory / CARD).write_text("---\nlibrary_name: lorentzoo\n---\nmine\n")
    lz.push(directory, "hf://owner/name")
    assert fetch("hf://owner/name").joinpath(CARD).read_text().endswith("mine\n")
    assert set(hub.repositories["owner/name"].commits[hub.repositories["owner/name"].branches["main"]]) == {
        ".gitattributes",
        *FILES,
    }


def test_revisions_and_folders_are_kept_apart(hub: HubServer) -> None:
    first = lz.push(made(0), "hf://owner/name")
    lz.push(made(1), "hf://owner/name")
    lz.push(made(2), "hf://owner/name", revision="dev")
    lz.push(made(3), "hf://owner/name@dev/top")
    for address, seed in (
        (first, 0), ("hf://owner/name", 1), ("hf://owner/name@dev", 2), ("hf://owner/name@dev/top", 3)
    ):  # fmt: skip
        assert same(lz.load(address), made(seed)), address
    with pytest.raises(CheckpointError, match="names another revision than revision='dev'"):
        lz.push(made(), "hf://owner/name@main", revision="dev")


def test_a_model_is_fetched_once(hub: HubServer) -> None:
    address = lz.push(made(), "hf://owner/name")
    lz.load(address)
    before = len(hub.requests)
    lz.load(address)
    assert not [request for request in hub.requests[before:] if request.startswith("GET /owner/name/resolve")]


def test_what_was_fetched_serves_without_a_network(hub: HubServer) -> None:
    address = lz.push(made(), "hf://owner/name")
    lz.load("hf://owner/name")
    hub.close()
    close_session()
    assert same(lz.load("hf://owner/name"), made())
    assert same(lz.load(address), made())
    with pytest.raises(
        CheckpointError,
        match=r"hf://owner/other cannot be fetched from http://127.*not fetched before: .*[Cc]onnect",
    ):
        lz.load("hf://owner/other")
    with pytest.raises(
        CheckpointError, match=r"hf://owner/name cannot be pushed \(http://127.*: .*[Cc]onnect"
    ):
        lz.push(made(), "hf://owner/name")


# ---- what is not there, or not right -----------------------------------------------------------


def test_no_such_repository_and_no_such_revision(hub: HubServer) -> None:
    with pytest.raises(
        CheckpointError, match=r"there is no model 'owner/none' at http://127.*private.*HF_TOKEN"
    ):
        lz.load("hf://owner/none")
    hub.add("owner/name", {})
    with pytest.raises(CheckpointError, match="'owner/name' has no revision 'v9'"):
        lz.load("hf://owner/name@v9")
    hub.add("owner/gated", {}, gated=True)
    with pytest.raises(CheckpointError, match="is gated: ask for access at"):
        lz.load("hf://owner/gated")


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["LORENTZOO_TEST_BOMB"],)


def test_pickled_files_are_neither_fetched_nor_read(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORENTZOO_TEST_BOMB", str(tmp_path / "went off"))
    bomb = pickle.dumps(Bomb())
    good = contents(lz.save(made(), tmp_path / "good"))
    beside = dict.fromkeys(("pytorch_model.bin", "model.pkl", "checkpoint.ckpt", "evil.py"), bomb)
    hub.add("owner/beside", {**good, **beside})
    assert same(lz.load("hf://owner/beside"), made())
    assert not [request for request in hub.requests if any(name in request for name in beside)]
    hub.add("owner/instead", {SPEC: good[SPEC], **beside})
    with pytest.raises(
        CheckpointError,
        match=r"has no weights\.safetensors \(pytorch_model\.bin.*pickled can run code; only safetensors",
    ):
        lz.load("hf://owner/instead")
    hub.add("owner/renamed", {**good, WEIGHTS: bomb})
    with pytest.raises(CheckpointError, match=r"truncated|damaged"):
        lz.load("hf://owner/renamed")
    assert not (tmp_path / "went off").exists()


def test_what_is_not_a_saved_model_is_said(hub: HubServer) -> None:
    hub.add("owner/other", {"config.json": b"{}", "model.safetensors": b""})
    with pytest.raises(
        CheckpointError, match=r"is not a saved model: it has no spec\.json and no weights\.safetensors$"
    ):
        lz.load("hf://owner/other")


def test_who_is_not_logged_in_cannot_push(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_nobody")
    with pytest.raises(
        CheckpointError,
        match=r"cannot be pushed \(http.*\): log in by `hf auth login` or HF_TOKEN.*Invalid user",
    ):
        lz.push(made(), "hf://owner/name")
    assert not hub.repositories


def test_a_model_that_is_damaged_is_not_pushed(hub: HubServer, tmp_path: Path) -> None:
    directory = lz.save(made(), tmp_path / "run")
    (directory / WEIGHTS).write_bytes(b"x")
    with pytest.raises(CheckpointError, match="truncated"):
        lz.push(directory, "hf://owner/name")
    (directory / DETAILS).unlink()
    assert not hub.requests


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (lambda: lz.load("hf://owner/name"), lambda: lz.push(made(), "hf://owner/name")):
        with pytest.raises(MissingExtraError, match=r'pip install "lorentzoo\[hub\]"'):
            call()


# ---- the command line ---------------------------------------------------------------------------


def call(hub: HubServer, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    surroundings = {
        **os.environ,
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": TOKEN,
    }
    return subprocess.run(
        [sys.executable, "-m", "lorentzoo", *words],
        cwd=folder, env=surroundings, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_runs_are_pushed_and_evaluated_by_address(hub: HubServer, tmp_path: Path) -> None:
    """By the environment's variables, as a user has them."""
    data = "toptag:num_jets=240,max_constituents=5"
    base: dict[str, Any] = {"dataset": data, "config": {"max_steps": 1}, "progress": False}
    train_model({"backbone": "deep-sets:hidden=[4]"}, out=tmp_path / "run", **base)
    pushed = call(hub, tmp_path, "push", "run", "hf://owner/name", "--public")
    assert pushed.returncode == 0, pushed.stderr
    address = pushed.stdout.strip()
    assert address.startswith("hf://owner/name@")
    assert not hub.repositories["owner/name"].private
    told = CliRunner().invoke(app, ["evaluate", address, "--dataset", data, "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["accuracy"] == evaluate_run(tmp_path / "run").metrics()["accuracy"]
    assert "@software{lorentzoo" in CliRunner().invoke(app, ["cite", address]).stdout
    assert CliRunner().invoke(app, ["verify", "hf://owner/name"]).exit_code == 0


def test_a_training_starts_from_an_address_and_says_so(hub: HubServer, tmp_path: Path) -> None:
    base: dict[str, Any] = {"dataset": "toptag:num_jets=240,max_constituents=5", "config": {"max_steps": 1}}
    lz.push(made(), "hf://owner/name@v1")
    record = train_model(init_from="hf://owner/name@v1", out=tmp_path / "tuned", progress=False, **base)
    assert record is not None
    assert record.run.spec.backbone == made().spec.backbone
    assert "--init-from hf://owner/name@v1" in lz.read_details(tmp_path / "tuned").command
