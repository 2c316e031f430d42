"""The table of sizes on the page about fine-tuning; ``python tests/docs/test_sizes.py`` writes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import lorentzoo as lz
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.training.costs import count_flops

PAGE = Path(__file__).parents[2] / "docs" / "fine-tuning.md"
BEGIN, END = "<!-- sizes -->", "<!-- end of sizes -->"
SIZES = ("tiny", "small", "base")
FAMILIES = sorted({c.size_of for c in catalogue().components("model") if c.size_of})
MULTIPLICITY = 50


def count_parameters(name: str) -> str:
    return f"{lz.create_model(name).num_parameters:,}"


def count_millions(name: str) -> str:
    model = lz.create_model(name)
    jets = lz.load_dataset("toptag", split="test", max_constituents=MULTIPLICITY)
    model.fit_statistics([jets.batch(torch.arange(64))])
    return f"{1e-6 * count_flops(model, jets, MULTIPLICITY):,.3g}"


def read_table() -> dict[str, list[str]]:
    text = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.strip().splitlines()[2:]]
    return {row[0].strip("`"): row[1:] for row in rows}


def write_table() -> None:
    heads = [f"`-{size}`" for size in SIZES]
    lines = [
        f"| network | {' | '.join(heads)} | {' | '.join(f'{head} [MFLOPs]' for head in heads)} |",
        "|:--|--:|--:|--:|--:|--:|--:|",
    ]
    for family in FAMILIES:
        names = [f"{family}-{size}" for size in SIZES]
        cells = [*map(count_parameters, names), *map(count_millions, names)]
        lines.append(f"| `{family}` | {' | '.join(cells)} |")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    text = f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{rest.partition(END)[2]}"
    PAGE.write_text(text, encoding="utf-8")


def test_every_family_has_three_sizes_and_a_row() -> None:
    names = {c.name for c in catalogue().components("model") if c.size_of}
    assert names == {f"{family}-{size}" for family in FAMILIES for size in SIZES}
    assert sorted(read_table()) == FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_those_of_the_table_and_of_the_size(family: str) -> None:
    found = [count_parameters(f"{family}-{size}") for size in SIZES]
    assert found == read_table()[family][:3]
    tiny, small, base = (int(number.replace(",", "")) for number in found)
    assert 7_000 < tiny < 14_000
    assert 70_000 < small < 130_000
    assert base > small
    assert lz.create_model(family).num_parameters == base


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_flops_are_those_of_the_table(family: str) -> None:
    assert [count_millions(f"{family}-{size}") for size in SIZES] == read_table()[family][3:]


if __name__ == "__main__":
    write_table()
