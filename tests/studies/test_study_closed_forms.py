"""Closed forms of the published implementations against the figures measured on them.

The figures are those of `torch.utils.flop_counter` on the published packages (lgatr 1.4.3, lloca 1.3.4,
pelican-lite 1.1.4; torch 2.13), one event of 50 particles.
"""

from __future__ import annotations

from typing import Any

import pytest

import lorentzoo as lz
from lorentzoo import Component
from lorentzoo.core.errors import StudyError
from lorentzoo.nn import FlopsSetting
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.studies.closed_forms import published_flops

BREAKING = "lloca-transformer-"
PELICAN_FRAMES: dict[str, Any] = {"frames": {"equivectors": "pelican"}}
NO_EDGES: dict[str, Any] = {
    "backbone": {"edge_features": False},
    "embedding": "momentum-components:scale=300",
}
FIGURES: dict[str, tuple[str, dict[str, Any], int]] = {
    "PFN": ("pfn", {}, 3_595_264),
    "PFN, seven features": ("pfn", {"in_scalars": 0}, 3_467_264),
    "P-CNN": ("pcnn", {}, 12_158_336),
    "MIParT": ("mipart", {}, 82_438_944),
    "MIParT, ten classes": ("mipart-jetclass", {}, 82_566_400),
    "MIParT-L": ("mipart-l", {}, 225_071_008),
    "MIParT-L, ten classes": ("mipart-l-jetclass", {}, 225_199_616),
    "LorentzNet": ("lorentznet", {}, 676_237_936),
    "LorentzNet, ten classes": ("lorentznet-jetclass", {}, 676_771_776),
    "L-GATr": ("lgatr", {}, 2_135_828_384),
    "L-GATr, ten classes": ("lgatr-jetclass", {}, 2_140_676_608),
    "L-GATr-slim": ("lgatr-slim", {}, 328_731_264),
    "L-GATr-slim, no features": ("lgatr-slim", {"embedding": "momenta:scale=20"}, 328_658_688),
    "L-GATr-slim, ten classes": ("lgatr-slim-jetclass", {}, 328_928_256),
    "L-GATr-slim, ten classes, no features": (
        "lgatr-slim-jetclass",
        {"embedding": "momenta:scale=20"},
        328_855_680,
    ),
    "ParticleNet": ("particlenet", {}, 413_000_880),
    "ParticleNet, ten classes": ("particlenet-jetclass", {}, 415_115_792),
    "LLoCa-ParticleNet": ("lloca-particlenet", {}, 517_251_312),
    "LLoCa-ParticleNet, ten classes": ("lloca-particlenet-jetclass", {}, 533_476_944),
    "ParT": ("part", {}, 210_965_408),
    "ParT, ten classes": ("part-jetclass", {}, 211_094_016),
    "LLoCa-ParT": ("lloca-part", {}, 314_806_240),
    "LLoCa-ParT, ten classes": ("lloca-part-jetclass", {}, 329_045_568),
    "Transformer": ("transformer", {}, 209_512_096),
    "Transformer, ten classes": ("transformer-jetclass", {}, 209_753_600),
    "LLoCa-Transformer": ("lloca-transformer", {}, 313_557_728),
    "LLoCa-Transformer, ten classes": ("lloca-transformer-jetclass", {}, 327_909_952),
    # Later versions, counted on weaver-core 0.5.3 and lloca 2.0.0, with the boost of the jet as all others.
    "ParT, version 2": ("part-v2", {}, 263_654_656 + 1_696),
    "ParT, version 3": ("part-v3", {}, 263_654_656 + 1_696),
    "ParT, version 3.5": ("part-v3-5", {}, 276_827_392 + 1_696),
    "ParT, version 3.6": ("part-v3-6", {}, 273_977_600 + 1_696),
    "second Transformer": ("transformer-v2", {}, 176_742_400 + 1_696),
    "GraphNet": ("graphnet", {}, 1_204_328_096),
    "GraphNet, ten classes": ("graphnet-jetclass", {}, 1_204_569_600),
    "GraphNet with edges": ("graphnet-edges", {}, 1_206_209_696),
    "GraphNet with edges, ten classes": ("graphnet-edges-jetclass", {}, 1_206_451_200),
    "LLoCa-GraphNet": ("lloca-graphnet", {}, 1_312_994_528),
    "LLoCa-GraphNet, ten classes": ("lloca-graphnet-jetclass", {}, 1_327_346_752),
    "LLoCa-GraphNet with edges": ("lloca-graphnet-edges", {}, 1_314_876_128),
    "LLoCa-GraphNet with edges, ten classes": ("lloca-graphnet-edges-jetclass", {}, 1_329_228_352),
    "PELICAN": ("pelican", {}, 4_579_234_024),
    "PELICAN, ten classes": ("pelican-jetclass", {}, 4_693_282_480),
    "PELICAN fair": ("pelican-fair", {}, 1_365_175_984),
    "PELICAN fair, ten classes": ("pelican-fair-jetclass", {}, 1_428_660_280),
    "PELICAN mini": ("pelican-mini", {}, 948_882_136),
    "PELICAN mini, ten classes": ("pelican-mini-jetclass", {}, 1_002_253_600),
    "PELICAN official": ("pelican-official", {}, 4_686_061_888),
    "PELICAN official mini": ("pelican-official-mini", {}, 955_969_096),
    "arch none": ("transformer", {"spurions": 0}, 209_512_000),
    "arch so2": (f"{BREAKING}arch-so2", {}, 300_865_600),
    "arch so11xso2": (f"{BREAKING}arch-beam", {}, 298_984_000),
    "arch so3": (f"{BREAKING}arch-so3", {}, 295_220_800),
    "arch so13": (f"{BREAKING}full", {}, 293_339_200),
    "input none": (f"{BREAKING}input-none", {}, 317_519_808),
    "input so2": (f"{BREAKING}input-so2", {}, 313_557_728),
    "input so11xso2": (f"{BREAKING}input-beam", {}, 306_954_752),
    "input so3": (f"{BREAKING}input-so3", {}, 299_329_824),
    "global frames": ("lloca-transformer", {"frames": {"is_global": True}}, 312_533_728),
    "arch so2, ten classes": (f"{BREAKING}arch-so2-jetclass", {}, 313_651_200),
    "arch so11xso2, ten classes": (f"{BREAKING}arch-beam-jetclass", {}, 311_769_600),
    "arch so3, ten classes": (f"{BREAKING}arch-so3-jetclass", {}, 308_006_400),
    "arch so13, ten classes": (f"{BREAKING}full-jetclass", {}, 306_124_800),
    "input none, ten classes": (f"{BREAKING}input-none-jetclass", {}, 332_414_720),
    "input so2, ten classes": (f"{BREAKING}input-so2-jetclass", {}, 327_909_952),
    "input so11xso2, ten classes": (f"{BREAKING}input-beam-jetclass", {}, 320_774_528),
    "input so3, ten classes": (f"{BREAKING}input-so3-jetclass", {}, 312_627_392),
    "global frames, ten classes": (
        "lloca-transformer-jetclass",
        {"frames": {"is_global": True}},
        326_885_952,
    ),
    "rest frames": ("lloca-transformer", {"frames": "lloca-rest:lab_scalars=kinematics"}, 312_852_192),
    "rest frames, ten classes": (
        "lloca-transformer-jetclass",
        {"frames": "lloca-rest:lab_scalars=kinematics"},
        327_204_416,
    ),
    "Minkowski Gram-Schmidt": (
        "lloca-transformer",
        {"frames": "lloca-gramschmidt:lab_scalars=kinematics"},
        313_547_552,
    ),
    "Minkowski Gram-Schmidt, ten classes": (
        "lloca-transformer-jetclass",
        {"frames": "lloca-gramschmidt:lab_scalars=kinematics"},
        327_899_776,
    ),
}
AMPLITUDES: dict[str, tuple[str, dict[str, Any], int, int]] = {
    "perceptron": ("amplitude-mlp", {}, 138_496, 136_448),
    "perceptron in learned frames": ("lloca-mlp-amplitudes", {}, 1_623_840, 844_128),
    "transformer": ("amplitude-transformer", {}, 14_895_104, 10_598_400),
    "transformer in learned frames": ("lloca-transformer-amplitudes", {}, 16_495_136, 11_388_000),
    "frames of a PELICAN": ("lloca-transformer-pelican-amplitudes", {}, 16_147_866, 11_261_290),
    "frames of an L-GATr": ("lloca-transformer-lgatr-amplitudes", {}, 16_915_128, 12_246_760),
    "learned rotations": ("lloca-transformer-so3-amplitudes", {}, 16_484_384, 11_382_880),
    "graphs": ("amplitude-graphnet", {}, 20_690_432, 9_856_000),
    "graphs in learned frames": ("lloca-graphnet-amplitudes", {}, 22_272_544, 10_609_760),
    "graphs without edges": ("amplitude-graphnet", NO_EDGES, 20_658_176, 9_840_640),
    "graphs without edges in learned frames": ("lloca-graphnet-amplitudes", NO_EDGES, 22_240_288, 10_594_400),
    "graphs without nodes": ("amplitude-graphnet", {"embedding": "momenta"}, 20_683_264, 9_850_880),
    "L-GATr": ("lgatr-amplitudes", {}, 915_586_768, 800_008_560),
    "DSI": ("dsi", {}, 111_104, 106_240),
    "PELICAN": ("pelican-amplitudes", {}, 6_615_226, 3_375_178),
}
"""Of seven and of five particles, q q̄ → Z + 4 g and Z + 2 g."""
AS_TABULATED: dict[str, int] = {
    "mipart-l": 225_071_008,
    "lorentznet": 676_237_936,
    "lgatr": 2_055_206_816,
    "lgatr-jetclass": 2_060_055_040,
    "particlenet": 413_000_880,
    "lloca-particlenet": 517_251_312,
    "part": 210_913_184,
    "part-jetclass": 211_041_792,
    "lloca-part": 314_754_016,
    "lloca-part-jetclass": 328_993_344,
    "transformer": 209_512_096,
    "lloca-transformer": 300_757_728,
    "lloca-transformer-jetclass": 315_109_952,
    "pcnn": 12_158_336,
}


