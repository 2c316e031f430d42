"""Which events of given multiplicities are there to try a generator on?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch

from lorentzoo import Batch, Packed, ParticleCloud, load_dataset
from lorentzoo.densities import Cuts

__all__ = ["events_of"]

_JETS: Final = 6
_TRIES: Final = 5000
"""Shipped events that are looked at."""


def events_of(
    numbers: Sequence[int], count: int, cuts: Cuts, in_scalars: int = 0, in_context: int = 0
) -> Batch:
    """Jets of shipped top pairs, of several events side by side where one has too few, that pass cuts.

    Parameters
    ----------
    numbers
        Numbers of particles, which the events have in turn.
    count
        How many events.
    cuts
        That they pass.
    in_scalars, in_context
        Scalars are the one-hot of the place, as far as it goes; two contexts come in turn.

    Raises
    ------
    ValueError
        If too few events pass.
    """
    most = max(numbers)
    together = -(-most // _JETS)
    source = load_dataset("ttbar", split="train", num_events=_TRIES)
    momenta = source.batch(range(_TRIES // together * together)).cloud.momenta
    joined = momenta.unflatten(0, (-1, together * _JETS))
    wanted = torch.tensor(list(numbers)).repeat(-(-count // len(numbers)))[:count]
    chosen: list[torch.Tensor] = [joined[:0, 0]] * count
    for number in set(numbers):
        whole = joined[:, :number]
        layout = Packed.from_lengths([number] * len(whole))
        passed = whole[cuts.events(whole.flatten(0, 1), layout)]
        places = (wanted == number).nonzero().squeeze(1).tolist()
        if len(passed) < len(places):
            raise ValueError(
                f"only {len(passed)} of {len(whole)} events of {number} jets pass {cuts}: give events of your own"
            )
        for place, event in zip(places, passed, strict=False):
            chosen[place] = event
    kinds = torch.eye(most, max(in_scalars, 1), dtype=torch.float64)[:, :in_scalars]
    contexts = torch.randn(2, in_context, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    cloud = ParticleCloud.from_packed(
        torch.cat(chosen),
        Packed.from_lengths(wanted.tolist()).ptr,
        torch.cat([kinds[:number] for number in wanted.tolist()]),
        contexts[torch.arange(count) % 2],
    )
    batch = source.batch(torch.arange(count) % len(source))
    return replace(batch, cloud=cloud)
