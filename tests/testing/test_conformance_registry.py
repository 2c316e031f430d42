"""What is registered is tested: the conformance kit over the whole registry."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import lorentzoo as lz
from lorentzoo.testing import Case, check_model, check_plugin, conformance_cases

PARAMETERS = {
    "backbone/lgatr-axial": {"grid": [8, 4]},
    "backbone/lgatr-conditional": {"condition_scalars": 3},
    "backbone/lgatr-slim-conditional": {"condition_scalars": 3},
    "spurions/vectors": {"values": [[1.0, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, 0.0]]},
    "embedding/places": {"columns": ["scalar_0", "scalar_1"]},
    "generator/rqs-flow": {"num_particles": 3},
    "generator/decay-chain-flow": {
        "num_particles": 3,
        "chains": [[[1, 2], 0]],
        "mirrors": True,
        "exchanges": [[0, 2, 1]],
    },
    "generator/varying-multiplicity": {
        "multiplicities": [2, 3],
        "generator": "flow-matching:steps=2",
        "delta_r_min": 0.5,
        "acceptance_events": 50,
    },
    "head/boosted-trees": {"num_trees": 20},
    "head/regression-trees": {"num_trees": 20},
    "spurions/matrices": {"values": [[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]]},
}
COMPOSITIONS = {
    "generator/calorimeter-flow": {
        "backbone": "vit:width=16",
        "embedding": [],
        "in_scalars": 33,
        "in_context": 9,
    },
    "generator/calorimeter-rqs-flow": {"embedding": [], "in_scalars": 33, "in_context": 9},
    # Places alone are no functions of momenta, of which a symmetry could be measured.
    "embedding/places": {
        "embedding": [{"name": "places", "columns": ["scalar_0", "scalar_1"]}, "kinematics"],
        "in_scalars": 2,
    },
    "backbone/graphnet": {"embedding": "kinematics"},
    "backbone/lgatr-conditional": {"embedding": ["momenta:scale=20", "invariants"]},
    "head/boosted-trees": {"backbone": "substructure", "embedding": "momenta"},
    "head/regression-trees": {"backbone": "substructure", "embedding": "momenta"},
    "backbone/invariant-mlp": {"embedding": "momenta", "in_scalars": 2},
    "backbone/event-invariants": {"embedding": "momenta", "in_scalars": 2},
}
FITTED = "its reference is fitted to the particles of a process, which drawn events are not; tests/plugins/amplitudes"
ALONE = {
    "backbone/nothing": "it gives zeros: only with a head that predicts by itself does it make a model",
    "model/log-polynomial": FITTED,
    "model/amplitude-recipe": FITTED,
    "model/amplitude-recipe-density": FITTED,
}
FOREST = dict.fromkeys(
    ("padding does not leak", "symmetry as declared", "gradients finite", "dtypes"),
    "a forest is constant between its thresholds: it has no derivative that could be taken",
)
NO_MOMENTA = {
    "network: symmetry as declared": "it reads places and deposits, no momenta, so that no symmetry can be measured"
}
EXPECTED = {
    "generator/calorimeter-flow": NO_MOMENTA,
    "model/vit-showers": NO_MOMENTA,
    "head/boosted-trees": FOREST,
    "head/regression-trees": FOREST,
    "model/amplitude-bdt": FOREST,
    "model/substructure-bdt": FOREST,
    "model/substructure-bdt-jetclass": FOREST,
    "backbone/pyg": {
        "devices": "convolutions of torch-geometric look at values, which the meta device does not have"
    },
}
PARTS = ("spurions", "frames", "embedding", "backbone", "head", "dataset", "generator")
ESSENTIAL = (
    "outputs finite",
    "permutation symmetry",
    "packed equals padded",
    "symmetry as declared",
    "save and load",
)


def known(table: dict, kinds: tuple[str, ...]) -> dict:
    """Rows of components that are registered; a plugin may be switched off."""
    names = {f"{kind}/{name}" for kind in kinds for name in lz.list_components(kind)}  # type: ignore[arg-type]
    return {key: value for key, value in table.items() if key in names}


MODELS = conformance_cases(
    kinds=["model"], expected_failures=known(EXPECTED, ("model",)), alone=known(ALONE, ("model",))
)


PART_CASES = conformance_cases(
    kinds=PARTS,
    parameters=known(PARAMETERS, PARTS),
    compositions=known(COMPOSITIONS, PARTS),
    alone=known(ALONE, PARTS),
    expected_failures=known(EXPECTED, PARTS),
)


@pytest.mark.parametrize("case", PART_CASES)
def test_registered_parts_conform(case: Case) -> None:
    case.run().raise_if_failed()


@pytest.mark.parametrize(
    "case", [case for case in MODELS if not re.search("jetclass|eventgen", case.id or "")]
)
def test_registered_models_keep_the_essentials(case: Case) -> None:
    replace(case, checks=ESSENTIAL).run().raise_if_failed()


EXPORTED = [
    {"backbone": "particlenet:neighbours=3", "embedding": "kinematics", "in_scalars": 1},
    {"backbone": "lorentznet:num_blocks=1", "embedding": ["momenta", "invariants"], "spurions": "beam"},
]
EXPORTED_SLOWLY = [
    {"backbone": "transformer:num_blocks=1", "frames": "lloca-polar", "embedding": ["kinematics", "momenta"]},
    {"backbone": "pcnn:num_particles=6,stem=4,stages=[4,6]", "embedding": "kinematics-weaver"},
]


@pytest.mark.parametrize(
    "slots",
    [*EXPORTED, *(pytest.param(slots, marks=pytest.mark.slow) for slots in EXPORTED_SLOWLY)],
    ids=lambda slots: slots["backbone"].partition(":")[0],
)
def test_compositions_of_every_kind_export(slots: dict) -> None:
    check_model({"head": "classify:num_classes=2", **slots}, checks=["exports"]).raise_if_failed()


@pytest.mark.slow
@pytest.mark.parametrize("case", [*PART_CASES, *MODELS])
def test_what_is_registered_exports_or_says_why_not(case: Case) -> None:
    bounded = {"exports": "its grid has 32 places: it exports with max_particles=32 alone"}
    expected = bounded if case.name.endswith("lgatr-axial") else {}
    replace(case, checks=["exports"], expected_failures=expected).run().raise_if_failed()


@pytest.mark.slow
def test_a_grid_exports_with_its_number_of_places(tmp_path: Path) -> None:
    slots = {"backbone": {"name": "lgatr-axial", "grid": [8, 4], "num_blocks": 1}, "embedding": "momenta"}
    lz.export(lz.compose(**slots, head="classify"), tmp_path / "a.onnx", max_particles=32)


@pytest.mark.slow
@pytest.mark.parametrize("case", MODELS)
def test_registered_models_conform(case: Case) -> None:
    case.run().raise_if_failed()


@pytest.mark.parametrize("name", [record.name for record in lz.list_plugins()])
def test_installed_plugins_conform(name: str) -> None:
    check_plugin(name).raise_if_failed()
