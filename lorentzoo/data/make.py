"""What do ``lorentzoo data make`` and ``lorentzoo data info`` do?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lorentzoo.data.ragged import jet_observables
from lorentzoo.data.sample import SPLITS, Sample, is_sample
from lorentzoo.data.shipped import sample_path
from lorentzoo.data.simulate.chunks import Plan, run
from lorentzoo.data.simulate.recipe import make_recipe

__all__ = ["describe_sample", "make_sample"]


def make_sample(
    name: str,
    *,
    jets: int,
    seed: int,
    out: str | os.PathLike[str],
    workers: int = 1,
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Path:
    """Generate a sample and write it to a file; call it again to continue an interrupted run.

    Parameters
    ----------
    name : str
        Recipe: ``"toptag"``, ``"jets10"``, ``"ttbar"``, ``"showers"``.
    jets : int
        Number of jets (of events, for ``"ttbar"``, of showers) in all, evenly divided over the classes.
    seed : int
        Equal arguments give equal files, whatever the number of workers.
    out : path
        File to write, ``*.npz``. Unfinished work is kept in ``<out>.chunks``. Showers go to ``*.hdf5`` and are begun
        anew where they were interrupted.
    workers : int
        Processes to use.
    settings : mapping, optional
        Settings of the recipe that differ from its defaults, ``{"pthat_min": 300}``.
    progress : bool
        Show how far along it is.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    MissingExtraError
        If the packages of the extra ``simulate`` are not installed.
    """
    if name == "showers":
        from lorentzoo.data.showers.make import make_showers
        from lorentzoo.registry.parameters import check_parameters

        given = {"showers": jets, "seed": seed, "out": Path(out), "workers": workers, "progress": progress}
        return make_showers(
            **check_parameters("sample 'showers'", make_showers, {**(settings or {}), **given})
        )
    out = Path(out)
    if out.suffix != ".npz":
        raise ValueError(f"a sample is an .npz file; write to {out.with_suffix('.npz')} instead of {out}")
    plan = Plan(make_recipe(name, settings), jets=jets, seed=seed)
    run(plan, out, workers=workers, progress=progress)
    return out


def describe_sample(name_or_path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a sample holds, as plain data.

    Parameters
    ----------
    name_or_path : str or path
        A shipped sample, ``"toptag"``, or a file.

    Returns
    -------
    dict
        ``path``, ``bytes``, ``events``, ``particles``; ``classes`` with the events of each split and the
        medians of jet mass (GeV), transverse momentum (GeV) and number of constituents; and the ``metadata``. Of a
        file of showers the detector, incident energies and how much of them is deposited; of cells of a detector their
        numbers, areas and depth; of a file that a reader
        takes, what `lorentzoo.data.readers.describe.describe_file` says.
    """
    given = Path(name_or_path)
    if given.exists() and not is_sample(given):
        return _describe_other(given)
    path = sample_path(name_or_path)
    sample = Sample.load(path)
    mass, pt, multiplicity = jet_observables(sample.four_momenta(), sample.ptr)
    classes: dict[str, dict[str, Any]] = {}
    for label, class_name in enumerate(sample.class_names):
        chosen = sample.labels == label
        counts = np.bincount(sample.splits[chosen], minlength=len(SPLITS)).tolist()
        classes[class_name] = {"events": int(chosen.sum()), **dict(zip(SPLITS, counts, strict=True))}
        if chosen.any():
            classes[class_name] |= {
                "median_mass": float(np.median(mass[chosen])),
                "median_pt": float(np.median(pt[chosen])),
                "median_constituents": float(np.median(multiplicity[chosen])),
            }
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "events": len(sample),
        "particles": len(sample.momenta),
        "classes": classes,
        **_describe_values(sample),
        "metadata": dict(sample.metadata),
    }


def _describe_other(path: Path) -> dict[str, Any]:
    """What a file that is not a sample of ours holds."""
    from lorentzoo.data.readers.describe import describe_file
    from lorentzoo.data.showers.cell_files import describe_cells, holds_cells
    from lorentzoo.data.showers.files import holds_showers
    from lorentzoo.data.showers.make import describe_showers

    if holds_showers(path):
        return describe_showers(path)
    return describe_cells(path) if holds_cells(path) else describe_file(path)


def _describe_values(sample: Sample) -> dict[str, Any]:
    """Values and context, where there are some."""
    units = sample.target_units or ("",) * len(sample.target_names)
    targets = {
        name: {
            "unit": unit,
            "median": float(np.median(column)),
            "range": [float(column.min()), float(column.max())],
        }
        for name, unit, column in zip(sample.target_names, units, sample.targets.T, strict=True)
    }
    found = {"targets": targets, "context": list(sample.context_names)}
    return {name: value for name, value in found.items() if value}
