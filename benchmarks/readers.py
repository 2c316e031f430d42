"""How fast do files of a million jets come in, in CPU time of one thread, and in how much memory?

Writes ROOT files with the columns of JetClass from the shipped ten-class jets, repeated with fresh rotations about the
beam, reads them all in the order of training, and trains a small Transformer on them for comparison.

    python benchmarks/readers.py --jets 1000000
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

JETS_PER_FILE = 100_000


def write(folder: Path, jets: int, seed: int) -> None:
    """Files of `JETS_PER_FILE` jets, in baskets as JetClass has them."""
    import awkward as ak
    import uproot

    import lorentzoo as lz
    from lorentzoo.data.readers.jetclass import CLASSES

    sample = lz.load_dataset("jets10")
    flags = ("isChargedHadron", "isNeutralHadron", "isPhoton", "isElectron", "isMuon")
    rng = np.random.default_rng(seed)
    for number, start in enumerate(range(0, jets, JETS_PER_FILE)):
        count = min(JETS_PER_FILE, jets - start)
        with uproot.recreate(folder / f"jets_{number:03d}.root") as file:
            tree = None
            for begin in range(0, count, 10_000):
                chosen = rng.integers(0, len(sample), min(10_000, count - begin))
                batch = sample.batch(chosen)
                lengths = sample.lengths[chosen].numpy()
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
                flat |= {"part_d0err": 0 * scalars[6], "part_dzerr": 0 * scalars[7]}
                flat |= {f"part_{name}": scalars[1 + place] for place, name in enumerate(flags)}
                columns = {
                    name: ak.unflatten(np.ascontiguousarray(values, dtype=np.float32), lengths)
                    for name, values in flat.items()
                }
                columns["jet_nparticles"] = lengths.astype(np.float32)
                labels = batch.target.numpy()
                columns |= {f"label_{name}": labels == place for place, name in enumerate(CLASSES)}
                if tree is None:
                    types = {
                        name: array.type.content if isinstance(array, ak.Array) else array.dtype
                        for name, array in columns.items()
                    }
                    tree = file.mktree("tree", types)
                tree.extend(columns)


def read(folder: Path, batch_size: int) -> None:
    """One epoch of reading, then training steps; prints a line each."""
    import torch

    import lorentzoo as lz
    from lorentzoo.data.batching import make_loader

    torch.set_num_threads(1)
    base = _peak()
    begin = time.process_time()
    dataset = lz.load_dataset("jetclass-root", path=str(folder))
    scanned = time.process_time() - begin
    begin, events = time.process_time(), 0
    for batch in make_loader(dataset, batch_size, shuffle=True):
        events += len(batch)
    seconds = time.process_time() - begin
    print(f"scan: {len(dataset)} jets in {scanned:.1f} CPU-s")
    print(f"read in the order of training: {events / seconds:.0f} jets a CPU-second ({events} jets)")
    print(f"peak memory of the process: {_peak():.0f} MB ({base:.0f} MB before)")
    model = lz.create_model(
        "transformer-jetclass", in_scalars=10, backbone={"num_blocks": 2, "num_heads": 4, "head_reps": "8x0n"}
    )
    optimiser = torch.optim.AdamW(model.parameters())
    begin, events = time.process_time(), 0
    for step, batch in enumerate(
        make_loader(dataset.subset(torch.arange(min(len(dataset), 20_000))), batch_size, shuffle=True)
    ):
        if step == 5:
            begin, events = time.process_time(), 0
        if step == 45:
            break
        optimiser.zero_grad()
        model.loss(batch).backward()
        optimiser.step()
        events += len(batch)
    rate = events / (time.process_time() - begin)
    print(f"a Transformer of {model.num_parameters} parameters trains on {rate:.0f} jets a CPU-second")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Write in one process and read in another, so that memory is that of reading alone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jets", type=int, default=1_000_000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep the files here; written only where it is empty")
    parser.add_argument("--read", action="store_true", help="only read the folder")
    options = parser.parse_args()
    if options.read:
        read(options.folder, options.batch_size)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.glob("*.root")):
            write(folder, options.jets, options.seed)
        size = sum(path.stat().st_size for path in folder.glob("*.root"))
        print(f"{len(list(folder.glob('*.root')))} ROOT files, {size / 1e9:.2f} GB", flush=True)
        arguments = ["--read", "--folder", str(folder), "--batch-size", str(options.batch_size)]
        subprocess.run([sys.executable, __file__, *arguments], check=True)


if __name__ == "__main__":
    main()
