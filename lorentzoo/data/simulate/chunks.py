"""How does a sample grow on several processes, survive being killed, and not depend on either?

The plan cuts a sample into chunks with one seed each. A chunk is a small sample file, written atomically into
a folder beside the result. What is there is not made again; when all are there, they are merged, and the
folder goes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Generator as Generating
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lorentzoo.data.ragged import gather, hardest
from lorentzoo.data.sample import Sample, SampleFileError, concatenate, round_mantissa
from lorentzoo.data.simulate.engine import CITATIONS, Events, Generator, Jets, versions
from lorentzoo.data.simulate.particles import MASSES, SPECIES, mass_codes
from lorentzoo.data.simulate.recipe import Recipe, make_recipe
from lorentzoo.data.splits import FRACTIONS, scramble, stratified_splits
from lorentzoo.data.workers import WorkerError, run_in_workers
from lorentzoo.data.writing import only_one_maker
from lorentzoo.output.progress import ProgressLine

__all__ = ["Chunk", "Plan", "generate_chunk", "run"]

_PYTHIA_SEEDS = 900_000_000
_EVENTS_PER_CHUNK = 1 << 32
_BATCH = 200


@dataclass(frozen=True)
class Chunk:
    """One unit of work: `jets` jets of the class `label`, from one seed."""

    index: int
    label: int
    jets: int
    seed: int


@dataclass(frozen=True)
class Plan:
    """Everything that decides the content of a sample.

    Parameters
    ----------
    recipe : Recipe
    jets : int
        Jets in all, divided evenly over the classes (the first ones take the remainder).
    seed : int
        Any non-negative number; Pythia's seeds of the chunks follow from it.
    chunk_size : int
        Jets per chunk.
    """

    recipe: Recipe
    jets: int
    seed: int
    chunk_size: int = 250

    def __post_init__(self) -> None:
        classes = len(self.recipe.class_names)
        if self.jets < classes:
            raise ValueError(
                f"{self.recipe.name} has {classes} classes, so at least {classes} jets, not {self.jets}"
            )
        if self.seed < 0:
            raise ValueError(f"the seed must not be negative, but is {self.seed}")

    def chunks(self) -> list[Chunk]:
        """The units of work, in the order of the result."""
        classes = len(self.recipe.class_names)
        start = int(np.random.SeedSequence(self.seed).generate_state(1)[0])
        chunks: list[Chunk] = []
        for label in range(classes):
            remaining = self.jets // classes + (label < self.jets % classes)
            while remaining > 0:
                jets = min(self.chunk_size, remaining)
                # Consecutive seeds cannot collide, and Pythia's generator makes unrelated sequences of them.
                seed = 1 + (start + len(chunks)) % _PYTHIA_SEEDS
                chunks.append(Chunk(len(chunks), label, jets, seed))
                remaining -= jets
        return chunks

    def describe(self) -> dict[str, Any]:
        """The plan as plain data: part of the metadata, and the identity of a run that is resumed."""
        return {
            "name": self.recipe.name,
            "jets": self.jets,
            "seed": self.seed,
            "chunk_size": self.chunk_size,
            "settings": {
                f.name: getattr(self.recipe, f.name)
                for f in dataclasses.fields(self.recipe)  # type: ignore[arg-type]
                # A setting that came later says nothing at its default: plans of earlier samples keep their text.
                if not (f.metadata.get("later") and getattr(self.recipe, f.name) == f.default)
            },
            "pythia": {name: list(self.recipe.pythia_settings(name)) for name in self.recipe.class_names},
            "versions": versions(),
        }


def run(plan: Plan, out: Path, workers: int = 1, progress: bool = True) -> Sample:
    """Carry out `plan` and write the sample to `out`; continue where an earlier run was stopped.

    Parameters
    ----------
    plan : Plan
    out : Path
        Result. Chunks are kept in ``<out>.chunks`` until it is complete.
    workers : int
        Processes; the result does not depend on it.
    progress : bool
        Show a progress bar (plain lines where there is no terminal).

    Raises
    ------
    FileExistsError
        If `out`, or the folder of its chunks, comes from a different plan.
    EventWriteError
        If another process is making the same file, or the disk does not take it.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    with only_one_maker(out):
        return _run_alone(plan, out, workers, progress)


