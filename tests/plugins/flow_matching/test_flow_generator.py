"""Is a composition with flow matching a density of events: trained, drawn from, evaluated, saved, symmetric?"""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError, DensityWarning, NotFittedError, ParameterError
from lorentzoo.core.minkowski import exp, from_ptetaphim, mass, pt
from lorentzoo.densities.solvers import Solver, counting_evaluations
from lorentzoo.plugins.flow_matching.generator import FlowMatching
from lorentzoo.verification import training_events

SLIM = {"name": "lgatr-slim", "num_blocks": 1, "hidden_vectors": 4, "hidden_scalars": 8, "num_heads": 2}
BOUNDED = "flow-matching:pt_min=22,mass_min=1,eta_max=5"
PLAIN = {"name": "transformer", "num_blocks": 1, "num_heads": 2, "head_reps": "4x0n+1x1n"}


def fitted(double: bool = True, batch: lz.Batch | None = None, **slots: Any) -> FlowMatching:
    torch.manual_seed(0)
    slots = {
        "backbone": PLAIN,
        "embedding": "momenta:scale=50",
        "generator": "flow-matching:steps=4",
        **slots,
    }
    made = lz.compose(**slots)
    assert isinstance(made, FlowMatching)
    made = made.double() if double else made
    made.fit_statistics([training_events(made, 400) if batch is None else batch])
    with torch.no_grad():
        for parameter in made._network.parameters():
            parameter.mul_(0.7)  # a tamer flow than that of first weights
    return made.eval()


def light_pairs() -> lz.Batch:
    """Pairs of particles of 0.1 GeV and some 50 GeV of momentum."""
    three = 30 * torch.randn(400, 3, generator=rng(2), dtype=torch.float64)
    energy = (three.square().sum(-1, keepdim=True) + 0.01).sqrt()
    cloud = lz.ParticleCloud.from_packed(torch.cat([energy, three], dim=-1), torch.arange(0, 401, 2))
    one = torch.ones(200)
    return lz.Batch(cloud, one.long(), one, one.long())


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def three() -> FlowMatching:
    """Three particles, in coordinates with boundaries, whose scalars say which is which."""
    return fitted(
        generator="flow-matching:steps=3,pt_min=22,mass_min=1,eta_max=5,num_particles=3", in_scalars=3
    )


