"""Is it one density of events of all multiplicities, and does it hold its cuts?"""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError, DensityWarning, NotFittedError, ParameterError
from lorentzoo.core.minkowski import mass
from lorentzoo.densities.solvers import SolverError
from lorentzoo.plugins.multiplicities.generator import VaryingMultiplicity

PLAIN = {"name": "transformer", "num_blocks": 1, "num_heads": 2, "head_reps": "4x0n+1x1n"}
CUTS = "pt_min=22,mass_min=1,eta_max=5"
FLOW = f"flow-matching:{CUTS},steps=3"
SPLINES = f"rqs-flow:{CUTS},num_transforms=2,hidden=[16]"


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fitted(complete: bool = True, count: int = 300, **parameters: Any) -> VaryingMultiplicity:
    """A generator of one to three jets with a tame flow, its statistics fitted."""
    torch.manual_seed(0)
    generator = {
        "name": "varying-multiplicity",
        "multiplicities": "2-4",
        "generator": FLOW,
        "delta_r_min": 0.5,
        "acceptance_events": 300,
        **parameters,
    }
    in_context = generator.pop("in_context", 0)
    splines = str(generator["generator"]).startswith("rqs")
    network = {} if splines else {"backbone": PLAIN, "embedding": "momenta:scale=50"}
    made = lz.compose(generator=generator, in_scalars=4, in_context=in_context, **network)
    assert isinstance(made, VaryingMultiplicity)
    made = made.double()
    made.fit_statistics([made.example_events(count)])
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(0.5)
    if complete:
        made.complete()
    return made.eval()


@pytest.fixture(scope="module")
def shared() -> VaryingMultiplicity:
    return fitted()


@pytest.fixture(scope="module")
def each() -> VaryingMultiplicity:
    return fitted(networks="each")


@pytest.fixture(scope="module")
def splines() -> VaryingMultiplicity:
    return fitted(generator=SPLINES, networks="each")


KINDS = ("shared", "each", "splines")


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest) -> VaryingMultiplicity:
    found: VaryingMultiplicity = request.getfixturevalue(request.param)
    return found


