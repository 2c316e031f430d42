"""``lorentzoo export``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import typer

from lorentzoo.cli.models import make_model

__all__ = ["export_command"]


class Profile(str, Enum):
    """Experiments whose programs read files."""

    cms = "cms"
    atlas = "atlas"


class Number(str, Enum):
    """Types of weights, inputs and outputs."""

    float32 = "float32"
    float64 = "float64"


def export_command(
    model: str = typer.Argument(
        ...,
        help="A saved run or model, a model name ('transformer:num_blocks=2'), or a YAML or JSON specification.",
    ),
    out: Path = typer.Option(
        ..., "--out", "-o", help="The file, NAME.onnx, NAME.pt2 or NAME.hxx; others lie beside it."
    ),
    file_format: str = typer.Option("onnx", "--format", help="onnx, torch-export, aoti or sofie."),
    profile: Profile | None = typer.Option(
        None, "--profile", help="Inputs, outputs and metadata as this experiment has them."
    ),
    opset: int = typer.Option(17, "--opset", min=1, help="Version of ONNX's operators."),
    ir_version: int = typer.Option(8, "--ir-version", min=1, help="Version of ONNX's file format."),
    dtype: Number | None = typer.Option(None, "--dtype", help="Type of numbers; the model's own by default."),
    max_particles: int | None = typer.Option(
        None, "--max-particles", min=2, help="The only number of places that the file takes; any by default."
    ),
) -> None:
    """Write a model as a file that runs without this package, checked against the model, with what belongs beside it.

    Example: lorentzoo export runs/a --out tagger.onnx
    """
    from lorentzoo.exporting.export import export

    path = export(
        make_model(model),
        out,
        file_format,
        profile=None if profile is None else profile.value,
        opset=opset,
        ir_version=ir_version,
        dtype=None if dtype is None else dtype.value,
        max_particles=max_particles,
    )
    typer.echo(str(path))
