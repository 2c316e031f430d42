"""How many events a second come out of a stream, against arrays in memory and against weaver's loader of the same files?

Writes files with the columns of JetClass from the shipped ten-class jets, a class a file. Then, in turns and in CPU time
of one thread (with `--wall` in time on the clock): a pass of a small Transformer's training steps over a stream and over
the same events in memory; and passes of reading, ours and weaver's, after the same events gave the same arrays.

    python benchmarks/streaming.py --files 40 --jets 50000
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lorentzoo as lz
from lorentzoo.core.cloud import Batch
from lorentzoo.data.batching import make_loader
from lorentzoo.data.readers.jetclass import CLASSES

PLACES = 128
FLAGS = ("isChargedHadron", "isNeutralHadron", "isPhoton", "isElectron", "isMuon")
WEAVER = """
treename: tree
new_variables:
  pf_mask: ak.ones_like(part_energy)
  part_d0: np.tanh(part_d0val)
  part_dz: np.tanh(part_dzval)
preprocess: {method: manual, data_fraction: 0.5}
inputs:
  pf_vectors:
    {length: 128, pad_mode: constant, vars: [[part_energy, null], [part_px, null], [part_py, null], [part_pz, null]]}
  pf_features:
    length: 128
    pad_mode: constant
    vars: [[part_charge, null], [part_isChargedHadron, null], [part_isNeutralHadron, null], [part_isPhoton, null],
           [part_isElectron, null], [part_isMuon, null], [part_d0, null], [part_d0err, 0, 1, 0, 1], [part_dz, null],
           [part_dzerr, 0, 1, 0, 1]]
  pf_mask: {length: 128, pad_mode: constant, vars: [[pf_mask, null]]}
labels: {type: simple, value: [LABELS]}
observers:
weights:
"""


def write(folder: Path, files: int, jets: int, group: int, ending: str, seed: int) -> None:
    """Files of one class each, in row groups (baskets) of `group` jets."""
    import awkward as ak
    import pyarrow.parquet as pq
    import uproot

    sample = lz.load_dataset("jets10")
    rng = np.random.default_rng(seed)
    for number in range(files):
        label = number * len(CLASSES) // files
        of_class = np.flatnonzero(sample.target.numpy() == label)
        parts = []
        for start in range(0, jets, group):
            chosen = rng.choice(of_class, min(group, jets - start))
            batch, lengths = sample.batch(chosen), sample.lengths[chosen].numpy()
            angle = np.repeat(rng.uniform(0, 2 * np.pi, len(chosen)), lengths)
            e, px, py, pz = batch.cloud.momenta.numpy().T
            flat = {
                "part_energy": e,
                "part_px": px * np.cos(angle) - py * np.sin(angle),
                "part_py": px * np.sin(angle) + py * np.cos(angle),
                "part_pz": pz,
            }
            scalars = batch.cloud.scalars.numpy().T
            flat |= {"part_charge": scalars[0], "part_d0val": scalars[6], "part_dzval": scalars[7]}
            flat |= {"part_d0err": abs(scalars[6]) / 9, "part_dzerr": abs(scalars[7]) / 9}
            flat |= {f"part_{name}": scalars[1 + place] for place, name in enumerate(FLAGS)}
            columns: dict[str, Any] = {
                name: ak.unflatten(np.ascontiguousarray(values, dtype=np.float32), lengths)
                for name, values in flat.items()
            }
            columns |= {
                f"label_{name}": ak.Array(np.full(len(chosen), place == label))
                for place, name in enumerate(CLASSES)
            }
            parts.append(columns)
        path = folder / f"jets_{number:03d}.{ending}"
        if ending == "root":
            with uproot.recreate(path) as file:
                tree = file.mktree("tree", {name: array.type.content for name, array in parts[0].items()})
                for columns in parts:
                    tree.extend(columns)
            continue
        tables = [
            ak.to_arrow_table(ak.zip(columns, depth_limit=1), extensionarray=False) for columns in parts
        ]
        with pq.ParquetWriter(path, tables[0].schema) as out:
            for table in tables:
                out.write_table(table, row_group_size=group)


def open_stream(folder: Path, ending: str, memory_gb: float) -> Any:
    """Our stream."""
    return lz.load_dataset(f"jetclass-{ending}", path=str(folder), stream=True, memory_gb=memory_gb)


def pad(batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What weaver's loader gives: vectors (B, 4, N), features (B, S, N), mask (B, 1, N), classes (B,)."""
    lengths = batch.cloud.layout.counts().numpy()
    event = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(event)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    found = []
    for values in (batch.cloud.momenta, batch.cloud.scalars, torch.ones(len(event), 1)):
        out = np.zeros((len(lengths), values.shape[1], PLACES), np.float32)
        out[event, :, place] = values.numpy()
        found.append(out)
    return found[0], found[1], found[2], batch.target.numpy()


