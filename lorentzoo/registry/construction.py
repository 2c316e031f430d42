"""How large may a network be that a specification asks for?"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import torch
from torch import nn
from torch.nn.modules import module as torch_module
from torch.overrides import TorchFunctionMode

from lorentzoo.core.errors import CompositionError

__all__ = ["MAX_LAYERS", "MAX_PARAMETERS", "bounded_construction"]

MAX_PARAMETERS: Final = 100_000_000
"""Numbers of a part, forty times those of the largest network of the zoo. ``LORENTZOO_MAX_PARAMETERS`` allows more."""
MAX_LAYERS: Final = 1_000
"""Modules inside a part; the largest network of the zoo has 169."""
_FILLERS: Final = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye, torch.arange}
)
"""What makes a tensor of a given size; most others work on tensors that are there."""


@contextlib.contextmanager
def bounded_construction(label: str) -> Iterator[None]:
    """Refuse a part as soon as it asks for more layers than `MAX_LAYERS` or more numbers than `MAX_PARAMETERS`.

    Parameters
    ----------
    label
        How errors call the part.

    Raises
    ------
    CompositionError
        While the part is made, before the memory of what is too large is written to.
    """
    count = _Count(label)
    hooks = [
        torch_module.register_module_module_registration_hook(count.add_layer),
        torch_module.register_module_parameter_registration_hook(count.add_parameter),
    ]
    try:
        with _Sizes(count):
            yield
    finally:
        for hook in hooks:
            hook.remove()


class _Count:
    """How much a part has so far."""

    def __init__(self, label: str) -> None:
        # Registration hooks see what other threads make, too.
        self._label, self._thread = label, threading.get_ident()
        self._layers, self._numbers = 0, 0
        self._allowed = int(os.environ.get("LORENTZOO_MAX_PARAMETERS", MAX_PARAMETERS))

    def add_layer(self, _: nn.Module, name: str, layer: Any) -> None:
        self._layers += threading.get_ident() == self._thread
        if self._layers > MAX_LAYERS:
            raise CompositionError(f"{self._label} would have more than {MAX_LAYERS} layers")

    def add_parameter(self, _: nn.Module, name: str, parameter: Any) -> None:
        if parameter is not None and threading.get_ident() == self._thread:
            self._numbers += parameter.numel()
            self.check(self._numbers)

    def check(self, numbers: int) -> None:
        if numbers > self._allowed:
            raise CompositionError(
                f"{self._label} would have more than {self._allowed} parameters; "
                "set LORENTZOO_MAX_PARAMETERS if it should"
            )


class _Sizes(TorchFunctionMode):
    """Looks at the size of a tensor before it is filled."""

    def __init__(self, count: _Count) -> None:
        super().__init__()
        self._count = count

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _FILLERS:
            first = kwargs.get("size", args[0] if args else 0)
            sizes = first if isinstance(first, list | tuple) else args
            numbers = math.prod(size for size in sizes if isinstance(size, int))
            self._count.check(numbers**2 if func is torch.eye and len(args) == 1 else numbers)
        return func(*args, **kwargs)
