"""Does a citation name the paper of every part that states one, and no other?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lorentzoo as lz
from lorentzoo.core.errors import UnknownNameError
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.citations import find_references

MODELS = lz.list_models()


@pytest.mark.parametrize("name", MODELS)
def test_what_a_preset_and_its_backbone_state_is_cited(name: str) -> None:
    text = lz.cite(name)
    preset = catalogue().find("model", name)
    spec = preset.spec
    stated = [preset.reference]
    if isinstance(spec.get("backbone"), str):
        stated.append(catalogue().find("backbone", spec["backbone"].partition(":")[0]).reference)
    for number in re.findall(r"\d{4}\.\d{4,5}", " ".join(stated)):
        assert f"@misc{{arXiv:{number}," in text
    assert text.count("@software{lorentzoo,") == 1
    # Braces that do not close would swallow what follows.
    assert text.count("{") == text.count("}")
    assert len(re.findall(r"^@", text, re.MULTILINE)) == len(
        set(re.findall(r"^@\w+\{(.*),$", text, re.MULTILINE))
    )


def test_parts_of_one_paper_share_an_entry_and_a_saved_model_has_the_same(tmp_path: Path) -> None:
    model = lz.compose(
        frames="lloca-polar", embedding=["kinematics", "momenta"], backbone="part:num_blocks=1"
    )
    papers, _ = find_references(model)
    parts = [part for of in papers.values() for part in of]
    assert "backbone part" in parts
    assert "frames lloca-polar" in parts
    assert len(parts) >= len(set(parts))
    lz.save(model, tmp_path / "saved")
    assert lz.cite(tmp_path / "saved") == lz.cite(model) == lz.cite(model.spec)


def test_a_text_without_a_number_is_a_comment(own_catalogue: None) -> None:
    network = catalogue().target(catalogue().find("backbone", "deep-sets"))
    lz.register("backbone", "mine", reference="A thesis, 2031\n@evil{x}")(network)
    text = lz.cite({"backbone": "mine", "embedding": "kinematics"})
    assert "% backbone mine: A thesis, 2031 @evil{x}" in text
    assert not re.search(r"^@evil", text, re.MULTILINE)


def test_an_unknown_model_is_said() -> None:
    with pytest.raises(UnknownNameError, match="there is no model 'nowhere'"):
        lz.cite("nowhere")
