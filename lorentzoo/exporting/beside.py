"""What lies beside an exported file: names, units and shapes, golden numbers, and a loader?"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.core.model import Model
from lorentzoo.exporting.compare import TOLERANCES
from lorentzoo.exporting.formats import FileFormat
from lorentzoo.exporting.plain import PlainModel
from lorentzoo.registry.specs import Spec, distribution_version

__all__ = ["FORMAT", "describe_file", "find_tolerance", "hash_spec", "write_golden", "write_loader"]

FORMAT: Final = 1
"""Of the description: raised when a key changes its meaning."""

_LOADER: Final = '''"""Run {file} and compare it with the golden numbers beside it."""
import hashlib, json, sys
from pathlib import Path
import numpy as np
{imports}

def load(folder=Path(__file__).parent):
    """From arrays momenta (B, N, 4) in GeV, mask (B, N), ... to a dict of outputs."""
    about = json.loads((folder / "{stem}.json").read_text())
    payload = (folder / about["file"]).read_bytes()
    if hashlib.sha256(payload).hexdigest() != about["sha256"]:
        raise SystemExit(f"{{about['file']}} is not the file that {stem}.json describes (spec {{about['spec_sha256']}})")
    names, types = [o["name"] for o in about["outputs"]], {{i["name"]: i["dtype"] for i in about["inputs"]}}
{session}

if __name__ == "__main__":
    run, golden = load(), np.load(Path(__file__).parent / "{stem}.npz")
    found = run(**{{k[6:]: golden[k] for k in golden if k.startswith("input_")}})
    worst = max(np.abs(found[k] - golden[f"output_{{k}}"]).max() / np.abs(golden[f"output_{{k}}"]).max() for k in found)
    print(f"largest difference: {{worst:.1e}}")
    sys.exit(not worst < {tolerance})
'''


def hash_spec(model: Model) -> str | None:
    """SHA-256 of a model's specification as sorted JSON; None of a model without one."""
    if not isinstance(model.spec, Spec):
        return None
    text = json.dumps(model.spec.to_data(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def describe_file(
    plain: PlainModel,
    path: Path,
    payload: bytes,
    *,
    form: str,
    profile: str | None,
    errors: Mapping[str, float],
    facts: Mapping[str, Any],
) -> bytes:
    """The description of an exported file, as JSON.

    Parameters
    ----------
    plain
        The network.
    path, payload
        The file.
    form
        Its format.
    profile
        The experiment for which it is, or None.
    errors
        Largest relative difference on events of each size.
    facts
        What its format says of it, e.g. opset and version of the file format.
    """
    model = plain.model
    data = {
        "format": FORMAT,
        "lorentzoo": distribution_version("lorentzoo"),
        "torch": torch.__version__,
        "file": path.name,
        "kind": form,
        "sha256": hashlib.sha256(payload).hexdigest(),
        "spec_sha256": hash_spec(model),
        "spec": model.spec.to_data() if isinstance(model.spec, Spec) else None,
        **facts,
        "profile": profile,
        "max_particles": plain.max_particles,
        "task": model.task,
        "symmetry": model.symmetry.name,
        "anchor": model.anchor,
        "inputs": [
            {
                "name": column.name,
                "dtype": column.dtype,
                "shape": list(column.shape),
                "columns": list(column.columns),
                "units": column.units,
            }
            for column in plain.inputs
        ],
        "outputs": [{"name": name, "dtype": plain.number} for name in plain.output_names],
        "fitted_on": model.fitted_inputs.to_data(),
        "differences": dict(errors),
        "tolerance": find_tolerance(plain.dtype, errors),
    }
    return (json.dumps(data, indent=2) + "\n").encode()


def write_golden(golden: Mapping[str, NDArray[Any]]) -> bytes:
    """Golden inputs and outputs as an NPZ file."""
    buffer = io.BytesIO()
    np.savez(buffer, **golden)  # type: ignore[arg-type]
    return buffer.getvalue()


def find_tolerance(dtype: torch.dtype, errors: Mapping[str, float]) -> float:
    """Up to which difference the golden numbers are those of the model: as much as the check has taken."""
    return max(TOLERANCES[dtype], *errors.values())


def write_loader(path: Path, form: FileFormat, tolerance: float) -> bytes:
    """A short script that runs the file with numpy and its runtime alone."""
    return _LOADER.format(
        file=path.name,
        stem=path.stem,
        imports=form.imports,
        session=form.session,
        tolerance=f"{tolerance:g}",
    ).encode()
