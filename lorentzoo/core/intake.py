"""How are arrays, lists and records from outside read into tensors, without a value taken for another?

Nothing here guesses: what an array says of itself (a mask, a counter, a fraction) is honoured or refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lorentzoo.core.errors import InputError, ParameterError
from lorentzoo.core.momentum_columns import find_columns, join_momenta, read_order
from lorentzoo.core.name_lists import list_names

__all__ = [
    "MOMENTUM_ORDER",
    "read_columns",
    "read_mask",
    "read_momenta",
    "read_names",
    "read_ptr",
    "read_vectors",
    "unpack_awkward",
    "unpack_events",
    "unpack_pyg",
]

MOMENTUM_ORDER: Final = "E,px,py,pz"
"""Order of the components of momenta, where nothing else is said."""
_ORDER: Final = ("E", "px", "py", "pz")
_LARGEST_ITEM: Final = {"b": 1, "i": 8, "u": 8, "f": 8, "c": 16}
"""Bytes of the largest numbers of each kind that torch has."""
_MOST_EVENTS: Final = 10**8
"""A batch vector that names later events is damaged: each number below it would be an empty event."""


def read_tensor(values: Tensor | ArrayLike, what: str) -> Tensor:
    """A tensor of anything like an array: of either byte order and any strides.

    Raises
    ------
    InputError
        If it does not hold numbers, or is a masked array that hides values: a mask belongs into the layout.
    """
    if isinstance(values, Tensor):
        # A cloud made in inference mode may be trained on later.
        compiled = torch.compiler.is_compiling()
        return values.clone() if not compiled and values.is_inference() else values
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            raise InputError(
                f"{what} is a masked array that hides {int(np.ma.count_masked(values))} values; give "
                "from_padded the mask of real particles (numpy's masks say the opposite), and plain arrays"
            )
        values = values.filled()
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError):  # lists of unequal length, whole numbers beyond 64 bits
        array = np.empty(0, dtype=object)
    if array.dtype == object:
        raise InputError(f"{what} is a ragged or mixed array of objects; see ParticleCloud.from_list")
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > _LARGEST_ITEM[array.dtype.kind]:
        raise InputError(f"{what} holds {array.dtype}, not numbers of at most 64 bits")
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    # One of a single number counts as contiguous with negative strides, too, which torch refuses; of memory that must not
    # be written to it warns.
    usable = array.flags.writeable and min(array.strides, default=0) >= 0
    return torch.as_tensor(array if usable else array.copy())


def read_momenta(
    values: Tensor | ArrayLike, ndim: int, shape: str, order: str | Sequence[str] = MOMENTUM_ORDER
) -> Tensor:
    """Momenta (E, px, py, pz) of the number of dimensions that a layout has, in float64, from components in any order."""
    p = read_tensor(values, "momenta")
    components = _ORDER if order == MOMENTUM_ORDER else read_order(order)
    if p.ndim != ndim or p.shape[-1] != len(components):
        raise InputError(
            f"momenta must have shape {shape.replace('4', str(len(components)))} with components "
            f"({', '.join(components)}), not {tuple(p.shape)}"
        )
    if p.dtype.is_complex:
        raise InputError(f"momenta must be real numbers, not {p.dtype}")
    if components == _ORDER:
        return p.to(torch.float64)
    return join_momenta({name: p[..., place] for place, name in enumerate(components)})


def read_mask(values: Tensor | ArrayLike, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Which places hold a particle, as bool; numbers must be zero or one."""
    mask = read_tensor(values, "mask").to(device)
    if tuple(mask.shape) != shape:
        raise InputError(f"mask must have shape {shape} like the momenta, not {tuple(mask.shape)}")
    if mask.dtype != torch.bool and mask.device.type != "meta":
        strange = (mask != 0) & (mask != 1)
        if bool(strange.any()):
            raise InputError(
                f"mask must be true or false (1 or 0), but holds {mask[strange][0].item()}; compare it with something"
            )
    return mask.to(torch.bool)


def read_ptr(values: Tensor | ArrayLike, device: torch.device) -> Tensor:
    """Where each event begins, as int64; fractions are refused, not cut off."""
    ptr = read_tensor(values, "ptr").to(device)
    if ptr.is_floating_point() and not bool((ptr == ptr.trunc()).all()):
        fraction = ptr[ptr != ptr.trunc()][0].item()
        raise InputError(f"ptr must hold whole numbers of rows, but holds {fraction}")
    if ptr.dtype == torch.bool or ptr.dtype.is_complex:
        raise InputError(f"ptr must hold whole numbers of rows, not {ptr.dtype}")
    return ptr.to(torch.int64)


