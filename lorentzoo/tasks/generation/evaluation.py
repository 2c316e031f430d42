"""How good is a generator of events?"""

from __future__ import annotations

import io
import json
import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import DensityWarning, LorentzooError, RunError, TrainingError
from lorentzoo.core.generator import Generator
from lorentzoo.core.layout import Packed
from lorentzoo.core.model import Model
from lorentzoo.data.events import EventData
from lorentzoo.data.showers.dataset import ShowerData
from lorentzoo.data.showers.detector import Detector
from lorentzoo.densities.coordinates import Cuts
from lorentzoo.output.files import write_bytes
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.task import TrainFunction
from lorentzoo.output.weights import effective_number, mean_and_error
from lorentzoo.registry.specs import Spec
from lorentzoo.tasks.generation.frechet import FrechetDistance, frechet_physics_distance, require_enough
from lorentzoo.tasks.generation.multiplicities import measure_multiplicities
from lorentzoo.tasks.generation.observables import Observable, default_observables, observable_table
from lorentzoo.tasks.generation.shower_observables import default_shower_observables
from lorentzoo.tasks.generation.two_sample import (
    TwoSampleTest,
    join_clouds,
    require_classifier,
    two_sample_test,
)
from lorentzoo.training.config import TrainConfig

__all__ = ["GeneratorEvaluation", "evaluate_generator"]

Array = NDArray[np.float64]

_CHUNK: Final = 1000
"""Events that are drawn at a time; the samples depend on it."""


