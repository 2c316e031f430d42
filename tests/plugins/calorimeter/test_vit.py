"""Does the transformer over patches start as the identity, hear its context, and see places on any grid?"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError
from lorentzoo.plugins.calorimeter.places import PlaceFeatures
from lorentzoo.verification import redraw_weights
from lorentzoo.verification.events import random_cloud


def vit(**parameters: object) -> lz.Model:
    backbone = {"name": "vit", "num_blocks": 2, "width": 16, "num_heads": 2, **parameters}
    return (
        lz.compose(backbone=backbone, embedding=[], head="classify", in_scalars=5, in_context=3)
        .double()
        .eval()
    )


class TestVisionTransformer:
    def test_gates_begin_at_zero(self) -> None:
        model = vit()
        cloud = random_cloud([4, 7], in_scalars=5, in_context=3)
        other = replace(cloud, context=torch.randn(2, 3, dtype=torch.float64))
        assert torch.equal(model(cloud), model(other))
        empty = vit(num_blocks=0)
        empty.load_state_dict({k: v for k, v in model.state_dict().items() if "blocks" not in k})
        assert torch.allclose(model(cloud), empty(cloud))

    @settings(max_examples=15, deadline=None)
    @given(
        lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4),
        heads=st.sampled_from([1, 2, 4]),
        context=st.integers(0, 3),
        seed=st.integers(0, 99),
    )
    def test_packed_is_padded_and_order_is_nothing(
        self, lengths: list[int], heads: int, context: int, seed: int
    ) -> None:
        model = lz.compose(
            backbone={"name": "vit", "num_blocks": 2, "width": 8, "num_heads": heads},
            embedding="momenta",
            in_scalars=2,
            in_context=context,
        )
        model = model.double().eval()
        redraw_weights(model, seed)
        cloud = random_cloud(lengths, in_scalars=2, in_context=context, seed=seed)
        output = model(cloud)
        assert torch.allclose(model(cloud.to_padded(11)), output, rtol=1e-9, atol=1e-10)
        turned = cloud.to_padded()
        order = torch.randperm(turned.momenta.shape[1], generator=torch.Generator().manual_seed(seed))
        assert turned.layout.mask is not None
        turned = lz.ParticleCloud.from_padded(
            turned.momenta[:, order], turned.layout.mask[:, order], turned.scalars[:, order], turned.context
        )
        assert torch.allclose(model(turned), output, rtol=1e-9, atol=1e-10)

    def test_each_event_hears_its_own_context(self) -> None:
        model = vit()
        redraw_weights(model)
        cloud = random_cloud([4, 7, 2], in_scalars=5, in_context=3)
        changed = cloud.context.clone()
        changed[1] += 1.0
        difference = (model(replace(cloud, context=changed)) - model(cloud)).abs().amax(-1)
        assert difference[1] > 1e-3
        assert difference[[0, 2]].max() == 0

    def test_the_number_of_parameters_is_as_stated(self) -> None:
        # docs/showers.md: (10 + 2 m) w² + (11 + m) w of a block, and the layers around them.
        blocks, width, ratio, scalars, context = 3, 16, 2, 5, 3
        made = vit(num_blocks=blocks, width=width, mlp_ratio=ratio).backbone
        block = (10 + 2 * ratio) * width**2 + (11 + ratio) * width
        around = 3 * width**2 + (scalars + context + 5) * width
        assert sum(p.numel() for p in made.parameters()) == blocks * block + around

    def test_a_width_that_heads_do_not_divide_is_refused(self) -> None:
        with pytest.raises(
            CompositionError, match="a width that its heads divide, not num_blocks=2, width=16"
        ):
            vit(num_heads=3)


class TestPlaces:
    def test_angles_are_periodic_and_lengths_are_not(self) -> None:
        features = PlaceFeatures(("depth", "alpha"), frequencies=4).double()
        here = torch.tensor([[3.0, 0.4]], dtype=torch.float64)
        turned = here + torch.tensor([[0.0, 2 * math.pi]], dtype=torch.float64)
        deeper = here + torch.tensor([[2 * math.pi, 0.0]], dtype=torch.float64)
        assert torch.allclose(features(here), features(turned), atol=1e-12)
        assert (features(here) - features(deeper)).abs().max() > 0.1
        assert features(here).shape == (1, features.width) == (1, 16)

    def test_columns_are_found_by_name(self) -> None:
        model = lz.compose(backbone="vit:num_blocks=1,width=8", embedding="places", in_scalars=33)
        batch = lz.load_dataset("showers", num_showers=2, energy_max=2.0).batch([0, 1])
        cloud = replace(batch.cloud, context=torch.zeros(2, 0), context_names=())
        assert model(cloud).shape == (2, 2)
        with pytest.raises(ValueError, match=r"scalars of the cloud lack \['depth'"):
            model(replace(cloud, scalar_names=()))

    @pytest.mark.parametrize("learned", [True, False])
    def test_frequencies_are_learned_if_wanted(self, learned: bool) -> None:
        assert PlaceFeatures(("depth",), learned=learned).frequencies.requires_grad is learned

    def test_nothing_to_see_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one column and from 1 to 32 frequencies"):
            PlaceFeatures(())
