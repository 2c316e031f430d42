"""How much arithmetic do fixed frames take?"""

from __future__ import annotations

from lorentzoo.nn import FlopsSetting

__all__ = ["count_identity"]


def count_identity(at: FlopsSetting) -> int:
    """Nothing: the laboratory's frame multiplies no matrix."""
    return 0
