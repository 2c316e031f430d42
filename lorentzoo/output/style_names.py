"""Which colours, lines and markers tell rows apart, in figures and on pages alike?"""

from typing import Final

__all__ = ["COLOURS", "LINES", "MARKERS"]

COLOURS: Final = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
"""Ten colours that colour-blind readers can tell apart (Petroff, arXiv:2107.02270)."""
LINES: Final = ("-", "--", ":", "-.")
MARKERS: Final = ("o", "s", "^", "D", "v", "P")
