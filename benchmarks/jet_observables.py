"""Do our jet observables agree with those that an experiment has stored in the same file, and where not, why?

Reads AK8 jets of a NanoAOD file with particle candidates (PUPPI weights applied), measures them here, and compares
with the columns of the file. Rows of one name go from our definition to that of the experiment.

    python benchmarks/jet_observables.py pfnano.root
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

import lorentzoo as lz
from lorentzoo.plugins.substructure.axes import smallest_tau
from lorentzoo.plugins.substructure.correlators import n2, n3
from lorentzoo.plugins.substructure.grooming import soft_drop
from lorentzoo.plugins.substructure.observables import Jets, mass, tau

RADIUS = 0.8
STORED = ("pt", "rawFactor", "mass", "msoftdrop", "tau1", "tau2", "tau3", "tau4", "n2b1", "n3b1")


def read(path: str) -> tuple[Jets, dict[str, Tensor]]:
    """Jets with their candidates, and the stored columns."""
    data = lz.load_dataset("nanoaod", path=path, jets="FatJet", target=list(STORED))
    batch = data.batch(slice(None))
    longest = int(data.lengths.max())
    momenta = batch.cloud.layout.take(batch.cloud.momenta, longest)
    mask = torch.arange(longest) < data.lengths.unsqueeze(1)
    return Jets(momenta, mask, (4, 3, 2, 1)), dict(zip(STORED, data.target.T, strict=True))


def raw_soft_drop_masses(path: str) -> Tensor:
    """Mass of the two subjets of each jet before their corrections."""
    import uproot

    with uproot.open(path) as file:
        names = [f"SubJet_{part}" for part in ("pt", "eta", "phi", "mass", "rawFactor")]
        indices = ["FatJet_subJetIdx1", "FatJet_subJetIdx2"]
        columns = file["Events"].arrays([*names, *indices], library="np")
    found = []
    for event in range(len(columns[names[0]])):
        pt, eta, phi, jet_mass, factor = (columns[name][event].astype(float) for name in names)
        three = np.stack([np.cos(phi), np.sin(phi), np.sinh(eta)], axis=-1) * pt[:, None]
        energy = np.sqrt((three**2).sum(-1) + jet_mass * np.abs(jet_mass))
        momenta = np.concatenate([energy[:, None], three], axis=1) * (1 - factor)[:, None]
        for pair in zip(*(columns[name][event] for name in indices), strict=True):
            total = sum((momenta[place] for place in pair if place >= 0), np.zeros(4))
            found.append(np.sqrt(max(total[0] ** 2 - (total[1:] ** 2).sum(), 0)))
    return torch.tensor(found)


def compare(path: str) -> Iterator[tuple[str, str, Tensor, Tensor]]:
    """Name, what is measured, our value and the stored one."""
    jets, stored = read(path)
    raw = 1 - stored["rawFactor"]
    yield "raw pT", "sum of the candidates", jets.total[:, 1:3].norm(dim=1), stored["pt"] * raw
    yield "raw mass", "sum of the candidates", mass(jets), stored["mass"] * raw
    for count in (1, 2, 3, 4):
        ours = tau(jets, count) / RADIUS
        yield f"tau{count}", "ours / 0.8: axes of kT subjets", ours, stored[f"tau{count}"]
        yield (
            f"tau{count}",
            "axes moved to the minimum",
            smallest_tau(jets, count) / RADIUS,
            stored[f"tau{count}"],
        )
    groomed = Jets(jets.momenta, soft_drop(jets.momenta, jets.mask, z_cut=0.1, beta=0.0, radius=RADIUS))
    yield "msoftdrop", "soft drop, no corrections", mass(groomed), stored["msoftdrop"]
    yield "msoftdrop", "the same; subjets' corrections undone", mass(groomed), raw_soft_drop_masses(path)
    yield "n2b1", "without grooming", n2(jets), stored["n2b1"]
    yield "n2b1", "after soft drop", n2(groomed), stored["n2b1"]
    yield "n3b1", "after soft drop", n3(groomed), stored["n3b1"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", help="a NanoAOD file with FatJetPFCands and PFCands")
    path = parser.parse_args().path
    print("| stored | measured here | jets | median ratio | 10 % to 90 % of jets | correlation |")
    print("|---|---|---|---|---|---|")
    for name, how, ours, stored in compare(path):
        # -1 stands for jets that have too few particles for an observable; masses of one particle are rounding.
        there = (stored > 0) & (ours > 0) & ((stored > 2.0) | (not name.endswith(("mass", "drop"))))
        ratio = (ours[there] / stored[there]).numpy()
        low, middle, high = np.quantile(ratio, [0.1, 0.5, 0.9])
        together = np.corrcoef(ours[there], stored[there])[0, 1]
        print(
            f"| `{name}` | {how} | {int(there.sum())} | {middle:.4f} | {low:.4f} – {high:.4f} | {together:.5f} |"
        )


if __name__ == "__main__":
    main()