@pytest.mark.parametrize(("name", "overrides", "figure"), FIGURES.values(), ids=FIGURES)
def test_figures_with_all_attention(name: str, overrides: dict[str, Any], figure: int) -> None:
    assert published_flops(name, **overrides) == figure


@pytest.mark.parametrize(("name", "figure"), AS_TABULATED.items())
def test_figures_as_the_table_counts(name: str, figure: int) -> None:
    assert published_flops(name, convention="table") == figure


@pytest.mark.parametrize(("name", "overrides", "seven", "five"), AMPLITUDES.values(), ids=AMPLITUDES)
def test_figures_of_amplitudes(name: str, overrides: dict[str, Any], seven: int, five: int) -> None:
    places = {"num_particles": 5} if name in {"amplitude-mlp", "lloca-mlp-amplitudes", "dsi"} else {}
    assert published_flops(name, multiplicity=7, **overrides) == seven
    assert published_flops(name, multiplicity=5, **overrides, **places) == five


@pytest.mark.parametrize(("scalars", "classes", "figure"), [(0, 1, 287_611_578), (10, 10, 321_561_082)])
def test_frames_of_a_pelican(scalars: int, classes: int, figure: int) -> None:
    frames = {"name": "lloca-polar", "lab_scalars": "kinematics", "equivectors": "pelican"}
    given = published_flops("lloca-transformer", frames=frames, num_classes=classes, in_scalars=scalars)
    assert given == figure


