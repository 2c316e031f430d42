"""Does the card of a saved model say what is known, say what is not, and obey nobody's text?"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from markdown_it import MarkdownIt

import lorentzoo as lz
from lorentzoo.core.errors import CardWarning
from lorentzoo.core.model import Model
from lorentzoo.registry.cards import is_as_written
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.saved import CARD
from lorentzoo.testing import random_cloud

TOLD: dict[str, Any] = {
    "data": {"name": "toptag:num_jets=200", "fingerprint": "0123abcd", "events": 120, "licence": "CC0-1.0"},
    "metrics": {"auc": {"value": 0.97531, "error": 0.0123, "note": "test split, 50 events"}},
    "command": "lorentzoo train spec.json --set max_steps=3",
    "cost": {"flops": 8.1e6, "multiplicity": 20, "seconds": 12.5, "machine": "one core"},
    "limits": ["Not for data with pile-up."],
    "licence": "MIT",
    "version": "v1",
}


def made(**slots: Any) -> Model:
    torch.manual_seed(0)
    return lz.compose(**{"backbone": "deep-sets:hidden=[4]", **slots}).eval()


def card_of(model: Any, directory: Path, **told: Any) -> str:
    return (lz.save(model, directory, details=told) / CARD).read_text(encoding="utf-8")


def sections(card: str) -> dict[str, str]:
    """Text below each heading of the second level, as a parser of Markdown finds them."""
    body = card.split("---\n", 2)[2]
    lines, tokens = body.splitlines(), MarkdownIt("commonmark").enable("table").parse(body)
    starts = [
        (token.map[0], tokens[number + 1].content)
        for number, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == "h2" and token.map
    ]
    ends = [start for start, _ in starts[1:]] + [len(lines)]
    return {
        name: "\n".join(lines[start + 1 : end]).strip()
        for (start, name), end in zip(starts, ends, strict=True)
    }


def front(card: str) -> dict[str, Any]:
    first, text, _ = card.split("---\n", 2)
    assert first == ""
    return yaml.safe_load(text)


def test_all_that_was_told_is_there(tmp_path: Path) -> None:
    model = made(frames="lloca-polar")
    found = sections(card_of(model, tmp_path, **TOLD))
    assert "`deep-sets` | `hidden=[4]`" in found["Composition"]
    assert model.symmetry.name.replace("_", r"\_") in found["Symmetry"]
    for text in ("`toptag:num_jets=200`", "120", "`0123abcd`", "CC0-1.0"):
        assert text in found["Data"]
    assert "| auc | 0.975 ± 0.012 | test split, 50 events |" in found["Metrics"]
    assert f"- parameters: {model.num_parameters:,}" in found["Cost"]
    assert "- FLOPs of an event with 20 particles: 8.1e+06" in found["Cost"]
    assert "- Not for data with pile-up." in found["Limits"]
    assert TOLD["command"] in found["Training"]
    assert f"| torch | {torch.__version__}".replace("_", r"\_") in found["Versions"]
    assert "backbone/deep-sets | sets (lorentzoo" in found["Versions"]
    assert found["Licence"] == "MIT"
    assert lz.cite(model) in found["Citations"]
    assert "not recorded" not in "".join(found[name] for name in found if name != "Inputs")


def test_what_is_not_known_is_said_and_not_made_up(tmp_path: Path) -> None:
    card = card_of(made(), tmp_path)
    found = sections(card)
    for name in ("Data", "Metrics", "Limits", "Licence"):
        assert found[name].startswith("not recorded"), name
    assert "Command: not recorded" in found["Training"]
    assert "not recorded" in found["Inputs"]
    assert found["Cost"].count("not recorded") == 3
    assert not {"license", "metrics"} & set(front(card))


def test_units_and_ranges_of_the_fit_are_there(tmp_path: Path) -> None:
    model = made(head="regress")
    batch = lz.Batch(random_cloud([2, 1, 3]), torch.arange(3).double(), torch.ones(3), torch.arange(3))
    model.fit_statistics([batch])
    assert "Fitted on events in GeV, Σ pT" in sections(card_of(model, tmp_path))["Inputs"]


@pytest.mark.parametrize(
    ("licence", "license", "name"),
    [("MIT", "mit", None), ("CC BY 4.0", "cc-by-4.0", None), ("My own: terms", "other", "my-own-terms")],
)
def test_front_matter_is_what_hugging_face_reads(
    tmp_path: Path, licence: str, license: str, name: str | None
) -> None:
    found = front(card_of(made(), tmp_path, **{**TOLD, "licence": licence}))
    assert found["library_name"] == "lorentzoo"
    assert found["license"] == license
    assert found.get("license_name") == name
    assert {"lorentzoo", "classification", "deep-sets"} <= set(found["tags"])
    assert found["metrics"] == ["auc"]


def test_the_lines_under_use_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a model and a generator, as they stand."""
    cloud = random_cloud([4, 3]).to_padded()
    given = {"momenta": cloud.momenta, "mask": cloud.layout.mask}
    monkeypatch.chdir(tmp_path)
    generator = lz.create_model("transformer-eventgen")
    for made_model, name in ((made(), "predictions"), (generator, "events")):
        use = sections(card_of(made_model, Path("FOLDER")))["Use"]
        (code,) = [token.content for token in MarkdownIt().parse(use) if token.type == "fence"]
        assert code.count("\n") == 4
        assert name in code
        if name == "predictions":
            found: dict[str, Any] = dict(given)
            exec(code, found)
            assert found["predictions"].shape == (2, 2)


