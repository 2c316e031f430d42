"""Are coordinates bijections, with the Jacobians that they state, and the symmetry that they compute?"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import lorentzoo as lz
from lorentzoo.core.errors import NotFittedError
from lorentzoo.core.minkowski import exp, from_ptetaphim, mass_squared
from lorentzoo.densities.coordinates import COORDINATES, Coordinates, Cuts, Standardise, make_coordinates

MASS = 4.0
BOUNDS: dict[str, dict[str, Any]] = {
    "log-pt-phi-eta-log-mass": {"pt_min": 22.0, "mass_min": 1.0, "eta_max": 5.0},
    "log-pt-phi-rapidity-log-mass": {"pt_min": 22.0, "mass_min": 1.0},
    "cartesian-log-mass": {"mass_min": 1.0},
    "pt-phi-eta-mass": {"eta_max": 4.0},
    "on-shell-cartesian": {"mass": MASS},
    "on-shell-pt-phi-eta": {"mass": MASS},
    "on-shell-log-pt-phi-eta": {"mass": MASS, "pt_min": 22.0},
}


def momenta(count: int, seed: int = 0, mass: float | None = None) -> Tensor:
    """Momenta within pT > 22, m > 1 and |η| < 3."""
    rng = torch.Generator().manual_seed(seed)
    u = torch.rand(4, count, generator=rng, dtype=torch.float64)
    m = 1.01 + 30 * u[3] if mass is None else torch.full_like(u[3], mass)
    return from_ptetaphim(22.01 + 200 * u[0], 6 * u[1] - 3, math.pi * (2 * u[2] - 1), m)


def made(name: str, standardise: str = "componentwise") -> tuple[Coordinates, Tensor]:
    mass = MASS if name.startswith("on-shell") else None
    coordinates = make_coordinates(name, standardise=standardise, **BOUNDS.get(name, {}))  # type: ignore[arg-type]
    coordinates.fit(momenta(300, seed=5, mass=mass))
    return coordinates, momenta(20, mass=mass)


def jacobian(fn: Any, x: Tensor) -> Tensor:
    """Dense Jacobian of a map of single rows, (P, D_out, D_in)."""
    return torch.func.vmap(torch.func.jacrev(fn))(x)


@pytest.mark.parametrize("standardise", ["none", "componentwise"])
@pytest.mark.parametrize("name", COORDINATES)
class TestEveryKind:
    def test_inverse(self, name: str, standardise: str) -> None:
        coordinates, p = made(name, standardise)
        torch.testing.assert_close(coordinates.inverse(coordinates(p)), p, rtol=1e-11, atol=1e-11)
        x = coordinates(p)
        torch.testing.assert_close(coordinates(coordinates.inverse(x)), x, rtol=1e-9, atol=1e-9)
        assert x.shape[-1] == coordinates.dim == len(coordinates.names) == len(coordinates.periods)

    def test_log_det_is_that_of_the_dense_jacobian(self, name: str, standardise: str) -> None:
        coordinates, p = made(name, standardise)
        if coordinates.on_shell:
            # d³p = 2E · (d³p/2E)
            three = jacobian(lambda q: coordinates(coordinates.steps[0].inverse(q)), p[:, 1:])
            wanted = torch.linalg.slogdet(three).logabsdet + torch.log(2 * p[:, 0])
        else:
            wanted = torch.linalg.slogdet(jacobian(coordinates, p)).logabsdet
        torch.testing.assert_close(coordinates.log_det(p), wanted, rtol=1e-10, atol=1e-10)

    def test_velocities_are_pushed_and_pulled_by_the_dense_jacobian(
        self, name: str, standardise: str
    ) -> None:
        coordinates, p = made(name, standardise)
        x = coordinates(p)
        w = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        pulled = coordinates.pull(x, w)
        dense = (jacobian(coordinates.inverse, x) @ w.unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(pulled, dense, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(coordinates.push(p, pulled), w, rtol=1e-8, atol=1e-8)
        if not coordinates.on_shell:
            u = torch.randn(p.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
            dense = (jacobian(coordinates, p) @ u.unsqueeze(-1)).squeeze(-1)
            torch.testing.assert_close(coordinates.push(p, u), dense, rtol=1e-9, atol=1e-9)

    def test_pushing_commutes_with_what_is_stated(self, name: str, standardise: str) -> None:
        """Λ taken before or after the push-forward gives the same motion of the transformed momentum."""
        coordinates, p = made(name, standardise)
        u = torch.randn(p.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        motion = coordinates.pull(coordinates(p), coordinates.push(p, u))
        for row in coordinates.symmetry.generators:
            matrix = exp(0.2 * torch.from_numpy(row.copy()))
            q = p @ matrix.T
            keep = coordinates.inside(q)
            moved = coordinates.pull(coordinates(q), coordinates.push(q, u @ matrix.T))
            torch.testing.assert_close(moved[keep], (motion @ matrix.T)[keep], rtol=1e-7, atol=1e-7)

    def test_state_is_kept(self, name: str, standardise: str) -> None:
        coordinates, p = made(name, standardise)
        again = make_coordinates(name, standardise=standardise, **BOUNDS.get(name, {}))  # type: ignore[arg-type]
        again.load_state_dict(coordinates.state_dict())
        assert torch.equal(again(p), coordinates(p))


class TestSymmetryOfDirections:
    @pytest.mark.parametrize(
        ("name", "components", "wanted"),
        [
            ("momenta", (0,), "SO(3)"),
            ("cartesian-log-mass", (3,), "SO(3)"),
            ("cartesian-mass", (3,), "SO(3)"),
            ("log-pt-phi-eta-log-mass", (0, 3), "SO(2)_beam"),
            ("log-pt-phi-eta-log-mass", (1,), "SO⁺(1,1)_beam × SO(2)_beam"),
            ("log-pt-phi-rapidity-log-mass", (0, 3), "SO⁺(1,1)_beam × SO(2)_beam"),
            ("pt-phi-eta-mass", (), "SO⁺(1,3)"),
            ("on-shell-log-pt-phi-eta", (0,), "SO(2)_beam"),
        ],
    )
    def test_known_ones(self, name: str, components: tuple[int, ...], wanted: str) -> None:
        coordinates = make_coordinates(name, **BOUNDS.get(name, {}))  # type: ignore[arg-type]
        found = coordinates.direction_symmetry(components)
        assert found.name == wanted

    def test_mirrors_are_found(self) -> None:
        kept = make_coordinates("log-pt-phi-eta-log-mass").direction_symmetry((0,)).discrete
        assert kept == {"P", "z-flip"}
        assert "P" not in make_coordinates("log-pt-phi-eta-log-mass").direction_symmetry((2,)).discrete


class TestBoundaries:
    @given(st.integers(0, 10_000))
    def test_no_number_of_the_coordinates_leaves_phase_space(self, seed: int) -> None:
        coordinates, _ = made("log-pt-phi-eta-log-mass")
        x = 4 * torch.randn(50, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        p = coordinates.inverse(x)
        assert bool(Cuts(pt_min=22.0 - 1e-9, eta_max=5.0 + 1e-9).particles(p).all())
        # Of very fast particles the mass drowns in the rounding of their energy.
        assert bool((mass_squared(p) > 0.99**2 - 1e-15 * p[:, 0].square()).all())

    def test_what_lies_outside_is_refused_by_name(self) -> None:
        coordinates, _ = made("log-pt-phi-eta-log-mass")
        p = momenta(10)
        p[3] = from_ptetaphim(*(torch.tensor(v, dtype=torch.float64) for v in (21.0, 0.0, 0.0, 5.0)))
        assert coordinates.inside(p).tolist() == [True] * 3 + [False] + [True] * 6
        with pytest.raises(
            ValueError, match=r"1 of 10 particles \(10 %\) lie outside .* particle 3 .*apply the cuts"
        ):
            coordinates.fit(p)

    def test_use_before_fitting_says_what_to_do(self) -> None:
        with pytest.raises(NotFittedError, match="call fit_statistics"):
            make_coordinates("cartesian-mass")(momenta(3))

    def test_a_component_that_does_not_vary_is_named(self) -> None:
        with pytest.raises(ValueError, match=r"\['mass2'\] do not vary"):
            Standardise(("px", "mass2")).fit(torch.tensor([[1.0, 2.0], [3.0, 2.0]], dtype=torch.float64))

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("polar", {}, "there are no coordinates 'polar'; there are momenta,"),
            ("momenta", {"pt_min": 20.0}, "pt_min is the boundary of a logarithm"),
            ("cartesian-mass", {"mass_min": 1.0}, "mass_min is the boundary of a logarithm"),
            ("momenta", {"eta_max": 5.0}, "eta_max bounds a component η"),
            ("momenta", {"mass": 1.0}, "describe the mass"),
            ("pt-phi-eta-mass", {"standardise": "isotropic"}, "isotropic widths are of px, py and pz"),
            ("on-shell-cartesian", {"mass": -1.0}, "mass must not be negative"),
        ],
    )
    def test_nonsense_is_refused(self, name: Any, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make_coordinates(name, **options)


def test_isotropic_widths_commute_with_rotations() -> None:
    coordinates = make_coordinates("cartesian-log-mass", standardise="isotropic")
    p = momenta(200)
    coordinates.fit(p)
    matrix = exp(torch.tensor([0, 0, 0, 0.4, -1.1, 0.3], dtype=torch.float64))
    x, turned = coordinates(p), coordinates(p @ matrix.T)
    torch.testing.assert_close(turned[:, :3], x[:, :3] @ matrix[1:, 1:].T, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(turned[:, 3], x[:, 3], rtol=1e-9, atol=1e-9)


class TestCuts:
    def test_pairs_are_cut_within_events_packed_and_padded(self) -> None:
        near = from_ptetaphim(
            torch.tensor([50.0, 60, 70]).double(),
            torch.tensor([0.0, 0.2, 2.0]).double(),
            torch.tensor([3.1, -3.1, 0.0]).double(),
            torch.tensor([5.0, 5, 5]).double(),
        )
        cloud = lz.ParticleCloud.from_list([near[:2], near[[0, 2]], near[1:], near[:1]])
        cuts = Cuts(delta_r_min=0.5)
        assert cuts.events(cloud.momenta, cloud.layout).tolist() == [False, True, True, True]
        padded = cloud.to_padded(4)
        assert cuts.events(padded.momenta, padded.layout).tolist() == [False, True, True, True]
        assert Cuts(pt_min=55).events(cloud.momenta, cloud.layout).tolist() == [False, False, True, False]
        assert Cuts(eta_max=1.0).events(cloud.momenta, cloud.layout).tolist() == [True, False, False, True]
        assert Cuts(mass_min=6.0).events(cloud.momenta, cloud.layout).tolist() == [False] * 4

    @pytest.mark.parametrize(
        "cuts", [Cuts(), Cuts(pt_min=40), Cuts(eta_max=1.0), Cuts(delta_r_min=1.0), Cuts(mass_min=10)]
    )
    def test_the_stated_symmetry_is_exactly_what_keeps_the_region(self, cuts: Cuts) -> None:
        p = momenta(4000).reshape(-1, 2, 4)
        cloud = lz.ParticleCloud.from_padded(p, torch.ones(2000, 2))
        before = cuts.events(cloud.momenta, cloud.layout)
        for row in cuts.symmetry.generators:
            turned = cloud.transform(exp(0.7 * torch.from_numpy(row.copy())))
            assert torch.equal(cuts.events(turned.momenta, turned.layout), before)
        for row in cuts.symmetry.complement:
            turned = cloud.transform(exp(0.7 * torch.from_numpy(row.copy())))
            assert not torch.equal(cuts.events(turned.momenta, turned.layout), before)

    def test_nonsense_is_refused(self) -> None:
        with pytest.raises(ValueError, match="cuts must be positive"):
            Cuts(pt_min=-1)
