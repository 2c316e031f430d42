"""Whatever a text holds, a parser of Markdown reads it as that text."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lorentzoo.core.text import plain
from lorentzoo.registry.markdown import as_code, as_text, fence, table

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TEXTS = st.text(alphabet=st.sampled_from("ab1 \t\n_*`~#+-=.)(!<>[]{}|\\&;:/$@'\"é"), max_size=25) | st.text(
    max_size=25
)


def words(text: str) -> str:
    """Text without what Markdown does not keep: runs of spaces."""
    return " ".join(plain(text).split())


def read(markdown: str) -> tuple[str, set[str]]:
    """The text that a reader sees, and the kinds of what it stands in."""
    inline = [token for token in PARSER.parse(markdown) if token.type == "inline"]
    children = [child for token in inline for child in token.children or []]
    return " ".join("".join(child.content for child in children).split()), {child.type for child in children}


@given(text=TEXTS)
@example(text="1. one")
@example(text="<script>alert(1)</script> [x](javascript:a) ![](b) &amp; ~~c~~ <a@b.c>")
@example(text="--- # == ``` | a | b\\")
def test_text_is_text_in_a_paragraph_a_list_and_a_table(text: str) -> None:
    for place in (f"x {as_text(text)}", f"- {as_text(text)}", table(["a", "b"], [[as_text(text), "y"]])):
        seen, kinds = read(place)
        wanted = words(text)
        assert wanted in seen or not wanted
        assert kinds <= {"text", "text_special"}
    blocks = {token.type for token in PARSER.parse(f"- {as_text(text)}\n\nend")}
    assert blocks <= {
        "bullet_list_open", "list_item_open", "paragraph_open", "inline", "paragraph_close", "list_item_close",
        "bullet_list_close",
    }  # fmt: skip
    cells = [
        token for token in PARSER.parse(table(["a", "b"], [[as_text(text), "y"]])) if token.type == "td_open"
    ]
    assert len(cells) == 2


@given(text=TEXTS)
@example(text="a | b ` c `` d")
@example(text="`")
def test_code_is_code_also_in_a_table(text: str) -> None:
    if not words(text):
        assert as_code(text) == ""
        return
    for place in (f"x {as_code(text)} y", table(["a", "b"], [[as_code(text), "y"]])):
        codes = [
            child.content
            for token in PARSER.parse(place)
            if token.type == "inline"
            for child in token.children or []
            if child.type == "code_inline"
        ]
        assert [words(code) for code in codes] == [words(text)], place


@given(text=TEXTS)
@example(text="```\n# out\n~~~")
def test_a_block_of_code_ends_at_its_end(text: str) -> None:
    (block,) = PARSER.parse(fence(text, "sh"))
    assert block.type == "fence"
    assert [plain(line) for line in text.splitlines()] == block.content.split("\n")[: len(text.splitlines())]


def test_addresses_are_no_links() -> None:
    shown = as_text("see https://evil.example and www.evil.example, me@evil.example")
    assert not re.search(r"https://|www\.e|me@", shown)