@dataclass(frozen=True, eq=False)
class GeneratorEvaluation:
    """Samples of a generator beside true events, and what was found about them.

    Attributes
    ----------
    samples, true
        Generated and held-out true events, packed, in GeV; those of showers with their scalars and context, others
        without.
    true_weight
        Weights of the true events, (B,).
    log_prob
        Of the first held-out true events, (M,): -inf where they cannot be drawn, NaN where the density could not be
        computed.
    test
        The classifier two-sample test.
    frechet
        The Fréchet physics distance.
    seconds_per_sample
        Processor time of drawing one event.
    evaluations_per_sample
        Evaluations of the network for one event; None for a generator without a network.
    samples_failed
        Events that the generator could not finish, or whose observables are not finite; they are not among the samples.
    cut_violations
        Generated events that violate each of the cuts, and ``any`` of them; empty where no cuts are known.
    particle_names, resonances
        As the data set has them.
    detectors
        Of showers; their observables are those of showers.
    """

    samples: ParticleCloud
    true: ParticleCloud
    true_weight: Array
    log_prob: Array
    test: TwoSampleTest
    frechet: FrechetDistance
    seconds_per_sample: float
    evaluations_per_sample: float | None = None
    samples_failed: int = 0
    cut_violations: Mapping[str, int] = field(default_factory=dict)
    particle_names: tuple[str, ...] = ()
    resonances: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    detectors: tuple[Detector, ...] = ()

    @property
    def observables(self) -> tuple[Observable, ...]:
        """The default ones of these events."""
        return _observables(self.particle_names, self.resonances, self.true, self.detectors)

    def metrics(self) -> dict[str, Any]:
        """Everything as one level of numbers.

        Returns
        -------
        ``nll`` (mean of -log_prob over the events where it is finite) with ``nll_error``, ``nll_infinite`` and
        ``nll_failed`` (how many events have no density, or an unknown one, if the generator has any), ``c2st_auc``,
        ``c2st_auc_error``, ``c2st_effective_fraction``, ``fpd``, ``fpd_error``, ``seconds_per_sample``,
        ``samples_failed``; where they are known ``evaluations_per_sample`` and ``cut_violations``, of all cuts and of
        each; and what `measure_multiplicities` finds.
        """
        finite = np.isfinite(self.log_prob)
        weight = self.true_weight[: len(self.log_prob)][finite]
        value, error = mean_and_error(-self.log_prob[finite], weight)
        found: dict[str, Any] = {
            "nll": value,
            "nll_error": error,
            "nll_events": len(self.log_prob),
            **self._count_unlikely(),
            **self.test.metrics(),
            "fpd": self.frechet.value,
            "fpd_error": self.frechet.error,
            "seconds_per_sample": self.seconds_per_sample,
        }
        if self.evaluations_per_sample is not None:
            found["evaluations_per_sample"] = self.evaluations_per_sample
        found["samples_failed"] = self.samples_failed
        for name, count in self.cut_violations.items():
            found["cut_violations" if name == "any" else f"cut_violations_{name}"] = count
        return found | measure_multiplicities(self)

    def _count_unlikely(self) -> dict[str, int]:
        if not len(self.log_prob):
            return {}
        return {
            "nll_infinite": int(np.isneginf(self.log_prob).sum()),
            "nll_failed": int(np.isnan(self.log_prob).sum()),
        }

    def to_data(self) -> dict[str, Any]:
        """Numbers of events and metrics, as plain data."""
        return {"samples": self.samples.num_events, "events": self.true.num_events, **self.metrics()}

    def save(self, path: Path) -> None:
        """Write an npz file without any pickled object."""
        facts = {
            "seconds_per_sample": self.seconds_per_sample,
            "evaluations_per_sample": self.evaluations_per_sample,
            "samples_failed": self.samples_failed,
            "cut_violations": dict(self.cut_violations),
            "particle_names": self.particle_names,
            "resonances": dict(self.resonances),
            "detectors": [detector.to_data() for detector in self.detectors],
            "columns": {name: getattr(self.true, name) for name in _COLUMNS},
            "test": {name: getattr(self.test, name) for name in _TEST_NUMBERS},
            "frechet": {"value": self.frechet.value, "error": self.frechet.error},
        }
        arrays: dict[str, Any] = {"true_weight": self.true_weight, "log_prob": self.log_prob}
        for name in ("samples", "true"):
            cloud = getattr(self, name)
            arrays |= {f"{name}_momenta": cloud.momenta.numpy(), f"{name}_ptr": cloud.layout.ptr.numpy()}
            if self.detectors:
                arrays[f"{name}_scalars"] = cloud.scalars.float().numpy()
                arrays[f"{name}_context"] = cloud.context.double().numpy()
        arrays |= {f"test_{name}": getattr(self.test, name) for name in _TEST_ARRAYS}
        arrays |= {f"frechet_{name}": getattr(self.frechet, name) for name in _FRECHET_ARRAYS}
        stream = io.BytesIO()
        np.savez_compressed(
            stream, allow_pickle=False, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays
        )
        write_bytes(path, stream.getvalue())

    @classmethod
    def load(cls, path: Path) -> GeneratorEvaluation:
        """Read what `save` wrote.

        Raises
        ------
        RunError
            If the file is missing, truncated or corrupt.
        """
        try:
            with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            facts = json.loads(arrays["facts"].tobytes())
            test, frechet = facts.pop("test"), facts.pop("frechet")
            clouds = {
                name: ParticleCloud.from_packed(
                    arrays[f"{name}_momenta"],
                    arrays[f"{name}_ptr"],
                    arrays.get(f"{name}_scalars"),
                    arrays.get(f"{name}_context"),
                    scalar_names=tuple(facts.get("columns", {}).get("scalar_names", ())),
                    context_names=tuple(facts.get("columns", {}).get("context_names", ())),
                    validate=False,
                )
                for name in ("samples", "true")
            }
            return cls(
                **clouds,
                true_weight=arrays["true_weight"],
                log_prob=arrays["log_prob"],
                test=TwoSampleTest(**{name: arrays[f"test_{name}"] for name in _TEST_ARRAYS}, **test),
                frechet=FrechetDistance(
                    **{name: arrays[f"frechet_{name}"] for name in _FRECHET_ARRAYS}, **frechet
                ),
                seconds_per_sample=facts["seconds_per_sample"],
                evaluations_per_sample=facts["evaluations_per_sample"],
                samples_failed=facts["samples_failed"],
                cut_violations=facts["cut_violations"],
                particle_names=tuple(facts["particle_names"]),
                resonances={
                    name: tuple(tuple(members) for members in copies)
                    for name, copies in facts["resonances"].items()
                },
                # Evaluations of before they were kept are of other events, or are shown as such.
                detectors=tuple(Detector.from_data(data) for data in facts.get("detectors", ())),
            )
        except Exception as error:  # zipfile, zlib, json and numpy raise a dozen kinds on damaged bytes
            raise RunError(f"cannot read the evaluation {Path(path).name}: {error}") from error