def weaver_loader(folder: Path, ending: str, batch_size: int, step: float, *, shuffle: bool = True) -> Any:
    """Batches of weaver, which takes the part `step` of every file at a time."""
    from weaver.utils.dataset import SimpleIterDataset

    logging.disable(logging.WARNING)  # it says what it does file by file
    config = folder / "weaver.yaml"
    config.write_text(WEAVER.replace("LABELS", ", ".join(f"label_{name}" for name in CLASSES)))
    files = sorted(map(str, folder.glob(f"*.{ending}")))
    data = SimpleIterDataset(
        {"all": files}, str(config), for_training=shuffle, fetch_step=step, async_load=True, name="train"
    )
    return torch.utils.data.DataLoader(data, batch_size=batch_size)


def ours_padded(folder: Path, ending: str, batch_size: int, memory_gb: float) -> Iterator[Any]:
    """A shuffled pass of our stream in weaver's form."""
    stream = open_stream(folder, ending, memory_gb)
    return map(pad, make_loader(stream, batch_size, shuffle=True))


def check_equal(folder: Path, ending: str, jets: int) -> None:
    """Both give the same arrays for the same events, file by file in their order."""
    ours = lz.load_dataset(f"jetclass-{ending}", path=str(folder), stream=True)
    mine = [np.concatenate(each) for each in zip(*map(pad, make_loader(ours, 500)), strict=True)]
    theirs: list[list[np.ndarray]] = [[], [], [], []]
    for inputs, labels, _ in weaver_loader(folder, ending, 500, 1.0, shuffle=False):
        for place, name in enumerate(("pf_vectors", "pf_features", "pf_mask")):
            theirs[place].append(inputs[name].numpy())
        theirs[3].append(labels["_label_"].numpy())
    for a, b in zip(mine, map(np.concatenate, theirs), strict=True):
        # Energies that float32 put below |p| are raised to it by us.
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6)
    print(f"the same {len(mine[3]):,} events give the same arrays ({jets:,} jets a file)")


def rate(run: Callable[[], int], clock: Callable[[], float]) -> float:
    """Events a second."""
    start = clock()
    return run() / (clock() - start)


