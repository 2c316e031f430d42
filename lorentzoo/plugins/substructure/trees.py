"""How does a gradient-boosted forest serve as the head of a model, for classes and for numbers?"""

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

__all__ = ["BoostedTrees", "RegressionTrees"]


class _GrownTrees(Head):
    """A forest that is grown on pooled features when statistics are fitted, with scikit-learn's histograms."""

    passes_gradients = False

    def __init__(
        self,
        outputs: int,
        num_trees: int,
        learning_rate: float,
        max_leaf_nodes: int,
        min_samples_leaf: int,
        l2: float,
        max_features: float,
        pooling: Literal["mean", "sum", "max"] | None,
        in_scalars: int | None,
    ) -> None:
        super().__init__()
        if in_scalars is None:
            raise ValueError(
                "trees need a backbone of a given width, not one that projects to the head's outputs"
            )
        if outputs < 1 or num_trees < 1 or max_leaf_nodes < 2 or min_samples_leaf < 1:
            raise ValueError(
                "num_classes, num_trees and min_samples_leaf must be at least 1 and max_leaf_nodes at least 2, not "
                f"{outputs}, {num_trees}, {min_samples_leaf} and {max_leaf_nodes}"
            )
        if not 0 < learning_rate <= 1 or not 0 < max_features <= 1 or l2 < 0:
            raise ValueError(
                "learning_rate and max_features must be in (0, 1] and l2 not negative, not "
                f"{learning_rate}, {max_features} and {l2}"
            )
        self.pooling = pooling
        self.out_scalars = in_scalars
        self._settings = {
            "max_iter": num_trees,
            "learning_rate": learning_rate,
            "max_leaf_nodes": max_leaf_nodes,
            "min_samples_leaf": min_samples_leaf,
            "l2_regularization": l2,
            "max_features": max_features,
            "early_stopping": False,
        }
        self._depth = max_leaf_nodes - 1
        self._nodes = 2 * max_leaf_nodes - 1
        empty = Forest.empty(outputs, num_trees * outputs, self._nodes)
        self.register_statistics(**{name: getattr(empty, name) for name in ARRAYS})

    @property
    def forest(self) -> Forest:
        """The trees; empty ones before statistics were fitted."""
        return Forest(**{name: getattr(self, name) for name in ARRAYS})

    def _grow(
        self,
        estimator: Literal["HistGradientBoostingClassifier", "HistGradientBoostingRegressor"],
        raw: Literal["decision_function", "predict"],
        x: NDArray[np.float64],
        y: NDArray[Any],
        weight: NDArray[np.float64],
    ) -> None:
        """Grow the trees of an estimator, and keep them."""
        try:
            import sklearn.ensemble
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
            grown = getattr(sklearn.ensemble, estimator)(random_state=seed, **self._settings).fit(x, y, given)
            theirs = np.asarray(getattr(grown, raw)(x))
        forest = Forest.read(grown, x, theirs, self._nodes)
        for name in ARRAYS:
            getattr(self, name).copy_(getattr(forest, name))
        self.mark_fitted()

    def _evaluate(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """Sums of leaves, shape (B, outputs)."""
        self.require_fitted()
        return self.forest.evaluate(self._pooled(features, cloud), self._depth)

    def _collect(self, batches: Iterable[tuple[Features, Batch]]) -> tuple[Tensor, Tensor, Tensor]:
        """Pooled features, targets and weights of all events."""
        columns, targets, weights = [], [], []
        for features, batch in batches:
            columns.append(self._pooled(features, batch.cloud).double().cpu())
            targets.append(batch.target.cpu())
            weights.append(batch.weight.double().cpu())
        return torch.cat(columns), torch.cat(targets), torch.cat(weights)

    def _pooled(self, features: Features, cloud: ParticleCloud) -> Tensor:
        x = features.scalars
        return cloud.layout.pool(x, self.pooling) if self.pooling in ("mean", "sum", "max") else x


class BoostedTrees(_GrownTrees):
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
        super().__init__(
            1 if num_classes <= 2 else num_classes,
            num_trees,
            learning_rate,
            max_leaf_nodes,
            min_samples_leaf,
            l2,
            max_features,
            pooling,
            in_scalars,
        )
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, not {num_classes}")
        self.num_classes = num_classes
        self.classes = make_part(
            "head", {"name": "classify", "num_classes": num_classes}, Head, in_scalars=None
        )

    def fit_features(self, batches: Iterable[tuple[Features, Batch]]) -> None:
        """Grow the trees.

        Raises
        ------
        ForestError
            If the events with a positive weight are not of the head's classes, every one of them.
        MissingExtraError
            If scikit-learn is not installed.
        """
        x, targets, weights = self._collect(batches)
        y, weight = targets.long().numpy(), weights.numpy()
        wanted, given = set(range(max(self.num_classes, 2))), set(y[weight > 0].tolist())
        if wanted != given:
            raise ForestError(
                f"the training events are of the classes {sorted(given)}, but the head has {sorted(wanted)}; "
                "set num_classes, or give events of every class"
            )
        self._grow("HistGradientBoostingClassifier", "decision_function", x.numpy(), y, weight)

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """Logits, shape (B, num_classes)."""
        raw = self._evaluate(features, cloud)
        return torch.cat([torch.zeros_like(raw), raw], dim=-1) if self.num_classes == 2 else raw

    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Cross-entropy, which the trees were grown to make small, averaged with event weights."""
        return self.classes.loss(output, target, weight)

    def predict(self, output: Tensor) -> Tensor:
        """Class probabilities, shape (B, max(num_classes, 2))."""
        return self.classes.predict(output)

    def log_predict(self, output: Tensor) -> Tensor:
        """Logarithms of the class probabilities."""
        return self.classes.log_predict(output)


class RegressionTrees(_GrownTrees):
    """Histogram-based gradient boosting (scikit-learn's) of one number of each event, as `BoostedTrees`.

    Parameters
    ----------
    transform
        Of the target, as in the head `regress`; it is then standardised.
    num_trees, learning_rate, max_leaf_nodes, min_samples_leaf, l2, max_features, pooling
        As for `BoostedTrees`.
    """

    task = "regression"

    def __init__(
        self,
        transform: Literal["none", "log", "signed-log"] = "none",
        num_trees: int = 500,
        learning_rate: float = 0.1,
        max_leaf_nodes: int = 31,
        min_samples_leaf: int = 10,
        l2: float = 0.0,
        max_features: float = 1.0,
        pooling: Literal["mean", "sum", "max"] | None = "mean",
        *,
        in_scalars: int | None = None,
    ) -> None:
        super().__init__(
            1,
            num_trees,
            learning_rate,
            max_leaf_nodes,
            min_samples_leaf,
            l2,
            max_features,
            pooling,
            in_scalars,
        )
        self.num_targets = 1
        self.values = make_part("head", {"name": "regress", "transform": transform}, Head, in_scalars=None)

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Mean and deviation of the transformed targets."""
        self.values.fit_statistics(batches)

    def fit_features(self, batches: Iterable[tuple[Features, Batch]]) -> None:
        """Grow the trees on the standardised targets.

        Raises
        ------
        MissingExtraError
            If scikit-learn is not installed.
        """
        x, targets, weights = self._collect(batches)
        y = self.values.standardise_targets(targets).squeeze(-1)  # type: ignore[operator]
        counted = weights > 0
        self._grow(
            "HistGradientBoostingRegressor",
            "predict",
            x[counted].numpy(),
            y[counted].numpy(),
            weights[counted].numpy(),
        )

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """Standardised targets, shape (B, 1)."""
        return self._evaluate(features, cloud)

    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean squared error of standardised targets, which the trees were grown to make small."""
        return self.values.loss(output, target, weight)

    def predict(self, output: Tensor) -> Tensor:
        """Targets in their own units, shape (B, 1)."""
        return self.values.predict(output)
