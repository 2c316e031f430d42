"""One headless Chromium for each module of tests; without it they are skipped, and say why."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SIZES = {"wide": (1400, 900), "narrow": (420, 900)}
SCHEMES = ("light", "dark")


# Not of the session: while playwright waits, other tests of the process could not start an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("chromium is not installed: `make browser` does it where apt may")
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=sandbox)
        yield chromium
        chromium.close()


class Opened:
    """A page, with what it complained of and what it asked for."""

    def __init__(self, browser: Any, address: str, size: str = "wide", scheme: str = "light") -> None:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=True
        )
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.set_default_timeout(5000)
        self.page.goto(address)

    def column(self, table: str, number: int) -> list[str]:
        """Texts of a column in the rows that are shown."""
        rows = self.page.locator(f"#{table} > tbody > tr:not(.detail):not(.message):visible")
        cells = rows.locator(f"> td:nth-child({number})").all_inner_texts()
        return [cell.strip() for cell in cells]

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")

    def contrast(self, selector: str) -> float:
        """Contrast of a text with what it stands on, as WCAG defines it."""
        return self.page.evaluate(
            """selector => {
              const light = colour => {
                const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(x => x / 255)
                  .map(x => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
              };
              const element = document.querySelector(selector);
              let ground = element;
              while (ground && getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)")
                ground = ground.parentElement;
              const one = light(getComputedStyle(element).color);
              const other = light(getComputedStyle(ground ?? document.body).backgroundColor);
              return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
            }""",
            selector,
        )


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Opened]]:
    """Opens a page; when the test is over it must not have complained, nor asked for anything but itself."""
    pages: list[Opened] = []

    def make(path: Path, fragment: str = "", **options: str) -> Opened:
        pages.append(Opened(browser, path.as_uri() + fragment, **options))
        return pages[-1]

    yield make
    for each in pages:
        assert each.complaints == []
        others = [url for url in each.requests if not url.startswith(("file:", "data:"))]
        assert others == []
        assert len({url.partition("#")[0] for url in each.requests if url.startswith("file:")}) == 1
        each.page.context.close()
