"""How does a graph become C++ by SOFIE, and how is that run?"""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.core.errors import ExportError
from lorentzoo.exporting.plain import PlainModel

__all__ = ["SofieLibrary", "write_sofie"]

_TRANSLATE: Final = """
import sys
import sofie.onnx
network = sofie.onnx.parse(sys.argv[1])
network.generate(sofie.Options.kNoWeightFile)
network.output_generated(sys.argv[2])
"""
"""In a process of its own: on some graphs SOFIE 0.1 ends the process that runs it."""

_ENTRY: Final = """#include "{header}"
#include <exception>
#include <string>
static thread_local std::string said;
extern "C" {{
const char* lz_said() {{ return said.c_str(); }}
void* lz_open({sizes}) try {{
  return new {space}::Session("", {names});
}} catch (const std::exception& error) {{ said = error.what(); return nullptr; }}
void lz_close(void* session) {{ delete static_cast<{space}::Session*>(session); }}
int lz_run(void* session, {sizes}, {inputs}, {outputs}) try {{
  auto found = static_cast<{space}::Session*>(session)->infer({names}, {given});
{copies}
  return 0;
}} catch (const std::exception& error) {{ said = error.what(); return 1; }}
}}
"""
"""What SOFIE throws would end the process, since it cannot pass the language's border."""
_LIBRARIES: Final = ("-lopenblas", "-lblas")