EVIL = "</script><img src=x> | `a` *b* [c](javascript:d)\n## Licence\n---\n```"


def test_texts_of_strangers_are_text(tmp_path: Path, own_catalogue: None) -> None:
    network = catalogue().target(catalogue().find("backbone", "deep-sets"))
    lz.register("backbone", "mine", reference=EVIL, summary=EVIL)(network)
    told = {
        "data": {
            "name": EVIL,
            "fingerprint": EVIL,
            "licence": EVIL,
            "description": EVIL,
            "references": [EVIL],
        },
        "metrics": {EVIL: {"value": 1.0, "note": EVIL}},
        "command": EVIL,
        "cost": {"machine": EVIL},
        "limits": [EVIL],
        "licence": EVIL,
        "version": EVIL,
        "versions": {EVIL: EVIL},
    }
    plain_card = card_of(made(backbone="mine:hidden=[4]"), tmp_path / "plain", **TOLD)
    card = card_of(made(backbone="mine:hidden=[4]"), tmp_path / "evil", **told)
    assert list(sections(card)) == list(sections(plain_card))
    tokens = MarkdownIt("commonmark").enable("table").parse(card.split("---\n", 2)[2])
    inner = [child for token in tokens for child in token.children or []]
    # The one comment is the last line; the one link is ours.
    assert [token.content for token in tokens if token.type == "html_block"] == [card.splitlines()[-1] + "\n"]
    assert [child.attrs["href"] for child in inner if child.type == "link_open"] == [
        "https://lorentzoo.readthedocs.io"
    ]
    assert not {child.type for child in inner} & {"html_inline", "image", "strong_open", "em_open"}
    assert set(front(card)) == {"library_name", "license", "license_name", "tags", "metrics"}


def test_a_card_as_it_was_written_is_replaced_without_a_word(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = card_of(made(), tmp_path, version="v1")
        second = card_of(made(), tmp_path, version="v2")
    assert is_as_written(first)
    assert "v2" in second
    assert "v1" not in second
    assert len(list(tmp_path.iterdir())) == 4


def test_a_card_that_was_changed_by_hand_is_kept_under_another_name(tmp_path: Path) -> None:
    lz.save(made(), tmp_path)
    for number, name in ((1, "README.before.md"), (2, "README.before-2.md")):
        (tmp_path / CARD).write_text(f"mine {number}\n", encoding="utf-8")
        with pytest.warns(
            CardWarning, match=rf"not a card as lorentzoo wrote it; it is kept as {name}.*details="
        ):
            lz.save(made(), tmp_path)
        assert (tmp_path / name).read_text(encoding="utf-8") == f"mine {number}\n"
        assert is_as_written((tmp_path / CARD).read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["folder", "link", "bytes"])
def test_what_is_no_text_in_its_place_is_kept_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / CARD
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.write_bytes(b"\xff\xfe")
    with pytest.warns(CardWarning):
        lz.save(made(), tmp_path)
    assert (tmp_path / "README.before.md").is_symlink() == (kind == "link")
    assert is_as_written(path.read_text(encoding="utf-8"))


def test_a_model_whose_preset_is_gone_can_be_saved_and_cited(tmp_path: Path) -> None:
    from dataclasses import replace

    model = made()
    model.spec = replace(model.spec, model="a-plugin/gone\n@evil{x}")
    text = sections(card_of(model, tmp_path))["Citations"]
    assert "% model a-plugin/gone @evil{x}: not installed here" in text
    assert lz.load(tmp_path).spec == model.spec


@pytest.mark.slow
@pytest.mark.parametrize("name", lz.list_models())
def test_every_model_of_the_zoo_has_a_card(name: str, tmp_path: Path) -> None:
    model = lz.create_model(name)
    found = sections(card_of(model, tmp_path))
    assert f"{model.num_parameters:,}" in found["Cost"]
    assert lz.cite(name) in found["Citations"]