class TestDensity:
    def test_the_integral_is_one(self) -> None:
        """Over events of one and of two particles, by importance sampling, within the error of the acceptance."""
        flow = f"flow-matching:{CUTS},delta_r_min=0.5,delta_r_leak=0.2,steps=2,solver=rk4"
        made = fitted(multiplicities=[1, 2], generator=flow, acceptance_events=4000)
        base = made.generators[0].base
        width, mean, spread = base.widths.tolist()
        n, total, error = 6000, 0.0, 0.0
        for number in (1, 2):
            noise = torch.randn(n, number, 4, generator=rng(number), dtype=torch.float64)
            three, log = 1.4 * width * noise[..., :3], mean + 1.4 * spread * noise[..., 3]
            energy = (three.square().sum(-1) + log.exp() + 1).sqrt()
            momenta = torch.cat([energy.unsqueeze(-1), three], -1)
            # Normal in px, py, pz and in ln(m² - 1); d⁴p = d³p dm² / 2E.
            proposed = -noise.square().sum(-1) / 2 - 2 * math.log(2 * math.pi)
            proposed = proposed - 3 * math.log(1.4 * width) - math.log(1.4 * spread) - log
            proposed = (proposed + torch.log(2 * energy)).sum(-1)
            scalars = torch.eye(number, 4, dtype=torch.float64).repeat(n, 1)
            cloud = lz.ParticleCloud.from_packed(momenta.flatten(0, 1), number * torch.arange(n + 1), scalars)
            inside = made.cuts.events(cloud.momenta, cloud.layout)
            ratio = torch.zeros(n, dtype=torch.float64)
            ratio[inside] = (made.log_prob(cloud.select(inside)) - proposed[inside]).exp()
            part = float(made.numbers.offsets.exp()[number - 1])
            assert float(ratio.mean()) == pytest.approx(part, abs=5 * float(ratio.std()) / math.sqrt(n))
            total, error = total + float(ratio.mean()), error + float(ratio.var()) / n
        assert math.sqrt(error) < 0.03
        assert total == pytest.approx(1.0, abs=4 * math.sqrt(error) + 0.005)

    def test_the_acceptance_is_that_of_the_generator_of_events(self, made: VaryingMultiplicity) -> None:
        """Drawn without rejection by other random numbers, as many events pass."""
        free = copy.deepcopy(made)
        free.rejects = False
        for kind, number in enumerate(made.multiplicities):
            cloud = free.sample(300, multiplicity=number, rng=rng(7))
            share = float(made.cuts.events(cloud.momenta, cloud.layout).double().mean())
            value, error = float(made.acceptance.values[kind, 0]), float(made.acceptance.errors[kind, 0])
            assert 0.3 < value < 1
            assert share == pytest.approx(value, abs=5 * math.sqrt(2) * error)

    def test_it_is_made_of_what_its_parts_say(self, each: VaryingMultiplicity) -> None:
        """ln P(n) + ln q_n - ln A_n, with the generator of that multiplicity."""
        cloud = each.sample(12, rng=rng())
        found = each.log_prob(cloud)
        for kind, number in enumerate(each.multiplicities):
            chosen = cloud.multiplicity() == number
            own = each.generators[kind].log_prob(cloud.select(chosen))
            constant = each.numbers.offsets[kind] - each.acceptance.values[kind, 0].log()
            torch.testing.assert_close(found[chosen], own + constant, rtol=1e-12, atol=0)

    def test_events_of_one_multiplicity_are_as_in_mixed_batches(self, made: VaryingMultiplicity) -> None:
        cloud = made.sample(9, rng=rng())
        whole = made.log_prob(cloud)
        for number in made.multiplicities:
            chosen = cloud.multiplicity() == number
            assert bool(chosen.any())
            torch.testing.assert_close(made.log_prob(cloud.select(chosen)), whole[chosen], rtol=1e-9, atol=0)

    def test_packed_padded_and_units_are_the_same(self, made: VaryingMultiplicity) -> None:
        cloud = made.sample(9, rng=rng())
        wanted = made.log_prob(cloud)
        torch.testing.assert_close(made.log_prob(cloud.to_padded(6)), wanted, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(made.log_prob(cloud.to_units("MeV")), wanted, rtol=1e-8, atol=1e-8)

    def test_the_order_of_rows_has_no_meaning_and_places_have(self, shared: VaryingMultiplicity) -> None:
        cloud = shared.sample(5, multiplicity=4, rng=rng())
        wanted = shared.log_prob(cloud)
        order = torch.arange(20).unflatten(0, (5, 4))[:, [0, 1, 3, 2]].flatten()
        momenta, scalars, ptr = cloud.momenta[order], cloud.scalars[order], 4 * torch.arange(6)
        both = lz.ParticleCloud.from_packed(momenta, ptr, scalars)
        torch.testing.assert_close(shared.log_prob(both), wanted, rtol=1e-9, atol=1e-9)
        exchanged = lz.ParticleCloud.from_packed(momenta, ptr, cloud.scalars)
        assert float((shared.log_prob(exchanged) - wanted).abs().min()) > 1e-6

    def test_particles_of_one_kind_may_be_exchanged(self) -> None:
        """Where scalars are those of a kind of jets instead of their places."""
        made = fitted(complete=False)
        batch = made.example_events(200)
        kinds = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]], dtype=torch.float64)
        scalars = torch.cat([kinds[:n] for n in batch.cloud.multiplicity().tolist()])
        cloud = lz.ParticleCloud.from_packed(batch.cloud.momenta, batch.cloud.layout.ptr, scalars)
        made.fit_statistics([lz.Batch(cloud, batch.target, batch.weight, batch.event_id)])
        made.complete()
        drawn = made.sample(4, multiplicity=4, rng=rng())
        order = torch.arange(16).unflatten(0, (4, 4))[:, [0, 1, 3, 2]].flatten()
        exchanged = lz.ParticleCloud.from_packed(drawn.momenta[order], drawn.layout.ptr, drawn.scalars)
        wanted = made.log_prob(drawn)
        torch.testing.assert_close(made.log_prob(exchanged), wanted, rtol=1e-9, atol=1e-9)

    def test_events_that_violate_a_cut_have_no_density(self, made: VaryingMultiplicity) -> None:
        cloud = made.sample(3, multiplicity=2, rng=rng())
        momenta = cloud.momenta.clone()
        momenta[3] = 1.1 * momenta[2]  # in the same direction
        momenta[4] = 0.01 * momenta[4]
        outside = lz.ParticleCloud.from_packed(momenta, cloud.layout.ptr, cloud.scalars)
        assert made.log_prob(outside).isinf().tolist() == [False, True, True]

    def test_the_number_of_particles_is_told_to_a_shared_network(self, shared: VaryingMultiplicity) -> None:
        cloud = shared.sample(2, multiplicity=3, rng=rng())
        velocity = shared.generators[0].velocity
        shown = shared._shown(cloud)
        assert shown.context.tolist() == [[0, 1, 0]] * 2
        times, points = torch.full((2,), 0.5).double(), shared.generators[0].chart.points(cloud.momenta)
        other = shared._shown(cloud)
        other.context[:] = torch.tensor([0.0, 0.0, 1.0])
        with torch.no_grad():
            changed = velocity(shown, times, points) - velocity(other, times, points)
        assert float(changed.abs().max()) > 1e-6