def read_names(names: Sequence[str], what: str) -> tuple[str, ...]:
    """Names of columns, none twice, as a tuple of text."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ParameterError(f"{what} must be a list of names, not {names!r}")
    found = tuple(names)
    if not all(isinstance(name, str) for name in found):
        raise ParameterError(f"{what} must be a list of names, not {names!r}")
    if len(set(found)) < len(found):
        raise InputError(f"{what} names a column twice: {list(found)}")
    return found


def read_columns(
    values: Tensor | ArrayLike | None,
    lead: tuple[int, ...],
    device: torch.device,
    what: str,
    names: Sequence[str],
) -> Tensor:
    """Named numbers of particles or events, shape (*lead, columns), in floating point."""
    if values is None:
        if names:
            raise InputError(f"{what} has names {list(names)} but no values")
        return torch.zeros(*lead, 0, device=device)
    x = read_tensor(values, what).to(device)
    x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
    if tuple(x.shape[:-1]) != lead:
        raise InputError(f"{what} must have shape {(*lead, 'columns')}, not {tuple(x.shape)}")
    if names and len(names) != x.shape[-1]:
        raise InputError(f"{what} has {x.shape[-1]} columns but {len(names)} names {list(names)}")
    return x


def read_vectors(values: Tensor | ArrayLike | None, lead: tuple[int, ...], device: torch.device) -> Tensor:
    """Further four-vectors of each particle, shape (*lead, V, 4), float64."""
    if values is None:
        return torch.zeros(*lead, 0, 4, dtype=torch.float64, device=device)
    v = read_tensor(values, "vectors").to(dtype=torch.float64, device=device)
    if tuple(v.shape[:-2]) != lead or v.shape[-1] != 4:
        raise InputError(f"vectors must have shape {(*lead, 'V', 4)}, not {tuple(v.shape)}")
    return v


def unpack_events(
    momenta: Sequence[Tensor | ArrayLike], scalars: Sequence[Tensor | ArrayLike] | None, width: int = 4
) -> tuple[Tensor, NDArray[np.int64], Tensor | None]:
    """Momenta (P, width), ptr (B+1) and scalars (P, S) from one array an event."""
    events = [read_tensor(event, f"event {number}") for number, event in enumerate(_each(momenta, "momenta"))]
    events = [event.reshape(0, width) if event.numel() == 0 else event for event in events]
    for number, event in enumerate(events):
        if event.ndim != 2 or event.shape[1] != width:
            raise InputError(
                f"event {number} must have shape (n, {width}) with the components of momenta (E, px, py, pz), "
                f"or as order says, not {tuple(event.shape)}"
            )
    p = torch.cat(events) if events else torch.zeros(0, width)
    wanted = [len(event) for event in events]
    ptr = np.concatenate([[0], np.cumsum(wanted)]).astype(np.int64)
    if scalars is None:
        return p, ptr, None
    columns = [
        read_tensor(event, f"scalars of event {number}")
        for number, event in enumerate(_each(scalars, "scalars"))
    ]
    given = [event.shape[0] if event.ndim else 0 for event in columns]
    if given != wanted:
        raise InputError(f"scalars are for events of {given} particles, but the momenta of {wanted}")
    return p, ptr, torch.cat(columns) if columns else None


def _each(values: Any, what: str) -> list[Any]:
    """What is given of each event, as a list."""
    if getattr(values, "ndim", 1) == 0 or not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise ParameterError(f"{what} must be a list with one array an event, not {type(values).__name__}")
    return list(values)


def unpack_awkward(
    array: Any, scalars: Sequence[str], momentum: Mapping[str, str] | None = None
) -> tuple[Tensor, NDArray[np.int64], NDArray[np.float32] | None]:
    """Momenta, ptr and scalars from awkward records with the components of momenta as fields, see `find_columns`."""
    import awkward as ak

    if not isinstance(array, ak.Array):
        raise ParameterError(
            f"expected an awkward array of events, each a list of records E, px, py, pz, not {type(array).__name__}"
        )
    scalars = read_names(scalars, "scalars")
    fields = ak.fields(array)
    components = find_columns(fields, momentum, what="the awkward array")
    missing = [name for name in scalars if name not in fields]
    if missing:
        raise InputError(
            f"the awkward array has no field {missing}; its fields are {list_names(fields, missing)}"
        )
    wanted = [*components.values(), *scalars]
    counts = np.zeros(0, np.int64)
    flat: list[NDArray[Any]] = []
    for name in wanted:
        own, values = _flatten_field(array[name], name)
        counts = counts if flat else own
        if not np.array_equal(own, counts):
            first = int(np.argmax(own != counts))
            raise InputError(
                f"event {first} has {int(counts[first])} particles by field {wanted[0]!r}, but {int(own[first])} by "
                f"{name!r}"
            )
        flat.append(values)
    ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    momenta = join_momenta(
        {name: read_tensor(column, name) for name, column in zip(components, flat, strict=False)}
    )
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused with all that is not finite
        rows = (
            np.stack([column.astype(np.float32) for column in flat[len(components) :]], axis=-1)
            if scalars
            else None
        )
    return momenta, ptr, rows


def _flatten_field(column: Any, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Numbers of particles of each event (B,), and the values of all of them (P,)."""
    import awkward as ak

    try:
        if bool(ak.any(ak.is_none(column))) or bool(ak.any(ak.is_none(column, axis=1), axis=None)):
            raise MissingValuesError(name)
        counts = ak.to_numpy(ak.num(column, axis=1))
        values = np.ma.getdata(ak.to_numpy(ak.flatten(column, axis=1)))
        fits = column.ndim == 2 and values.ndim == 1 and (values.dtype.kind in "biuf" or not values.size)
    except MissingValuesError:
        raise InputError(
            f"field {name!r} of the awkward array has missing values (None); drop or fill them"
        ) from None
    except Exception:  # awkward raises many kinds on unions, records and depths that differ
        fits = False
    if not fits:
        raise InputError(
            f"field {name!r} of the awkward array must be a list of numbers in each event, not {ak.type(column)}"
        )
    return np.asarray(counts, np.int64), values if values.size else np.zeros(0)