_TEST_ARRAYS: Final = ("log_ratio", "target", "weight", "place")
_TEST_NUMBERS: Final = ("auc", "auc_error", "cpu_seconds")
_COLUMNS: Final = ("scalar_names", "context_names")
_FRECHET_ARRAYS: Final = ("sizes", "distances")


def evaluate_generator(
    generator: Generator,
    test: EventData,
    *,
    num_samples: int = 10_000,
    num_log_prob: int = 2_000,
    classifier: str | Mapping[str, Any] | Spec | Model = "boosted-trees",
    config: TrainConfig | Mapping[str, Any] | None = None,
    observables: Sequence[Observable] | None = None,
    cuts: Cuts | None = None,
    seed: int = 0,
    train: TrainFunction | None = None,
    progress: ProgressLine | bool = True,
) -> GeneratorEvaluation:
    """Draw from a trained generator and compare with events that it has not seen.

    Parameters
    ----------
    generator
        Trained.
    test
        Held-out true events.
    num_samples
        Events to draw. Their scalars and context are those of the true events, again and again, and so are their
        multiplicities where the generator does not draw these itself.
    num_log_prob
        True events whose density is computed, at most.
    classifier, config
        Of the two-sample test, see `two_sample_test`.
    observables
        Of the Fréchet physics distance; `default_observables` by default.
    cuts
        That samples are to pass; the generator's own by default.
    seed
        Of samples, classifier and subsets.
    train
        Trains the classifier; `lorentzoo.studies.train` by default.
    progress
        Whether to show how it goes, or a line to show it on.

    Returns
    -------
    Samples, densities, two-sample test and distance; ``.metrics()`` gives the numbers.

    Raises
    ------
    ValueError, LorentzooError
        Before anything is drawn, if the events are too few, have no such observables, or do not go with the classifier.
    """
    line = progress if isinstance(progress, ProgressLine) else ProgressLine("evaluate", show=bool(progress))
    # An event of weight zero is not there.
    if bool((test.weight == 0).any()):
        test = test.subset(test.weight != 0)
    everything = test.batch(torch.arange(len(test)))
    true, true_weight = everything.cloud.to_units("GeV"), everything.weight
    detectors = test.all_detectors() if isinstance(test, ShowerData) else ()
    chosen = tuple(observables or _observables(test.particle_names, test.resonances, true, detectors))
    true_table = observable_table(true, chosen)
    # Events may take hours to draw: what would be refused afterwards is refused now.
    require_enough(true_table.shape[1], num_samples, int(effective_number(true_weight.numpy()) + 1e-9))
    require_classifier(true, classifier, config)
    samples, seconds, evaluations = _draw(generator, test, num_samples, seed, line)
    log_prob = _compute_log_probs(generator, test, min(num_log_prob, len(test)), line)
    table = observable_table(samples, chosen)
    # A momentum beyond all numbers, or none at all, is not an event.
    measurable = np.isfinite(table).all(1)
    if not measurable.all():
        samples, table = samples.select(torch.from_numpy(measurable)), table[measurable]
    distance = frechet_physics_distance(table, true_table, true_weight=true_weight.numpy(), seed=seed)
    line.step(0.7, "classifier")
    found = two_sample_test(
        samples, true, true_weight=true_weight, classifier=classifier, config=config, seed=seed, train=train
    )
    return GeneratorEvaluation(
        samples.to_packed() if detectors else _strip(samples),
        true.to_packed() if detectors else _strip(true),
        true_weight.numpy(),
        log_prob,
        found,
        distance,
        seconds,
        evaluations,
        num_samples - samples.num_events,
        _count_violations(cuts or getattr(generator, "cuts", None), samples),
        test.particle_names,
        test.resonances,
        detectors,
    )


def _observables(
    names: Sequence[str],
    resonances: Mapping[str, Sequence[Sequence[int]]],
    cloud: ParticleCloud,
    detectors: tuple[Detector, ...],
) -> tuple[Observable, ...]:
    """Those of the places that all events have, and where numbers of particles differ those of whole events."""
    if detectors:
        return default_shower_observables(detectors)
    counts = cloud.multiplicity()
    fewest, most = int(counts.min()), int(counts.max())
    everywhere = {
        name: copies
        for name, copies in resonances.items()
        if max(place for members in copies for place in members) < fewest
    }
    return default_observables(names[:fewest] or fewest, everywhere, varying=fewest < most)


