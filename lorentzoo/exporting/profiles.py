"""What do the programs of experiments expect of a network's inputs and outputs?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import ParameterError
from lorentzoo.core.model import Model
from lorentzoo.exporting.plain import Column, PlainModel, Sizes

__all__ = ["PROFILES", "AtlasModel", "CmsModel", "Profile", "make_plain"]

Profile = Literal["cms", "atlas"]

_BOUND: Final = 1e32
"""Of inputs of CMS, beyond which they are cut off: none."""
_MOST_TRACKS: Final = 39
"""Up to which ATLAS checks a network, from none."""


class CmsModel(PlainModel):
    """Inputs as CMS has them: channels before particles, (px, py, pz, E), float32, a mask of numbers.

    ``vectors`` (B, 4, N), ``mask`` (B, 1, N), as far as the model has scalars ``features`` (B, S, N), and context
    ``jet_features`` (B, C). ``preprocess.json`` names their columns as `cms::Ort` reads them; since preprocessing is in
    the graph, medians are 0 and factors 1.
    """

    @property
    def inputs(self) -> tuple[Column, ...]:
        """Vectors, mask, features, jet features."""
        model, number = self.model, self.number
        scalars, context = self.column_names
        events, places = "events", self.places
        columns = (
            Column("vectors", number, (events, 4, places), ("px", "py", "pz", "energy"), "GeV"),
            Column("mask", number, (events, 1, places), ("mask",)),
            Column("features", number, (events, model.in_scalars, places), scalars),
            Column("jet_features", number, (events, model.in_context), context),
        )
        return tuple(column for column in columns if column.shape[1] != 0)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Output and prediction, as `PlainModel` gives them."""
        given = dict(zip(self.input_names, inputs, strict=True))
        vectors = given["vectors"].transpose(1, 2)
        scalars = given["features"].transpose(1, 2) if "features" in given else None
        momenta = torch.cat([vectors[..., 3:], vectors[..., :3]], dim=-1)
        return self.run(momenta, given["mask"].squeeze(1) > 0, scalars, given.get("jet_features"))

    def pack(self, momenta: Tensor, mask: Tensor, scalars: Tensor, context: Tensor) -> tuple[Tensor, ...]:
        """Events in rows as the inputs of this network."""
        given = {
            "vectors": torch.cat([momenta[..., 1:], momenta[..., :1]], dim=-1).transpose(1, 2),
            "mask": mask.unsqueeze(1),
            "features": scalars.transpose(1, 2),
            "jet_features": context,
        }
        return tuple(given[name].to(self.dtype).contiguous() for name in self.input_names)

    def files_beside(self, path: Path) -> dict[Path, bytes]:
        """``preprocess.json``."""
        lengths = (
            {"min_length": 1, "max_length": 128}
            if self.max_particles is None
            else {"var_length": self.max_particles}
        )
        each = {
            "median": 0.0,
            "norm_factor": 1.0,
            "replace_inf_value": 0.0,
            "lower_bound": -_BOUND,
            "upper_bound": _BOUND,
            "pad": 0.0,
        }
        data: dict[str, Any] = {
            "input_names": list(self.input_names),
            "output_names": list(self.output_names),
        }
        for column in self.inputs:
            size = lengths if len(column.shape) == 3 else {"var_length": 1}
            names = list(column.columns)
            data[column.name] = {"var_names": names, "var_infos": dict.fromkeys(names, each), **size}
        return {path.with_name("preprocess.json"): (json.dumps(data, indent=2) + "\n").encode()}


