"""Which characters of a stranger's text may be shown?"""

from __future__ import annotations

import unicodedata

__all__ = ["plain"]


def plain(text: object) -> str:
    """Text without anything that a terminal would obey: control characters and lone surrogates become spaces.

    >>> plain("red\\x1b[31m and a\\nnew line")
    'red [31m and a new line'
    """
    return "".join(" " if _is_unsafe(character) else character for character in str(text))


def _is_unsafe(character: str) -> bool:
    # Cc: control characters, Cs: lone surrogates; and what changes the direction of what follows.
    return (
        unicodedata.category(character) in ("Cc", "Cs")
        or character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )
