"""What the catalogue says of components is what they are."""

from __future__ import annotations

import json

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.exportable import find_refusal
from lorentzoo.pages import catalogue_html, collect_entries
from lorentzoo.pages.entries import Entry, find_pretrained
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.components import Component
from lorentzoo.registry.weights import Weights


def entry_of(kind: str, name: str, **options: bool) -> Entry:
    (entry,) = collect_entries([catalogue().find(kind, name)], progress=False, **options)
    return entry


@pytest.mark.parametrize("name", ["pfn", "lloca-particlenet", "pelican-mini", "mlp-i", "graphnet-eventgen"])
def test_a_model_is_described_by_itself(name: str) -> None:
    entry, model = entry_of("model", name), lz.create_model(name)
    assert entry.problem == ""
    assert entry.symmetry == model.symmetry.name
    assert entry.size == model.num_parameters
    assert [slot.parts for slot in entry.slots if slot.name == "backbone"] == [(model.spec.backbone.name,)]
    assert (entry.exports["onnx, torch-export, aoti, sofie"] == "yes") == (find_refusal(model) is None)
    assert entry.costs.problem == ""
    assert entry.costs.flops is not None
    assert entry.costs.flops > 0
    assert entry.costs.forward_ms is None


def test_a_part_counts_its_own_parameters_and_is_marked() -> None:
    entry = entry_of("frames", "lloca-polar")
    model = lz.compose(frames="lloca-polar", backbone="deep-sets", embedding=["kinematics", "momenta"])
    assert entry.size == sum(weight.numel() for weight in model.frames_net.parameters())
    assert entry.symmetry == "SO⁺(1,3)"
    assert [slot.name for slot in entry.slots if slot.is_own] == ["frames"]
    known = {parameter.name: parameter for parameter in entry.parameters}
    assert known["hidden"].text
    assert (
        entry_of("spurions", "beam-lightlike").symmetry
        == lz.describe("spurions", "beam-lightlike").symmetry.partition(":")[0]
    )


def test_times_are_measured_where_they_are_asked_for() -> None:
    threads = torch.get_num_threads()
    entry = entry_of("model", "mlp", measure=True)
    assert entry.costs.forward_ms is not None
    assert 0 < entry.costs.forward_ms < entry.costs.training_ms
    assert torch.get_num_threads() == threads
    page = catalogue_html([entry])
    assert "Forward [CPU-ms]" in page
    assert "1 thread" in page
    assert "Forward [CPU-ms]" not in catalogue_html([entry_of("model", "mlp")])


def test_a_component_that_cannot_be_looked_at_is_listed_with_the_reason() -> None:
    broken = Component("backbone", "gone", target="no_such_module:Net", summary="Not there", plugin="theirs")
    (entry,) = collect_entries([broken], progress=False)
    assert "gone" in entry.problem
    page = catalogue_html([entry])
    assert "Not there" in page
    assert "Could not be looked at" in page
    needy = entry_of("spurions", "vectors")
    assert "needs a value for &#39;values&#39;" in catalogue_html([needy])
    assert {parameter.name for parameter in needy.parameters} == {"values"} | {
        p.name for p in needy.parameters
    }


def test_weights_have_a_column_where_there_are_any(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    bare = Entry(catalogue().find("model", "pfn"))
    assert ">Pretrained<" not in catalogue_html([bare])
    known = [Weights("pfn", tag, tmp_path) for tag in ("jets10-v1", "toptag-v1")]
    monkeypatch.setattr(type(catalogue()), "weights", lambda self, model=None: known)
    assert find_pretrained() == {"pfn": ["jets10-v1", "toptag-v1"]}
    page = catalogue_html([entry_of("model", "pfn")])
    assert ">Pretrained<" in page
    assert "jets10-v1, toptag-v1" in page


def test_the_page_holds_everything_and_fetches_nothing() -> None:
    every = [Entry(component) for component in catalogue().components()]
    page = catalogue_html(every, title="Mine & yours")
    assert "<title>Mine &amp; yours</title>" in page
    for entry in every:
        anchor = f"{entry.component.kind}/{entry.component.plugin}/{entry.component.name}".replace("_", "-")
        assert page.count(f'id="{anchor}"') == 1
        assert json.dumps(entry.component.name) in page
    assert "<link rel=" not in page.replace('<link rel="icon" href="data:,">', "")
    assert "src=" not in page
    assert "@import" not in page
    assert "url(" not in page
