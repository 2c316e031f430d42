"""The catalogue as one looks at it: sorted, searched, filtered, opened, linked to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorentzoo.pages import Entry, collect_entries, write_catalogue
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.components import Component

EVIL = "<script>window.evil = 1</script><img src=x onerror='window.evil = 1'>"
NAMES = [
    ("model", "mlp"),
    ("model", "lloca-transformer"),
    ("model", "pfn"),
    ("backbone", "transformer"),
    ("spurions", "beam-lightlike"),
    ("dataset", "toptag"),
]


@pytest.fixture(scope="module")
def page_of_some(tmp_path_factory) -> Path:
    entries = collect_entries([catalogue().find(*each) for each in NAMES], progress=False)
    stranger = Component(
        "backbone", "strange", target="nowhere:Net", summary=EVIL, reference=f'"{EVIL}', plugin="evil"
    )
    entries.append(Entry(stranger, package=EVIL, documentation=EVIL, facts={EVIL: EVIL}, problem=EVIL))
    return write_catalogue(entries, tmp_path_factory.mktemp("catalogue"))


def test_columns_sort_both_ways_and_what_has_no_value_is_last(
    page_of_some: Path, opened: Callable[..., Any]
) -> None:
    shown = opened(page_of_some)
    heads = shown.page.locator("#components > thead th").all_inner_texts()
    column = heads.index("Parameters") + 1
    head = shown.page.locator(f"#components > thead th:nth-child({column}) button")
    for direction, reverse in (("descending", True), ("ascending", False)):
        head.click()
        assert head.locator("..").get_attribute("aria-sort") == direction
        texts = shown.column("components", column)
        numbers = [int(text.replace(",", "")) for text in texts if text]
        assert numbers == sorted(numbers, reverse=reverse)
        assert len(numbers) >= 4
        assert texts[len(numbers) :] == [""] * (len(texts) - len(numbers))
    shown.page.locator("#components > thead th:first-child button").click()
    names = [name.replace("\u2011", "-") for name in shown.column("components", 1)]
    assert names == sorted(names)
    assert len(names) == len(NAMES) + 1


def test_rows_are_searched_and_filtered(page_of_some: Path, opened: Callable[..., Any]) -> None:
    shown = opened(page_of_some)
    count = shown.page.locator("form.filters output")
    assert count.inner_text() == "7 of 7"
    shown.page.select_option("select[name=kind]", "backbone")
    assert shown.column("components", 2) == ["backbone", "backbone"]
    shown.page.select_option("select[name=plugin]", "evil")
    assert shown.column("components", 1) == ["strange"]
    shown.page.locator("form.filters button[type=reset]").click()
    shown.page.wait_for_function("document.querySelector('form.filters output').textContent === '7 of 7'")
    # Words of the details count too: a parameter of the backbone alone.
    shown.page.fill("input[name=search]", "num_heads transformer")
    assert shown.column("components", 1) == ["transformer"]
    assert count.inner_text() == "1 of 7"
    shown.page.fill("input[name=search]", "no such words")
    assert shown.column("components", 1) == []
    shown.page.fill("input[name=search]", "")
    shown.page.select_option("select[name=symmetry]", "SO(2)_beam")
    assert "pfn" in shown.column("components", 1)


def test_a_row_opens_with_slots_and_parameters_and_has_a_link(
    page_of_some: Path, opened: Callable[..., Any]
) -> None:
    shown = opened(page_of_some)
    row = "tr[id='backbone/transformers/transformer']"
    button, detail = shown.page.locator(f"{row} button.opens"), shown.page.locator(f"{row} + tr.detail")
    assert not detail.is_visible()
    button.click()
    assert detail.is_visible()
    assert button.get_attribute("aria-expanded") == "true"
    assert shown.page.url.endswith("#backbone/transformers/transformer")
    assert detail.locator("svg.slots text.slot").all_text_contents() == [
        "spurions",
        "frames",
        "embedding",
        "backbone",
        "head",
    ]
    assert detail.locator("svg.slots rect.own").count() == 1
    text = detail.inner_text()
    assert "num_blocks" in text
    assert "lz.compose(backbone='transformer')" in text
    button.click()
    assert not detail.is_visible()
    assert "#" not in shown.page.url
    linked = opened(page_of_some, "#model/transformers/lloca-transformer")
    detail = linked.page.locator("tr[id='model/transformers/lloca-transformer'] + tr.detail")
    assert detail.is_visible()
    assert "lloca-polar" in detail.locator("svg.slots").inner_html()
    link = detail.locator("a[href^='https://arxiv.org/abs/2508.14898']")
    assert link.inner_text() == "arXiv:2508.14898"


def test_a_strangers_texts_are_texts(page_of_some: Path, opened: Callable[..., Any]) -> None:
    shown = opened(page_of_some, "#backbone/evil/strange")
    detail = shown.page.locator("tr[id='backbone/evil/strange'] + tr.detail")
    text = detail.inner_text().replace("\xa0", " ")
    assert text.count("<script>window.evil = 1</script>") >= 4
    assert shown.page.evaluate("window.evil === undefined")
    assert shown.page.locator("main img, main script").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_it_fits_every_window_and_can_be_read(
    page_of_some: Path, opened: Callable[..., Any], size: str, scheme: str
) -> None:
    shown = opened(page_of_some, "#model/transformers/lloca-transformer", size=size, scheme=scheme)
    assert shown.overflow() <= 0
    for selector in (
        "h1",
        "p.facts",
        "button.opens",
        "td",
        ".inside td",
        "svg.slots text.slot",
        "pre",
        "select",
    ):
        assert shown.contrast(selector) >= 4.5, selector
    detail = shown.page.locator("tr.detail:visible .inside").bounding_box()
    assert detail["x"] >= 0
    assert detail["x"] + detail["width"] <= shown.page.viewport_size["width"]
    drawing = shown.page.locator("tr.detail:visible svg.slots").bounding_box()
    assert drawing["width"] >= 300
