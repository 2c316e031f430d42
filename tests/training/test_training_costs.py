"""Costs against counts by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import lorentzoo as lz
import lorentzoo.training.costs as costs_module
from lorentzoo.data.dataset import JetDataset
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.composition import build, load_dataset, model_spec
from lorentzoo.registry.parameters import parameters_of
from lorentzoo.studies.closed_forms import published_flops
from lorentzoo.testing import random_cloud
from lorentzoo.training.costs import (
    _CPU_ATTENTION,
    count_flops,
    measure_costs,
    peak_memory,
    time_per_event,
)
from lorentzoo.verification import fit_if_needed

HIDDEN = 16


@pytest.fixture(scope="module")
def sets() -> lz.Model:
    torch.manual_seed(0)
    return lz.compose(
        backbone={"name": "deep-sets", "hidden": [HIDDEN, HIDDEN]}, head="classify:num_classes=1"
    )


@pytest.mark.parametrize("multiplicity", [1, 7, 30])
def test_flops_of_a_deep_set_are_those_of_its_matrices(sets, jets, multiplicity) -> None:
    each = 2 * (7 * HIDDEN + HIDDEN * HIDDEN)
    assert count_flops(sets, jets, multiplicity) == multiplicity * each + 2 * HIDDEN


def test_flops_count_every_attention_product(jets) -> None:
    torch.manual_seed(0)
    flops = {}
    for heads in (1, 2):
        model = lz.compose(
            backbone={"name": "transformer", "num_blocks": 1, "num_heads": heads, "head_reps": "8x0n"},
            head="classify:num_classes=1",
        )
        for n in (10, 20):
            flops[heads, n] = count_flops(model, jets, n)
    # What is not linear in the multiplicity is attention: 2 products of n² pairs, 8 wide, 2 operations each.
    for heads in (1, 2):
        width = 8 * heads
        excess = flops[heads, 20] - 2 * flops[heads, 10] + 2 * width  # the head's map, once an event
        assert excess == 2 * 2 * width * (20**2 - 2 * 10**2)


def test_memory_grows_with_the_batch_and_is_repeatable(sets, jets) -> None:
    large = jets.batch(range(100))
    first = peak_memory(sets, jets.batch(range(10)))
    assert first == peak_memory(sets, jets.batch(range(10)))
    particles = large.cloud.momenta.shape[0]
    # At least the activations that backward needs: two hidden layers in float32.
    assert peak_memory(sets, large) > first + 0.8 * particles * 2 * HIDDEN * 4
    assert all(p.grad is None for p in sets.parameters())


def test_costs_leave_the_model_alone(sets, jets) -> None:
    before = {name: value.clone() for name, value in sets.state_dict().items()}
    costs = measure_costs(sets.eval(), jets, batch_size=50)
    assert costs.parameters == sets.num_parameters
    assert costs.batch_size == 50
    assert costs.multiplicity == 20
    assert costs.forward_ms > 0
    assert costs.training_ms > 0
    assert costs.memory_mb > 0
    assert not sets.training
    assert all(torch.equal(before[name], value) for name, value in sets.state_dict().items())


@pytest.mark.parametrize(("long_enough", "runs"), [(0.5, 2), (1e9, 12)])
def test_what_takes_long_is_not_repeated(sets, jets, monkeypatch, long_enough, runs) -> None:
    calls = []
    handle = sets.register_forward_hook(lambda *_: calls.append(1))
    monkeypatch.setattr(costs_module, "_LONG_ENOUGH", long_enough)
    monkeypatch.setattr(costs_module.time, "process_time", iter(range(100)).__next__)
    forward, training = time_per_event(sets, jets.batch(range(4)))
    handle.remove()
    assert len(calls) == runs
    assert forward == training == 0.25


PRODUCTS = {
    "mm",
    "addmm",
    "bmm",
    "baddbmm",
    "addbmm",
    "mv",
    "addmv",
    "dot",
    "vdot",
    "inner",
    "ger",
    "addr",
    "linear",
    "matmul",
    "einsum",
    "tensordot",
    "bilinear",
    "_trilinear",
    "cdist",
    "_cdist_forward",
    "_euclidean_dist",
    "convolution",
    "_convolution",
    "mkldnn_linear",
    "_addmm_activation",
    "linalg_vecdot",
    "kron",
    "_grouped_mm",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_flash_attention_forward",
    "_efficient_attention_forward",
    "_scaled_dot_product_fused_attention_overrideable",
}
"""Operations of torch that sum products."""


class Recorder(TorchDispatchMode):
    """Names of all operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, object] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen[func.overloadpacket.__name__] = func.overloadpacket
        return func(*args, **(kwargs or {}))


NETWORKS = [
    component.name
    for component in catalogue().components("model")
    if "jetclass" not in component.name and "generator" not in component.spec
]
"""Generators are counted by the networks in them."""


@pytest.mark.parametrize("name", NETWORKS)
def test_no_product_of_any_network_escapes_the_counter(name) -> None:
    spec = model_spec(name)
    parameters = parameters_of(catalogue().target(catalogue().find("backbone", spec.backbone.name)))
    given = {**{key: each.default for key, each in parameters.items()}, **spec.backbone.parameters}
    small = {key: 1 for key in ("num_blocks", "num_interaction_blocks") if given.get(key)}
    model = build(replace(spec, backbone=spec.backbone.merged(small))).eval()
    if "reference" in spec.head.parameters:
        # References are of the particles of a process.
        points = load_dataset("amplitudes", num_events=600, cache=False).batch(slice(None))
        model.fit_statistics([points])
        cloud = points.cloud
    else:
        cloud = random_cloud([6, 9], in_scalars=model.in_scalars, in_context=model.in_context)
        fit_if_needed(model, cloud)
    with torch.no_grad(), Recorder() as recorder:
        model(cloud)
    escaped = [
        operation
        for operation, packet in recorder.seen.items()
        if operation in PRODUCTS and packet not in flop_registry and packet not in _CPU_ATTENTION
    ]
    assert not escaped


@pytest.mark.parametrize(
    ("name", "published_only"),
    [
        ("pfn", 0),
        ("pcnn:num_particles=20", 0),
        # The boost to rest of the published script, and its last map on every particle where ours is on their mean.
        ("transformer:num_blocks=2", 32 * 23 + 19 * 2 * 128),
        ("part:num_blocks=2", 32 * 23),
        ("mipart:num_blocks=2,num_interaction_blocks=2", 32 * 23),
        ("lgatr-slim:num_blocks=2", 0),
    ],
)
def test_counts_are_those_of_the_closed_forms(name, published_only, jets) -> None:
    model = lz.create_model(name)
    batch = jets.batch(range(50))
    scalars = torch.randn(*batch.cloud.layout.lead, model.in_scalars)
    events = JetDataset(batch.cloud.momenta, batch.cloud.layout.ptr, batch.target, scalars=scalars)
    assert count_flops(model, events, 20) == published_flops(model.spec, multiplicity=20) - published_only
