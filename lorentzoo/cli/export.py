"""``lorentzoo export``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, Final

import typer

from lorentzoo.cli.completion import complete_parts
from lorentzoo.cli.models import make_model

__all__ = ["export_command"]


class Profile(str, Enum):
    """Experiments whose programs read files."""

    cms = "cms"
    atlas = "atlas"


_SOURCE: Final = ("c", "fortran", "umami")
"""Formats that are for events of given particles."""


class Number(str, Enum):
    """Types of weights, inputs and outputs."""

    float32 = "float32"
    float64 = "float64"


def export_command(
    model: str = typer.Argument(
        ...,
        help="A saved run or model, a model name ('transformer:num_blocks=2'), or a YAML or JSON specification.",
        autocompletion=complete_parts("model"),
    ),
    out: Path = typer.Option(
        ...,
        "--out",
        "-o",
        help="The file, NAME.onnx, NAME.pt2, NAME.hxx, NAME.c, NAME.f90 or NAME.so; others lie beside it.",
    ),
    file_format: str = typer.Option(
        "onnx", "--format", help="onnx, torch-export, aoti, sofie, c, fortran or umami."
    ),
    profile: Profile | None = typer.Option(
        None, "--profile", help="Inputs, outputs and metadata as this experiment has them."
    ),
    opset: int = typer.Option(17, "--opset", min=1, help="Version of ONNX's operators."),
    ir_version: int = typer.Option(8, "--ir-version", min=1, help="Version of ONNX's file format."),
    dtype: Number | None = typer.Option(
        None, "--dtype", help="Type of numbers; the model's own by default, float64 for c, fortran and umami."
    ),
    max_particles: int | None = typer.Option(
        None, "--max-particles", min=2, help="The only number of places that the file takes; any by default."
    ),
    dataset: str | None = typer.Option(
        None,
        "--dataset",
        "-d",
        help="Events on which the file is checked, which become the golden ones. Needed for c, fortran and umami, which "
        "are for their particles, and for models of certain processes; there, the run's own by default.",
    ),
) -> None:
    """Write a model as a file that runs without this package, checked against the model, with what belongs beside it.

    Example: lorentzoo export runs/a --out tagger.onnx

    Example: lorentzoo export runs/surrogate --format c --out zgg.c
    """
    from lorentzoo.core.exportable import is_process_specific
    from lorentzoo.exporting.export import export

    made = make_model(model)
    path = export(
        made,
        out,
        file_format,
        profile=None if profile is None else profile.value,
        opset=opset,
        ir_version=ir_version,
        dtype=None if dtype is None else dtype.value,
        max_particles=max_particles,
        like=_read_events(model, dataset, needed=file_format in _SOURCE or is_process_specific(made)),
    )
    typer.echo(str(path))


def _read_events(model: str, dataset: str | None, *, needed: bool) -> Any:
    """The data set of that name, or, if any is needed, that of the run; None where there is neither."""
    from lorentzoo.registry.specs import parse_part
    from lorentzoo.studies.runs import read_run_spec
    from lorentzoo.training.fitting import open_dataset

    if dataset is not None:
        return open_dataset(parse_part(dataset, "dataset"))
    if needed and (Path(model) / "run.json").is_file():
        return open_dataset(read_run_spec(Path(model)).dataset)
    return None
