"""Random compositions: what is accepted runs, keeps the computed symmetry, and does not see its layout."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import assume, given, reject, settings

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError
from lorentzoo.core.model import Model
from lorentzoo.registry.specs import Spec
from lorentzoo.testing import random_cloud
from lorentzoo.verification import redraw_weights

SPURIONS = ["time", "beam", "beam-lightlike", "beam-lightlike:both=false", "beam-plane", "none"]
HEADS = [
    "classify",
    "classify:pooling=sum,hidden=[16]",
    "classify:pooling=max,num_classes=1",
    "classify:pooling=global-token",
]
spurions = st.lists(st.sampled_from(SPURIONS), max_size=2, unique=True)
compositions = st.fixed_dictionaries(
    {
        "spurions": spurions,
        "frames": st.sampled_from(["identity", "random-lorentz", "random-beam", "random-rotation"]),
        "embedding": st.lists(
            st.sampled_from(["kinematics", "momenta:scale=20", "invariants"]),
            min_size=1,
            max_size=3,
            unique=True,
        ),
        "backbone": st.sampled_from(
            [
                "deep-sets:hidden=[32]",
                "transformer:num_blocks=1,num_heads=2",
                "transformer:num_blocks=1,num_heads=1,head_reps=4x0n",
                "mlp:num_particles=6,hidden=[32]",
            ]
        ),
        "head": st.sampled_from(HEADS),
        "spurion_mode": st.sampled_from([None, "tokens", "channels", "drop"]),
        "in_scalars": st.integers(0, 2),
        "in_context": st.integers(0, 1),
    }
)


def made(slots: dict[str, Any]) -> Model:
    try:
        model = lz.compose(**slots)
    except CompositionError:
        reject()
    redraw_weights(model)
    return model.double().eval()


def events(model: Model, seed: int = 0) -> lz.ParticleCloud:
    lengths = [7, 3, 1, 0, 5, 8, 4, 6]
    return random_cloud(lengths, in_scalars=model.in_scalars, in_context=model.in_context, seed=seed)


@settings(max_examples=20)
@given(compositions, st.integers(0, 100))
def test_packed_and_padded_agree(slots: dict[str, Any], seed: int) -> None:
    model = made(slots)
    cloud = events(model, seed)
    with torch.no_grad():
        packed = model(cloud)
        assert torch.isfinite(packed).all()
        for length in (None, 11):
            padded = model(cloud.to_padded(length))
            assert float((padded - packed).abs().max() / packed.abs().max()) < 1e-11


@settings(max_examples=10)
@given(compositions)
def test_specifications_rebuild_the_same_network(slots: dict[str, Any]) -> None:
    model = made(slots)
    again = lz.compose(**slots).double().eval()
    rebuilt = Spec.from_yaml(model.spec.to_yaml())
    assert rebuilt == model.spec == again.spec
    again.load_state_dict(model.state_dict())
    cloud = events(model)
    with torch.no_grad():
        assert torch.equal(again(cloud), model(cloud))


@settings(max_examples=20)
@given(compositions, st.integers(0, 100))
def test_finite_elements_of_the_computed_symmetry_change_nothing(slots: dict[str, Any], seed: int) -> None:
    import numpy as np

    model = made(slots)
    rng = np.random.default_rng(seed)
    # A single photon has no mass to measure by, and is invariant only as far as its scale is capped.
    cloud = random_cloud([7, 3, 0, 5, 8], in_scalars=model.in_scalars, in_context=model.in_context, seed=seed)
    with torch.no_grad():
        before = model(cloud)
        after = model(cloud.transform(torch.from_numpy(model.symmetry.random_element(rng, 1.0))))
    assert float((after - before).abs().max() / before.abs().max()) < 1e-6


@settings(max_examples=6)
@given(compositions)
def test_computed_and_measured_symmetry_agree(slots: dict[str, Any]) -> None:
    model = made(slots)
    assume(not (slots["backbone"].startswith("deep-sets") and "global-token" in slots["head"]))
    cloud = random_cloud([7, 9, 5, 8, 6, 7, 9, 8], in_scalars=model.in_scalars, in_context=model.in_context)
    result = lz.verify(model, cloud, rapidities=())
    assert result.passed, str(result)
    assert result.predicted.discrete <= result.measured.discrete


@settings(max_examples=15)
@given(compositions)
def test_gradients_are_finite_in_training(slots: dict[str, Any]) -> None:
    model = made(slots).train()
    cloud = events(model)
    b = cloud.num_events
    batch = lz.Batch(cloud, torch.arange(b) % 2, torch.ones(b, dtype=torch.float64), torch.arange(b))
    model.loss(batch).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("pooling", ["mean", "sum", "max"])
def test_a_particle_of_no_momentum_is_not_padding(pooling: str) -> None:
    """Soft particles count as particles; only the mask says what is none."""
    model = lz.compose(backbone="deep-sets:hidden=[8]", head=f"classify:pooling={pooling}").double().eval()
    redraw_weights(model)
    cloud = random_cloud([4])
    soft = torch.cat([cloud.momenta, 1e-9 * cloud.momenta[:1]])
    extended = lz.ParticleCloud.from_packed(soft, [0, 5])
    padded = extended.to_padded(7)
    torch.testing.assert_close(model(padded), model(extended))
    hidden = replace(padded, layout=type(padded.layout)(padded.layout.mask & (torch.arange(7) != 4)))
    torch.testing.assert_close(model(hidden), model(cloud), rtol=1e-6, atol=1e-6)
