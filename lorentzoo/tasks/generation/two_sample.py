"""Can a classifier tell generated from true events, and by which weights would they become equal?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import TrainingError
from lorentzoo.core.layout import Packed
from lorentzoo.core.model import Model
from lorentzoo.data.dataset import JetDataset
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.task import TrainFunction
from lorentzoo.output.weights import effective_fraction, ratio_weights
from lorentzoo.registry.composition import build
from lorentzoo.registry.specs import Spec
from lorentzoo.tasks.classification.metrics import auc
from lorentzoo.tasks.classification.predictions import ClassPredictions
from lorentzoo.tasks.predictions import predict_events
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.fitting import fit_spec, spec_for

__all__ = [
    "CLASSIFIERS",
    "Classifier",
    "TwoSampleTest",
    "measure_auc",
    "require_classifier",
    "two_sample_test",
]

Array = NDArray[np.float64]

CLASSES: Final = ("generated", "true")
_BOOTSTRAPS: Final = 200
_FEW: Final = 10
"""Particles among which the masses of all triples are looked at."""
_VALIDATION: Final = 0.15
"""Part of the training events on which the best weights are chosen, where the recipe asks for them."""


@dataclass(frozen=True)
class Classifier:
    """A composition and the recipe with which it is trained.

    Attributes
    ----------
    spec
        Slots by name; widths follow from the events.
    config
        Keys of `TrainConfig`.
    """

    spec: Mapping[str, Any]
    config: Mapping[str, Any]


_PLACED: Final = {"name": "placed-observables", "azimuths": True}
CLASSIFIERS: Final[dict[str, Classifier]] = {
    "boosted-trees": Classifier(
        {
            "backbone": {**_PLACED, "standardise": False},
            "embedding": "momenta",
            "head": {"name": "boosted-trees", "num_classes": 1},
        },
        {"epochs": 1},
    ),
    "perceptron": Classifier(
        {
            "backbone": _PLACED,
            "embedding": "momenta",
            "head": {
                "name": "likelihood-ratio",
                "hidden": [128, 128],
                "dropout": 0.1,
                "activation": "silu",
            },
        },
        {"epochs": 15, "batch_size": 128, "learning_rate": 2e-3, "keep": "best"},
    ),
    "transformer": Classifier(
        {
            "backbone": {"name": "transformer", "num_blocks": 2, "num_heads": 4, "head_reps": "8x0n"},
            "embedding": "kinematics",
            "head": "likelihood-ratio",
        },
        {"epochs": 10, "batch_size": 128, "learning_rate": 1e-3, "keep": "best"},
    ),
}
"""Classifiers by name. The first two know events by the momenta, distances and masses of their particles and groups of
them, each of which has a place in the order, and may be missing behind the others; the last one takes any events."""


@dataclass(frozen=True, eq=False)
class TwoSampleTest:
    """What a classifier says of events that it has not been trained on.

    Attributes
    ----------
    log_ratio
        ln p/q, true against generated, of each event of the test, (T,).
    target
        1 for true and 0 for generated events, (T,).
    weight
        Event weights, (T,).
    place
        Number of each event in its own sample, (T,).
    auc, auc_error
        Area under the ROC curve with true events as signal, 1/2 where they cannot be told apart, and its bootstrap
        error.
    cpu_seconds
        Processor time of training and evaluation.
    """

    log_ratio: Array
    target: NDArray[np.int64]
    weight: Array
    place: NDArray[np.int64]
    auc: float
    auc_error: float
    cpu_seconds: float

    @property
    def generated(self) -> NDArray[np.int64]:
        """Numbers of the generated events of the test in their sample; `weights` belong to them."""
        return self.place[self.target == 0]

    @property
    def true(self) -> NDArray[np.int64]:
        """Numbers of the true events of the test in their sample."""
        return self.place[self.target == 1]

    def weights(self, *, clip: float | None = None) -> Array:
        """Weights p/q of the generated events of the test with mean one; see `ratio_weights`."""
        return ratio_weights(self.log_ratio[self.target == 0], clip=clip)

    @property
    def predictions(self) -> ClassPredictions:
        """The probability of being true, for `plot_calibration` and the other figures of classifiers.

        True and generated events count the same in all, as the ratio p/q has it.
        """
        probability = 1.0 / (1.0 + np.exp(-np.clip(self.log_ratio, -700, 700)))
        total = np.bincount(self.target, self.weight, minlength=2)
        return ClassPredictions(
            np.stack([1.0 - probability, probability], axis=1),
            self.target,
            self.weight / total[self.target] * len(self.target) / 2,
            np.arange(len(self.target)),
            class_names=CLASSES,
        )

    def metrics(self) -> dict[str, float]:
        """AUC with its error, effective fraction of the reweighted events, and processor time."""
        return {
            "c2st_auc": self.auc,
            "c2st_auc_error": self.auc_error,
            "c2st_effective_fraction": effective_fraction(self.weights()),
            "c2st_cpu_seconds": self.cpu_seconds,
        }


def two_sample_test(
    generated: ParticleCloud,
    true: ParticleCloud,
    *,
    true_weight: Tensor | None = None,
    classifier: str | Mapping[str, Any] | Spec | Model = "boosted-trees",
    config: TrainConfig | Mapping[str, Any] | None = None,
    train_fraction: float = 0.5,
    seed: int = 0,
    train: TrainFunction | None = None,
    progress: ProgressLine | bool = False,
) -> TwoSampleTest:
    """Train a classifier on one part of two samples and try it on the other.

    Parameters
    ----------
    generated, true
        Events, alike in their scalars and context.
    true_weight
        Weights of the true events (B,); all one by default.
    classifier
        One of `CLASSIFIERS`; the name of any model of the zoo; slots by name; or a model, which is trained in place.
    config
        Keys of `TrainConfig` that win over the recipe of a classifier of `CLASSIFIERS`.
    train_fraction
        Part of each sample on which it is trained.
    seed
        Of the division, the initial weights and the bootstrap.
    train
        Trains the classifier; `lorentzoo.studies.train` by default.
    progress
        As for `lorentzoo.studies.train`.

    Raises
    ------
    TrainingError
        If a sample has too few events to divide, or the samples have other scalars or context.
    """
    if train is None:
        # Lightning takes seconds to import.
        from lorentzoo.training.train import train as train_here

        train = train_here
    started = time.process_time()
    data = label_samples(generated, true, true_weight)
    first, second = _divide([generated.num_events, true.num_events], train_fraction, seed)
    recipe = _read_recipe(classifier, config, seed)
    model = _build_classifier(classifier, data, seed)
    learn, judge = data.subset(first), None
    if recipe.keep == "best" or recipe.patience is not None:
        # The division is in random order, so that any part of it is a fair one.
        shuffled = first[torch.randperm(len(first), generator=torch.Generator().manual_seed(seed))]
        count = max(round(_VALIDATION * len(shuffled)), 1)
        learn, judge = data.subset(shuffled[count:]), data.subset(shuffled[:count])
    train(model, learn, judge, recipe, progress=progress)
    held = data.subset(second)
    arrays = predict_events(model, held).arrays
    probability, weight = arrays["values"][:, 1], arrays["weight"]
    log_ratio = _take_logit(probability)
    if not hasattr(model.head, "ratio"):
        # A plain classifier sees the classes as often as they come.
        total = np.bincount(learn.target.numpy(), learn.weight.numpy(), minlength=2)
        log_ratio = log_ratio + np.log(total[0] / total[1])
    target = held.target.numpy()
    value, error = measure_auc(log_ratio, target, weight, seed)
    place = np.where(target == 1, second.numpy() - generated.num_events, second.numpy())
    spent = time.process_time() - started
    return TwoSampleTest(log_ratio, target, weight, place, value, error, spent)


def require_classifier(
    events: ParticleCloud,
    classifier: str | Mapping[str, Any] | Spec | Model,
    config: TrainConfig | Mapping[str, Any] | None = None,
) -> None:
    """Refuse what `two_sample_test` would refuse of such events, before there are any generated ones.

    Raises
    ------
    TrainingError
        If the classifier does not go with the events, or is none. Unknown names and options have errors of their own.
    """
    _read_recipe(classifier, config, 0)
    with torch.random.fork_rng(devices=[]):
        _build_classifier(classifier, label_samples(events, events), 0)


def label_samples(
    generated: ParticleCloud, true: ParticleCloud, true_weight: Tensor | None = None
) -> JetDataset:
    """Events of two samples as one data set: class 0 generated, class 1 true, in this order.

    Raises
    ------
    TrainingError
        If they have not as many scalars a particle and numbers an event.
    """
    counts = [generated.num_events, true.num_events]
    for name in ("scalars", "context"):
        widths = [getattr(cloud, name).shape[-1] for cloud in (generated, true)]
        if widths[0] != widths[1]:
            raise TrainingError(
                f"generated events have {widths[0]} {name}, true ones {widths[1]}: a classifier needs both alike"
            )
    both = join_clouds([generated, true])
    assert isinstance(both.layout, Packed)
    weight = torch.ones(counts[1]) if true_weight is None else true_weight
    return JetDataset(
        both.momenta,
        both.layout.ptr,
        torch.tensor([0, 1]).repeat_interleave(torch.tensor(counts)),
        torch.cat([torch.ones(counts[0], dtype=torch.float64), weight.to("cpu", torch.float64)]),
        scalars=both.scalars,
        context=both.context,
        scalar_names=true.scalar_names,
        context_names=true.context_names,
        class_names=CLASSES,
        validate=False,
    )


def join_clouds(clouds: Sequence[ParticleCloud]) -> ParticleCloud:
    """The events of several clouds one after another, packed, in GeV, on the host; names are kept where all have them."""
    packed = [cloud.to_packed().to_units("GeV").to("cpu") for cloud in clouds]
    lengths: list[int] = []
    for cloud in packed:
        assert isinstance(cloud.layout, Packed)
        lengths += cloud.layout.lengths
    return ParticleCloud.from_packed(
        torch.cat([cloud.momenta for cloud in packed]),
        Packed.from_lengths(lengths).ptr,
        torch.cat([cloud.scalars for cloud in packed]),
        torch.cat([cloud.context for cloud in packed]),
        scalar_names=_find_common_names([cloud.scalar_names for cloud in packed]),
        context_names=_find_common_names([cloud.context_names for cloud in packed]),
        validate=False,
    )


def _find_common_names(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The names of columns if all clouds agree on them."""
    return names[0] if len(set(names)) == 1 else ()