class TestDensity:
    def test_sampling_and_evaluating_agree(self, three: FlowMatching) -> None:
        """The density along the way there is that of the way back, to the order of the solver."""
        made = copy.deepcopy(three)
        differences = []
        for steps in (4, 8):
            made.solver = Solver("rk4", steps)
            cloud, density = made.sample_with_log_prob(4, rng=rng())
            differences.append(float((made.log_prob(cloud) - density).abs().max()))
        assert differences[1] < 1e-3
        assert differences[1] < differences[0] / 6

    def test_hutchinson_agrees_on_average(self, three: FlowMatching) -> None:
        cloud = three.sample(4, rng=rng())
        made = copy.deepcopy(three)
        made.solver = Solver("midpoint", 2)
        exact = made.log_prob(cloud)
        made.divergence = "hutchinson"
        draws = torch.stack([made.log_prob(cloud, rng=rng(seed)) for seed in range(30)])
        error = draws.std(0) / math.sqrt(len(draws))
        assert bool(((draws.mean(0) - exact).abs() < 5 * error + 1e-6).all())
        assert torch.equal(made.log_prob(cloud, rng=rng(3)), draws[3])

    def test_no_sample_violates_what_the_coordinates_encode(self, three: FlowMatching) -> None:
        made = copy.deepcopy(three)
        with torch.no_grad():
            for parameter in made._network.parameters():
                parameter.mul_(1.4)  # a wilder one
        momenta = made.sample(300, rng=rng()).momenta
        assert bool(torch.isfinite(momenta).all())
        assert bool(made.cuts.particles(momenta).all())

    @pytest.mark.parametrize("angle", [4.99, 4.9999999])
    def test_vectors_move_bounded_components_at_a_finite_rate(
        self, three: FlowMatching, angle: float
    ) -> None:
        """Exactly pushed forward they would reach the bound in a finite time, at a velocity without limit."""
        momenta = from_ptetaphim(*(torch.tensor(v).double() for v in (40.0, angle, 0.1, 5.0)))
        along = torch.tensor([0.0, 0.0, 0.0, 1e4]).double()
        velocity = three.chart.velocity(momenta, along, torch.zeros(2).double())
        assert 0 < float(velocity[2]) < 20

    @pytest.mark.parametrize("manifold", ["circles", "shell"])
    def test_light_particles_on_their_shell_flow_as_heavy_ones(self, manifold: str) -> None:
        """Velocities along the momentum, which boosts would need, grow as (E/m)²."""
        name = f"flow-matching:mass=0.1,steps=16,manifold={manifold},num_particles=2,coordinates=on-shell-cartesian"
        made = fitted(generator=name, batch=light_pairs())
        assert len(made.sample(50, rng=rng()).momenta) == 100
        with pytest.raises(ValueError, match=r"its mass is 0\.1 GeV, not that of the shell, 0\.2 GeV"):
            fitted(generator=name.replace("mass=0.1", "mass=0.2"), batch=light_pairs())

    def test_failing_events_are_named_as_the_caller_counts_them(
        self, three: FlowMatching, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Events outside the coordinates, which are not solved, count too."""
        cloud = three.sample(4, rng=rng())
        momenta = cloud.momenta.clone()
        momenta[0] = from_ptetaphim(*(torch.tensor(v).double() for v in (21.0, 0.3, 0.1, 5.0)))
        mixed = lz.ParticleCloud.from_packed(momenta, cloud.layout.ptr, cloud.scalars)  # type: ignore[attr-defined]
        far = momenta[9]  # of the last event

        def wild(seen: lz.ParticleCloud, times: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
            last = (three.chart.momenta(points)[:, 0] - far[0]).abs() < 1e-6
            return torch.where(last.unsqueeze(-1), math.nan, torch.zeros_like(points))

        monkeypatch.setattr(three, "velocity", wild)
        wanted = three.log_prob(mixed.select(torch.arange(3)))
        with pytest.warns(DensityWarning, match=r"failed for 1 events: 3 \(t = "):
            found = three.log_prob(mixed)
        assert found.isnan().tolist() == [False, False, False, True]
        assert torch.equal(found[:3], wanted)
        assert wanted.isinf().tolist() == [True, False, False]

    def test_events_outside_have_no_density(self, three: FlowMatching) -> None:
        cloud = three.sample(3, rng=rng())
        momenta = cloud.momenta.clone()
        momenta[4] = from_ptetaphim(*(torch.tensor(v).double() for v in (21.0, 0.3, 0.1, 5.0)))
        outside = lz.ParticleCloud.from_packed(momenta, cloud.layout.ptr, cloud.scalars)  # type: ignore[attr-defined]
        found = three.log_prob(outside)
        assert found.isinf().tolist() == [False, True, False]
        torch.testing.assert_close(found[[0, 2]], three.log_prob(cloud)[[0, 2]], rtol=1e-12, atol=0)

    def test_packed_padded_and_units_are_the_same(self, three: FlowMatching) -> None:
        cloud = three.sample(5, rng=rng())
        wanted = three.log_prob(cloud)
        torch.testing.assert_close(three.log_prob(cloud.to_padded(5)), wanted)
        torch.testing.assert_close(three.log_prob(cloud.to_units("MeV")), wanted, rtol=1e-8, atol=1e-8)

    def test_the_order_of_particles_has_no_meaning(self, three: FlowMatching) -> None:
        cloud = three.sample(5, rng=rng())
        order = torch.arange(15).unflatten(0, (5, 3))[:, [2, 0, 1]].flatten()
        turned = lz.ParticleCloud.from_packed(
            cloud.momenta[order],
            cloud.layout.ptr,
            cloud.scalars[order],  # type: ignore[attr-defined]
        )
        torch.testing.assert_close(three.log_prob(turned), three.log_prob(cloud), rtol=1e-9, atol=1e-9)


class TestSampling:
    @pytest.mark.parametrize("method", ["euler", "midpoint", "heun", "rk4"])
    def test_batches_do_not_matter_for_fixed_steps(self, three: FlowMatching, method: Any) -> None:
        made = copy.deepcopy(three)
        made.solver = Solver(method, 3)
        whole = made.sample(23, rng=rng()).momenta
        for size in (1, 7, 23):
            parts = made.sample(23, rng=rng(), batch_size=size).momenta
            torch.testing.assert_close(parts, whole, rtol=1e-11, atol=1e-9)

    def test_evaluations_are_counted(self, three: FlowMatching) -> None:
        with counting_evaluations() as count:
            three.sample(30, rng=rng(), batch_size=10)
        assert count.calls == 3 * 3 * 2
        assert count.per_event == 6

    def test_a_condition_gives_multiplicities_scalars_and_context(self) -> None:
        made = fitted(in_scalars=2, in_context=1, batch=mixed())
        condition = mixed().cloud
        drawn = made.sample(4, condition, rng=rng())
        assert torch.equal(drawn.multiplicity(), condition.multiplicity())
        assert torch.equal(drawn.scalars, condition.scalars)
        assert torch.equal(drawn.context, condition.context)
        assert drawn.units == "GeV"
        with pytest.raises(NotFittedError, match="Give `condition`"):
            made.sample(4)
        # Scalars and context decide the density.
        other = lz.ParticleCloud.from_packed(
            drawn.momenta,
            drawn.layout.ptr,
            drawn.scalars,
            drawn.context + 1.0,  # type: ignore[attr-defined]
        )
        assert not torch.allclose(made.log_prob(other), made.log_prob(drawn))

    def test_nothing_is_drawn_of_nothing(self, three: FlowMatching) -> None:
        assert three.sample(0).num_events == 0
        empty = three.sample(0)
        assert three.log_prob(empty).shape == (0,)

    def test_samples_are_given_by_the_generator(self, three: FlowMatching) -> None:
        assert torch.equal(three.sample(3, rng=rng(4)).momenta, three.sample(3, rng=rng(4)).momenta)
        assert not torch.equal(three.sample(3, rng=rng(4)).momenta, three.sample(3, rng=rng(5)).momenta)


def mixed() -> lz.Batch:
    """Events of two, three, one and two particles with two scalars and one number of each event."""
    source = training_events(
        lz.compose(generator="flow-matching:num_particles=2", backbone=PLAIN, embedding="momenta"), 4
    )
    rows = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7])
    draws = torch.randn(8, 2, generator=rng(1), dtype=torch.float64)
    cloud = lz.ParticleCloud.from_packed(
        source.cloud.momenta[rows], torch.tensor([0, 2, 5, 6, 8]), draws, draws[:4, :1]
    )
    return lz.Batch(cloud, source.target, source.weight, source.event_id)


class TestComposition:
    def test_save_and_load(self, three: FlowMatching, tmp_path: Any) -> None:
        again = lz.load(lz.save(three, tmp_path))
        cloud = three.sample(4, rng=rng())
        assert torch.equal(again.log_prob(cloud), three.log_prob(cloud))
        assert torch.equal(again.sample(4, rng=rng()).momenta, cloud.momenta)
        assert again.spec == three.spec

    def test_statistics_keep_their_type_beside_float32_weights(self, tmp_path: Any) -> None:
        made = fitted(double=False, generator="flow-matching:steps=2,pt_min=22,num_particles=2")
        again = lz.load(lz.save(made, tmp_path))
        assert again.dtype == torch.float32
        assert again.base.widths.dtype == torch.float64
        assert torch.equal(again.sample(8, rng=rng()).momenta, made.sample(8, rng=rng()).momenta)

    def test_copies(self, three: FlowMatching) -> None:
        cloud = three.sample(4, rng=rng())
        for other in (copy.deepcopy(three), pickle.loads(pickle.dumps(three))):
            assert torch.equal(other.log_prob(cloud), three.log_prob(cloud))
            assert other.base.coordinates is other.coordinates is other.chart.coordinates

    def test_float32_networks_run_with_float64_momenta(self) -> None:
        made = fitted(double=False)
        cloud, density = made.sample_with_log_prob(5, training_events(made, 5).cloud, rng=rng())
        assert cloud.momenta.dtype == density.dtype == torch.float64
        torch.testing.assert_close(density, made.double().log_prob(cloud), rtol=0, atol=0.05)

    def test_training_lowers_the_loss_and_reaches_every_parameter(self) -> None:
        made = fitted(in_scalars=3)
        batch = training_events(made, 128)
        made.train()
        optimiser = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=3e-3)
        losses = []
        for step in range(40):
            loss = made.loss(batch.cloud, batch.weight, rng=rng(step % 4))
            optimiser.zero_grad()
            loss.backward()
            if step == 0:
                untouched = [n for n, p in made.named_parameters() if p.requires_grad and p.grad is None]
                assert not untouched
            optimiser.step()
            losses.append(float(loss.detach()))
        assert sum(losses[-4:]) < 0.95 * sum(losses[:4])

    def test_event_weights_count(self, three: FlowMatching) -> None:
        cloud = three.sample(4, rng=rng())
        with torch.no_grad():
            single = [three.loss(cloud, row, rng=rng(1)) for row in torch.eye(4)]
            mean, weighted = (
                three.loss(cloud, weight, rng=rng(1)) for weight in (None, torch.tensor([3.0, 1, 0, 0]))
            )
        torch.testing.assert_close(torch.stack(single).mean(), mean)
        torch.testing.assert_close((3 * single[0] + single[1]) / 4, weighted)

    def test_generators_without_statistics_say_so(self) -> None:
        made = lz.compose(generator="flow-matching", backbone=PLAIN, embedding="momenta")
        with pytest.raises(NotFittedError, match=r"FlowMatching has statistics that were not fitted"):
            made.log_prob(training_events(made, 2).cloud)

    @pytest.mark.parametrize(
        ("slots", "error", "message"),
        [
            (
                {"generator": "flow-matching:coordinates=polar"},
                ParameterError,
                "coordinates='polar' does not fit",
            ),
            (
                {"generator": "flow-matching:scalar_components=[mass]"},
                CompositionError,
                r"\['mass'\] are none of",
            ),
            (
                {"generator": "flow-matching:manifold=shell"},
                CompositionError,
                "hyperboloid for positive masses",
            ),
            (
                {"generator": "flow-matching:manifold=shell,mass=1.0,base=coordinates"},
                CompositionError,
                "take base='phase-space'",
            ),
            (
                {"generator": "flow-matching:time_features=3"},
                CompositionError,
                "time_features must be an even",
            ),
            ({"backbone": None}, CompositionError, "needs a network: name a backbone"),
            ({"head": "regress"}, CompositionError, "brings the head of its network, 'velocity'"),
        ],
    )
    def test_nonsense_is_refused(self, slots: dict[str, Any], error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            lz.compose(**{"generator": "flow-matching", "backbone": PLAIN, "embedding": "momenta", **slots})

    def test_data_outside_the_cuts_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"of 400 training events do not pass Cuts\(pt_min=60.0"):
            fitted(generator="flow-matching:pt_min=60")


SYMMETRIES = {
    "rotations": (
        {
            "generator": "flow-matching:coordinates=cartesian-log-mass,standardise=isotropic,base=coordinates,steps=2",
            "backbone": SLIM,
            "spurions": "time",
        },
        "SO(3)",
    ),
    "anisotropic widths": (
        {
            "generator": "flow-matching:coordinates=cartesian-log-mass,base=coordinates,steps=2",
            "backbone": SLIM,
            "spurions": "time",
        },
        "trivial",
    ),
    "beam": (
        {
            "generator": "flow-matching:pt_min=22,mass_min=1,eta_max=5,steps=2",
            "backbone": SLIM,
            "spurions": ["beam-lightlike", "time"],
        },
        "SO(2)_beam",
    ),
    "full network, base of rotations": (
        {
            "generator": "flow-matching:coordinates=momenta,standardise=none,steps=2",
            "backbone": SLIM,
        },
        "SO(3)",
    ),
    "learned frames": (
        {
            "generator": "flow-matching:coordinates=cartesian-log-mass,standardise=isotropic,steps=2",
            "backbone": PLAIN,
            "frames": "lloca-so3:hidden=8",
        },
        "SO(3)",
    ),
    "nothing": ({"generator": "flow-matching:steps=2", "backbone": PLAIN}, "trivial"),
}


QUICK = ("rotations", "beam", "learned frames")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SYMMETRIES]
)
def test_the_computed_symmetry_is_measured(name: str) -> None:
    slots, wanted = SYMMETRIES[name]
    made = lz.compose(**{"embedding": "momenta:scale=50", "in_scalars": 1, **slots})
    assert made.symmetry.name == wanted
    result = lz.verify(made)
    result.raise_if_failed()
    if wanted != "trivial":
        assert result.singular_values[0] < 1e-9
        assert result.curve.kept["float64"].max() < 1e-9


def test_the_mass_shell_is_a_manifold_of_its_own() -> None:
    """On the shell, without coordinates, boosts are isometries: only the base breaks them."""
    shell = 20.0
    batch = on_shell(200, shell)
    made = fitted(
        generator=f"flow-matching:manifold=shell,mass={shell},steps=4,solver=rk4,velocity_scale=2",
        backbone=SLIM,
        batch=batch,
        spurions="time",
    )
    assert made.symmetry.name == "SO(3)"
    drawn, density = made.sample_with_log_prob(5, batch.cloud.select(torch.arange(5)), rng=rng())
    torch.testing.assert_close(mass(drawn.momenta), torch.full((10,), shell).double(), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(made.log_prob(drawn), density, rtol=0, atol=1e-3)
    matrix = exp(torch.tensor([0, 0, 0, 0.3, 0.5, -0.7], dtype=torch.float64))
    torch.testing.assert_close(
        made.log_prob(drawn.transform(matrix)), made.log_prob(drawn), rtol=1e-8, atol=1e-8
    )


def on_shell(events: int, shell: float) -> lz.Batch:
    """Pairs of particles of one mass with exponential energies."""
    cloud = thermal(events, 2, shell, 30.0)
    one = torch.ones(events)
    return lz.Batch(cloud, one, one, torch.arange(events))


def thermal(events: int, particles: int, shell: float, temperature: float, seed: int = 0) -> lz.ParticleCloud:
    """Massless momenta of density e^(-E/T) relative to d³p/2E, put on the shell where a mass is given."""
    draw = torch.rand(events * particles, 4, generator=rng(seed), dtype=torch.float64)
    size = -temperature * torch.log(draw[:, 0] * draw[:, 1])
    cosine, azimuth = 2 * draw[:, 2] - 1, 2 * math.pi * draw[:, 3]
    sine = (1 - cosine.square()).sqrt()
    three = size.unsqueeze(-1) * torch.stack([sine * azimuth.cos(), sine * azimuth.sin(), cosine], dim=-1)
    energy = (three.square().sum(-1, keepdim=True) + shell**2).sqrt()
    return lz.ParticleCloud.from_packed(torch.cat([energy, three], -1), particles * torch.arange(events + 1))


class TestPhaseSpace:
    """Flat n-body phase space, Π d³p/2E, with a weight e^(-ΣE/T) that makes it finite: the truth is known."""

    particles, temperature = 3, 30.0

    def truth(self, cloud: lz.ParticleCloud) -> torch.Tensor:
        # ∫ e^(-E/T) d³p/2E = 2π T².
        normalisation = self.particles * math.log(2 * math.pi * self.temperature**2)
        return -cloud.total()[:, 0] / self.temperature - normalisation

    def density(self, steps: int) -> FlowMatching:
        train = thermal(20_000, self.particles, 0.0, self.temperature, seed=1)
        one = torch.ones(20_000)
        made = fitted(
            batch=lz.Batch(train, one, one, one.long()),
            generator={
                "name": "flow-matching",
                "coordinates": "on-shell-cartesian",
                "standardise": "isotropic",
                "num_particles": self.particles,
                "steps": 12,
            },
            backbone={"name": "deep-sets", "hidden": [48, 48]},
            double=False,
        )
        optimiser = torch.optim.Adam([p for p in made.parameters() if p.requires_grad])
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=max(steps, 2))
        source = rng(2)
        for _ in range(steps):
            chosen = torch.randint(0, 20_000, (256,), generator=source)
            mask = torch.zeros(20_000, dtype=torch.bool)
            mask[chosen] = True
            loss = made.loss(train.select(mask), rng=source)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        return made.eval()

    def test_densities_are_normalised_over_phase_space(self) -> None:
        """Monte Carlo over phase space: the mean of q/p under p is one within its error."""
        made = self.density(steps=0)
        # A broader truth covers the tails of the untrained density.
        hot = TestPhaseSpace()
        hot.temperature = 45.0
        cloud = thermal(2000, self.particles, 0.0, hot.temperature, seed=5)
        ratio = torch.exp(made.log_prob(cloud) - hot.truth(cloud))
        error = float(ratio.std()) / math.sqrt(len(ratio))
        assert error < 0.05
        assert float(ratio.mean()) == pytest.approx(1.0, abs=4 * error)

    def test_training_recovers_the_truth(self) -> None:
        made = self.density(steps=300)
        cloud = thermal(400, self.particles, 0.0, self.temperature, seed=7)
        difference = self.truth(cloud) - made.log_prob(cloud)
        assert abs(float(difference.mean())) < 0.15
        assert float(difference.square().mean().sqrt()) < 0.7

    @pytest.mark.slow
    def test_a_longer_training_recovers_it_to_a_few_percent(self) -> None:
        made = self.density(steps=4000)
        cloud = thermal(2000, self.particles, 0.0, self.temperature, seed=7)
        difference = self.truth(cloud) - made.log_prob(cloud)
        assert abs(float(difference.mean())) < 0.03
        assert float(difference.square().mean().sqrt()) < 0.3


def test_transverse_momenta_of_samples_follow_the_data_after_fitting() -> None:
    """An untrained flow is the base, moved a little: its scale is that of the data."""
    made = fitted()
    drawn = made.sample(300, training_events(made, 300).cloud, rng=rng())
    assert 0.3 < float(pt(drawn.momenta).median() / pt(training_events(made, 300).cloud.momenta).median()) < 3


def test_adaptive_solvers_serve_events() -> None:
    pytest.importorskip("torchdiffeq")
    made = fitted(generator=f"{BOUNDED},num_particles=2,solver=dopri5,rtol=1.0e-4,atol=1.0e-4")
    assert made.solver.method == "dopri5"
    cloud, density = made.sample_with_log_prob(3, rng=rng())
    made.solver = Solver("rk4", 16)
    again, fixed = made.sample_with_log_prob(3, rng=rng())
    torch.testing.assert_close(cloud.momenta, again.momenta, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(density, fixed, rtol=0, atol=3e-2)


class TestFalseClaims:
    """What the verification is for: densities that are less symmetric than they say."""

    def claim(self, monkeypatch: pytest.MonkeyPatch, made: Any, *names: str) -> lz.Symmetry:
        wrong = lz.Symmetry.spanned_by(*names)
        monkeypatch.setattr(type(made), "symmetry_paths", property(lambda self: {"claim": wrong}))
        return wrong

    def test_a_broken_direction_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slots, _ = SYMMETRIES["beam"]
        made = lz.compose(**{"embedding": "momenta:scale=50", "in_scalars": 1, **slots})
        self.claim(monkeypatch, made, "Jx", "Jy", "Jz")
        result = lz.verify(made)
        assert not result.passed
        assert "FAILED: SO(3) is claimed" in result.verdict

    def test_cuts_show_in_finite_transformations(self) -> None:
        """They have no derivative: under a beam boost events leave the support of a density cut in η."""
        made = fitted(
            generator="flow-matching:coordinates=log-pt-phi-rapidity-log-mass,base=coordinates,"
            "pt_min=22,mass_min=1,eta_max=2.5,steps=1",
            batch=central(),
        )
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.zero_()
        assert made.cuts.symmetry.name == "SO(2)_beam"
        cloud = central().cloud.select(torch.arange(60))
        before = made.log_prob(cloud)
        moved = cloud.transform(exp(torch.tensor([0, 0, 1.5, 0, 0, 0], dtype=torch.float64)))
        assert bool(torch.isfinite(before).all())
        assert bool(made.log_prob(moved).isinf().any())


def central() -> lz.Batch:
    """Pairs of particles within |η| < 2.4."""
    draw = torch.rand(400, 4, generator=rng(3), dtype=torch.float64)
    momenta = from_ptetaphim(
        23 + 50 * draw[:, 0], 4.8 * draw[:, 1] - 2.4, 6 * draw[:, 2] - 3, 2 + 9 * draw[:, 3]
    )
    cloud = lz.ParticleCloud.from_packed(momenta, 2 * torch.arange(201))
    one = torch.ones(200)
    return lz.Batch(cloud, one, one, one.long())