class MissingValuesError(Exception):
    """Within this module: a field has missing values."""


def unpack_pyg(data: Any) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Momenta, ptr, scalars and context of torch-geometric data; events as ``ptr`` or else ``batch`` says."""
    momenta, scalars, context, ptr, batch = (
        None if (value := getattr(data, name, None)) is None else read_tensor(value, f"`{name}`")
        for name in ("momenta", "x", "context", "ptr", "batch")
    )
    if momenta is None:
        known = sorted(data.keys()) if callable(getattr(data, "keys", None)) else type(data).__name__
        raise InputError(f"the torch-geometric data has no `momenta` (P, 4); its attributes are {known}")
    if not momenta.ndim:
        raise InputError("`momenta` must have shape (P, 4) with components (E, px, py, pz), not ()")
    if ptr is not None and ptr.ndim != 1:
        raise InputError(f"`ptr` must say where each event begins, shape (B+1,), not {tuple(ptr.shape)}")
    if batch is not None:
        least = len(context) if context is not None and context.ndim else 0
        counted = _count_rows(batch, momenta.shape[0], least)
        if ptr is not None and not _same_events(ptr, counted):
            raise InputError(
                "`ptr` and `batch` of the torch-geometric data give other events; drop one of them"
            )
        ptr = counted if ptr is None else ptr
    if ptr is None:
        ptr = torch.tensor([0, momenta.shape[0]], dtype=torch.int64, device=momenta.device)
    return momenta, ptr, scalars, context


def _count_rows(batch: Tensor, rows: int, least: int) -> Tensor:
    """The ptr of a vector that names the event of each row, in order."""
    if batch.ndim != 1 or len(batch) != rows:
        raise InputError(f"`batch` must name the event of each of {rows} particles, not {tuple(batch.shape)}")
    whole = not (batch.is_floating_point() or batch.is_complex() or batch.dtype == torch.bool)
    if not whole or (len(batch) and int(batch.min()) < 0):
        raise InputError("`batch` must hold numbers of events: whole, from 0")
    if bool((batch.diff() < 0).any()):
        raise InputError(
            "`batch` is not sorted, so that events would be torn apart; sort particles by event first "
            "(order = batch.argsort(stable=True))"
        )
    if len(batch) and int(batch[-1]) >= _MOST_EVENTS:
        raise InputError(
            f"`batch` names the event {int(batch[-1])}, which is no number of an event of {rows} particles"
        )
    counts = torch.bincount(batch.to(torch.int64), minlength=least)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _same_events(ptr: Tensor, counted: Tensor) -> bool:
    """Whether both agree, but for empty events at the end, which a batch vector cannot name."""
    ends = counted.to(ptr.device)
    further = len(ptr) - len(ends)
    return further >= 0 and torch.equal(ptr, torch.cat([ends, ends[-1:].expand(further)]))