def take_turns(
    ways: dict[str, Callable[[], int]], repeats: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Rates of each way, taken in turns: A B A B."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, run in ways.items():
            found[name].append(rate(run, clock))
    return found


def show(found: dict[str, list[float]]) -> None:
    """Medians and spreads, and ratios to the first."""
    first = statistics.median(next(iter(found.values())))
    for name, rates in found.items():
        middle = statistics.median(rates)
        print(
            f"  {name:<34} {middle:>9,.0f} events/s ({min(rates):,.0f} to {max(rates):,.0f}), "
            f"first / this {first / middle:.2f}",
            flush=True,
        )


def training_pass(batches: Callable[[], Any]) -> Callable[[], int]:
    """A pass of training steps of a small Transformer."""
    model = lz.create_model(
        "transformer-jetclass", in_scalars=10, backbone={"num_blocks": 2, "num_heads": 4, "head_reps": "8x0n"}
    )
    optimiser = torch.optim.AdamW(model.parameters())

    def run() -> int:
        events = 0
        for batch in batches():
            optimiser.zero_grad()
            model.loss(batch).backward()
            optimiser.step()
            events += len(batch)
        return events

    return run


def count(batches: Callable[[], Any], size: Callable[[Any], int]) -> Callable[[], int]:
    """A pass of reading alone."""
    return lambda: sum(size(batch) for batch in batches())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--jets", type=int, default=50_000, help="of each file")
    parser.add_argument("--group", type=int, default=10_000, help="jets of a row group, or basket")
    parser.add_argument("--formats", nargs="+", default=["root", "parquet"], choices=["root", "parquet"])
    parser.add_argument("--memory-gb", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=200, help="of each pass of training, about")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps-of-weaver", type=float, nargs="+", default=[0.01, 0.2])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--folder", type=Path, help="keep the files here; written only where it is empty")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    clock = time.perf_counter if options.wall else time.process_time
    with tempfile.TemporaryDirectory() as temporary:
        for ending in options.formats:
            folder = (options.folder or Path(temporary)) / ending
            folder.mkdir(parents=True, exist_ok=True)
            if not any(folder.glob(f"*.{ending}")):
                write(folder, options.files, options.jets, options.group, ending, options.seed)
            size = sum(path.stat().st_size for path in folder.glob(f"*.{ending}"))
            print(
                f"{ending}: {options.files} files of {options.jets:,} jets, {size / 1e9:.2f} GB", flush=True
            )
            few = folder.parent / f"{ending}-training"
            few.mkdir(exist_ok=True)
            if not any(few.glob(f"*.{ending}")):
                jets = max(1, options.steps * options.batch_size // len(CLASSES))
                write(few, len(CLASSES), jets, options.group, ending, options.seed)
            compare_training(few, ending, options, clock)
            compare_reading(folder, ending, options, clock)


def compare_training(
    folder: Path, ending: str, options: argparse.Namespace, clock: Callable[[], float]
) -> None:
    """Whole passes over a stream and over the same events in memory."""
    batch = options.batch_size
    stream = open_stream(folder, ending, options.memory_gb)
    held = lz.load_dataset(f"jetclass-{ending}", path=str(folder), in_memory=True)
    print(f"training a small Transformer (26,058 parameters), passes of {len(stream):,} jets:")
    ways = {
        "stream": training_pass(lambda: make_loader(stream, batch, shuffle=True)),
        "arrays in memory": training_pass(lambda: make_loader(held, batch, shuffle=True)),
    }
    show(take_turns(ways, options.repeats, clock))


def compare_reading(
    folder: Path, ending: str, options: argparse.Namespace, clock: Callable[[], float]
) -> None:
    """Whole passes of reading: our stream, and weaver's loader for the same arrays."""
    batch, memory = options.batch_size, options.memory_gb
    stream = open_stream(folder, ending, memory)
    print("reading alone:")
    show(
        take_turns(
            {"stream": count(lambda: make_loader(stream, batch, shuffle=True), len)}, options.repeats, clock
        )
    )
    try:
        import weaver.utils.dataset  # noqa: F401
    except ImportError as error:
        print(f"weaver's loader is left out: {error}")
        return
    check_equal(folder, ending, options.jets)
    print("reading into padded arrays of float32:")
    ways = {
        "stream": count(lambda: ours_padded(folder, ending, batch, memory), lambda each: len(each[3])),
    }
    for step in options.steps_of_weaver:
        ways[f"weaver, fetch_step={step:g}"] = count(
            lambda step=step: weaver_loader(folder, ending, batch, step), lambda each: len(each[1]["_label_"])
        )
    show(take_turns(ways, options.repeats, clock))


if __name__ == "__main__":
    main()
