"""How does a network of dense layers leave Python as source code?"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import ExportError, ExportWarning, ParameterError
from lorentzoo.core.model import Model
from lorentzoo.data.events import EventData
from lorentzoo.exporting.beside import hash_spec, write_golden
from lorentzoo.exporting.files import write_files
from lorentzoo.exporting.given import read_given
from lorentzoo.exporting.source.about import About, Precision
from lorentzoo.exporting.source.beside import answer_scales, write_examples, write_golden_text
from lorentzoo.exporting.source.c_writer import write_c, write_header
from lorentzoo.exporting.source.compiled import (
    C_FLAGS,
    CompiledNetwork,
    build_library,
    find_compiler,
    run_fortran,
)
from lorentzoo.exporting.source.fortran_writer import write_fortran
from lorentzoo.exporting.source.parameters import write_parameters
from lorentzoo.exporting.source.program import Program, list_steps
from lorentzoo.exporting.source.umami import Coupling, find_coupling, find_masses, write_umami
from lorentzoo.registry.specs import Spec, distribution_version

__all__ = ["SOURCE_ENDINGS", "export_source"]

SOURCE_ENDINGS: Final = {"c": ".c", "fortran": ".f90", "umami": ".so"}
"""Endings of files by format."""

_PRECISIONS: Final[dict[Any, Precision]] = {None: "double", torch.float64: "double", torch.float32: "single"}


@dataclass(frozen=True)
class _Given:
    """The events that a network is exported for, and what is known of them."""

    cloud: ParticleCloud
    particle_names: tuple[str, ...]
    target_names: tuple[str, ...]
    target_units: tuple[str, ...]
    coupling: Coupling | None


def export_source(model: Model, path: Path, format: str, *, like: Any, dtype: torch.dtype | None) -> Path:
    """Write a network as source code, for events of the particles of `like`; see `lorentzoo.export`.

    Parameters
    ----------
    model
        With fitted statistics; it is not changed.
    path
        NAME.c, NAME.f90, or NAME.so of a matrix element of MadGraph 7.
    format
        ``"c"``, ``"fortran"`` or ``"umami"``.
    like
        A cloud or data set of events, all of the same particles in the same order.
    dtype
        Of weights and layers; float64 by default.

    Raises
    ------
    ExportError
        If the network or the events have no such form, the compiled form gives other numbers than the model, or the disk
        does not take the files.
    ParameterError
        On anything else than events, and on names that compilers and make do not take.
    """
    if not re.fullmatch(r"[A-Za-z][\w.-]{0,40}", path.stem, re.ASCII):
        raise ParameterError(
            f"names of source files begin with a letter, and have letters, digits and '_-.' alone, not {path.name!r}"
        )
    given = _read_events(like)
    twin = copy.deepcopy(model).cpu().double().eval()
    program = list_steps(twin, given.cloud)
    momenta = given.cloud.layout.pad(given.cloud.momenta).double().numpy()
    context = twin.fitted_inputs.arrange(given.cloud).context.double().numpy()
    with torch.no_grad():
        answers = twin.head.predict(twin(given.cloud).double()).double().numpy()
    answers = answers.reshape(len(answers), -1)
    if not np.isfinite(answers).all():
        raise ExportError("the model gives numbers that are not finite on the events that it is exported for")
    about = _describe(model, program, path.stem, given, _PRECISIONS[dtype])
    files: dict[str, str | bytes] = {".par": write_parameters(program, about.spec_sha256)}
    if format == "fortran":
        files |= {".f90": write_fortran(program, about), **write_examples(program, about, fortran=True)}
    else:
        files |= {".c": write_c(program, about), ".h": write_header(program, about)}
    if format == "c":
        files |= write_examples(program, about, fortran=False)
    if format == "umami":
        files["_umami.c"] = write_umami(program, about, given.coupling, find_masses(given.cloud))
    files["_golden.txt"] = write_golden_text(momenta, context, answers)
    checked = _check(files, about, format, momenta, context, answers)
    golden = {"input_momenta": momenta, "output_prediction": answers}
    if program.num_context:
        golden["input_context"] = context
    described = _write_description(model, program, about, given, format, path.suffix, files, checked)
    named = {path.with_name(f"{path.stem}{end}"): _encode(text) for end, text in files.items()}
    main = named.pop(path)
    write_files(
        {
            **named,
            path.with_suffix(".npz"): write_golden(golden),
            path.with_suffix(".json"): described,
            path: main,
        }
    )
    return path


def _read_events(like: Any) -> _Given:
    if like is None:
        raise ParameterError(
            "source code is for events of given particles: give such events by like= (--dataset on the command line)"
        )
    cloud = read_given(like)
    if isinstance(like, EventData):
        coupling = find_coupling(like.metadata)
        return _Given(cloud, like.particle_names, like.target_names, like.target_units, coupling)
    return _Given(cloud, (), (), (), None)


def _describe(model: Model, program: Program, stem: str, given: _Given, precision: Precision) -> About:
    outputs, count = len(program.outputs), program.num_particles
    fitted = model.fitted_inputs
    names = given.particle_names or tuple(f"particle {k}" for k in range(count))
    targets = given.target_names if len(given.target_names) == outputs else ()
    return About(
        stem=stem,
        title=f"{type(model.backbone).__name__} with {type(model.head).__name__}",
        spec_sha256=hash_spec(model) or "0" * 64,
        particle_names=names,
        context_names=fitted.context
        or given.cloud.context_names
        or tuple(f"context_{k}" for k in range(program.num_context)),
        target_names=targets or tuple(f"answer_{k}" for k in range(outputs)),
        target_units=given.target_units if targets else ("",) * outputs,
        precision=precision,
    )


def _check(
    files: dict[str, str | bytes],
    about: About,
    format: str,
    momenta: NDArray[np.float64],
    context: NDArray[np.float64],
    answers: NDArray[np.float64],
) -> dict[str, Any]:
    """Compile the files and compare them with the model; for UMAMI the library joins them.

    Returns
    -------
    Which compiler was there, and the largest difference; or why it was not compiled.
    """
    language = "fortran" if format == "fortran" else "c"
    compiler = find_compiler(language)
    if compiler is None:
        note = f"not compiled, and not compared with the model: there is no {language} compiler here"
        if format == "umami":
            raise ExportError("a matrix element is a library, and there is no C compiler (cc, gcc or clang)")
        warnings.warn(f"{about.stem}: {note}", ExportWarning, stacklevel=4)
        return {"compiled_by": None, "note": note}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for end, text in files.items():
            (folder / f"{about.stem}{end}").write_bytes(_encode(text))
        if format == "fortran":
            difference = run_fortran(folder, about.stem)
        else:
            network = CompiledNetwork(folder / f"{about.stem}.c")
            found = network(momenta, context)
            difference = float((np.abs(found - answers).max(1) / answer_scales(answers)).max())
        if format == "umami":
            sources = [folder / f"{about.stem}{end}" for end in (".c", "_umami.c")]
            files[".so"] = build_library(sources, folder / f"{about.stem}.so").read_bytes()
    if not difference <= about.tolerance:
        raise ExportError(
            f"the compiled source gives other numbers than the model: the largest difference is {difference:.1e} of an "
            f"answer, more than {about.tolerance:g}; take dtype='float64', or events on which the model was trained"
        )
    return {"compiled_by": Path(compiler).name, "difference": difference}


def _write_description(
    model: Model,
    program: Program,
    about: About,
    given: _Given,
    format: str,
    suffix: str,
    files: Mapping[str, str | bytes],
    checked: Mapping[str, Any],
) -> bytes:
    kinds = program.num_particles
    data = {
        "format": 1,
        "lorentzoo": distribution_version("lorentzoo"),
        "file": f"{about.stem}{suffix}",
        "kind": format,
        "precision": about.precision,
        "sha256": {
            f"{about.stem}{end}": hashlib.sha256(_encode(text)).hexdigest() for end, text in files.items()
        },
        "spec_sha256": about.spec_sha256,
        "layout_sha256": program.layout_sha256,
        "spec": model.spec.to_data() if isinstance(model.spec, Spec) else None,
        "task": model.task,
        "symmetry": model.symmetry.name,
        "inputs": [
            {
                "name": "momenta",
                "shape": ["events", kinds, 4],
                "columns": ["E", "px", "py", "pz"],
                "units": "GeV",
            },
            *(
                [
                    {
                        "name": "context",
                        "shape": ["events", program.num_context],
                        "columns": list(about.context_names),
                    }
                ]
                if program.num_context
                else []
            ),
        ],
        "particles": list(about.particle_names),
        "scalars": {
            "names": list(given.cloud.scalar_names),
            "values": given.cloud.layout.pad(given.cloud.scalars)[0].tolist(),
        },
        "outputs": [
            {"name": name, "units": unit or None}
            for name, unit in zip(about.target_names, about.target_units, strict=True)
        ],
        "alpha_s": None
        if given.coupling is None
        else {"value": given.coupling.value, "power": given.coupling.power},
        "fitted_on": model.fitted_inputs.to_data(),
        "tolerance": about.tolerance,
        "checked": dict(checked),
        "compiler_flags": list(C_FLAGS),
    }
    return (json.dumps(data, indent=2) + "\n").encode()


def _encode(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
