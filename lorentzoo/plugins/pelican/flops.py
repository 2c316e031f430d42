"""How much arithmetic do the published PELICANs take?"""

from __future__ import annotations

from lorentzoo.nn import FlopsSetting, NoClosedFormError, count_linear, count_pair_network

__all__ = ["count_original", "count_pelican"]


def count_pelican(at: FlopsSetting) -> int:
    """Maps of all pairs of particles and reference vectors (arXiv:2307.16506, pelican-lite)."""
    at.require_vectors(1)
    at.require_no_kinematics()
    given = at.parameters
    hidden = given["hidden_channels"]
    inside = int(given["message_ratio"] * hidden)
    network = count_pair_network(at.tokens**2, at.auxiliary, hidden, inside, given["num_blocks"])
    return network + 2 * 2 * hidden * at.outputs + at.top_boost


def count_original(at: FlopsSetting) -> int:
    """The first PELICAN tagger (arXiv:2211.00454)."""
    given, pairs = at.parameters, at.tokens**2
    if at.scalars:
        raise NoClosedFormError("the published first PELICAN tagger takes no scalars")
    at.require_vectors(1)
    hidden, inside = given["hidden_channels"], given["message_channels"]
    block = hidden * inside + 15 * inside * hidden
    on_pairs = hidden + given["num_blocks"] * block + hidden * inside
    total = 2 * pairs * on_pairs + 2 * 2 * inside * hidden
    return total + count_linear([hidden, *at.read_out]) + at.top_boost
