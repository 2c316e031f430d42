"""How does a torch-geometric convolution, its code untouched, receive messages from other frames?

The instance's class is swapped for a cached subclass that moves every ``*_j`` argument of `message` and
`edge_update` from the sender's frame to the receiver's, ρ(L_i L_j⁻¹) m_j. Hooks would not do:
`torch.compile` skips them, and a sparse adjacency bypasses the message hook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from torch import Tensor, nn

from lorentzoo import Reps
from lorentzoo.nn import lorentz_inverse

__all__ = ["FrameConv", "sender_arguments"]

_NOT_FEATURES: Final = ("size", "edge_index")


class FrameConv(nn.Module):
    """A torch-geometric convolution between local frames.

    Parameters
    ----------
    conv
        A `torch_geometric.nn.MessagePassing`; its class is swapped, its parameters and state-dict keys stay.
    reps
        For every ``*_j`` argument of its messages, named without the ending, the Lorentz representation of the last
        dimension (of each head or tower where there are such), or None where it is invariant.

    Raises
    ------
    ValueError
        If an argument is undeclared or unknown, or if the convolution splits the channels of a representation.
    """

    def __init__(self, conv: Any, reps: Mapping[str, Reps | None]) -> None:
        super().__init__()
        needed = sender_arguments(conv)
        if set(reps) != needed:
            raise ValueError(
                f"{type(conv).__name__} sends {sorted(needed)}: declare a representation, or None for an invariant, "
                f"for each of them, not for {sorted(reps)}"
            )
        if conv.decomposed_layers != 1:
            raise ValueError("decomposed_layers splits the channels of a representation")
        conv.fuse = False
        conv.__class__ = _with_transport(type(conv))
        conv.__dict__["_reps"] = dict(reps)
        conv.__dict__["_frames"] = None
        conv.__dict__["_relative"] = None
        self.conv = conv

    def forward(self, x: Tensor, edge_index: Tensor, matrices: Tensor | None, **arguments: Any) -> Tensor:
        """Run the convolution.

        Parameters
        ----------
        x
            Node features, (P, F).
        edge_index
            Rows (source, target), (2, E).
        matrices
            Frames of the nodes, (P, 4, 4); None for identity or global ones, between which nothing moves.
        arguments
            Further arguments of the convolution: edge attributes, invariant or in the receiver's frame.
        """
        state = self.conv.__dict__
        # torch-geometric has no argument through which frames could reach `message`: they are held for this call only.
        state["_frames"] = matrices
        try:
            out: Tensor = self.conv(x, edge_index, **arguments)
        finally:
            state["_frames"] = state["_relative"] = None
        return out


def sender_arguments(conv: Any) -> set[str]:
    """Names, without ``_j``, of the sender's features in a convolution's messages."""
    functions = ["message"] + ["edge_update"] * bool(conv.inspector.implements("edge_update"))
    names = {name for function in functions for name in conv.inspector.get_param_names(function)}
    return {name[:-2] for name in names if name.endswith("_j") and name[:-2] not in _NOT_FEATURES}


class _Transport:
    """The three overrides that move messages; mixed in before the convolution's own class."""

    def _check_input(self, edge_index: Any, size: Any) -> Any:
        # The first call of every propagation: here the graph is final, self-loops included.
        frames = self.__dict__["_frames"]
        if frames is not None:
            if not isinstance(edge_index, Tensor):
                raise ValueError("messages between frames need an edge list, not a sparse adjacency")
            receiver, sender = (1, 0) if self.flow == "source_to_target" else (0, 1)  # type: ignore[attr-defined]
            matrices = frames[edge_index[receiver]] @ lorentz_inverse(frames[edge_index[sender]])
            self.__dict__["_relative"] = matrices
        return super()._check_input(edge_index, size)  # type: ignore[misc]

    def message(self, **arguments: Any) -> Any:
        return super().message(**_move_arguments(self, arguments))  # type: ignore[misc]

    def edge_update(self, **arguments: Any) -> Any:
        return super().edge_update(**_move_arguments(self, arguments))  # type: ignore[misc]

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _rebuild, (type(self).__mro__[2],), self.__dict__


def _move_arguments(conv: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    relative = conv.__dict__["_relative"]
    if relative is None:
        return arguments
    moved = dict(arguments)
    for name, reps in conv.__dict__["_reps"].items():
        value = moved.get(f"{name}_j")
        if reps is None or not isinstance(value, Tensor):
            continue
        first = value.movedim(conv.node_dim, 0)
        matrices = relative.to(value.dtype).reshape(-1, *(1,) * (value.ndim - 2), 4, 4)
        moved[f"{name}_j"] = reps.transform(first, matrices).movedim(0, conv.node_dim)
    return moved


_SWAPPED: dict[type, type] = {}


def _with_transport(cls: type) -> type:
    if cls not in _SWAPPED:
        _SWAPPED[cls] = type(f"Lorentz{cls.__name__}", (_Transport, cls), {"__module__": cls.__module__})
    return _SWAPPED[cls]


def _rebuild(cls: type) -> Any:
    made: Callable[..., Any] = object.__new__
    return made(_with_transport(cls))
