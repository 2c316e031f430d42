"""How do helicity amplitudes of q q̄ → V V become |M|² with the decays of both bosons?

Currents of the decays are known exactly, so that of a function of eight coordinates nine smooth functions of four are
left to be learned, as in arXiv:2302.00753.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lorentzoo import EventData, JetDataset
from lorentzoo.nn import boost_to_rest
from lorentzoo.plugins.amplitudes.data.vector_pairs import COORDINATES
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.truth.vector_pairs import (
    complete_by_parity,
    contract_with_currents,
    decay_current,
)

__all__ = ["square_with_decays", "without_decays"]

_PAIR: tuple[str, ...] = ("q", "q~", "V1", "V2")


def without_decays(data: EventData) -> JetDataset:
    """The bosons of events with decays: events of four coordinates, with their targets.

    Parameters
    ----------
    data
        Of the data set `vector-pairs` with eight coordinates.

    Raises
    ------
    AmplitudeError
        If it is another one.
    """
    momenta = _momenta_of(data)
    count = len(_PAIR)
    return JetDataset(
        torch.cat([momenta[:, :2], _bosons_of(momenta)], dim=1).flatten(0, 1),
        torch.arange(len(momenta) + 1) * count,
        data.target,
        data.weight,
        data.event_id,
        scalars=torch.eye(count).repeat(len(momenta), 1),
        context=data.context[:, :4],
        scalar_names=_PAIR,
        context_names=data.context_names[:4],
        target_names=data.target_names,
        validate=False,
    )


def square_with_decays(data: EventData, left: Tensor) -> Tensor:
    """|M|² of events with decays, from the nine amplitudes of a left-handed quark.

    Parameters
    ----------
    data
        Of the data set `vector-pairs` with eight coordinates.
    left
        Amplitudes by the helicities of both bosons (-, 0, +), as ``target="helicities"`` has them, shape (B, 9).

    Returns
    -------
    Summed over the helicities of the quark, GeV⁴, shape (B,).

    Raises
    ------
    AmplitudeError
        If the data are others, or amplitudes have another shape.
    """
    momenta = _momenta_of(data)
    if left.shape != (len(momenta), 9):
        raise AmplitudeError(
            f"{len(momenta)} events have amplitudes of shape {(len(momenta), 9)}, not {tuple(left.shape)}"
        )
    bosons = _bosons_of(momenta)
    currents = [_current_of(bosons[:, place], momenta[:, 2 + 2 * place]) for place in (0, 1)]
    amplitudes = complete_by_parity(left.to(torch.float64).unflatten(1, (3, 3)).to(torch.complex128))
    pair = torch.cat([momenta[:, :2], bosons], dim=1)
    return contract_with_currents(amplitudes, pair, *currents).abs().square().sum(1)


def _momenta_of(data: EventData) -> Tensor:
    """q, q̄, and what the bosons decay into, (B, 6, 4)."""
    if tuple(data.context_names) != COORDINATES:
        raise AmplitudeError(
            "decays are those of the data set 'vector-pairs' with dimensions=8, whose context is "
            f"{', '.join(COORDINATES)}; these data have {', '.join(data.context_names) or 'none'}"
        )
    return data[:].cloud.momenta.to(torch.float64).unflatten(0, (len(data), 6))


def _bosons_of(momenta: Tensor) -> Tensor:
    return momenta[:, 2:].unflatten(1, (2, 2)).sum(2)


def _current_of(boson: Tensor, particle: Tensor) -> Tensor:
    """Current of a decay, (4, B), from the momenta of the boson and of its first particle."""
    at_rest = (boost_to_rest(boson) @ particle.unsqueeze(-1)).squeeze(-1)
    cos = (at_rest[:, 3] / at_rest[:, 1:].norm(dim=-1)).clamp(-1, 1)
    return decay_current(boson, cos, torch.atan2(at_rest[:, 2], at_rest[:, 1]))
