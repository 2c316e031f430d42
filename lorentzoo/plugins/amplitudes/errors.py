"""Which errors do amplitudes raise?"""

from __future__ import annotations

from lorentzoo.nn import LorentzooError

__all__ = ["AmplitudeError"]


class AmplitudeError(LorentzooError, ValueError):
    """Points, processes or settings for which there is no amplitude; the message names the first of them."""
