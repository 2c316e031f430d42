"""How does Python call a network that is C source?"""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lorentzoo.core.errors import ExportError

__all__ = ["C_FLAGS", "CompiledNetwork", "build_library", "find_compiler", "run_fortran"]

C_FLAGS: Final = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
"""Safe ones: values stay what the source says, but for the fusion of products and sums."""
_COMPILERS: Final = {"c": ("cc", "gcc", "clang"), "c++": ("c++", "g++", "clang++"), "fortran": ("gfortran",)}


def find_compiler(language: str) -> str | None:
    """Path of a compiler of ``"c"``, ``"c++"`` or ``"fortran"``, if there is one."""
    return next((path for name in _COMPILERS[language] if (path := shutil.which(name))), None)


def run_tool(command: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a compiler, or what it made.

    Raises
    ------
    ExportError
        If it fails, with the end of what it said.
    """
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise ExportError(f"{Path(command[0]).name} failed: {said or f'status {done.returncode}'}")
    return done


def build_library(sources: Sequence[Path], out: Path, flags: Sequence[str] = C_FLAGS) -> Path:
    """A shared library of C sources.

    Raises
    ------
    ExportError
        If there is no C compiler, or it refuses the sources.
    """
    compiler = find_compiler("c")
    if compiler is None:
        raise ExportError("there is no C compiler (cc, gcc or clang); on Debian: apt-get install gcc")
    run_tool([compiler, "-std=c99", "-fPIC", "-shared", *flags, "-o", out, *sources, "-lm"], out.parent)
    return out


def run_fortran(folder: Path, stem: str) -> float:
    """Compile the module and the example of a folder, and the largest difference that the example finds.

    Raises
    ------
    ExportError
        If they do not compile or run.
    """
    compiler = find_compiler("fortran")
    if compiler is None:
        raise ExportError("there is no Fortran compiler (gfortran); on Debian: apt-get install gfortran")
    flags = [flag for flag in C_FLAGS if not flag.startswith("-ffp-contract")]
    run_tool([compiler, "-std=f2008", *flags, f"{stem}.f90", f"{stem}_example.f90", "-o", "example"], folder)
    # It says how much it differs before it fails for that.
    said = subprocess.run(["./example"], cwd=folder, capture_output=True, text=True, check=False)
    lines = [line for line in said.stdout.splitlines() if line.startswith("largest difference:")]
    if not lines:
        raise ExportError(f"the compiled source does not run: {(said.stderr or said.stdout).strip()[-500:]}")
    number = lines[0].partition(":")[2].strip()
    return math.inf if "*" in number or "nan" in number.lower() else float(number)


class CompiledNetwork:
    """A network of C source, compiled and called by `ctypes`.

    Parameters
    ----------
    source
        The file NAME.c, beside NAME.h and NAME.par.
    parameters
        The parameter file; NAME.par by default.
    flags
        Of the compiler.

    Raises
    ------
    ExportError
        If it does not compile, or the parameter file is not that of the network, by its message.
    """

    def __init__(
        self, source: str | Path, parameters: str | Path | None = None, flags: Sequence[str] = C_FLAGS
    ) -> None:
        source = Path(source).resolve()
        # The library stays mapped after its file is gone.
        with tempfile.TemporaryDirectory() as folder:
            library = build_library([source], Path(folder) / f"{source.stem}.so", flags)
            self._library: Any = ctypes.CDLL(str(library))
        self._library.lz_message.restype = ctypes.c_char_p
        sizes = (ctypes.c_int * 3)()
        self._library.lz_sizes(sizes)
        self.num_particles, self.num_context, self.num_outputs = sizes
        self._network = ctypes.c_void_p()
        path = source.with_suffix(".par") if parameters is None else Path(parameters)
        status = self._library.lz_load(ctypes.byref(self._network), str(path).encode())
        if status:
            raise ExportError(f"{path}: {self._library.lz_message(status).decode()}")

    def __call__(self, momenta: ArrayLike, context: ArrayLike | None = None) -> NDArray[np.float64]:
        """Answers (B, outputs) of momenta (B, N, 4) in GeV and context (B, C); many threads may call it at once.

        Raises
        ------
        ValueError
            On other shapes.
        """
        p = np.ascontiguousarray(momenta, dtype=np.float64)
        if p.ndim != 3 or p.shape[1:] != (self.num_particles, 4):
            raise ValueError(f"momenta have shape (B, {self.num_particles}, 4), not {p.shape}")
        c = np.ascontiguousarray(np.zeros((len(p), 0)) if context is None else context, dtype=np.float64)
        if c.shape != (len(p), self.num_context):
            raise ValueError(f"the context has shape ({len(p)}, {self.num_context}), not {c.shape}")
        answers = np.empty((len(p), self.num_outputs))
        given = [p, c, answers] if self.num_context else [p, answers]
        pointers = [ctypes.c_void_p(x.ctypes.data) for x in given]
        self._library.lz_evaluate(self._network, ctypes.c_size_t(len(p)), *pointers)
        return answers

    def __del__(self) -> None:
        if getattr(self, "_network", None):
            self._library.lz_free(self._network)
