"""Do integer weights keep the symmetry, and come back from a file to the last bit?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from small_networks import SMALL as ADAPTED
from torch.nn.attention import SDPBackend, sdpa_kernel

import lorentzoo as lz
from lorentzoo.core.errors import CheckpointError, ParameterError
from lorentzoo.core.quantisation import choose_matrices, find_integers, round_rows
from lorentzoo.registry.quantisation import count_bytes, pack_state, unpack_state
from lorentzoo.testing import random_cloud
from lorentzoo.verification import redraw_weights
from lorentzoo.verification.inputs import fit_if_needed

CLOUD = random_cloud([7, 5, 9, 6, 8, 7, 9, 5])
SMALL = {
    **ADAPTED,
    "part": "part:num_blocks=1,num_class_blocks=1",
    "graphnet": "graphnet:num_blocks=1",
}
SLOW = ("cgenn", "lgatr-full", "pelican", "graphnet")
NETWORKS = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in SMALL]
)


def make(name: str, dtype: torch.dtype = torch.float64) -> Any:
    torch.manual_seed(0)
    framed = name in ("transformer", "part", "graphnet")
    slots: dict[str, Any] = {"embedding": ["momenta", "invariants"], "spurions": "time"}
    if framed:
        slots["frames"] = "lloca-polar:hidden=16"
    if name in ("part", "graphnet"):
        slots["embedding"] = ["kinematics", "momenta"] if name == "part" else "kinematics"
    model = lz.compose(backbone=SMALL[name], **slots).to(dtype).eval()
    fit_if_needed(model, CLOUD)
    redraw_weights(model)
    return model


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 5),
    columns=st.lists(st.integers(1, 5), min_size=1, max_size=2),
    size=st.floats(-20, 20),
    bits=st.integers(2, 8),
    double=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_the_grid_is_found_again_from_what_lies_on_it(
    rows: int, columns: list[int], size: float, bits: int, double: bool, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, *columns, generator=rng, dtype=torch.float64 if double else torch.float32)
    weight = weight * 10**size
    weight[0] *= float(seed % 3 > 0)  # some rows are zero
    rounded = round_rows(weight, bits)
    found = find_integers(rounded, bits)
    assert found is not None
    integers, scales = found
    assert int(integers.abs().max()) < 2 ** (bits - 1)
    assert torch.equal(round_rows(rounded, bits), rounded)
    half = scales.reshape(-1, *[1] * len(columns)) / 2
    assert bool(((rounded - weight).abs() <= half * (1 + 1e-6)).all())


@NETWORKS
@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_integers_keep_the_symmetry_and_come_back(name: str, kind: str, tmp_path: Path) -> None:
    model = make(name)
    before = model(CLOUD).detach()
    lz.quantise(model, kind)
    after = model(CLOUD).detach()
    assert not torch.equal(before, after)
    result = lz.verify(model, CLOUD, redraw=False, rapidities=())
    assert result.passed, str(result)
    loaded = lz.load(lz.save(model, tmp_path / "m"))
    assert torch.equal(loaded(CLOUD).detach(), after)
    assert loaded.quantisation == model.quantisation
    assert torch.equal(lz.load(lz.save(loaded, tmp_path / "again"))(CLOUD).detach(), after)


@NETWORKS
def test_rounded_activations_keep_the_symmetry(name: str, tmp_path: Path) -> None:
    model = lz.quantise(make(name), "int8:activations=8")
    plain = lz.quantise(make(name), "int8")
    hooked = model(CLOUD).detach()
    assert not torch.equal(hooked, plain(CLOUD).detach())
    # Not even where whole layers are one function.
    with sdpa_kernel(SDPBackend.MATH):
        torch.testing.assert_close(model(CLOUD).detach(), hooked, rtol=0, atol=1e-10)
    result = lz.verify(model, CLOUD, redraw=False, rapidities=())
    assert result.passed, str(result)
    assert torch.equal(lz.load(lz.save(model, tmp_path / "m"))(CLOUD).detach(), hooked)


def test_files_hold_integers(tmp_path: Path) -> None:
    sizes = {}
    for kind in (None, "int8", "int4"):
        model = make("lgatr-slim", torch.float32)
        if kind is not None:
            lz.quantise(model, kind)
        state = load_file(lz.save(model, tmp_path / str(kind)) / "weights.safetensors")
        sizes[kind] = count_bytes(model)
        assert sizes[kind] == sum(tensor.numel() * tensor.element_size() for tensor in state.values())
        if kind is None:
            continue
        name = "backbone.network.blocks.0.mlp.output.vector_weight"
        weight = model.get_parameter(name)
        wanted = torch.int8 if kind == "int8" else torch.uint8
        assert state[name].dtype == wanted
        assert state[name].numel() == weight.numel() // (1 if kind == "int8" else 2)
        assert state[f"{name}.scales"].shape == weight.shape[:1]
    assert sizes[None] > 2.4 * sizes["int8"] > 2.4 * 1.25 * sizes["int4"]
    assert "integers of 4 bits" in (tmp_path / "int4" / "README.md").read_text()
    assert "integers of" not in (tmp_path / "None" / "README.md").read_text()
    written = json.loads((tmp_path / "int4" / "spec.json").read_text())["quantisation"]
    assert written == {"name": "int4"}


def test_an_odd_number_of_halves_comes_back() -> None:
    model = lz.quantise(
        lz.compose(backbone="mlp:num_particles=3,hidden=[5]", head="classify:num_classes=1"), "int4"
    )
    assert any(model.get_parameter(name).numel() % 2 for name in choose_matrices(model, model.quantisation))
    state = unpack_state(model, pack_state(model), model.quantisation)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_some_matrices_alone() -> None:
    model = make("transformer")
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    lz.quantise(model, {"name": "int8", "parameters": "backbone.blocks.*.qkv.weight"})
    changed = {
        name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])
    }
    assert changed == {f"backbone.blocks.{number}.attention.qkv.weight" for number in (0, 1)}


def test_weights_that_left_the_grid_are_named(tmp_path: Path) -> None:
    model = lz.quantise(make("lgatr-slim"), "int8:activations=8")
    with torch.no_grad():
        model.backbone.network.input.vector_weight.add_(0.123)
    with pytest.raises(
        CheckpointError, match=r"not integers times scales \(backbone.network.input.vector_weight\)"
    ):
        lz.save(model, tmp_path / "m")
    lz.save(lz.quantise(model, None), tmp_path / "m")
    assert lz.load(tmp_path / "m").quantisation is None
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_damaged_integers_are_named(tmp_path: Path) -> None:
    model = lz.quantise(make("lgatr-slim"), "int4")
    state = pack_state(model)
    name = "backbone.network.input.scalar_weight"
    for broken in ({name: state[name][:-1]}, {f"{name}.scales": state[f"{name}.scales"][:-1]}):
        with pytest.raises(
            CheckpointError, match=f"integers or scales of {name} are not those of this model"
        ):
            unpack_state(model, state | broken, model.quantisation)
    lz.save(model, tmp_path / "m")
    file = tmp_path / "m" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(CheckpointError, match=r"truncated"):
        lz.load(tmp_path / "m")


@pytest.mark.parametrize(
    ("quantisation", "message"),
    [
        ("int3", "there is no quantisation 'int3', but int8, int4"),
        (
            "int8:activation=8",
            r"quantisation 'int8' has no parameter 'activation'; did you mean 'activations'\?",
        ),
        ("int8:activations=12", "activations have 2 to 8 bits, not 12"),
        ("int8:parameters=nothing", "no matrix of this Model has a name like 'nothing'"),
    ],
)
def test_wrong_quantisations_are_named(quantisation: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        lz.quantise(make("transformer"), quantisation)


def test_adapters_and_half_precision_are_refused() -> None:
    with pytest.raises(ParameterError, match="this model has adapters: merge them"):
        lz.quantise(lz.adapt(make("transformer"), "low-rank:rank=2"), "int8")
    with pytest.raises(ParameterError, match=r"float32 or float64, not from torch\.bfloat16"):
        lz.quantise(make("transformer").to(torch.bfloat16), "int8")
