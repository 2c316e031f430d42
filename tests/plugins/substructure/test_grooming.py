"""Do soft drop, generalised correlators and the axes of the smallest N-subjettiness agree with FastJet and with their
definitions?"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from lorentzoo.plugins.substructure.axes import smallest_tau
from lorentzoo.plugins.substructure.correlators import n2, n3
from lorentzoo.plugins.substructure.grooming import soft_drop
from lorentzoo.plugins.substructure.observables import Jets, mass, tau


def random_jets(num_jets: int = 12, largest: int = 14, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Massless particles around two or three directions, (B, N, 4), and which are real (B, N)."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    prongs = 0.6 * (uniform(num_jets, 3, 2) - 0.5)
    which = torch.randint(0, 3, (num_jets, largest), generator=generator)
    place = prongs.gather(1, which.unsqueeze(-1).expand(-1, -1, 2)) + 0.2 * (
        uniform(num_jets, largest, 2) - 0.5
    )
    pt = -100 * uniform(num_jets, largest).log()
    eta, phi = place.unbind(-1)
    momenta = torch.stack([pt * eta.cosh(), pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()], dim=-1)
    lengths = torch.randint(5, largest + 1, (num_jets,), generator=generator)
    mask = torch.arange(largest) < lengths.unsqueeze(1)
    return torch.where(mask.unsqueeze(-1), momenta, 0.0), mask


@pytest.mark.parametrize(("z_cut", "beta"), [(0.1, 0.0), (0.1, 1.0), (0.05, 2.0)])
def test_soft_drop_is_that_of_fastjet(z_cut: float, beta: float) -> None:
    fastjet = pytest.importorskip("fastjet")
    ak = pytest.importorskip("awkward")
    momenta, mask = random_jets()
    groomed = Jets(momenta, soft_drop(momenta, mask, z_cut=z_cut, beta=beta, radius=0.8))
    found = mass(groomed)
    angle = fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0)
    for jet, real in enumerate(mask):
        particles = momenta[jet, real].numpy()
        record = ak.zip(dict(zip(("E", "px", "py", "pz"), particles.T, strict=True)), with_name="Momentum4D")
        sequence = fastjet._pyjet.AwkwardClusterSequence(record, angle)
        expected = sequence.exclusive_jets_softdrop_grooming(njets=1, beta=beta, symmetry_cut=z_cut, R0=0.8)
        assert float(found[jet]) == pytest.approx(
            float(np.ravel(ak.to_numpy(expected.msoftdrop))[0]), rel=1e-6
        )


def test_soft_drop_keeps_what_is_alone_and_nothing_of_nothing() -> None:
    momenta, mask = random_jets(3)
    mask[0], mask[1] = False, False
    mask[1, 0] = True
    kept = soft_drop(momenta, mask)
    assert kept[0].sum() == 0
    assert kept[1].nonzero().tolist() == [[0]]
    assert bool((kept <= mask).all())
    # Nothing is dropped where nothing is demanded.
    assert torch.equal(soft_drop(momenta, mask, z_cut=0.0), mask)


def test_generalised_correlators_are_the_sums_of_their_definition() -> None:
    momenta, mask = random_jets(4, largest=8)
    jets = Jets(momenta, mask)
    for jet in range(4):
        z = jets.fractions[jet][mask[jet]].numpy()
        places = jets.offsets[jet][mask[jet]].numpy()

        def apart(i: int, j: int, places: np.ndarray = places) -> float:
            return float(np.hypot(*(places[i] - places[j])))

        def correlator(size: int, angles: int, z: np.ndarray = z) -> float:
            total = 0.0
            for members in itertools.combinations(range(len(z)), size):
                sides = sorted(apart(i, j) for i, j in itertools.combinations(members, 2))
                total += np.prod(z[list(members)]) * np.prod(sides[:angles])
            return float(total)

        assert float(n2(jets)[jet]) == pytest.approx(correlator(3, 2) / correlator(2, 1) ** 2)
        assert float(n3(jets)[jet]) == pytest.approx(correlator(4, 2) / correlator(3, 1) ** 2)


def test_moved_axes_make_n_subjettiness_smaller_and_stay_where_they_are_best() -> None:
    momenta, mask = random_jets(10)
    jets = Jets(momenta, mask, counts=(4, 3, 2, 1))
    for count in (1, 2, 3, 4):
        assert bool((smallest_tau(jets, count) <= tau(jets, count) + 1e-12).all())
    # Of one axis the minimum is the only one: no point of a grid is better.
    smallest = smallest_tau(jets, 1)
    grid = torch.linspace(-0.5, 0.5, 41, dtype=torch.float64)
    for along, around in itertools.product(grid.tolist(), grid.tolist()):
        moved = jets.offsets - torch.tensor([along, around])
        value = (jets.fractions * moved.norm(dim=-1)).sum(1)
        assert bool((smallest <= value + 1e-9).all())
