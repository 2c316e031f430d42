"""Are jets of the class of the decay that they hold, whatever copies and radiation the generator keeps?"""

from __future__ import annotations

import numpy as np
import pytest

from lorentzoo.data.readers.generator_truth import TRUTH_CLASSES, GeneratorParticles, match_jets

FAR = (3.0, 1.0)
"""Outside of the jet, which is at the origin."""
NEAR = (0.2, 0.1)
Particle = tuple[int, int, tuple[float, float]]
"""PDG number, place of the mother, direction."""


def truth(particles: list[Particle], radius: float = 0.8) -> str | None:
    """Class of one jet at the origin; None where it has none."""
    found = GeneratorParticles(
        np.array([0, len(particles)]),
        np.array([pdg for pdg, _, _ in particles], dtype=np.int64),
        np.array([mother for _, mother, _ in particles], dtype=np.int64),
        np.array([place[0] for _, _, place in particles]),
        np.array([place[1] for _, _, place in particles]),
    )
    (number,) = match_jets(np.array([0, 1]), np.zeros(1), np.zeros(1), found, radius)
    return None if number < 0 else TRUTH_CLASSES[number]


def top(
    b: tuple[float, float], q: tuple[float, float], r: tuple[float, float], lepton: bool = False
) -> list[Particle]:
    """A top with a copy, a gluon that it radiates, and its decay through a W with a copy."""
    decay = (-11, 12) if lepton else (2, -1)
    return [
        (6, -1, NEAR),
        (6, 0, NEAR),
        (21, 0, NEAR),
        (24, 1, NEAR),
        (5, 1, b),
        (24, 3, NEAR),
        (decay[0], 5, q),
        (decay[1], 5, r),
    ]


@pytest.mark.parametrize(
    ("particles", "expected"),
    [
        ([], "qcd"),
        ([(21, -1, NEAR), (1, -1, NEAR)], "qcd"),
        (top(NEAR, NEAR, NEAR), "top"),
        (top(FAR, NEAR, NEAR), "W"),
        (top(NEAR, NEAR, FAR), None),
        (top(NEAR, FAR, FAR), None),
        (top(FAR, FAR, FAR), "qcd"),
        (top(NEAR, NEAR, NEAR, lepton=True), None),
        (top(FAR, NEAR, FAR, lepton=True), None),
        ([(23, -1, NEAR), (5, 0, NEAR), (-5, 0, NEAR)], "Z"),
        ([(23, -1, NEAR), (13, 0, NEAR), (-13, 0, NEAR)], None),
        ([(25, -1, NEAR), (21, 0, NEAR), (21, 0, NEAR)], "H"),
        ([(25, -1, NEAR), (25, 0, NEAR), (5, 1, NEAR), (-5, 1, NEAR)], "H"),
        # H → W W* → 4 q, and with one of the W into leptons: what is left is a W.
        (
            [
                (25, -1, NEAR),
                (24, 0, NEAR),
                (-24, 0, NEAR),
                (1, 1, NEAR),
                (-2, 1, NEAR),
                (3, 2, NEAR),
                (-4, 2, NEAR),
            ],
            "H",
        ),
        (
            [
                (25, -1, NEAR),
                (24, 0, NEAR),
                (-24, 0, NEAR),
                (1, 1, NEAR),
                (-2, 1, NEAR),
                (11, 2, FAR),
                (-12, 2, FAR),
            ],
            "W",
        ),
        ([(24, -1, NEAR), (24, 0, NEAR), (1, 0, NEAR), (1, 1, NEAR), (-2, 1, NEAR)], "W"),
        # A mother that is not there.
        ([(1, 7, NEAR), (24, 9, NEAR), (1, 1, NEAR), (-2, 1, NEAR)], "W"),
    ],
)
def test_decays(particles: list[Particle], expected: str | None) -> None:
    assert truth(particles) == expected


def test_angles_go_around() -> None:
    """A jet at φ = π and partons on the other side of the cut."""
    found = GeneratorParticles(
        np.array([0, 3]), np.array([24, 1, -2]), np.array([-1, 0, 0]), np.zeros(3), np.array([3.1, -3.1, 3.1])
    )
    assert match_jets(np.array([0, 1]), np.zeros(1), np.array([3.14]), found, 0.4).tolist() == [2]


def test_events_do_not_mix() -> None:
    """Jets of an event see the particles of that event alone, in any number of events and jets."""
    rng = np.random.default_rng(0)
    kinds = [top(NEAR, NEAR, NEAR), [], top(FAR, NEAR, NEAR), [(25, -1, NEAR), (5, 0, NEAR), (-5, 0, NEAR)]]
    names = ["top", "qcd", "W", "H"]
    which = rng.integers(0, 4, 50)
    jets = rng.integers(0, 3, 50)
    particles = [each for number in which for each in kinds[number]]
    counts = [len(kinds[number]) for number in which]
    found = GeneratorParticles(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.array([pdg for pdg, _, _ in particles]),
        np.array([mother for _, mother, _ in particles]),
        np.array([place[0] for _, _, place in particles]),
        np.array([place[1] for _, _, place in particles]),
    )
    ptr = np.concatenate([[0], np.cumsum(jets)]).astype(np.int64)
    numbers = match_jets(ptr, np.zeros(ptr[-1]), np.zeros(ptr[-1]), found, 0.8)
    expected = [names[number] for number, size in zip(which, jets, strict=True) for _ in range(size)]
    assert [TRUTH_CLASSES[number] for number in numbers] == expected
