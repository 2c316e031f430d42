"""Are showers drawn as promised: energy conserved, thresholds kept, several detectors at once, reproducible?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError, NoDensityError, NotFittedError
from lorentzoo.core.layout import Packed
from lorentzoo.data.showers.dataset import ShowerArrays, ShowerData, showers
from lorentzoo.data.showers.detectors import find_detector
from lorentzoo.data.showers.patches import empty_showers, voxels_of
from lorentzoo.data.showers.simulate import simulate_showers
from lorentzoo.densities.solvers import SolverError, counting_evaluations
from lorentzoo.nn.patches import PLACE, take_columns, voxel_names
from lorentzoo.plugins.calorimeter.cells import fill_empty, share
from lorentzoo.plugins.calorimeter.structure import Structure, energies_of_ratios, ratios_of_energies
from lorentzoo.verification import redraw_weights

DETECTORS = ("lead-argon", "tungsten-silicon", "lead-tungstate")
SMALL = {"generator": {"steps": 2}, "backbone": {"num_blocks": 1, "width": 16}}


@pytest.fixture(scope="module")
def data() -> ShowerData:
    return showers(list(DETECTORS), num_showers=40, energy_min=1.0, energy_max=20.0)


@pytest.fixture(scope="module")
def model(data: ShowerData) -> lz.Generator:
    """Untrained, with weights of unit scale: whatever it draws must obey."""
    torch.manual_seed(0)
    made = lz.create_model("vit-showers", **SMALL)
    made.fit_statistics([data.batch(torch.arange(len(data)))])
    redraw_weights(made, 0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(0.5)
    return made


def numbers(cloud: lz.ParticleCloud, names: tuple[str, ...]) -> torch.Tensor:
    return take_columns(cloud.scalars, cloud.scalar_names, names, "scalars of the cloud")


class TestLayers:
    @settings(max_examples=40, deadline=None)
    @given(
        lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5),
        fraction=st.floats(1e-6, 1 - 1e-9),
        seed=st.integers(0, 1000),
    )
    def test_ratios_are_a_bijection(self, lengths: list[int], fraction: float, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)
        layers = Packed.from_lengths(lengths)
        energies = torch.empty(sum(lengths), dtype=torch.float64).log_normal_(0.0, 3.0, generator=rng)
        total = layers.pool(energies.unsqueeze(-1), "sum").squeeze(-1)
        maximum = torch.where(total > 0, total, torch.ones_like(total)) / fraction
        ratios = ratios_of_energies(energies, maximum, layers)
        assert torch.isfinite(ratios).all()
        assert torch.allclose(energies_of_ratios(ratios, maximum, layers), energies, rtol=1e-6)

    @settings(max_examples=40, deadline=None)
    @given(
        lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5),
        scale=st.floats(0.1, 30.0),
        seed=st.integers(0, 1000),
    )
    def test_any_numbers_stay_below_the_maximum(self, lengths: list[int], scale: float, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)
        layers = Packed.from_lengths(lengths)
        ratios = scale * torch.randn(sum(lengths), generator=rng, dtype=torch.float64)
        maximum = torch.rand(len(lengths), generator=rng, dtype=torch.float64) + 0.1
        energies = energies_of_ratios(ratios, maximum, layers)
        assert (energies >= 0).all()
        total = layers.pool(energies.unsqueeze(-1), "sum").squeeze(-1)
        assert (total <= maximum * (1 + 1e-12)).all()

    def test_the_structure_does_not_ask_for_an_order(self, data: ShowerData) -> None:
        cloud = data.batch([0, 45, 90]).cloud
        layer = numbers(cloud, ("layer",))[:, 0]
        order = torch.cat(
            [
                start + torch.randperm(n)
                for start, n in zip(cloud.layout.ptr, cloud.layout.lengths, strict=False)
            ]
        )
        energy = numbers(cloud, voxel_names(24)).sum(-1)
        there = Structure.of(cloud, layer)
        shuffled = Structure.of(cloud, layer[order])
        assert there.layers.lengths == shuffled.layers.lengths == (12, 10, 8)
        assert torch.allclose(there.sum_patches(energy), shuffled.sum_patches(energy[order]))
        values = torch.rand(30, dtype=torch.float64)
        assert torch.equal(there.to_patches(values)[order], shuffled.to_patches(values))
        assert torch.equal(
            there.of_layers(layer.unsqueeze(-1)), shuffled.of_layers(layer[order].unsqueeze(-1))
        )
        grid = find_detector("tungsten-silicon").grid
        wanted = grid.layer_energies(data.subset([45]).showers("tungsten-silicon")[0])[0]
        assert there.sum_patches(energy)[12:22].numpy() == pytest.approx(wanted)


class TestCells:
    @settings(max_examples=40, deadline=None)
    @given(scale=st.floats(0.01, 8.0), shift=st.floats(-6.0, 6.0), seed=st.integers(0, 1000))
    def test_shares_sum_to_the_layer_and_obey_the_threshold(
        self, scale: float, shift: float, seed: int
    ) -> None:
        rng = torch.Generator().manual_seed(seed)
        cloud = empty_showers(find_detector("tungsten-silicon"), np.ones(3))
        structure = Structure.of(cloud, numbers(cloud, ("layer",))[:, 0])
        real = torch.arange(24) < numbers(cloud, ("cells",))
        cells = shift + scale * torch.randn(len(real), 24, generator=rng, dtype=torch.float64)
        threshold = torch.full((len(real), 1), 1e-4, dtype=torch.float64)
        layer = 1e-4 * torch.empty(30, dtype=torch.float64).log_normal_(2.0, 3.0, generator=rng)
        layer = torch.where(layer < 1e-4, torch.zeros_like(layer), layer)
        energies = share(cells, real, layer, threshold, structure)
        assert (energies[~real] == 0).all()
        assert torch.allclose(structure.sum_patches(energies.sum(-1)), layer, rtol=1e-12, atol=0)
        assert (energies[energies > 0] >= 1e-4 * (1 - 1e-12)).all()

    def test_hits_that_fit_come_back_as_they_were(self, data: ShowerData) -> None:
        cloud = data.batch(torch.arange(len(data))).cloud
        energies = numbers(cloud, voxel_names(24))
        structure = Structure.of(cloud, numbers(cloud, ("layer",))[:, 0])
        log = cloud.context[:, cloud.context_names.index("log_threshold")]
        threshold = cloud.layout.spread(log.exp()).unsqueeze(-1)
        real = torch.arange(24) < numbers(cloud, ("cells",))
        noisy = fill_empty(
            energies, threshold, Packed.from_lengths([len(energies)]), torch.Generator().manual_seed(0)
        )
        assert ((noisy == energies) | (energies < threshold)).all()
        assert (noisy / threshold).min() >= 0.2
        layer = structure.sum_patches(torch.where(energies < threshold, 0.0, energies).sum(-1))
        again = share((noisy / threshold).log(), real, layer, threshold, structure)
        assert torch.allclose(again, torch.where(energies < threshold, 0.0, energies), rtol=1e-9, atol=1e-15)


class TestSampling:
    def test_energy_is_conserved_in_every_detector(self, model: lz.Generator, data: ShowerData) -> None:
        condition = data.batch(torch.arange(0, 120, 4)).cloud
        cloud = model.sample(30, condition, rng=torch.Generator().manual_seed(0))
        cloud.validate()
        for name in DETECTORS:
            detector = find_detector(name)
            chosen = data.target[::4] == data.class_names.index(name)
            part = cloud.select(chosen)
            voxels = voxels_of(part, detector)
            incident = part.context[:, 0].exp().numpy()
            assert (voxels.sum(1) <= incident * detector.max_ratio * (1 + 1e-12)).all()
            hit = voxels[voxels > 0]
            assert len(hit) > 0
            assert hit.min() >= detector.threshold * (1 - 1e-9)
            # Momenta are those of the cells.
            assert part.total()[:, 0].numpy() == pytest.approx(voxels.sum(1), abs=1e-9)
        assert torch.equal(cloud.scalars[:, 24:], condition.scalars[:, 24:])
        where = condition.momenta[:, 1:] / condition.momenta[:, :1]
        assert torch.allclose(cloud.momenta[:, 1:] / cloud.momenta[:, :1], where, atol=1e-12)

    def test_layers_sum_to_what_was_drawn_first(
        self, model: lz.Generator, data: ShowerData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import lorentzoo.plugins.calorimeter.base as module

        drawn: list[torch.Tensor] = []

        def watched(*arguments):  # type: ignore[no-untyped-def]
            drawn.append(energies_of_ratios(*arguments))
            return drawn[-1]

        monkeypatch.setattr(module, "energies_of_ratios", watched)
        cloud = model.sample(5, data.batch(range(5)).cloud, rng=torch.Generator().manual_seed(1))
        detector = find_detector("lead-argon")
        wanted = drawn[0].reshape(5, 12).numpy()
        wanted = np.where(wanted < detector.threshold, 0.0, wanted)
        found = detector.grid.layer_energies(voxels_of(cloud, detector))
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-15)

    def test_batches_and_seeds(self, model: lz.Generator, data: ShowerData) -> None:
        condition = data.batch([0, 50, 100, 1, 51]).cloud
        first = model.sample(5, condition, rng=torch.Generator().manual_seed(3))
        again = model.sample(5, condition, rng=torch.Generator().manual_seed(3), batch_size=2)
        assert torch.allclose(first.scalars, again.scalars, rtol=1e-3, atol=1e-5)
        other = model.sample(5, condition, rng=torch.Generator().manual_seed(4))
        assert not torch.allclose(first.scalars, other.scalars)
        one = model.sample(3, condition.select(torch.tensor([2])))
        assert one.multiplicity().tolist() == [16, 16, 16]

    def test_evaluations_are_counted(self, model: lz.Generator, data: ShowerData) -> None:
        with counting_evaluations() as count:
            model.sample(4, data.batch(range(4)).cloud)
        # Two steps of midpoint, for layers and for cells.
        assert count.calls == 8
        assert count.per_event == 4.0

    def test_any_condition_will_do(self, model: lz.Generator) -> None:
        detector = find_detector("iron-scintillator")
        cloud = model.sample(2, empty_showers(detector, [5.0, 9.0], 0.1))
        assert voxels_of(cloud, detector).shape == (2, 432)
        with pytest.raises(NotFittedError, match="Give `condition`"):
            model.sample(2)

    def test_showers_that_fail_are_named(self, model: lz.Generator, data: ShowerData) -> None:
        broken = lz.create_model("vit-showers", **SMALL)
        broken.load_state_dict(model.state_dict())
        condition = data.batch(range(6)).cloud
        context = condition.context.clone()
        context[4, 1] = float("nan")
        with pytest.raises(SolverError, match=r"failed for 1 events: 4 \(t = "):
            broken.sample(6, replace(condition, context=context), batch_size=4)


class TestTraining:
    def test_it_learns(self) -> None:
        """Layer energies and hits of one detector at one energy, far better than before training."""
        torch.manual_seed(0)
        detector = find_detector("lead-tungstate")
        rng = np.random.default_rng(0)
        energy, angle = np.full(400, 10.0), np.zeros(400)
        voxels = simulate_showers(detector, energy, angle, rng)
        data = ShowerData([ShowerArrays(detector, voxels, energy, angle)])
        made = lz.create_model(
            "vit-showers",
            generator={"steps": 5, "layers": "vit:num_blocks=2,width=32,mlp_ratio=2"},
            backbone={"num_blocks": 2, "width": 32},
        )
        whole = data.batch(torch.arange(400))
        made.fit_statistics([whole])
        optimiser = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=4e-3)
        condition = data.batch(range(100)).cloud

        def error() -> tuple[float, float]:
            cloud = made.sample(100, condition, rng=torch.Generator().manual_seed(0))
            drawn, true = (
                detector.grid.layer_energies(v).mean(0) for v in (voxels_of(cloud, detector), voxels)
            )
            profile = float(np.abs(drawn - true).sum() / true.sum())
            return profile, abs(float((voxels_of(cloud, detector) > 0).mean() - (voxels > 0).mean()))

        before = error()
        source = torch.Generator().manual_seed(0)
        for _ in range(80):
            batch = data.batch(torch.randint(400, (32,), generator=source))
            loss = made.loss(batch.cloud, rng=source)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        after = error()
        assert after[0] < 0.15
        assert before[0] > 0.3
        assert after[1] < 0.6 * before[1]

    def test_weights_of_events_count(self, model: lz.Generator, data: ShowerData) -> None:
        cloud = data.batch([0, 60]).cloud
        layers, cells = model.losses(cloud, rng=torch.Generator().manual_seed(0))
        one = model.loss(cloud, torch.tensor([1.0, 0.0]), rng=torch.Generator().manual_seed(0))
        assert float(one.detach()) == pytest.approx(float((layers + cells)[0].detach()))

    def test_the_order_of_patches_is_nothing(self, model: lz.Generator, data: ShowerData) -> None:
        cloud = data.batch([0]).cloud
        seen = model._look(cloud)
        order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
        turned = model._look(replace(cloud, momenta=cloud.momenta[order], scalars=cloud.scalars[order]))
        cells, times = torch.randn(24, 24, dtype=torch.float64), torch.tensor([0.4], dtype=torch.float64)
        layer = torch.rand(12, dtype=torch.float64)
        there = model.cell_velocity(seen, layer, times, cells)
        moved = model.cell_velocity(turned, layer, times, cells[order])
        assert torch.allclose(there[order], moved, atol=1e-4)

    def test_a_shower_above_the_maximum_is_named(self, model: lz.Generator, data: ShowerData) -> None:
        cloud = data.batch([0, 1]).cloud
        scalars = cloud.scalars.clone()
        scalars[24, 0] = 100.0
        with pytest.raises(ValueError, match=r"shower 1 of the batch deposits 10\d.* larger max_ratio"):
            model.loss(replace(cloud, scalars=scalars))

    def test_there_is_no_density(self, model: lz.Generator, data: ShowerData) -> None:
        with pytest.raises(
            NoDensityError, match="has no log_prob: cells below the threshold are read as empty"
        ):
            model.log_prob(data.batch([0]).cloud)

    def test_use_before_fitting_is_an_error(self, data: ShowerData) -> None:
        with pytest.raises(NotFittedError, match="CalorimeterFlow has statistics that were not fitted"):
            lz.create_model("vit-showers", **SMALL).loss(data.batch([0]).cloud)


class TestComposition:
    def test_any_backbone_may_take_its_place(self, data: ShowerData) -> None:
        made = lz.compose(
            generator={
                "name": "calorimeter-flow",
                "steps": 1,
                "layers": "transformer:num_blocks=1,num_heads=2",
            },
            backbone="transformer:num_blocks=1,num_heads=2",
            embedding=[],
            in_scalars=24 + len(PLACE),
            in_context=9,
        )
        made.fit_statistics([data.batch([0, 50])])
        cloud = made.sample(2, data.batch([0, 50]).cloud)
        assert cloud.multiplicity().tolist() == [24, 20]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"in_scalars": 5}, "patches of 24 cells have in_scalars=33 and in_context=9, not 5 and 9"),
            ({"generator": {"slots": 0}}, "slots must be at least 1"),
            ({"generator": {"cell_weight": 0.0}}, "cell_weight must be positive"),
            ({"generator": {"layers": "pcnn"}}, "must give numbers of each row"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, given: dict, message: str) -> None:
        with pytest.raises(CompositionError, match=message):
            lz.create_model("vit-showers", **given)

    def test_parameters_are_as_documented(self) -> None:
        made = lz.create_model("vit-showers")
        assert made.num_parameters == 364_473
        assert made.network is not None
        assert made.network.num_parameters == 254_488
        default = lz.compose(backbone="vit", in_scalars=33, in_context=9, embedding=[])
        assert sum(p.numel() for p in default.backbone.parameters()) == 1_836_160
