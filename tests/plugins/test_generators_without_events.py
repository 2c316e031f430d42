"""Every generator draws no events, knows the density of none, and has a loss of zero on none."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lorentzoo as lz
from lorentzoo.verification.densities import fit_if_new, training_events

SIX = "num_particles=6,pt_min=22,mass_min=1,steps=2"
PLAIN: dict[str, Any] = {"backbone": "transformer:num_blocks=1", "embedding": "momenta:scale=50"}
COMPOSITIONS: dict[str, dict[str, Any]] = {
    "flow-matching": {"generator": f"flow-matching:{SIX}", **PLAIN},
    "flow-matching in coordinates": {"generator": f"flow-matching:{SIX},base=coordinates", **PLAIN},
    "flow-matching of any number": {"generator": "flow-matching:steps=2,divergence=hutchinson", **PLAIN},
    "flow-matching in learned frames": {
        "generator": f"flow-matching:{SIX}",
        **PLAIN,
        "frames": "lloca-polar",
        "in_scalars": 2,
    },
    "rqs-flow": {"generator": "rqs-flow:num_particles=6,hidden=[8],num_transforms=2", "in_scalars": 2},
    "rqs-flow, autoregressive": {
        "generator": "rqs-flow:num_particles=6,hidden=[8],num_transforms=1,transform=autoregressive,"
        "momentum_layers=true,relative_azimuths=true",
        "in_context": 1,
    },
    "decay-chain-flow": {
        "generator": {
            "name": "decay-chain-flow",
            "num_particles": 3,
            "chains": [[[1, 2], 0]],
            "mirrors": True,
            "exchanges": [[0, 2, 1]],
            "hidden": [8],
            "num_transforms": 2,
        },
        "in_context": 1,
    },
    "varying-multiplicity": {
        "generator": {
            "name": "varying-multiplicity",
            "multiplicities": [2, 3],
            "generator": "flow-matching:steps=2",
            "delta_r_min": 0.5,
            "acceptance_events": 50,
        },
        **PLAIN,
    },
    "varying-multiplicity, one each": {
        "generator": {
            "name": "varying-multiplicity",
            "multiplicities": [2, 3],
            "generator": "rqs-flow:hidden=[8],num_transforms=1",
            "networks": "each",
        },
        "in_context": 1,
    },
}
VIT = "vit:num_blocks=1,width=8,num_heads=2"
SHOWERS: dict[str, dict[str, Any]] = {
    "calorimeter-flow": {
        "name": "vit-showers",
        "backbone": {"num_blocks": 1, "width": 8, "num_heads": 2},
        "generator": {"steps": 2, "layers": VIT},
    },
    "calorimeter-rqs-flow": {
        "name": "vit-showers-rqs-flow",
        "generator": {"backbone": VIT, "layers": VIT, "num_transforms": 2, "num_layer_transforms": 2},
    },
}


def test_every_generator_is_tried() -> None:
    tried = {name.split()[0].rstrip(",") for name in (*COMPOSITIONS, *SHOWERS)}
    assert tried == set(lz.list_components("generator"))


@pytest.mark.parametrize("name", [*COMPOSITIONS, *SHOWERS])
def test_no_events(name: str) -> None:
    torch.manual_seed(0)
    made = lz.compose(**COMPOSITIONS[name]) if name in COMPOSITIONS else lz.create_model(**SHOWERS[name])
    fit_if_new(made, 100)
    made.complete()
    some = training_events(made, 3).cloud
    none = some.select(torch.zeros(3, dtype=torch.bool))
    for condition in (none, some.select(torch.arange(1))):
        drawn = made.sample(0, condition, rng=torch.Generator().manual_seed(0))
        assert drawn.num_events == len(drawn.momenta) == 0
        assert drawn.scalars.shape[-1] == some.scalars.shape[-1]
    loss = made.loss(none)
    assert loss.item() == 0.0
    loss.backward()
    assert made.loss(none, torch.ones(0)).item() == 0.0
    if made.has_density is True:
        drawn, density = made.sample_with_log_prob(0, none)
        assert drawn.num_events == 0
        assert density.shape == made.log_prob(none).shape == (0,)