def _divide(counts: list[int], fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Numbers of the events to train and to test on, the same part of each sample."""
    if not 0 < fraction < 1:
        raise ValueError(f"train_fraction must lie between 0 and 1, not {fraction}")
    rng = torch.Generator().manual_seed(seed)
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    offset = 0
    for count in counts:
        kept = round(fraction * count)
        if min(kept, count - kept) < 2:
            raise TrainingError(
                f"{count} events are too few to train a classifier on one part and try it on another"
            )
        order = offset + torch.randperm(count, generator=rng)
        parts[0].append(order[:kept])
        parts[1].append(order[kept:].sort().values)
        offset += count
    return torch.cat(parts[0]), torch.cat(parts[1])


def _read_recipe(classifier: Any, config: TrainConfig | Mapping[str, Any] | None, seed: int) -> TrainConfig:
    if isinstance(config, TrainConfig):
        return config
    known = (
        CLASSIFIERS[classifier].config if isinstance(classifier, str) and classifier in CLASSIFIERS else {}
    )
    return TrainConfig.of({**known, "seed": seed, **(config or {})})


def _build_classifier(
    classifier: str | Mapping[str, Any] | Spec | Model, data: JetDataset, seed: int
) -> Model:
    if isinstance(classifier, Model):
        return classifier
    if isinstance(classifier, Spec):
        spec = fit_spec(classifier, data)
    elif isinstance(classifier, str):
        spec = spec_for(_choose_slots(classifier, data), data)
    else:
        spec = spec_for(classifier, data)
    torch.manual_seed(seed)
    model = build(spec)
    if not isinstance(model, Model) or not _tells_classes_apart(model):
        raise TrainingError(
            f"{spec.model or spec.backbone} does not tell two classes apart; name a classifier"
        )
    return model


def _tells_classes_apart(model: Model) -> bool:
    # A likelihood ratio is a probability of two classes by another name.
    return model.task in ("classification", "likelihood-ratio")


def _choose_slots(name: str, data: JetDataset) -> Mapping[str, Any]:
    """Slots of a classifier by name, for events as they are."""
    if name not in CLASSIFIERS:
        return {"model": name}
    values = CLASSIFIERS[name].spec
    if not isinstance(values["backbone"], Mapping) or values["backbone"]["name"] != _PLACED["name"]:
        return values
    fewest, most = int(data.lengths.min()), int(data.lengths.max())
    if fewest != most and not data.num_scalars:
        raise TrainingError(
            f"the classifier {name!r} is for particles that have places, but these events have {fewest} to {most} of "
            "them, without scalars that say which they are; take classifier='transformer', or any model of the zoo"
        )
    # All triples of many particles would be too many.
    size = 3 if most <= _FEW else 2
    return {**values, "backbone": {**values["backbone"], "num_particles": most, "group_size": size}}


def _take_logit(probability: Array) -> Array:
    inside = np.clip(probability, 1e-15, 1 - 1e-15)
    return np.log(inside) - np.log1p(-inside)


def measure_auc(score: Array, target: NDArray[np.int64], weight: Array, seed: int) -> tuple[float, float]:
    """AUC and its standard deviation over samples drawn with replacement from each class."""
    rng = np.random.default_rng(seed)
    is_true = target == 1
    drawn = []
    for _ in range(_BOOTSTRAPS):
        times = np.zeros(len(target))
        for chosen in (is_true, ~is_true):
            count = int(chosen.sum())
            times[chosen] = rng.multinomial(count, np.full(count, 1.0 / count))
        drawn.append(auc(score, is_true, weight * times))
    return auc(score, is_true, weight), float(np.std(drawn, ddof=1))
