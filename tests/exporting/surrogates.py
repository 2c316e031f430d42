"""Surrogates of amplitudes with weights that matter, for tests of source code."""

from __future__ import annotations

from dataclasses import replace

import torch

import lorentzoo as lz

SURROGATES = {
    "amplitude-recipe": {"multiplicity": 2},
    "log-polynomial": {"multiplicity": 2},
    "log-polynomial:degree=2,identical=averaged": {"multiplicity": 3},
    "log-polynomial:reference=[factorised, log-polynomial],degree=2": {"multiplicity": 1},
    "mlp-i": {"multiplicity": 2},
    "dsi": {"multiplicity": 4},
    "sk-dnn": {"multiplicity": 2},
    "amplitude-mlp": {"multiplicity": 2},
    "event-invariants:masses=true,head={name: regress, transform: log, hidden: [8], activation: silu}": {
        "multiplicity": 2
    },
}
"""Models by specification, and the events that they are for."""


def make_surrogate(spec: str, **events: object) -> tuple[lz.Model, lz.JetDataset]:
    """A model with statistics of some events, and weights that were drawn again at unit scale."""
    data = lz.load_dataset("amplitudes", num_events=600, **events)
    name = spec.partition(":")[0]
    torch.manual_seed(1)
    model = (
        lz.create_model(spec)
        if name in lz.list_models()
        else lz.compose(backbone=name, embedding="momenta", head="regress", in_scalars=3)
    )
    model.fit_statistics([data.batch(slice(0, 600))])
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.mul_(1.2)
    return model.eval(), data


def make_amplitude() -> tuple[lz.Model, lz.JetDataset]:
    """A network of eight coordinates that gives real and imaginary part of a helicity amplitude."""
    data = lz.load_dataset("vector-pairs", dimensions=8, target="amplitude", num_events=600)
    torch.manual_seed(1)
    model = lz.compose(
        backbone={
            "name": "invariant-mlp",
            "num_particles": 2,
            "hidden": [50] * 4,
            "skip": True,
            "order": "input",
        },
        embedding="momenta",
        head={"name": "regress", "num_targets": 2, "transform": "signed-log"},
        in_scalars=data.num_scalars,
        in_context=data.num_context,
    )
    model.fit_statistics([data.batch(slice(0, 600))])
    return model.eval(), data


COMPONENTS = ("real", "joint", "polar")
"""Forms of several amplitudes."""


def make_components(form: str, combinations: object) -> tuple[lz.Model, lz.JetDataset]:
    """A network of coordinates that gives three amplitudes, real or complex, by combinations of them."""
    data = lz.load_dataset("vector-pairs", dimensions=8, target="amplitude", num_events=600)
    torch.manual_seed(2)
    targets = torch.randn(600, 3 if form == "real" else 6, dtype=torch.float64) * 2 + 1
    model = lz.compose(
        backbone="invariant-mlp:num_particles=2,hidden=[20,20],read_scalars=true,order=input",
        embedding="momenta",
        head={
            "name": "amplitude-components",
            "num_targets": targets.shape[1],
            "form": form,
            "combinations": combinations,
        },
        in_scalars=data.num_scalars,
        in_context=data.num_context,
    )
    model.fit_statistics([replace(data.batch(slice(0, 600)), target=targets)])
    return model.eval(), data