def _draw(
    generator: Generator, like: EventData, count: int, seed: int, line: ProgressLine
) -> tuple[ParticleCloud, float, float | None]:
    """Events like others, the processor time and the evaluations of the network that each takes."""
    rng = torch.Generator().manual_seed(seed)
    parts, spent = [], 0.0
    with _count_evaluations(generator) as evaluations:
        for chunk in torch.arange(count).split(_CHUNK):
            condition = like.batch(chunk % len(like)).cloud
            started = time.process_time()
            with torch.no_grad():
                parts += _draw_what_succeeds(generator, condition, rng)
            spent += time.process_time() - started
            done = int(chunk[-1]) + 1
            line.move(0.4 * done / count, f"{done} of {count} events drawn")
    if not parts:
        raise TrainingError(
            f"the generator failed for each of {count} events: it needs more training or more steps"
        )
    per_event = evaluations[0] / count if generator.all_networks else None
    return join_clouds(parts), spent / count, per_event


def _draw_what_succeeds(
    generator: Generator, condition: ParticleCloud, rng: torch.Generator
) -> list[ParticleCloud]:
    """Events for a condition, without those for which the generator fails.

    A failing event is found by halves, since another number of events takes other random numbers.
    """
    count = condition.num_events
    try:
        return [generator.sample_like(condition, rng=rng).to("cpu")]
    except LorentzooError as error:
        failed = getattr(error, "events", None)
        if not failed:
            raise
        if len(failed) == count:
            return []
    events = torch.arange(count)
    halves = [condition.select(events < count // 2), condition.select(events >= count // 2)]
    return [part for half in halves for part in _draw_what_succeeds(generator, half, rng)]


def _compute_log_probs(generator: Generator, data: EventData, count: int, line: ProgressLine) -> Array:
    """Log densities of the first events, of none if there is no density; NaN where the generator fails and says so."""
    values = torch.full((count if generator.has_density is True else 0,), math.nan, dtype=torch.float64)
    if not len(values):
        return values.numpy()
    for chunk in torch.arange(count).split(_CHUNK // 4):
        todo = chunk
        while len(todo):
            try:
                with warnings.catch_warnings():
                    # What is unknown is counted, and no news event by event.
                    warnings.simplefilter("ignore", DensityWarning)
                    values[todo] = generator.log_prob(data.batch(todo).cloud).detach().cpu()
                break
            except LorentzooError as error:
                failed = getattr(error, "events", None)
                if not failed:
                    raise
                kept = torch.ones(len(todo), dtype=torch.bool)
                kept[failed] = False
                todo = todo[kept]
        line.move(0.4 + 0.3 * (int(chunk[-1]) + 1) / count, "densities")
    return values.numpy()


@contextmanager
def _count_evaluations(generator: Generator) -> Iterator[list[int]]:
    """Count the events that pass through the network inside."""
    count = [0]

    def count_events(module: Any, inputs: tuple[Any, ...]) -> None:
        count[0] += inputs[0].num_events

    handles = [network.register_forward_pre_hook(count_events) for network in generator.all_networks]
    try:
        yield count
    finally:
        for handle in handles:
            handle.remove()


def _strip(cloud: ParticleCloud) -> ParticleCloud:
    """Momenta and layout only."""
    assert isinstance(cloud.layout, Packed)
    return ParticleCloud.from_packed(cloud.momenta, cloud.layout.ptr, validate=False)


def _count_violations(cuts: Cuts | None, samples: ParticleCloud) -> dict[str, int]:
    """Events that do not pass each of the cuts there are, and any of them."""
    if cuts is None or not cuts.any:
        return {}
    single = {
        "pt": Cuts(pt_min=cuts.pt_min),
        "eta": Cuts(eta_max=cuts.eta_max),
        "delta_r": Cuts(delta_r_min=cuts.delta_r_min),
        "mass": Cuts(mass_min=cuts.mass_min),
    }
    found = {name: cut for name, cut in {"any": cuts, **single}.items() if cut.any}
    return {name: int((~cut.events(samples.momenta, samples.layout)).sum()) for name, cut in found.items()}
