"""What does the base of all generators see to: templates, checks, the mean over events?"""

from __future__ import annotations

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError, NotFittedError, ParameterError
from lorentzoo.core.generator import Template
from lorentzoo.core.means import mean_loss
from lorentzoo.verification.events import random_cloud


def batch(cloud: lz.ParticleCloud) -> lz.Batch:
    one = torch.ones(cloud.num_events)
    return lz.Batch(cloud, one, one, one.long())


class TestTemplate:
    def cloud(self, events: int = 4) -> lz.ParticleCloud:
        types = torch.eye(3).repeat(events, 1)
        made = random_cloud([3] * events, in_context=1)
        return lz.ParticleCloud.from_packed(
            made.momenta,
            made.layout.ptr,
            types,
            torch.full((events, 1), 0.5),  # type: ignore[attr-defined]
        )

    def test_what_all_events_have_in_common_is_sampled_with(self) -> None:
        template = Template(3, in_scalars=3, in_context=1)
        template.fit([batch(self.cloud()), batch(self.cloud(2).to_padded(5))])
        cloud = template.cloud(5, None, torch.device("cpu"))
        assert cloud.multiplicity().tolist() == [3] * 5
        assert torch.equal(cloud.scalars, torch.eye(3).repeat(5, 1))
        assert cloud.context.tolist() == [[0.5]] * 5

    def test_it_is_kept_with_the_weights(self) -> None:
        template = Template(3, in_scalars=3, in_context=1)
        template.fit([batch(self.cloud())])
        again = Template(3, in_scalars=3, in_context=1)
        again.load_state_dict(template.state_dict())
        assert torch.equal(again.cloud(2, None, torch.device("cpu")).scalars, torch.eye(3).repeat(2, 1))

    def test_a_condition_goes_first_and_is_spread_over_all(self) -> None:
        condition = random_cloud([2, 5], in_scalars=1, seed=3)
        template = Template(0, in_scalars=1)
        two = template.cloud(2, condition, torch.device("cpu"))
        assert two.multiplicity().tolist() == [2, 5]
        one = random_cloud([4], in_scalars=1)
        many = template.cloud(3, one.to_padded(6), torch.device("cpu"))
        assert many.multiplicity().tolist() == [4, 4, 4]
        assert torch.equal(many.scalars, one.scalars.repeat(3, 1))
        with pytest.raises(ValueError, match=r"condition has 2 events, but n = 5"):
            template.cloud(5, condition, torch.device("cpu"))

    def test_without_either_it_says_what_to_do(self) -> None:
        template = Template(3, in_scalars=1)
        with pytest.raises(NotFittedError, match="Give `condition`"):
            template.cloud(1, None, torch.device("cpu"))
        # Events that differ have no template.
        template.fit([batch(random_cloud([3, 3], in_scalars=1))])
        with pytest.raises(NotFittedError, match="num_particles where all training events are alike"):
            template.cloud(1, None, torch.device("cpu"))

    def test_another_number_of_particles_is_refused(self) -> None:
        with pytest.raises(ValueError, match="num_particles=3, but event 1 of a training batch has 4"):
            Template(3).fit([batch(random_cloud([3, 4]))])


class TestComposition:
    """A generator of a third party, with and without a network."""

    @pytest.fixture(autouse=True)
    def _registered(self, own_catalogue: None) -> None:
        class Thermal(lz.Generator):
            """Independent massless particles of a thermal distribution, whose temperature a network may correct.

            Parameters
            ----------
            temperature
                In GeV.
            """

            needs_network = False

            def __init__(self, temperature: float = 1.0, *, in_context: int = 0) -> None:
                super().__init__()
                self.temperature = temperature
                self.given_context = in_context
                self.template = Template(2)

            @property
            def network_head(self) -> dict[str, object]:
                return {"name": "regress", "num_targets": 1, "standardise": False}

            @property
            def further_context(self) -> int:
                return 2

            def loss(self, cloud, weight=None, *, rng=None):  # type: ignore[no-untyped-def]
                return -mean_loss(self.log_prob(cloud), weight)

            def sample(self, n, condition=None, *, rng=None):  # type: ignore[no-untyped-def]
                return self.template.cloud(n, condition, self.device)

            def log_prob(self, cloud):  # type: ignore[no-untyped-def]
                packed = self.training_cloud(cloud)
                return packed.layout.pool(-packed.momenta[:, :1] / self.temperature).squeeze(-1)

            @property
            def symmetry_paths(self):  # type: ignore[no-untyped-def]
                return {"base": lz.Symmetry.spanned_by("Jx", "Jy", "Jz")}

        lz.register("generator", "thermal")(Thermal)

    def test_without_a_network(self, tmp_path) -> None:  # type: ignore[no-untyped-def]
        made = lz.compose(generator="thermal:temperature=2.0")
        assert isinstance(made, lz.Generator)
        assert made.network is None
        assert made.symmetry.name == "SO(3)"
        cloud = random_cloud([2, 3])
        wanted = -cloud.total()[:, 0] / 2.0
        torch.testing.assert_close(made.log_prob(cloud), wanted)
        torch.testing.assert_close(made.log_prob(cloud.to_units("MeV")), wanted)
        again = lz.load(lz.save(made, tmp_path))
        assert torch.equal(again.log_prob(cloud), made.log_prob(cloud))
        assert made.spec["generator"] == {"name": "thermal", "temperature": 2.0}

    def test_with_a_network(self, tmp_path) -> None:  # type: ignore[no-untyped-def]
        made = lz.compose(generator="thermal", backbone="deep-sets:hidden=[4]", in_scalars=1, in_context=3)
        assert made.network is not None
        assert made.network.in_context == 5
        assert made.network.spec["head"]["name"] == "regress"
        assert "thermal" not in made.network.spec.to_json()
        again = lz.load(lz.save(made, tmp_path))
        assert {n: tuple(t.shape) for n, t in again.state_dict().items()} == {
            n: tuple(t.shape) for n, t in made.state_dict().items()
        }
        assert "generator  Thermal" in made.summary()
        with pytest.raises(ValueError, match="made for in_context=3, but the cloud has 0"):
            made.log_prob(random_cloud([2], in_scalars=1))

    def test_another_head_is_refused(self) -> None:
        with pytest.raises(
            CompositionError, match="brings the head of its network, 'regress'; leave head='likelihood-ratio'"
        ):
            lz.compose(generator="thermal", backbone="deep-sets", head="likelihood-ratio")  # type: ignore[call-overload]

    def test_parameters_are_checked_and_a_missing_network_is_named(self) -> None:
        with pytest.raises(ParameterError, match="generator 'thermal' has no parameter 'heat'"):  # type: ignore[attr-defined]
            lz.compose(generator="thermal:heat=1")
