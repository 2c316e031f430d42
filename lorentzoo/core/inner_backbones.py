"""What else can a backbone give, for parts that are made of it, e.g. a frames-net?"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from lorentzoo.core.features import Features
from lorentzoo.core.interfaces import Backbone
from lorentzoo.core.layout import Layout

__all__ = ["PairBackbone", "QueryBackbone"]


class PairBackbone(Backbone):
    """A backbone that also gives numbers of pairs.

    Its constructor takes ``out_pairs`` by keyword, 0 by default; ``in_vectors`` is then the number of invariants of
    each pair.
    """

    @abstractmethod
    def pair_numbers(self, mask: Tensor | None, edges: Tensor, scalars: Tensor) -> Tensor:
        """Numbers of all pairs of a block of events, as `Layout.map_blocks` makes them.

        Parameters
        ----------
        mask
            Which places hold a particle, (b, n), or None.
        edges
            Invariants of pairs, (b, n, n, in_vectors).
        scalars
            Of particles, (b, n, in_scalars).

        Returns
        -------
        Shape (b, n, n, out_pairs).
        """


class QueryBackbone(Backbone):
    """A backbone that also gives each particle queries and keys, whose inner products are invariants.

    Its constructor takes ``out_queries`` by keyword, 0 by default.
    """

    @abstractmethod
    def queries_and_keys(self, features: Features, layout: Layout) -> tuple[Tensor, Tensor]:
        """Queries, with the metric in them, and keys of every particle.

        Parameters
        ----------
        features
            Scalars and vectors of the particles, (*lead, ...).
        layout
            Which particle belongs to which event.

        Returns
        -------
        Twice the shape (*lead, out_queries, D): Σ_d q_d k_d is invariant.
        """
