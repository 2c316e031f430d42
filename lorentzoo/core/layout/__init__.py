"""Which particle belongs to which event: the layouts, and what they hand out for tokens and pairs."""

from lorentzoo.core.layout.base import Extended, Layout, Reduce
from lorentzoo.core.layout.masks import allowed_pairs
from lorentzoo.core.layout.packed import Packed
from lorentzoo.core.layout.padded import Padded
from lorentzoo.core.layout.pairs import PairValues, Triangle

__all__ = ["Extended", "Layout", "Packed", "Padded", "PairValues", "Reduce", "Triangle", "allowed_pairs"]