def _run_alone(plan: Plan, out: Path, workers: int, progress: bool) -> Sample:
    if out.exists():
        sample = Sample.load(out)
        if sample.metadata.get("plan") == plan.describe():
            return sample
        raise FileExistsError(f"{out} holds another sample; remove it or choose another file")
    folder = out.with_name(out.name + ".chunks")
    _claim(folder, plan)
    chunks = plan.chunks()
    todo = [chunk for chunk in chunks if not _is_complete(_chunk_path(folder, chunk))]
    with ProgressLine(plan.recipe.name, show=progress, total=plan.jets, items="jets") as line:
        line.count(plan.jets - sum(chunk.jets for chunk in todo), done_before=True)
        with contextlib.closing(_work(plan, todo, folder, workers)) as finished:
            for chunk in finished:
                line.count(chunk.jets)
    sample = _merge(plan, [Sample.load(_chunk_path(folder, chunk)) for chunk in chunks])
    sample.save(out)
    shutil.rmtree(folder)
    return sample


def generate_chunk(recipe: Recipe, chunk: Chunk) -> Sample:
    """Generate events until the chunk has its jets. The same chunk is the same sample, bit for bit."""
    class_name = recipe.class_names[chunk.label]
    generator = Generator(recipe.pythia_settings(class_name), chunk.seed)
    parts: list[Sample] = []
    generated = accepted = 0
    while accepted < chunk.jets:
        events = generator.generate(_BATCH)
        jets = recipe.select(events, class_name)
        convert = _of_jets if recipe.stores == "jets" else _of_constituents
        parts.append(convert(recipe, events, jets, chunk, first_event=generated))
        generated += len(events)
        accepted += len(parts[-1])
    counts = {"class": class_name, "generated_events": generated, "accepted_jets": accepted}
    metadata = {"counts": counts, **_names(recipe)}
    return concatenate(parts, metadata).take(np.arange(chunk.jets))


def _names(recipe: Recipe) -> dict[str, list[str]]:
    """Names of the columns; those of values only where there are some."""
    found = {"scalar_names": list(recipe.scalar_names)}
    if recipe.target_names:
        found |= {"target_names": list(recipe.target_names), "target_units": list(recipe.target_units)}
    return found


def _of_constituents(recipe: Recipe, events: Events, jets: Jets, chunk: Chunk, first_event: int) -> Sample:
    positions, ptr = gather(jets.ptr, np.arange(len(jets)))
    constituents = jets.constituents[positions]
    momenta = round_mantissa(events.momenta[constituents, 1:], recipe.mantissa_bits)
    order, ptr = hardest(np.hypot(*momenta.astype(np.float64).T[:2]), ptr, recipe.max_constituents)
    kept = constituents[order]
    return Sample(
        momenta=momenta[order],
        mass_codes=mass_codes(events.pdg_id[kept], events.mass[kept]),
        masses=MASSES,
        species=SPECIES,
        scalars=recipe.scalars(events, kept),
        ptr=ptr,
        labels=np.full(len(jets), chunk.label, dtype=np.int64),
        event_ids=chunk.index * _EVENTS_PER_CHUNK + first_event + jets.event,
        weights=events.weights[jets.event],
        splits=np.zeros(len(jets), dtype=np.uint8),
        targets=recipe.targets(events, jets),
        metadata=_names(recipe),
    )


