"""Put what ``train.sh`` trained into the distribution: weights, specification, details and card of each.

Usage: python pack.py FOLDER
"""

from __future__ import annotations

import argparse
import os
from importlib.metadata import version
from pathlib import Path

import lorentzoo as lz
from lorentzoo.studies.run_details import describe_run
from lorentzoo.studies.runs import read_run
from lorentzoo.training.fitting import open_dataset

HERE = Path(__file__).resolve().parent / "lorentzoo_weights"
_JETS = "Trained on jets at particle level by Pythia 8, without detector and pile-up: not for measured jets as they are."
LIMITS = {
    "jets10": (_JETS, "Not JetClass, and not comparable with what is published for it."),
    "toptag": (
        _JETS,
        "Not the reference data set of top tagging, and not comparable with what is published for it.",
    ),
    "amplitudes": (
        "Tree level, flat phase space within the cuts of the data set; fitted there, and nowhere else.",
    ),
    "ttbar": (
        "Six jets matched to quarks, at particle level by Pythia 8: no detector, no additional jets.",
        "Energies beyond some 500 GeV are drawn too often.",
    ),
    "showers": (
        "Parametrised showers, not Geant4; of the detector and the energies that it was trained on.",
    ),
}


def main() -> None:
    """Save every run anew under its model and tag."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trained", type=Path, help="Folder of train.sh: model/tag.")
    parser.add_argument("--release", default=version("lorentzoo-weights"))
    arguments = parser.parse_args()
    os.chdir(arguments.trained)  # samples are named by paths from there
    for name in sorted(path.parent for path in Path().glob("*/*/finished.json")):
        record = read_run(name)
        part = record.run.dataset
        details = describe_run(
            record.run,
            open_dataset(part),
            record.metrics,
            record.costs,
            record.training["cpu_seconds"],
            record.environment,
        ).model_copy(update={"licence": "MIT", "version": arguments.release, "limits": LIMITS[part.name]})
        lz.save(lz.load(name), HERE / name, details=details)
        size = (HERE / name / "weights.safetensors").stat().st_size
        print(f"{name}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
