"""How does a model leave Python?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch

from lorentzoo.core.adapters import copy_merged
from lorentzoo.core.errors import ExportError, ParameterError
from lorentzoo.core.exportable import find_refusal
from lorentzoo.core.model import Model
from lorentzoo.exporting.beside import describe_file, find_tolerance, hash_spec, write_golden, write_loader
from lorentzoo.exporting.compare import TOLERANCES, check_numbers
from lorentzoo.exporting.files import make_folder, write_files
from lorentzoo.exporting.formats import FORMATS, Choices
from lorentzoo.exporting.given import read_given
from lorentzoo.exporting.opset import OLDEST
from lorentzoo.exporting.profiles import PROFILES, Profile, make_plain
from lorentzoo.exporting.source.export import SOURCE_ENDINGS, export_source
from lorentzoo.exporting.source.program import find_obstacle

__all__ = ["ENDINGS", "export"]

ENDINGS: Final = {**{name: form.ending for name, form in FORMATS.items()}, **SOURCE_ENDINGS}
"""Endings of files by format: graphs of any network, and source code of networks of dense layers."""


def export(
    model: Model,
    path: str | Path,
    format: str = "onnx",
    *,
    profile: Profile | None = None,
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
        Of the file; with the ending of its format, e.g. ``.onnx`` or ``.pt2``.
    format
        ``"onnx"``; ``"torch-export"`` for `torch.export.load`; ``"aoti"``, a library for this kind of machine, made by
        AOTInductor; ``"sofie"``, C++ that needs nothing but BLAS. ``"c"``, ``"fortran"`` and ``"umami"`` (a library that
        MadGraph 7 loads) take networks of dense layers, for events of the particles of `like`; what is said here of
        inputs, outputs and files is about the others.
    profile
        ``"cms"`` or ``"atlas"``: inputs, outputs and metadata as that experiment's programs take them. Inputs and
        outputs as above by default.
    opset, ir_version
        Of ONNX. The defaults are read by onnxruntime from 1.12 on.
    dtype
        Of weights, inputs and outputs, float32 or float64; the model's own by default, float64 for source code.
    max_particles
        The only number of places N that the file takes; any number by default.
    like
        A cloud or a data set of events as those that the model is for. A file is compared on its first ones, too, which
        become the golden ones; models that are fitted to certain processes (``amplitude-recipe``) are compared on them
        alone, and give NaN for events of others. Source code is for events of their particles, in their order.

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
        On another format, type, number or ending, and if events are needed and none are given.
    NotFittedError
        If statistics of the model were not fitted.
    """
    path = Path(path)
    number = _read_choices(path, format, profile, opset, ir_version, dtype, max_particles)
    model = copy_merged(model)
    # Source code is made of what parts say of their steps.
    reason = find_obstacle(model) if format in SOURCE_ENDINGS else find_refusal(model)
    if reason is not None:
        raise ExportError(reason)
    make_folder(path)
    if format in SOURCE_ENDINGS:
        return export_source(model, path, format, like=like, dtype=number)
    form = FORMATS[format]
    form.require()
    given = None if like is None else read_given(like)
    plain = make_plain(model, profile, number, path.stem, max_particles, given)
    if plain.dtype not in TOLERANCES:
        raise ParameterError(
            f"models are exported in float32 or float64, not {plain.dtype}; give dtype='float32'"
        )
    # Once before it is traced: what was not fitted, or cannot be computed, says so here.
    with torch.no_grad():
        plain(*plain.example)
    written = form.write(plain, Choices(opset, ir_version, hash_spec(model) or ""))
    errors, golden = check_numbers(plain, written.run)
    about = describe_file(
        plain, path, written.payload, form=format, profile=profile, errors=errors, facts=written.facts
    )
    tolerance = find_tolerance(plain.dtype, errors)
    loader = {path.with_name(f"{path.stem}_loader.py"): write_loader(path, form, tolerance)}
    write_files(
        {
            **(loader if form.session else {}),
            **plain.files_beside(path),
            path.with_suffix(".npz"): write_golden(golden),
            path.with_suffix(".json"): about,
            path: written.payload,
        }
    )
    return path


def _read_choices(
    path: Path,
    format: str,
    profile: Any,
    opset: int,
    ir_version: int,
    dtype: Any,
    max_particles: int | None,
) -> torch.dtype | None:
    """The type of numbers, after a look at all that was chosen."""
    if format not in ENDINGS:
        raise ParameterError(f"format is one of {list(ENDINGS)}, not {format!r}")
    ending = ENDINGS[format]
    if path.suffix != ending:
        raise ParameterError(f"a file of {format!r} ends in {ending}, not {path.name!r}")
    if profile is not None and profile not in PROFILES:
        raise ParameterError(f"profile is one of {list(PROFILES)}, or None, not {profile!r}")
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