def _of_jets(recipe: Recipe, events: Events, jets: Jets, chunk: Chunk, first_event: int) -> Sample:
    """Events whose particles are the jets themselves, with masses of their own."""
    event, counts = np.unique(jets.event, return_counts=True)
    ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Sample(
        momenta=round_mantissa(jets.momenta[:, 1:], recipe.mantissa_bits),
        mass_codes=np.zeros(len(jets), dtype=np.uint8),
        masses=np.zeros(1),
        species=np.zeros(1, dtype=np.int32),
        free_masses=round_mantissa(jets.mass, recipe.mantissa_bits),
        scalars=recipe.scalars(events, np.arange(len(jets)) - np.repeat(ptr[:-1], counts)),
        ptr=ptr,
        labels=np.full(len(event), chunk.label, dtype=np.int64),
        event_ids=chunk.index * _EVENTS_PER_CHUNK + first_event + event,
        weights=events.weights[event],
        splits=np.zeros(len(event), dtype=np.uint8),
        targets=recipe.targets(events, jets),
        metadata=_names(recipe),
    )


def _work(plan: Plan, todo: Sequence[Chunk], folder: Path, workers: int) -> Generating[Chunk, None, None]:
    """Make the chunks, on `workers` processes, and yield each as it is finished."""
    name, settings = plan.recipe.name, dataclasses.asdict(plan.recipe)  # type: ignore[call-overload]
    try:
        yield from run_in_workers(_make_file, [(name, settings, chunk, folder) for chunk in todo], workers)
    except WorkerError as cause:
        raise WorkerError(
            f"{cause}: finished chunks are kept in {folder}, and it continues from there"
        ) from cause


def _make_file(name: str, settings: dict[str, Any], chunk: Chunk, folder: Path) -> Chunk:
    generate_chunk(make_recipe(name, settings), chunk).save(_chunk_path(folder, chunk))
    return chunk


def _claim(folder: Path, plan: Plan) -> None:
    """Create the folder of the chunks, or check that it belongs to the same plan."""
    record = folder / "plan.json"
    description = plan.describe()
    if record.exists():
        try:
            known = json.loads(record.read_text())
        except ValueError:
            raise FileExistsError(f"{record} is damaged; remove {folder} to make the sample anew") from None
        if known != description:
            raise FileExistsError(
                f"{folder} holds an unfinished sample with other settings; "
                "continue that one or remove the folder"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(description, indent=1))


def _chunk_path(folder: Path, chunk: Chunk) -> Path:
    return folder / f"chunk-{chunk.index:05d}.npz"


def _is_complete(path: Path) -> bool:
    try:
        Sample.load(path)
    except (FileNotFoundError, SampleFileError):  # a damaged chunk is simply made again
        return False
    return True


def _merge(plan: Plan, chunks: Sequence[Sample]) -> Sample:
    """Join the chunks, mix the classes, and fix the splits."""
    recipe, description = plan.recipe, plan.describe()
    changed = {
        f.name: getattr(recipe, f.name)
        for f in dataclasses.fields(recipe)  # type: ignore[arg-type]
        if getattr(recipe, f.name) != f.default
    }
    flags = "".join(f" --set {name}={value}" for name, value in changed.items())
    metadata = {
        "name": recipe.name,
        "class_names": list(recipe.class_names),
        **_names(recipe),
        "units": "GeV",
        "reference": recipe.reference,
        "selection": recipe.selection(),
        "notes": recipe.notes,
        "cite": CITATIONS,
        "split_fractions": list(FRACTIONS),
        "counts": _total_counts(recipe, chunks),
        "plan": description,
        "command": f"lorentzoo data make {recipe.name} --jets {plan.jets} --seed {plan.seed}{flags}",
    }
    joined = concatenate(chunks, metadata)
    joined = dataclasses.replace(joined, splits=stratified_splits(joined.labels, joined.event_ids))
    # Mixed classes: any first n events are a fair, reproducible sub-sample.
    return joined.take(np.argsort(scramble(joined.event_ids, salt=0), kind="stable"))


def _total_counts(recipe: Recipe, chunks: Sequence[Sample]) -> dict[str, dict[str, int]]:
    totals = {
        name: {"generated_events": 0, "accepted_jets": 0, "stored_jets": 0} for name in recipe.class_names
    }
    for sample in chunks:
        counts = sample.metadata["counts"]
        total = totals[counts["class"]]
        total["generated_events"] += counts["generated_events"]
        total["accepted_jets"] += counts["accepted_jets"]
        total["stored_jets"] += len(sample)
    return totals
