"""What is a gradient-boosted forest, once it is grown?

Plain arrays of nodes, read out of scikit-learn: saved, loaded and evaluated like any weights, without pickle and
without scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.nn import LorentzooError

__all__ = ["ARRAYS", "Forest", "ForestError"]

_AGREEMENT: Final = 1e-9
"""Difference between our evaluation of a forest and scikit-learn's own that rounding explains."""
_COMPARED: Final = 2_000
"""Events whose outputs are compared with scikit-learn's."""
_AT_ONCE: Final = 1 << 21
"""Places in trees that are looked at together."""
ARRAYS: Final = ("base", "feature", "threshold", "left", "right", "value")


class ForestError(LorentzooError, ValueError):
    """Trees cannot be grown from these events, or not be read."""


@dataclass(frozen=True)
class Forest:
    """R trees of at most M nodes each, whose leaves add up to K outputs.

    Attributes
    ----------
    base
        What the outputs start from, shape (K,).
    feature, threshold
        An event with at most the threshold of that feature goes left, shape (R, M).
    left, right
        Next nodes; a leaf is its own child, shape (R, M).
    value
        Contribution of each leaf, shape (R, M). Tree r belongs to output r modulo K.
    """

    base: Tensor
    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    value: Tensor

    @classmethod
    def empty(cls, outputs: int, trees: int, nodes: int) -> Forest:
        """A forest that answers zero."""
        index, number = torch.zeros((trees, nodes), dtype=torch.int64), torch.zeros((trees, nodes))
        return cls(torch.zeros(outputs), index, number, index.clone(), index.clone(), number.clone())

    @classmethod
    def read(cls, grown: Any, x: NDArray[np.float64], theirs: NDArray[np.float64], nodes: int) -> Forest:
        """The trees of a fitted `HistGradientBoostingClassifier` or `...Regressor`, in float64.

        Parameters
        ----------
        grown
            The estimator.
        x, theirs
            Events, and scikit-learn's own raw outputs for them, which our evaluation must give.
        nodes
            Most nodes of a tree.

        Raises
        ------
        ForestError
            If it is not, since scikit-learn keeps its trees to itself and may lay them out in another way.
        """
        trees = [tree.nodes for iteration in grown._predictors for tree in iteration]
        own = np.arange(nodes)
        arrays: dict[str, NDArray[Any]] = {
            name: np.zeros((len(trees), nodes)) for name in ("threshold", "value")
        }
        arrays |= {
            name: np.zeros((len(trees), nodes), dtype=np.int64) for name in ("feature", "left", "right")
        }
        for number, tree in enumerate(trees):
            size, leaf = len(tree), tree["is_leaf"].astype(bool)
            arrays["value"][number, :size] = np.where(leaf, tree["value"], 0.0)
            arrays["threshold"][number, :size] = tree["num_threshold"]
            arrays["feature"][number, :size] = tree["feature_idx"]
            for side in ("left", "right"):
                arrays[side][number, :size] = np.where(leaf, own[:size], tree[side].astype(np.int64))
        arrays["base"] = np.asarray(grown._baseline_prediction, dtype=np.float64).reshape(-1)
        forest = cls(**{name: torch.from_numpy(array) for name, array in arrays.items()})
        few = np.linspace(0, len(x) - 1, min(len(x), _COMPARED)).astype(np.int64)
        ours = forest.evaluate(torch.from_numpy(x[few]), nodes).numpy()
        theirs = theirs.reshape(len(x), -1)[few]
        if not np.allclose(ours, theirs, rtol=_AGREEMENT, atol=_AGREEMENT):
            raise ForestError(
                "this version of scikit-learn lays out its trees in another way than is known here: outputs differ "
                f"by {np.abs(ours - theirs).max():.1e}. Install the version of constraints.txt."
            )
        return forest

    def evaluate(self, x: Tensor, depth: int) -> Tensor:
        """Sum of the leaves in which each event ends. Shape (B, features) -> (B, K).

        Parameters
        ----------
        x
            The events.
        depth
            Steps from the root that are enough to reach every leaf.
        """
        if torch.compiler.is_compiling():
            return self._descend(x, depth)
        # A place in every tree for every event, of a large set, is more than there is memory.
        step = max(_AT_ONCE // max(len(self.left), 1), 1)
        return torch.cat([self._descend(part, depth) for part in x.split(step)])

    def _descend(self, x: Tensor, depth: int) -> Tensor:
        x = x.to(self.threshold.dtype)
        trees = torch.arange(self.left.shape[0], device=x.device)
        node = torch.zeros((x.shape[0], len(trees)), dtype=torch.int64, device=x.device)
        for _ in range(depth):
            goes_left = x.gather(1, self.feature[trees, node]) <= self.threshold[trees, node]
            reached = torch.where(goes_left, self.left[trees, node], self.right[trees, node])
            # Grown trees are rarely as deep as they might be. Elsewhere looking would wait for the device.
            if x.device.type == "cpu" and not torch.compiler.is_compiling() and torch.equal(reached, node):
                break
            node = reached
        leaves = self.value[trees, node]
        return self.base + leaves.unflatten(1, (-1, len(self.base))).sum(1)
