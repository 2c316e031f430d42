"""Which quantisation stands behind a name, and how are integers kept in a file?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from lorentzoo.core.errors import CheckpointError
from lorentzoo.core.quantisation import Int4, Int8, Quantisation, choose_matrices, find_integers
from lorentzoo.core.quantisation import quantise as quantise_by
from lorentzoo.core.trainable import Trainable
from lorentzoo.registry.kinds import Kinds

__all__ = ["count_bytes", "pack_state", "quantise", "read_quantisation", "unpack_state", "write_quantisation"]

_KINDS: Final[Kinds[Quantisation]] = Kinds(
    "quantise", "there is no quantisation", "quantisation", {"int8": Int8, "int4": Int4}
)
_SCALES: Final = ".scales"


def quantise(model: Trainable, quantisation: str | Mapping[str, Any] | None) -> Trainable:
    """Round the weights of a trained model to integers, each row of a matrix with a scale of its own.

    `lorentzoo.save` then writes integers and scales, and what `lorentzoo.load` makes of them is the same to the last bit.
    A model that is trained with ``quantise`` in its recipe loses less, since it learns with rounded weights. Maps that
    commute with the Lorentz group do so with any numbers: the symmetry stays as it is.

    Parameters
    ----------
    model
        Changed in place, in float32 or float64.
    quantisation
        ``"int8"`` or ``"int4"``, with ``parameters='backbone.*'`` for some of the matrices, and ``activations=8`` to
        round the invariants that enter linear maps as well; or a mapping with a name. None says that the weights need
        no longer be integers.

    Returns
    -------
    The model.

    Raises
    ------
    ParameterError
        If there is no such quantisation, the model has adapters, or no matrix is chosen.

    Examples
    --------
    >>> import lorentzoo as lz
    >>> lz.quantise(lz.create_model("transformer-1k"), "int4").quantisation
    Int4(activations=None, parameters='*')
    """
    return quantise_by(model, None if quantisation is None else read_quantisation(quantisation))


def read_quantisation(value: Any) -> Quantisation:
    """A quantisation from a name, inline text or a mapping; errors as of `Kinds.read`."""
    return _KINDS.read(value)


def write_quantisation(quantisation: Quantisation) -> dict[str, Any]:
    """Plain data that `read_quantisation` reads back, without what is as it is by default."""
    return _KINDS.write(quantisation)


def pack_state(model: Trainable) -> dict[str, Tensor]:
    """The state dict of a model, of its rounded matrices integers and scales.

    Integers of eight bits are kept in the shape of the matrix as int8; of those of four bits two share a byte, the first
    in its lower half, in one row of uint8. ``NAME.scales`` has a number for each row of a matrix.

    Raises
    ------
    CheckpointError
        If weights are no longer integers times scales, e.g. since they were changed by hand.
    """
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    quantisation = model.quantisation
    if quantisation is None:
        return state
    wrong = []
    for name in choose_matrices(model, quantisation):
        found = find_integers(state[name], quantisation.bits)
        if found is None:
            wrong.append(name)
            continue
        integers, state[name + _SCALES] = found
        state[name] = _pack(integers) if quantisation.bits == 4 else integers
    if wrong:
        raise CheckpointError(
            f"weights of this quantised model are not integers times scales ({', '.join(wrong[:3])}); round them by "
            "lorentzoo.quantise(model, 'int8'), or leave that by lorentzoo.quantise(model, None)"
        )
    return state


def unpack_state(
    model: Trainable, state: Mapping[str, Tensor], quantisation: Quantisation
) -> dict[str, Tensor]:
    """Undo `pack_state`, for a model of the same composition.

    Raises
    ------
    CheckpointError
        Naming matrices whose integers are missing or of another number.
    """
    unpacked, wrong = dict(state), []
    own = model.state_dict()
    for name in choose_matrices(model, quantisation):
        stored, scales = state.get(name), unpacked.pop(name + _SCALES, None)
        shape = own[name].shape
        if stored is None or scales is None or scales.shape != shape[:1]:
            wrong.append(name)
            continue
        if quantisation.bits == 4:
            stored = _unpack(stored, shape.numel()) if stored.ndim == 1 else stored
        if stored.numel() != shape.numel():
            wrong.append(name)
            continue
        rows = stored.reshape(shape).to(scales.dtype)
        unpacked[name] = rows * scales.reshape(-1, *[1] * (len(shape) - 1))
    if wrong:
        raise CheckpointError(f"integers or scales of {', '.join(wrong)} are not those of this model")
    return unpacked


def count_bytes(model: Trainable) -> int:
    """Bytes of the tensors that `lorentzoo.save` writes of a model, without names and shapes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in pack_state(model).values())


def _pack(integers: Tensor) -> Tensor:
    """Two numbers of -7 to 7 a byte."""
    flat = (integers.flatten() & 0xF).to(torch.uint8)
    if flat.numel() % 2:
        flat = torch.cat([flat, flat.new_zeros(1)])
    low, high = flat.reshape(-1, 2).unbind(1)
    return low | (high << 4)


def _unpack(packed: Tensor, count: int) -> Tensor:
    halves = torch.stack([packed & 0xF, packed >> 4], dim=1).flatten()[:count].to(torch.int8)
    return torch.where(halves > 7, halves - 16, halves)
