"""The report of a study as one looks at it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorentzoo.studies import show_study
from lorentzoo.studies.report.page import report_html

STUDY = Path(__file__).parents[1] / "recorded" / "study-0.1"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_html(show_study(STUDY)), encoding="utf-8")
    return path


def test_rows_are_sorted_filtered_and_opened(report: Path, opened: Callable[..., Any]) -> None:
    shown = opened(report)
    heads = [text.strip() for text in shown.page.locator("#results > thead th").all_inner_texts()]
    column = heads.index("AUC") + 1
    head = shown.page.locator(f"#results > thead th:nth-child({column}) button")
    values = []
    for _ in range(2):
        head.click()
        values.append([float(text.split("\xa0")[0]) for text in shown.column("results", column)])
    assert values[0] == sorted(values[0], reverse=True)
    assert values[1] == sorted(values[0])
    shown.page.select_option("select[name=frames]", "lloca-polar")
    assert [name.replace("\u2011", "-") for name in shown.column("results", 1)] == ["lloca-polar"]
    # What other tables say of the row that is hidden is hidden too.
    assert shown.page.locator("tr[data-row=identity]:visible").count() == 0
    assert shown.page.locator("tr[data-row=lloca-polar]:visible").count() >= 2
    shown.page.locator("#results button.opens:visible").click()
    detail = shown.page.locator("#results > tbody > tr.detail:visible")
    runs = show_study(STUDY).finished[1].runs
    commands = detail.locator(".command pre").all_inner_texts()
    assert len(commands) == len(runs)
    for command, run in zip(commands, runs, strict=True):
        assert run.run.key in command
        assert "lorentzoo train spec.json" in command
    assert "lloca-polar" in detail.inner_text()
    assert shown.page.url.endswith("#row-lloca-polar")


def test_figures_are_shown_with_their_numbers(report: Path, opened: Callable[..., Any]) -> None:
    shown = opened(report)
    images = shown.page.locator("figure img")
    assert images.count() >= 6
    sizes = images.evaluate_all("each => each.map(image => [image.naturalWidth, image.clientWidth])")
    assert all(natural > 100 and shown_at > 100 for natural, shown_at in sizes)
    links = shown.page.locator("figcaption a[download]")
    assert links.count() == images.count()
    with shown.page.expect_download() as download:
        links.first.click()
    assert download.value.suggested_filename == "costs-flops.csv"
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text.startswith("x_axis,y_axis,series,x,y")
    shown.requests[:] = [url for url in shown.requests if not url.startswith("blob:")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_it_fits_every_window_and_can_be_read(
    report: Path, opened: Callable[..., Any], size: str, scheme: str
) -> None:
    shown = opened(report, "#row-identity", size=size, scheme=scheme)
    assert shown.overflow() <= 0
    for selector in (
        "h1",
        "p.facts",
        "td",
        "ul.notes li",
        "figcaption",
        "figcaption a",
        "pre",
        ".legend span",
    ):
        assert shown.contrast(selector) >= 4.5, selector
    width = shown.page.viewport_size["width"]
    for right in shown.page.locator(".paper").evaluate_all(
        "each => each.map(paper => paper.getBoundingClientRect().right)"
    ):
        assert right <= width
    # Of the figure's own 640 pixels at least so many that its labels can be read.
    for shown_at in shown.page.locator("figure img").evaluate_all(
        "each => each.map(image => image.clientWidth)"
    ):
        assert shown_at >= 480
    paper = shown.page.evaluate("getComputedStyle(document.querySelector('.paper')).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
