"""Which particles belong to a choice of events? (numpy, without a loop over events)"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["event_index", "gather", "hardest", "jet_observables"]


def gather(
    ptr: NDArray[np.integer], indices: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the particles of some events, and the offsets of these events among them.

    Parameters
    ----------
    ptr : ndarray, shape (B + 1,)
        Event ``i`` owns the particles ``ptr[i]:ptr[i + 1]``.
    indices : ndarray, shape (b,)
        Events wanted, in any order; repetitions are allowed.

    Returns
    -------
    positions : ndarray, shape (p,), int64
    new_ptr : ndarray, shape (b + 1,), int64

    Examples
    --------
    >>> positions, new_ptr = gather(np.array([0, 2, 5]), np.array([1, 0]))
    >>> positions.tolist(), new_ptr.tolist()
    ([2, 3, 4, 0, 1], [0, 3, 5])
    """
    lengths = np.diff(ptr)[indices]
    new_ptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    shift = np.repeat(ptr[:-1][indices] - new_ptr[:-1], lengths)
    return np.arange(new_ptr[-1]) + shift, new_ptr


def event_index(ptr: NDArray[np.integer]) -> NDArray[np.int64]:
    """Event of each particle, shape (P,)."""
    return np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))


def hardest(
    transverse: NDArray[np.floating], ptr: NDArray[np.integer], maximum: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Particles by falling transverse momentum within each event, at most `maximum` of each event.

    Parameters
    ----------
    transverse : ndarray, shape (P,)
        Transverse momenta, in any unit. Equal ones keep their order.
    ptr : ndarray, shape (B + 1,)
    maximum : int, optional
        Number of particles to keep of each event; None keeps all.

    Returns
    -------
    positions : ndarray, shape (p,), int64
    new_ptr : ndarray, shape (B + 1,), int64
    """
    lengths = np.diff(ptr)
    order = np.arange(len(transverse))
    rises = transverse[1:] > transverse[:-1]
    rises[ptr[1:-1][(ptr[1:-1] > 0) & (ptr[1:-1] < len(order))] - 1] = False  # from one event to the next
    # Files mostly hold particles in order: few events are left to sort.
    unsorted = np.unique(np.searchsorted(ptr, np.flatnonzero(rises), side="right") - 1)
    rows, inside = gather(ptr, unsorted)
    order[rows] = rows[np.lexsort((-transverse[rows], event_index(inside)))]
    if maximum is None or not (lengths > maximum).any():
        return order, np.asarray(ptr, dtype=np.int64)
    rank = np.arange(len(order)) - np.repeat(ptr[:-1], lengths)
    new_ptr = np.concatenate([[0], np.cumsum(np.minimum(lengths, maximum))]).astype(np.int64)
    return order[rank < maximum], new_ptr


def jet_observables(
    momenta: NDArray[np.float64], ptr: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mass and transverse momentum of the sum of the particles of each event, and their number, each (B,)."""
    event, count = event_index(ptr), len(ptr) - 1
    total = np.stack([np.bincount(event, component, count) for component in momenta.T], axis=1)
    mass = np.sqrt(np.maximum(total[:, 0] ** 2 - np.square(total[:, 1:]).sum(axis=1), 0.0))
    return mass, np.hypot(total[:, 1], total[:, 2]), np.diff(ptr)
