"""How much arithmetic does the published P-CNN take?"""

from __future__ import annotations

from lorentzoo.nn import FlopsSetting, count_linear

__all__ = ["count_convolutions"]


def count_convolutions(at: FlopsSetting) -> int:
    """Residual convolutions along as many places as there are particles (arXiv:1902.08570)."""
    given = at.parameters
    places, width = at.particles, given["stem"]
    total = 2 * places * 3 * at.scalars * width
    for stage, out in enumerate(given["stages"]):
        for unit in range(given["units"]):
            shrinks = stage > 0 and unit == 0
            places = -(-places // 2) if shrinks else places
            total += 2 * places * 3 * (width * out + out * out)
            total += 2 * places * width * out if shrinks or width != out else 0
            width = out
    return total + count_linear([width, *at.read_out])