def test_spline_flows_with_a_backbone_are_generators_like_others() -> None:
    flow = f"rqs-flow:{CUTS},num_transforms=2,backbone='transformer:num_blocks=1'"
    made = fitted(generator=flow, networks="each", multiplicities="2-3")
    assert made.permutation_symmetric
    cloud = made.sample(8, rng=rng())
    assert bool(made.log_prob(cloud).isfinite().all())
    assert bool(made.cuts.events(cloud.momenta, cloud.layout).all())


class TestSampling:
    def test_every_event_obeys_the_cuts(self, made: VaryingMultiplicity) -> None:
        cloud = made.sample(400, rng=rng())
        assert made.cuts.delta_r_min == 0.5
        assert made.cuts.pt_min == 22
        assert bool(made.cuts.events(cloud.momenta, cloud.layout).all())
        assert float(mass(cloud.momenta).min()) > 1

    def test_numbers_are_drawn_or_as_asked_for(self, made: VaryingMultiplicity) -> None:
        drawn = made.sample(600, rng=rng()).multiplicity()
        for number, log in zip(made.multiplicities, made.numbers.offsets.tolist(), strict=True):
            share = math.exp(log)
            error = math.sqrt(share * (1 - share) / 600)
            assert float((drawn == number).double().mean()) == pytest.approx(share, abs=5 * error)
            asked = made.sample(5, multiplicity=number, rng=rng())
            assert asked.multiplicity().tolist() == [number] * 5
            assert torch.equal(asked.scalars, torch.eye(number, 4, dtype=torch.float64).repeat(5, 1))

    def test_a_condition_has_its_own_numbers(self, made: VaryingMultiplicity) -> None:
        condition = made.example_events(7).cloud
        cloud = made.sample(7, condition, rng=rng())
        assert torch.equal(cloud.multiplicity(), condition.multiplicity())
        with pytest.raises(ValueError, match="a condition has multiplicities and context of its own"):
            made.sample(7, condition, multiplicity=2)

    def test_density_and_seed(self, made: VaryingMultiplicity) -> None:
        cloud, density = made.sample_with_log_prob(6, rng=rng(3))
        assert bool(torch.isfinite(density).all())
        assert torch.equal(made.sample(6, rng=rng(3)).momenta, cloud.momenta)
        assert made.sample(0).num_events == 0
        assert made.log_prob(made.sample(0)).shape == (0,)

    def test_failing_events_are_named_as_the_caller_counts_them(
        self, each: VaryingMultiplicity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def failing(n: int, condition: Any = None, *, rng: Any = None) -> Any:
            raise SolverError([n - 1], [0.5], "midpoint", "no")

        monkeypatch.setattr(each.generators[2], "sample", failing)
        condition = each.example_events(9).cloud
        with pytest.raises(SolverError) as caught:
            each.sample(9, condition)
        assert caught.value.events == [8]
        # The acceptance of the others is known all the same.
        broken = copy.deepcopy(each)
        monkeypatch.setattr(broken.generators[2], "sample", failing)
        broken.complete()
        assert broken.acceptance.drawn[:, 0].tolist() == [300, 300, 0]

    def test_densities_that_fail_are_told(
        self, shared: VaryingMultiplicity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cloud = shared.sample(4, rng=rng())

        def unknown(cloud: Any) -> torch.Tensor:
            return torch.tensor([0.0, math.nan, 0.0, 0.0], dtype=torch.float64)

        monkeypatch.setattr(shared.generators[0], "log_prob", unknown)
        with pytest.warns(DensityWarning, match="fails for 1 events, first for event 1"):
            assert shared.log_prob(cloud).isnan().tolist() == [False, True, False, False]


class TestContext:
    def test_each_context_has_its_numbers_and_its_acceptance(self) -> None:
        made = fitted(in_context=1, count=240, acceptance_events=100)
        first, second = made.acceptance.known_contexts
        assert made.acceptance.values.shape == (3, 2)
        with pytest.raises(NotFittedError, match=r"different contexts: give `context`, of shape \(C,\)"):
            made.sample(3)
        cloud = made.sample(20, context=first, rng=rng())
        assert bool((cloud.context == first).all())
        mixed = torch.stack([first, second, first])
        assert torch.equal(made.sample(3, context=mixed, rng=rng()).context, mixed)
        assert made.log_prob(cloud).isfinite().all()
        strange = lz.ParticleCloud.from_packed(
            cloud.momenta, cloud.layout.ptr, cloud.scalars, cloud.context + 1
        )
        with pytest.raises(ValueError, match="event 0 has a context that no training event had"):
            made.log_prob(strange)
        with pytest.raises(ValueError, match=r"context must be of shape \(1,\) or \(3, 1\), not \(2, 1\)"):
            made.sample(3, context=mixed[:2])

    def test_too_many_contexts_are_refused_only_where_something_is_rejected(self) -> None:
        made = fitted(False, in_context=1)
        batch = made.example_events(60)
        context = torch.randn(60, 1, generator=rng(), dtype=torch.float64)
        cloud = lz.ParticleCloud.from_packed(
            batch.cloud.momenta, batch.cloud.layout.ptr, batch.cloud.scalars, context
        )
        batch = lz.Batch(cloud, batch.target, batch.weight, batch.event_id)
        with pytest.raises(ValueError, match="at most 16 contexts, but the training events have 60"):
            made.fit_statistics([batch])
        free = fitted(in_context=1, delta_r_min=0.0)
        free.fit_statistics([batch])
        assert free.sample(60, context=context, rng=rng()).num_events == 60


class TestTraining:
    @pytest.mark.parametrize("name", KINDS)
    def test_training_lowers_the_loss_and_forgets_the_acceptance(
        self, name: str, request: pytest.FixtureRequest
    ) -> None:
        made = copy.deepcopy(request.getfixturevalue(name)).train()
        batch = made.example_events(120)
        optimiser = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=3e-3)
        losses = []
        for step in range(30):
            loss = made.loss(batch.cloud, batch.weight, rng=rng(step % 3))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        assert sum(losses[-3:]) < sum(losses[:3])
        with pytest.raises(
            NotFittedError, match=r"not measured since the weights have changed: call complete"
        ):
            made.log_prob(batch.cloud)
        made.complete()
        assert bool(made.log_prob(batch.cloud.select(torch.arange(4))).isfinite().all())

    def test_event_weights_count(self, made: VaryingMultiplicity) -> None:
        cloud = made.example_events(4).cloud
        weights = torch.tensor([3.0, 1.0, 0.5, 0.0], dtype=torch.float64)
        with torch.no_grad():
            single = torch.stack([made.loss(cloud, row, rng=rng(1)) for row in torch.eye(4).double()])
            whole = made.loss(cloud, weights, rng=rng(1))
        torch.testing.assert_close(whole, (weights * single).sum() / weights.sum())

    def test_save_and_load(self, made: VaryingMultiplicity, tmp_path: Any) -> None:
        again = lz.load(lz.save(made, tmp_path))
        cloud = made.sample(6, rng=rng())
        assert torch.equal(again.log_prob(cloud), made.log_prob(cloud))
        assert torch.equal(again.sample(6, rng=rng()).momenta, cloud.momenta)
        assert again.spec == made.spec
        assert again.summary().splitlines()[-3:] == made.summary().splitlines()[-3:]
        assert "4 particles  33.3 %, " in made.summary()


class TestErrors:
    def test_multiplicities_that_were_not_learned(self, made: VaryingMultiplicity) -> None:
        with pytest.raises(ValueError, match=r"event 0 has 7 particles, a multiplicity that .*=\[2, 3, 4\]"):
            made.sample(3, multiplicity=7)
        single = made.sample(1, multiplicity=2, rng=rng())
        one = lz.ParticleCloud.from_packed(single.momenta[:1], torch.tensor([0, 1]), single.scalars[:1])
        for act in (made.log_prob, made.loss, lambda cloud: made.sample(1, cloud)):
            with pytest.raises(
                ValueError, match="event 0 has 1 particles, a multiplicity that the generator"
            ):
                act(one)

    def test_training_events_must_have_them_all_within_the_cuts(self) -> None:
        made = fitted(False)
        batch = made.example_events(30)
        few = batch.cloud.multiplicity() < 4
        part = lz.Batch(batch.cloud.select(few), batch.target[few], batch.weight[few], batch.event_id[few])
        with pytest.raises(ValueError, match="no training event of positive weight has 4 particles"):
            made.fit_statistics([part])
        momenta = batch.cloud.momenta.clone()
        momenta[1] = momenta[0]
        close = lz.ParticleCloud.from_packed(momenta, batch.cloud.layout.ptr, batch.cloud.scalars)
        with pytest.raises(ValueError, match="1 of 30 training events do not pass Cuts"):
            made.fit_statistics([lz.Batch(close, batch.target, batch.weight, batch.event_id)])

    def test_particles_of_other_kinds(self, shared: VaryingMultiplicity) -> None:
        cloud = shared.sample(2, multiplicity=3, rng=rng())
        other = lz.ParticleCloud.from_packed(cloud.momenta, cloud.layout.ptr, 2 * cloud.scalars)
        with pytest.raises(ValueError, match="event 0 has particles with other scalars than the training"):
            shared.log_prob(other)

    def test_a_flow_that_never_passes_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = fitted(False, acceptance_events=20)

        def parallel(n: int, condition: Any = None, *, rng: Any = None) -> Any:
            momenta = torch.tensor([60.0, 30.0, 20.0, 10.0], dtype=torch.float64)
            return lz.ParticleCloud.from_packed(
                momenta.expand(len(condition.momenta), 4), condition.layout.ptr, condition.scalars
            )

        cloud = made.example_events(3).cloud
        monkeypatch.setattr(made.generators[0], "sample", parallel)
        made.complete()
        with pytest.raises(NotFittedError, match="none of 20 drawn events of some multiplicity passes"):
            made.log_prob(cloud)
        monkeypatch.setattr("lorentzoo.plugins.multiplicities.generator._ROUNDS", 5)
        with pytest.raises(RuntimeError, match="after 5 rounds 3 drawn events do not pass"):
            made.sample(3)

    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({"multiplicities": "4-2"}, ParameterError, "ends before it begins"),
            ({"multiplicities": [2, 2]}, CompositionError, "different numbers of at least 1 particle"),
            ({"multiplicities": [0, 2]}, CompositionError, "different numbers of at least 1 particle"),
            ({"generator": SPLINES}, CompositionError, "draws events of one multiplicity; networks='each'"),
            ({"networks": "every"}, ParameterError, "networks='every' does not fit"),
            (
                {"generator": SPLINES + ",num_particles=3", "networks": "each"},
                ParameterError,
                "'num_particles' follows from the composition",
            ),
        ],
    )
    def test_nonsense_is_refused(
        self, parameters: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            fitted(**parameters)

    def test_a_network_that_is_needed_is_missed(self) -> None:
        with pytest.raises(CompositionError, match="'varying-multiplicity' needs a network: name a backbone"):
            lz.compose(generator="varying-multiplicity:multiplicities=2-3")
