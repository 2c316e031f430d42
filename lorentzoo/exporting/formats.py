"""Which formats of files are there, and what does each know?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from lorentzoo.exporting.compare import Runner, run_program
from lorentzoo.exporting.graph import (
    compile_program,
    load_package,
    make_onnx,
    require_modules,
    save_program,
    trace,
)
from lorentzoo.exporting.kernels import LACKING_IN_SOFIE
from lorentzoo.exporting.onnx_files import mark_onnx, run_onnx
from lorentzoo.exporting.plain import PlainModel
from lorentzoo.exporting.sofie_files import SofieLibrary, write_sofie

__all__ = ["FORMATS", "Choices", "FileFormat", "Written"]


@dataclass(frozen=True)
class Choices:
    """What a user chose of a file besides its format.

    Attributes
    ----------
    opset, ir_version
        Of ONNX.
    spec_sha256
        Hash of the model's specification, or an empty text.
    """

    opset: int
    ir_version: int
    spec_sha256: str


@dataclass(frozen=True)
class Written:
    """A file that was made.

    Attributes
    ----------
    payload
        The file.
    run
        Runs it.
    facts
        What its description says of it.
    """

    payload: bytes
    run: Runner
    facts: Mapping[str, Any] = field(default_factory=dict)


class FileFormat(ABC):
    """A kind of file.

    Attributes
    ----------
    ending
        Of its files.
    modules
        Packages that writing it needs; an extra brings them.
    imports, session
        Of the loader: what it imports, and the body of a function from arrays to outputs; empty where there is none.
    """

    ending: ClassVar[str]
    modules: ClassVar[tuple[str, ...]] = ()
    imports: ClassVar[str] = ""
    session: ClassVar[str] = ""

    def require(self) -> None:
        """Refuse before anything is computed where packages are missing.

        Raises
        ------
        MissingExtraError
            Naming the package and the extra.
        """
        require_modules(self.modules)

    @abstractmethod
    def write(self, plain: PlainModel, choices: Choices) -> Written:
        """The file of a network.

        Raises
        ------
        ExportError
            If the network has no such form.
        """


_CAST: Final = (
    "    cast = lambda given: [torch.from_numpy(np.asarray(given[k], dtype=types[k])) for k in types]\n"
)
_CALL: Final = (
    "    return lambda **given: dict(zip(names, (x.detach().numpy() for x in module(*cast(given)))))"
)


class OnnxFormat(FileFormat):
    """ONNX, for onnxruntime."""

    ending = ".onnx"
    modules = ("onnx", "onnxscript", "onnxruntime")
    imports = "import onnxruntime"
    session = """    session = onnxruntime.InferenceSession(payload, providers=["CPUExecutionProvider"])
    cast = lambda given: {k: np.asarray(given[k], dtype=types[k]) for k in types}
    return lambda **given: dict(zip(names, session.run(None, cast(given))))"""

    def write(self, plain: PlainModel, choices: Choices) -> Written:
        """The graph in ONNX."""
        model = _write_onnx(plain, choices)
        payload = model.SerializeToString()
        return Written(payload, run_onnx(payload), {"opset": choices.opset, "ir_version": choices.ir_version})


class TorchExportFormat(FileFormat):
    """A graph of torch, for `torch.export.load`."""

    ending = ".pt2"
    imports = "import io, torch"
    session = "    module = torch.export.load(io.BytesIO(payload)).module()\n" + _CAST + _CALL

    def write(self, plain: PlainModel, choices: Choices) -> Written:
        """The traced graph."""
        payload, again = save_program(trace(plain))
        return Written(payload, run_program(again.module()))


class AotiFormat(FileFormat):
    """A shared library for this machine, made by torch's AOTInductor, for `torch._inductor.aoti_load_package`."""

    ending = ".pt2"
    imports = "import torch"
    session = '    module = torch._inductor.aoti_load_package(str(folder / about["file"]))\n' + _CAST + _CALL

    def write(self, plain: PlainModel, choices: Choices) -> Written:
        """The compiled graph, and for which machine it is."""
        payload = compile_program(trace(plain))
        module, target = load_package(payload)
        return Written(payload, run_program(module), {"target": target})


class SofieFormat(FileFormat):
    """C++ in float32 that needs nothing but BLAS, made by SOFIE from ONNX."""

    ending = ".hxx"
    modules = ("onnx", "onnxscript", "onnxruntime", "sofie")

    def write(self, plain: PlainModel, choices: Choices) -> Written:
        """The C++ text, compiled once to be compared."""
        text = write_sofie(_write_onnx(plain, choices, LACKING_IN_SOFIE), plain)
        return Written(text, SofieLibrary(text, plain), {"precision": "float32 throughout"})


def _write_onnx(
    plain: PlainModel, choices: Choices, also: Mapping[Any, Callable[..., Any]] | None = None
) -> Any:
    model = make_onnx(trace(plain), plain, opset=choices.opset, ir_version=choices.ir_version, also=also)
    mark_onnx(model, {"lorentzoo_spec_sha256": choices.spec_sha256, **plain.describe_profile()})
    return model


FORMATS: Final[dict[str, FileFormat]] = {
    "onnx": OnnxFormat(),
    "torch-export": TorchExportFormat(),
    "aoti": AotiFormat(),
    "sofie": SofieFormat(),
}
"""Formats by name."""