def test_frames_of_an_lgatr() -> None:
    frames = {"name": "lloca-polar", "lab_scalars": "kinematics", "equivectors": "lgatr"}
    assert published_flops("lloca-transformer", frames=frames) == 220_744_008


def test_more_particles_cost_more() -> None:
    few, many = (published_flops("lloca-part", multiplicity=n) for n in (20, 40))
    assert 2 * few < many < 4 * few


def test_a_specification_is_as_good_as_a_name() -> None:
    model = lz.create_model("transformer:num_blocks=2")
    assert published_flops(model.spec) == published_flops("transformer", num_blocks=2)
    assert published_flops({"backbone": "transformer:num_blocks=2", "head": "classify:num_classes=1"}) == (
        published_flops(model.spec)
    )


@pytest.mark.parametrize(
    ("spec", "overrides", "reason"),
    [
        (
            "cgenn",
            {},
            "no published implementation of backbone 'cgenn' is known here; there are .*'lgatr'",
        ),
        ("transformer", {"frames": "random-beam"}, "no published implementation of frames 'random-beam'"),
        ({"backbone": "transformer"}, {"num_blocks": 2}, "go with a model's name only"),
        ("pelican-official", {"in_scalars": 2}, "takes no scalars"),
        (
            "lloca-transformer",
            {"frames": {"name": "lloca-polar", "equivectors": "lgatr:num_blocks=1"}},
            "no published implementation of equivectors",
        ),
        (
            "lgatr",
            {"embedding": ["kinematics", "momenta"]},
            "no kinematic scalars, but the embedding gives 7",
        ),
        ("lorentznet", {"embedding": ["kinematics", "momenta"]}, "no kinematic scalars"),
        ("pelican", {"embedding": ["kinematics", "momenta"]}, "no kinematic scalars"),
        ("lgatr", {"pooling": "mean"}, "published tagger with pooling='global-token', not 'mean'"),
        (
            "lgatr-slim-amplitudes",
            {},
            "published tagger with pooling='global-token', not 'mean'",
        ),
        ("lgatr-eventgen", {}, "networks of generators, and those with a context, have none"),
        ("lloca-transformer-eventgen", {}, "networks of generators"),
        ("transformer", {"in_context": 2}, "those with a context"),
        ("lgatr", {"spurion_mode": "channels"}, "reference vectors as tokens, not as channels"),
        ("lgatr", {"multi_query": True}, "holds for multi_query=False, not multi_query=True"),
        (
            "lgatr-slim",
            {"embedding": "kinematics"},
            "reads 1 vectors of each particle, but the embedding gives 0",
        ),
    ],
)
def test_what_is_not_known_is_said(spec: Any, overrides: dict[str, Any], reason: str) -> None:
    with pytest.raises(StudyError, match=reason):
        published_flops(spec, **overrides)


