"""How does madspace, the phase space of MadGraph 7, draw points?

Its fast RAMBO (arXiv:1308.2922) maps 3 n - 4 random numbers to n momenta; two particles are its decay of one into two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from lorentzoo.nn import MissingExtraError
from lorentzoo.plugins.amplitudes.errors import AmplitudeError

__all__ = ["fast_rambo"]

_MOST_PARTICLES: Final = 12


def fast_rambo(uniform: Tensor, sqrt_s: Tensor, masses: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Momenta of n outgoing particles in their centre-of-mass frame, and their weights, by madspace.

    Parameters
    ----------
    uniform
        Random numbers in (0, 1), shape (B, 3 n - 4), float64.
    sqrt_s
        Energies in GeV, shape (B,), above the sum of the masses.
    masses
        Masses in GeV, 2 to 12 of them.

    Returns
    -------
    Momenta (B, n, 4), and weights (B,) whose mean is the volume of phase space, as those of `rambo`.

    Raises
    ------
    MissingExtraError
        Without madspace.
    AmplitudeError
        On another number of particles or of random numbers.
    """
    n = len(masses)
    if not 2 <= n <= _MOST_PARTICLES or uniform.shape[1:] != (3 * n - 4,):
        raise AmplitudeError(
            f"madspace draws 2 to {_MOST_PARTICLES} particles from random numbers (B, 3 n - 4), not {n} from "
            f"{tuple(uniform.shape)}; take sampler='rambo'"
        )
    massive = any(masses) or n == 2
    columns = [*uniform.t(), sqrt_s, *(torch.full_like(sqrt_s, mass) for mass in masses if massive)]
    *momenta, volume = _mapping(n, massive)(*(np.ascontiguousarray(column.numpy()) for column in columns))
    found = torch.stack([torch.from_numpy(np.array(momentum)) for momentum in momenta], dim=1)
    # Theirs is without the powers of 2π.
    return found, torch.from_numpy(np.array(volume)) * (2 * math.pi) ** (4 - 3 * n)


@cache
def _mapping(n: int, massive: bool) -> Any:
    try:
        import madspace
    except ImportError as error:
        raise MissingExtraError(
            f"sampler='madspace' needs {error.name!r}; run: pip install \"lorentzoo[generators]\", or take "
            "sampler='rambo'"
        ) from error
    mapping = madspace.TwoBodyDecay(True) if n == 2 else madspace.FastRamboMapping(n, not massive)
    return madspace.FunctionRuntime(mapping.forward_function())
