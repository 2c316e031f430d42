"""How does an exported file predict as the model did?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import ExportError, InputError
from lorentzoo.core.layout import Padded
from lorentzoo.core.predict_inputs import read_clouds
from lorentzoo.exporting.compare import Runner, run_program
from lorentzoo.exporting.graph import load_package
from lorentzoo.exporting.onnx_files import open_session
from lorentzoo.registry.files import read_file

__all__ = ["ExportedModel", "load_exported"]

_LARGEST: Final = 1 << 32
"""Bytes of a file that are read."""


class ExportedModel:
    """A model that was exported, with the `predict` that it had.

    Parameters
    ----------
    run
        From inputs by name to outputs in order.
    about
        The description beside the file.
    """

    def __init__(self, run: Runner, about: dict[str, Any]) -> None:
        self.run = run
        self.about = about
        self.max_particles: int | None = about["max_particles"]
        self._inputs = {entry["name"]: entry for entry in about["inputs"]}
        self._prediction = [entry["name"] for entry in about["outputs"]].index("prediction")

    def __repr__(self) -> str:
        return f"ExportedModel({self.about['file']!r}, kind={self.about['kind']!r})"

    def predict(self, data: Any, *, batch_size: int = 256) -> NDArray[np.float64]:
        """Predictions for a data set, a loader of batches, a single cloud or arrays.

        Parameters
        ----------
        data
            As for `Model.predict`; or a mapping of arrays by the names of the file's inputs.
        batch_size
            Events at a time, for a data set.

        Returns
        -------
        Probabilities (B, classes) or values (B, ...), float64, in the order of the data.

        Raises
        ------
        InputError
            If momenta are not finite, an event has more particles than the file has places, or columns are missing.
        """
        if isinstance(data, dict):
            return self._run(data)
        outputs = [self._run(self._read(cloud)) for cloud in read_clouds(data, batch_size)]
        return np.concatenate(outputs) if outputs else np.zeros((0,))

    def _read(self, cloud: ParticleCloud) -> dict[str, NDArray[Any]]:
        """A cloud as the inputs of the file."""
        cloud = cloud.to_units("GeV")
        longest = int(cloud.layout.counts().max()) if cloud.num_events else 0
        if self.max_particles is not None and longest > self.max_particles:
            raise InputError(
                f"{self.about['file']} has places for {self.max_particles} particles, but an event has {longest}; "
                "export it without max_particles, or with more"
            )
        padded = cloud.to_padded(self.max_particles or max(longest, 1))
        assert isinstance(padded.layout, Padded)
        columns = {"scalars": padded.scalars, "context": padded.context}
        names = {"scalars": cloud.scalar_names, "context": cloud.context_names}
        given = {"momenta": padded.momenta.numpy(), "mask": padded.layout.mask.numpy()}
        for name, values in columns.items():
            wanted = self._inputs[name]["columns"] if name in self._inputs else []
            if values.shape[-1] != len(wanted):
                raise InputError(
                    f"{self.about['file']} takes {len(wanted)} {name} {wanted}, but the cloud has {values.shape[-1]} "
                    f"{list(names[name])}"
                )
            if wanted:
                order = _find_order(wanted, names[name])
                given[name] = values[..., order].numpy()
        return given

    def _run(self, given: dict[str, Any]) -> NDArray[np.float64]:
        missing = sorted(set(self._inputs) - set(given))
        if missing:
            raise InputError(
                f"{self.about['file']} has the inputs {list(self._inputs)}; {missing} are missing"
            )
        inputs = {
            name: np.ascontiguousarray(given[name], dtype=entry["dtype"])
            for name, entry in self._inputs.items()
        }
        mask = inputs["mask"]
        for name in ("momenta", "scalars"):
            if name in inputs:
                bad = ~np.isfinite(inputs[name]).all(-1) & mask
                if bad.any():
                    raise InputError(f"{name} of event {int(np.argwhere(bad)[0][0])} are not finite")
        if self.max_particles not in (None, mask.shape[1]):
            raise InputError(
                f"{self.about['file']} has {self.max_particles} places, but the arrays have {mask.shape[1]}"
            )
        found: NDArray[np.float64] = np.asarray(self.run(inputs)[self._prediction], dtype=np.float64)
        return found


def load_exported(path: str | Path, *, threads: int = 0) -> ExportedModel:
    """A file of `lorentzoo.export` that predicts as its model did, by onnxruntime or torch.

    Parameters
    ----------
    path
        Of the file; its description, NAME.json, lies beside it.
    threads
        Of onnxruntime, for one operator; as many as there are cores with 0.

    Raises
    ------
    ExportError
        If the file and its description do not belong together or are missing, the runtime is too old for the file, or
        it is for an experiment's own programs or for another compiler.
    """
    path = Path(path)
    beside = path.with_suffix(".json")
    try:
        payload = read_file(path, _LARGEST)
        about = json.loads(read_file(beside, _LARGEST))
        sha256, kind, profile = about["sha256"], about["kind"], about["profile"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{path} and {beside.name} are not both there as lorentzoo.export wrote them: {error}"
        ) from error
    if hashlib.sha256(payload).hexdigest() != sha256:
        raise ExportError(
            f"{path} is not the file that {beside.name} describes (specification {about['spec_sha256']}); "
            "keep together what was exported together"
        )
    if profile is not None:
        raise ExportError(
            f"{path} has the inputs of {profile.upper()}, whose programs run it; export it without a profile"
        )
    if kind == "onnx":
        session = open_session(payload, threads)
        return ExportedModel(lambda inputs: session.run(None, dict(inputs)), about)
    if kind == "torch-export":
        return ExportedModel(run_program(torch.export.load(path).module()), about)
    if kind == "aoti":
        return ExportedModel(run_program(load_package(payload)[0]), about)
    raise ExportError(f"{path} is of the format {kind!r}, which Python does not run")


def _find_order(wanted: Sequence[str], names: Sequence[str]) -> list[int]:
    """Where the wanted columns are; in order where they have other names or none."""
    return (
        [list(names).index(name) for name in wanted]
        if set(wanted) == set(names)
        else list(range(len(wanted)))
    )