def test_a_plugin_brings_its_own_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of ours knows the name: the component says where its formula is."""
    component = Component(
        "backbone",
        "somebody-elses",
        "lorentzoo.plugins.sets.deep_sets:DeepSets",
        published_flops=f"{__name__}:count_somebody_elses",
    )
    known = catalogue()._components["backbone"]
    monkeypatch.setitem(catalogue()._components, "backbone", {**known, "somebody-elses": [component]})
    given = {"backbone": "somebody-elses", "embedding": "kinematics", "head": "classify:num_classes=3"}
    assert published_flops(given, multiplicity=11) == 11 * 7 + 3


def test_an_equal_name_of_somebody_else_changes_no_model_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets record whose parts they mean."""
    found = published_flops("lgatr-slim", multiplicity=11)
    for kind in ("backbone", "frames", "head"):
        known = catalogue()._components[kind]
        names = {"backbone": "lgatr-slim", "frames": "identity", "head": "classify"}
        others = Component(kind, names[kind], "lorentzoo.plugins.sets.deep_sets:DeepSets", plugin="others")  # type: ignore[arg-type]
        monkeypatch.setitem(
            catalogue()._components, kind, {**known, names[kind]: [*known[names[kind]], others]}
        )
    assert published_flops("lgatr-slim", multiplicity=11) == found


def count_somebody_elses(at: FlopsSetting) -> int:
    return at.particles * at.scalars + at.outputs