def write_sofie(model: Any, plain: PlainModel) -> bytes:
    """C++ text of an ONNX model, with its weights inside, all numbers in float32.

    Parameters
    ----------
    model
        In ONNX; it is changed.
    plain
        The network; the namespace is ``SOFIE_NAME``.

    Raises
    ------
    ExportError
        Naming the operators that SOFIE does not know, or what it says of the graph.
    """
    import onnx

    _make_simple(model)
    _name_axes(model, plain)
    name = plain.name
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / f"{name}.onnx", Path(folder) / f"{name}.hxx"
        onnx.save(model, source)
        ran = subprocess.run(
            [sys.executable, "-c", _TRANSLATE, str(source), str(target)],
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode != 0 or not target.exists():
            lines = [line for line in ran.stderr.strip().splitlines() if line.strip()]
            said = lines[-1].partition(": ")[2] if lines else f"it ended with status {ran.returncode}"
            operators = sorted({node.op_type for node in model.graph.node})
            raise ExportError(
                f"SOFIE does not take this model: {said or lines[-1]}. Its operators are {', '.join(operators)}"
            )
        return target.read_bytes()


def _make_simple(model: Any) -> None:
    """What SOFIE takes of ONNX: constants that are initializers of one use each, and numbers in float32."""
    from onnx import AttributeProto, TensorProto, numpy_helper

    graph = model.graph

    def shorten(tensor: Any) -> None:
        if tensor.data_type == TensorProto.DOUBLE:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    for node in list(graph.node):
        if node.op_type == "Constant":
            tensor = node.attribute[0].t
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
            graph.node.remove(node)
            continue
        for item in node.attribute:
            if item.type == AttributeProto.TENSOR:
                shorten(item.t)
            elif node.op_type == "Cast" and item.name == "to" and item.i == TensorProto.DOUBLE:
                item.i = TensorProto.FLOAT
    for tensor in graph.initializer:
        shorten(tensor)
    known = {tensor.name: tensor for tensor in graph.initializer}
    uses: Counter[str] = Counter()
    for node in graph.node:
        for place, name in enumerate(node.input):
            uses[name] += 1
            if name in known and uses[name] > 1:
                copied = graph.initializer.add()
                copied.CopyFrom(known[name])
                copied.name = node.input[place] = f"{name}_{uses[name]}"


def _name_axes(model: Any, plain: PlainModel) -> None:
    """Names of free axes as the description of the file has them, instead of the exporter's numbers."""
    names = {}
    for value, column in zip(model.graph.input, plain.inputs, strict=True):
        for axis, length in zip(value.type.tensor_type.shape.dim, column.shape, strict=True):
            if isinstance(length, str):
                names[axis.dim_param] = length
    for value in (*model.graph.input, *model.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in names:
                axis.dim_param = names[axis.dim_param]


class SofieLibrary:
    """C++ text of `write_sofie`, compiled by g++.

    Parameters
    ----------
    text, plain
        The text, and the network that it is.

    Raises
    ------
    ExportError
        If there is no g++ or no BLAS, or the text does not compile.
    """

    def __init__(self, text: bytes, plain: PlainModel) -> None:
        self.plain = plain
        self.axes = list(
            dict.fromkeys(x for column in plain.inputs for x in column.shape if isinstance(x, str))
        )
        self.library = _compile(text, plain, self.axes)

    def prepare(self, inputs: Mapping[str, NDArray[Any]]) -> Callable[[], list[NDArray[Any]]]:
        """A function that computes the outputs of these arrays, in a session of their sizes.

        Raises
        ------
        ExportError
            With what the C++ says, if it takes no such sizes; the function raises it as well.
        """
        lengths = {
            name: size
            for column in self.plain.inputs
            for name, size in zip(column.shape, inputs[column.name].shape, strict=True)
            if isinstance(name, str)
        }
        sizes = [ctypes.c_size_t(lengths[axis]) for axis in self.axes]
        with torch.no_grad():
            shapes = [tuple(x.shape) for x in self.plain(*map(torch.from_numpy, inputs.values()))]
        found = [np.zeros(shape, np.float32) for shape in shapes]
        arrays = [np.ascontiguousarray(x) for x in inputs.values()]
        pointers = [ctypes.c_void_p(x.ctypes.data) for x in (*arrays, *found)]
        session = ctypes.c_void_p(self.library.lz_open(*sizes))
        self._check(session.value is not None)

        def run() -> list[NDArray[Any]]:
            self._check(self.library.lz_run(session, *sizes, *pointers) == 0)
            return found

        # The session and the arrays behind the pointers live as long as the function.
        weakref.finalize(run, self.library.lz_close, session)
        run.arrays = arrays  # type: ignore[attr-defined]
        return run

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs of these arrays."""
        return self.prepare(inputs)()

    def _check(self, succeeded: bool) -> None:
        if not succeeded:
            raise ExportError(
                f"the C++ of SOFIE does not run: {self.library.lz_said().decode(errors='replace')}"
            )


def _compile(text: bytes, plain: PlainModel, axes: list[str]) -> ctypes.CDLL:
    types = {"bool": "uint8_t"}
    inputs = [f"const {types.get(column.dtype, 'float')}* {column.name}" for column in plain.inputs]
    copies = [
        f"  std::copy(found[{number}].begin(), found[{number}].end(), {name}_out);"
        for number, name in enumerate(plain.output_names)
    ]
    entry = _ENTRY.format(
        header="network.hxx",
        space="SOFIE_" + re.sub(r"\W", "_", plain.name),
        sizes=", ".join(f"size_t {axis}" for axis in axes),
        names=", ".join(axes),
        inputs=", ".join(inputs),
        given=", ".join(plain.input_names),
        outputs=", ".join(f"float* {name}_out" for name in plain.output_names),
        copies="\n".join(copies),
    )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "network.hxx").write_bytes(text)
        (Path(folder) / "entry.cxx").write_text(entry)
        said = "g++ was not found"
        for blas in _LIBRARIES:
            command = ["g++", "-std=c++20", "-O3", "-march=native", "-shared", "-fPIC", "entry.cxx", "-o"]
            try:
                ran = subprocess.run(
                    [*command, "network.so", blas], cwd=folder, capture_output=True, text=True, check=False
                )
            except FileNotFoundError:
                break
            if ran.returncode == 0:
                library = ctypes.CDLL(str(Path(folder) / "network.so"))
                library.lz_open.restype = ctypes.c_void_p
                library.lz_said.restype = ctypes.c_char_p
                return library
            said = next(
                (x for x in ran.stderr.splitlines() if "error" in x or "cannot find" in x), ran.stderr
            )
        raise ExportError(
            f"the C++ of SOFIE could not be compiled to be compared: {said}. It needs g++ and BLAS "
            "(apt install g++ libopenblas-dev)"
        )
