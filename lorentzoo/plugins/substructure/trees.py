"""How does a gradient-boosted forest serve as the head of a model?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo import Batch, Features, Head, ParticleCloud
from lorentzoo.nn import MissingExtraError, make_part
from lorentzoo.plugins.substructure.forest import ARRAYS, Forest, ForestError

__all__ = ["BoostedTrees"]


class BoostedTrees(Head):
    """Histogram-based gradient boosting (scikit-learn's) on pooled features, grown when statistics are fitted.

    There is nothing to descend on: a model whose only learning part this is needs no epochs.

    Parameters
    ----------
    num_classes
        Number of classes; 1 means two classes by a single logit.
    num_trees
        Boosting iterations; with three classes or more each of them grows a tree a class.
    learning_rate
        Shrinkage of each tree.
    max_leaf_nodes, min_samples_leaf
        Size of a tree, and the fewest events that a leaf may have.
    l2
        Regularisation of the leaves.
    max_features
        Part of the features among which each split may choose.
    pooling
        How features of particles become those of an event, where the backbone does not pool itself.
    """

    task = "classification"
    passes_gradients = False

    def __init__(
        self,
        num_classes: int = 2,
        num_trees: int = 200,
        learning_rate: float = 0.05,
        max_leaf_nodes: int = 6,
        min_samples_leaf: int = 20,
        l2: float = 3.0,
        max_features: float = 0.5,
        pooling: Literal["mean", "sum", "max"] | None = "mean",
        *,
        in_scalars: int | None = None,
    ) -> None:
        super().__init__()
        if in_scalars is None:
            raise ValueError(
                "trees need a backbone of a given width, not one that projects to the head's outputs"
            )
        if num_classes < 1 or num_trees < 1 or max_leaf_nodes < 2 or min_samples_leaf < 1:
            raise ValueError(
                "num_classes, num_trees and min_samples_leaf must be at least 1 and max_leaf_nodes at least 2, not "
                f"{num_classes}, {num_trees}, {min_samples_leaf} and {max_leaf_nodes}"
            )
        if not 0 < learning_rate <= 1 or not 0 < max_features <= 1 or l2 < 0:
            raise ValueError(
                "learning_rate and max_features must be in (0, 1] and l2 not negative, not "
                f"{learning_rate}, {max_features} and {l2}"
            )
        self.num_classes = num_classes
        self.pooling = pooling
        self.out_scalars = in_scalars
        self._grower = {
            "max_iter": num_trees,
            "learning_rate": learning_rate,
            "max_leaf_nodes": max_leaf_nodes,
            "min_samples_leaf": min_samples_leaf,
            "l2_regularization": l2,
            "max_features": max_features,
            "early_stopping": False,
        }
        self._depth = max_leaf_nodes - 1
        outputs = 1 if num_classes <= 2 else num_classes
        self._nodes = 2 * max_leaf_nodes - 1
        empty = Forest.empty(outputs, num_trees * outputs, self._nodes)
        self.register_statistics(**{name: getattr(empty, name) for name in ARRAYS})
        self.classes = make_part(
            "head", {"name": "classify", "num_classes": num_classes}, Head, in_scalars=None
        )

    @property
    def forest(self) -> Forest:
        """The trees; empty ones before statistics were fitted."""
        return Forest(**{name: getattr(self, name) for name in ARRAYS})

    def fit_features(self, batches: Iterable[tuple[Features, Batch]]) -> None:
        """Grow the trees.

        Raises
        ------
        ForestError
            If the events with a positive weight are not of the head's classes, every one of them.
        MissingExtraError
            If scikit-learn is not installed.
        """
        columns, targets, weights = [], [], []
        for features, batch in batches:
            columns.append(self._pooled(features, batch.cloud).double().cpu())
            targets.append(batch.target.long().cpu())
            weights.append(batch.weight.double().cpu())
        x, y, weight = (torch.cat(part).numpy() for part in (columns, targets, weights))
        wanted, given = set(range(max(self.num_classes, 2))), set(y[weight > 0].tolist())
        if wanted != given:
            raise ForestError(
                f"the training events are of the classes {sorted(given)}, but the head has {sorted(wanted)}; "
                "set num_classes, or give events of every class"
            )
        forest = Forest.read(self._grow(x, y, weight), x, self._nodes)
        for name in ARRAYS:
            getattr(self, name).copy_(getattr(forest, name))
        self.mark_fitted()

    def _grow(self, x: NDArray[np.float64], y: NDArray[np.int64], weight: NDArray[np.float64]) -> Any:
        try:
            from sklearn.ensemble import HistGradientBoostingClassifier
            from threadpoolctl import threadpool_limits
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f'boosted-trees need {error.name!r} to grow; run: pip install "lorentzoo[substructure]"'
            ) from error
        # The only randomness, which features a split may see, follows the seed of the training.
        seed = int(torch.randint(2**31 - 1, ()))
        # Weighted quantiles, of which scikit-learn makes its bins, take ten times as long as the growing.
        given = None if (weight == 1).all() else weight
        with threadpool_limits(torch.get_num_threads(), user_api="openmp"):
            return HistGradientBoostingClassifier(random_state=seed, **self._grower).fit(x, y, given)

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """Logits, shape (B, num_classes)."""
        self.require_fitted()
        raw = self.forest.evaluate(self._pooled(features, cloud), self._depth)
        return torch.cat([torch.zeros_like(raw), raw], dim=-1) if self.num_classes == 2 else raw

    def _pooled(self, features: Features, cloud: ParticleCloud) -> Tensor:
        x = features.scalars
        return cloud.layout.pool(x, self.pooling) if self.pooling in ("mean", "sum", "max") else x

    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Cross-entropy, which the trees were grown to make small, averaged with event weights."""
        return self.classes.loss(output, target, weight)

    def predict(self, output: Tensor) -> Tensor:
        """Class probabilities, shape (B, max(num_classes, 2))."""
        return self.classes.predict(output)

    def log_predict(self, output: Tensor) -> Tensor:
        """Logarithms of the class probabilities."""
        return self.classes.log_predict(output)
