"""Are columns found by the names on which a model was fitted, or refused?"""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

import lorentzoo as lz

SCALARS, CONTEXT = ("charge", "is_muon", "d0"), ("energy", "angle")


def cloud(
    scalar_names: tuple[str, ...] = SCALARS, context_names: tuple[str, ...] = CONTEXT
) -> lz.ParticleCloud:
    """The same events, with columns in the order of the names."""
    rng = torch.Generator().manual_seed(0)
    three = torch.randn(12, 3, generator=rng) * 20 + torch.tensor([60.0, 5.0, 10.0])
    momenta = torch.cat([three.norm(dim=1, keepdim=True), three], 1)
    scalars, context = torch.randn(12, 3, generator=rng), torch.randn(3, 2, generator=rng)
    columns = [SCALARS.index(name) if name in SCALARS else 0 for name in scalar_names]
    numbers = [CONTEXT.index(name) if name in CONTEXT else 0 for name in context_names]
    return lz.ParticleCloud.from_packed(
        momenta,
        [0, 4, 8, 12],
        scalars[:, columns] if columns else scalars,
        context[:, numbers] if numbers else context,
        scalar_names=scalar_names,
        context_names=context_names,
    )


@pytest.fixture(scope="module")
def model() -> lz.Model:
    torch.manual_seed(0)
    made = lz.compose(
        backbone={"name": "deep-sets", "hidden": [8]}, head="classify", in_scalars=3, in_context=2
    )
    weight = torch.ones(3, dtype=torch.float64)
    made.fit_statistics([lz.Batch(cloud(), torch.tensor([0, 1, 0]), weight, torch.arange(3))])
    return made.eval()


@pytest.mark.parametrize("scalar_names", [SCALARS[::-1], ("d0", "charge", "is_muon"), ()])
@pytest.mark.parametrize("context_names", [CONTEXT, CONTEXT[::-1], ()])
def test_another_order_is_put_in_order(
    model: lz.Model, scalar_names: tuple[str, ...], context_names: tuple[str, ...]
) -> None:
    expected = model(cloud())
    for twin in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(cloud(scalar_names, context_names)), expected)


def test_other_names_are_refused(model: lz.Model) -> None:
    with pytest.raises(
        ValueError, match=r"fitted on the scalars \['charge', 'is_muon', 'd0'\], but .* 'is_pion', 'd0'"
    ):
        model(cloud(("charge", "is_pion", "d0")))
    with pytest.raises(ValueError, match=r"fitted on the context \['energy', 'angle'\]"):
        model(cloud(context_names=("energy", "mass")))
