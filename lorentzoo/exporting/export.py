"""How does a model leave Python?"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final, Literal, get_args

import torch

from lorentzoo.core.errors import ExportError, ParameterError
from lorentzoo.core.model import Model
from lorentzoo.exporting.beside import describe_file, hash_spec, write_golden, write_loader
from lorentzoo.exporting.compare import TOLERANCES, check_numbers, choose_sizes, run_onnx, run_program
from lorentzoo.exporting.files import make_folder, write_files
from lorentzoo.exporting.graph import make_onnx, require_onnx, trace
from lorentzoo.exporting.opset import OLDEST
from lorentzoo.exporting.plain import PlainModel
from lorentzoo.exporting.source.export import SourceFormat, export_source
from lorentzoo.exporting.source.program import find_obstacle

__all__ = ["Format", "export", "find_refusal"]

Format = Literal["onnx", "torch-export", "c", "fortran", "umami"]

_ENDINGS: Final = {"onnx": ".onnx", "torch-export": ".pt2", "c": ".c", "fortran": ".f90", "umami": ".so"}


def export(
    model: Model,
    path: str | Path,
    format: Format = "onnx",
    *,
    opset: int = 17,
    ir_version: int = 8,
    dtype: torch.dtype | str | None = None,
    max_particles: int | None = None,
    like: Any = None,
) -> Path:
    """Write a model as a file that runs without this package: plain tensors in, preprocessing inside.

    ``"onnx"`` and ``"torch-export"`` take any network. ``"c"``, ``"fortran"`` and ``"umami"`` (a library that MadGraph 7
    loads) take networks of dense layers, for events of the particles of `like`, see `export_source`. What follows is
    about the first two.

    Inputs are ``momenta`` (B, N, 4) in GeV, ``mask`` (B, N), true where there is a particle, and, as far as the model
    has them, ``scalars`` (B, N, S) and ``context`` (B, C). Outputs are ``output``, what `Model.forward` gives, and
    ``prediction``, what `Model.predict` gives. The anchor, frames and features of momenta are computed in float64
    inside, whatever the inputs.

    The file is compared with the model on six batches of random events (of several events, one event, one particle, an
    empty event, nothing else than one, and long ones) before it is written. Beside it lie NAME.json (names, units,
    shapes, specification and its hash, differences found), NAME.npz (golden inputs and outputs) and NAME_loader.py.

    Parameters
    ----------
    model
        With fitted statistics; it is not changed.
    path
        Of the file; with the ending of its format, ``.onnx`` or ``.pt2``.
    format
        ``"onnx"``, or ``"torch-export"`` for `torch.export.load`.
    opset, ir_version
        Of ONNX. The defaults are read by onnxruntime from 1.12 on.
    dtype
        Of weights, inputs and outputs, float32 or float64; the model's own by default, float64 for source code.
    max_particles
        The only number of places N that the file takes; any number by default.
    like
        Of source code: a cloud or a data set of events, all of the particles that the code is for, in its order.

    Returns
    -------
    The path.

    Raises
    ------
    ExportError
        If a part states why it cannot be exported, an operation has no form in the format, the file gives other numbers
        than the model (more than 1e-5 of the largest in float32, 1e-9 in float64), or the disk does not take it. No
        file is left.
    MissingExtraError
        If ONNX is wanted and its packages are not installed.
    ParameterError
        On another format, type, number or ending.
    NotFittedError
        If statistics of the model were not fitted.
    """
    path = Path(path)
    number = _read_choices(path, format, opset, ir_version, dtype, max_particles)
    # Source code is made of what parts say of their steps.
    reason = find_obstacle(model) if format in get_args(SourceFormat) else find_refusal(model)
    if reason is not None:
        raise ExportError(reason)
    make_folder(path)
    if format in get_args(SourceFormat):
        return export_source(model, path, format, like=like, dtype=number)  # type: ignore[arg-type]
    if format == "onnx":
        require_onnx()
    plain = PlainModel(model, number)
    if plain.dtype not in TOLERANCES:
        raise ParameterError(
            f"models are exported in float32 or float64, not {plain.dtype}; give dtype='float32'"
        )
    sizes = choose_sizes(max_particles)
    inputs = plain.draw(sizes[0])
    # Once before it is traced: what was not fitted, or cannot be computed, says so here.
    with torch.no_grad():
        plain(*inputs)
    program = trace(plain, inputs, max_particles)
    if format == "onnx":
        onnx = make_onnx(program, plain, inputs, max_particles, opset=opset, ir_version=ir_version)
        entry = onnx.metadata_props.add()
        entry.key, entry.value = "lorentzoo_spec_sha256", hash_spec(model) or ""
        payload, versions = onnx.SerializeToString(), {"opset": opset, "ir_version": ir_version}
        run = run_onnx(payload)
    else:
        buffer = io.BytesIO()
        torch.export.save(program, buffer)
        payload, versions = buffer.getvalue(), {}
        run = run_program(torch.export.load(io.BytesIO(payload)))
    errors, golden = check_numbers(plain, sizes, run)
    about = describe_file(
        plain, path, payload, form=format, max_particles=max_particles, errors=errors, versions=versions
    )
    write_files(
        {
            path.with_name(f"{path.stem}_loader.py"): write_loader(path, format, plain.dtype),
            path.with_suffix(".npz"): write_golden(golden),
            path.with_suffix(".json"): about,
            path: payload,
        }
    )
    return path


def find_refusal(model: Any) -> str | None:
    """Why a model cannot be exported, as far as its parts say so; None where nothing is known against it."""
    if not isinstance(model, Model):
        return f"lz.export takes a model that predicts, not {type(model).__name__}: draws of a generator are no graph"
    if model.backbone.takes_condition:
        return f"{type(model.backbone).__name__} attends to a second cloud, for which exported files have no input"
    for slot in ("spurions", "frames_net", "embedding", "backbone", "head"):
        part = getattr(model, slot)
        if part.exportable is not True:
            return (
                f"the {slot.removesuffix('_net')} {type(part).__name__} cannot be exported: {part.exportable}"
            )
    return None


def _read_choices(
    path: Path, format: str, opset: int, ir_version: int, dtype: Any, max_particles: int | None
) -> torch.dtype | None:
    """The type of numbers, after a look at all that was chosen."""
    if format not in get_args(Format):
        raise ParameterError(f"format is one of {list(get_args(Format))}, not {format!r}")
    if path.suffix != _ENDINGS[format]:
        raise ParameterError(f"a file of {format!r} ends in {_ENDINGS[format]}, not {path.name!r}")
    # An axis of length one would be taken for fixed, so that events have two places at least.
    least = {"opset": OLDEST, "ir_version": 1, "max_particles": 2}
    given = {
        "opset": opset,
        "ir_version": ir_version,
        "max_particles": 2 if max_particles is None else max_particles,
    }
    for name, value in given.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least[name]:
            raise ParameterError(f"{name} must be a whole number of at least {least[name]}, not {value!r}")
    number = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is not None and number not in TOLERANCES:
        raise ParameterError(f"dtype is 'float32' or 'float64', not {dtype!r}")
    return number
