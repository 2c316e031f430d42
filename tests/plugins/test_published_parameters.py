"""Every tagger of the published tables has the number of parameters that its code has."""

from __future__ import annotations

import pytest

import lorentzoo as lz

TOP_TAGGING = {
    "pfn": 86_154,
    "pcnn": 354_540,
    "mipart": 656_949,
    # The tables say 2380k; the published code has this.
    "mipart-l": 2_292_341,
    "lorentznet": 222_991,
    "lgatr": 1_078_946,
    "lgatr-slim": 2_031_201,
    "particlenet": 365_903,
    "lloca-particlenet": 384_850,
    "part": 2_141_005,
    "lloca-part": 2_159_952,
    "transformer": 1_978_753,
    "lloca-transformer": 1_997_700,
    "graphnet": 248_449,
    "lloca-graphnet": 267_396,
    "graphnet-edges": 248_833,
    "lloca-graphnet-edges": 267_780,
    "pelican": 171_786,
    "pelican-fair": 243_656,
    "pelican-mini": 40_344,
    "pelican-official": 203_947,
    "pelican-official-mini": 46_226,
    "cgenn": 320_169,
    "lloca-transformer-arch-so2": 1_997_442,
    "lloca-transformer-arch-beam": 1_997_059,
    "lloca-transformer-arch-so3": 1_996_291,
    "lloca-transformer-full": 1_995_908,
    "lloca-transformer-input-none": 1_997_700,
    "lloca-transformer-input-so2": 1_997_700,
    "lloca-transformer-input-beam": 1_997_188,
    "lloca-transformer-input-so3": 1_996_420,
}
TEN_CLASSES = {
    "pfn": 86_154,
    "pcnn": 354_540,
    "mipart": 658_854,
    "mipart-l": 2_294_822,
    "lorentznet": 228_688,
    "lgatr": 1_081_620,
    "lgatr-slim": 2_033_034,
    "particlenet": 370_156,
    "lloca-particlenet": 391_663,
    "part": 2_143_486,
    "lloca-part": 2_164_993,
    "transformer": 1_981_194,
    "lloca-transformer": 2_002_701,
    "graphnet": 250_890,
    "lloca-graphnet": 272_397,
    "graphnet-edges": 251_274,
    "lloca-graphnet-edges": 272_781,
    "pelican": 177_275,
    "pelican-fair": 256_257,
    "pelican-mini": 43_097,
    "cgenn": 324_354,
    "lloca-transformer-arch-so2": 2_002_443,
    "lloca-transformer-arch-beam": 2_002_060,
    "lloca-transformer-arch-so3": 2_001_292,
    "lloca-transformer-full": 2_000_909,
    "lloca-transformer-input-none": 2_002_701,
    "lloca-transformer-input-so2": 2_002_701,
    "lloca-transformer-input-beam": 2_002_189,
    "lloca-transformer-input-so3": 2_001_421,
}
PUBLISHED = TOP_TAGGING | {f"{name}-jetclass": count for name, count in TEN_CLASSES.items()}


@pytest.mark.parametrize(("name", "parameters"), PUBLISHED.items())
def test_parameters_are_the_published_ones(name: str, parameters: int) -> None:
    if name not in lz.list_models():
        pytest.skip(f"no plugin that offers {name!r} is installed")
    assert lz.create_model(name).num_parameters == parameters