class AtlasModel(PlainModel):
    """Inputs as ATLAS has them: one jet at a time, without an axis of events, any number of tracks from none.

    ``track_features`` (n, 4 + S): E, px, py, pz and the scalars; ``jet_features`` (1, C) where the model has context.
    Outputs are the numbers of the prediction, each by its own name, ``NAME_p0``, of shape (1,).
    """

    takes_batches = False

    def __init__(
        self,
        model: Model,
        dtype: torch.dtype | None = None,
        *,
        name: str = "model",
        max_particles: int | None = None,
        given: ParticleCloud | None = None,
    ) -> None:
        super().__init__(model, dtype, name=name, max_particles=max_particles, given=given)
        if max_particles is not None:
            raise ParameterError("jets of ATLAS have any number of tracks; leave max_particles out")
        if re.search("[_-]", name):
            raise ParameterError(
                f"ATLAS takes no '_' and no '-' in a network's name, which is that of the file: not {name!r}"
            )
        with torch.no_grad():
            shape = self._predict(self.example).shape
        if len(shape) > 2:
            raise ParameterError(
                f"ATLAS takes numbers of a jet, but predictions have the shape {tuple(shape)}"
            )
        self.labels = tuple(f"p{number}" for number in range(shape[1] if len(shape) == 2 else 1))
        self.output_names = tuple(f"{name}_{label}" for label in self.labels)

    @property
    def inputs(self) -> tuple[Column, ...]:
        """Track features, and jet features where there are some."""
        scalars, context = self.column_names
        tracks = ("E", "px", "py", "pz", *scalars)
        columns = (
            Column("track_features", self.number, ("tracks", len(tracks)), tracks, "GeV"),
            Column("jet_features", self.number, (1, self.model.in_context), context),
        )
        return tuple(column for column in columns if column.shape[1] != 0)

    @property
    def sizes(self) -> tuple[Sizes, ...]:
        """A jet of each number of tracks."""
        counts = (9, *(n for n in range(_MOST_TRACKS + 1) if n != 9))
        return tuple(Sizes((n,), n) for n in counts)

    def _choose(self, given: ParticleCloud) -> Iterator[tuple[str, tuple[Tensor, ...]]]:
        for number in range(given.num_events):
            jet = given.select(torch.tensor([number]))
            yield f"given event {number}", self._pad(jet, max(int(jet.layout.counts().max()), 1))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Each number of the prediction."""
        return self._predict(inputs).reshape(1, -1).unbind(1)

    def expect(self, wanted: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> Sequence[NDArray[Any]]:
        """The same predictions: of these files, there is no other output."""
        return wanted

    def _predict(self, inputs: tuple[Tensor, ...]) -> Tensor:
        given = dict(zip(self.input_names, inputs, strict=True))
        # One empty place more, so that a jet without tracks has a row, too.
        rows = torch.nn.functional.pad(given["track_features"], (0, 0, 0, 1)).unsqueeze(0)
        mask = torch.nn.functional.pad(torch.ones_like(given["track_features"][:, 0]), (0, 1)) > 0
        scalars = rows[..., 4:] if self.model.in_scalars else None
        return self.run(rows[..., :4], mask.unsqueeze(0), scalars, given.get("jet_features"))[1]

    def pack(self, momenta: Tensor, mask: Tensor, scalars: Tensor, context: Tensor) -> tuple[Tensor, ...]:
        """One event as the inputs of this network."""
        tracks = torch.cat([momenta, scalars.to(momenta.dtype)], dim=-1)[0][mask[0]]
        given = {"track_features": tracks, "jet_features": context[:1]}
        return tuple(given[name].to(self.dtype) for name in self.input_names)

    def describe_profile(self) -> dict[str, Any]:
        """Names, offsets and scales of inputs, and names of outputs, as JSON under ``gnn_config``."""
        plain = [
            {
                "name": column.name,
                "variables": [{"name": name, "offset": 0.0, "scale": 1.0} for name in column.columns],
            }
            for column in self.inputs
        ]
        data = {
            "onnx_model_version": "V1",
            "inputs": plain[1:],
            "input_sequences": plain[:1],
            "outputs": {self.name: {"labels": list(self.labels), "node_index": 0}},
        }
        return {"gnn_config": json.dumps(data)}


PROFILES: Final[dict[str, type[PlainModel]]] = {"cms": CmsModel, "atlas": AtlasModel}
"""Networks of plain tensors by the experiment that takes them."""


def make_plain(
    model: Model,
    profile: str | None,
    dtype: torch.dtype | None,
    name: str,
    max_particles: int | None,
    given: ParticleCloud | None,
) -> PlainModel:
    """A model as a network of plain tensors, as lorentzoo or an experiment has them."""
    kind = PlainModel if profile is None else PROFILES[profile]
    return kind(model, dtype, name=name, max_particles=max_particles, given=given)
