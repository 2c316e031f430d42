"""Several amplitudes as targets: combinations with a definite symmetry, complex numbers, there and back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import lorentzoo as lz
from lorentzoo.nn import NotFittedError
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.targets.combinations import find_combinations, find_parities
from lorentzoo.plugins.amplitudes.truth.vector_pairs import complete_by_parity, pair_helicity_amplitudes

COORDINATES = {
    "backbone": "invariant-mlp:num_particles=2,read_scalars=true,hidden=[16]",
    "embedding": "momenta",
}


def make_model(data: lz.JetDataset, **head: object) -> lz.Model:
    model = lz.compose(
        **COORDINATES,
        head={"name": "amplitude-components", "num_targets": data.num_targets, **head},
        in_scalars=data.num_scalars,
        in_context=data.num_context,
    )
    model.fit_statistics([data.batch(slice(0, len(data) // 2)), data.batch(slice(len(data) // 2, len(data)))])
    return model


def helicities(dimensions: int) -> lz.JetDataset:
    return lz.load_dataset("vector-pairs", dimensions=dimensions, target="helicities", num_events=300)


def decays(count: int = 300) -> lz.JetDataset:
    return lz.load_dataset("vector-pairs", dimensions=8, target="amplitude", num_events=count)


@pytest.mark.parametrize("dimensions", [2, 4])
@pytest.mark.parametrize(
    "head",
    [
        {"form": "real", "combinations": "bose"},
        {"form": "real", "combinations": (torch.eye(9) + 0.3 * torch.ones(9, 9)).tolist()},
    ],
)
def test_real_amplitudes_there_and_back(dimensions: int, head: dict, tmp_path: Path) -> None:
    data = helicities(dimensions)
    check_there_and_back(make_model(data, **head), data, tmp_path)


@pytest.mark.parametrize("form", ["joint", "polar"])
@pytest.mark.parametrize("combinations", ["none", "bose"])
def test_complex_amplitudes_there_and_back(form: str, combinations: str, tmp_path: Path) -> None:
    data = decays()
    target = data.target
    if combinations == "bose":
        phases = torch.polar(torch.ones(300).double(), torch.rand(300).double() * 6)
        four = (
            torch.view_as_complex(target.contiguous())[:, None] * (1 + torch.rand(300, 4)) * phases[:, None]
        )
        target = torch.view_as_real(four).flatten(1)
    data = data.subset(range(300))
    data.target, data.target_names = target, tuple(map(str, range(target.shape[1])))
    data.target_units = ("",) * target.shape[1]
    check_there_and_back(make_model(data, form=form, combinations=combinations), data, tmp_path)


def check_there_and_back(model: lz.Model, data: lz.JetDataset, path: Path) -> None:
    """The raw output that is right has no loss and predicts the target; so does the saved model."""
    head = model.head.double()
    wanted = head.standardise_targets(data.target)
    assert float(head.loss(wanted, data.target)) < 1e-20
    found = head.predict(wanted)
    torch.testing.assert_close(found, data.target, rtol=1e-9, atol=1e-9 * float(data.target.abs().max()))
    assert float(head.loss(torch.zeros_like(wanted), data.target)) > 0.1
    lz.save(model, path / "model")
    again = lz.load(path / "model").head.double()
    torch.testing.assert_close(again.predict(wanted), found, rtol=1e-6, atol=1e-6 * float(found.abs().max()))


@given(angle=st.floats(-3, 3), scale=st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_a_joint_scale_prefers_no_phase(angle: float, scale: float) -> None:
    """Turned and scaled amplitudes have turned standardised numbers: real and imaginary part have one scale."""
    data = decays(60)
    factor = scale * torch.polar(torch.tensor(1.0).double(), torch.tensor(angle).double())
    numbers = []
    for change in (torch.tensor(1.0 + 0j).to(factor), factor):
        turned = data.subset(range(60))
        turned.target = torch.view_as_real(torch.view_as_complex(data.target.contiguous()) * change)
        head = make_model(turned, form="joint").head.double()
        numbers.append(torch.view_as_complex(head.standardise_targets(turned.target).contiguous()))
    torch.testing.assert_close(numbers[1], numbers[0] * factor / scale, rtol=1e-5, atol=1e-5)
    assert float(numbers[0].abs().square().mean()) == pytest.approx(1, rel=1e-4)


def test_phases_have_no_seam() -> None:
    data = decays(100)
    head = make_model(data, form="polar").head.double()
    near = torch.tensor([[-1.0, 1e-6], [-1.0, -1e-6]]).double()
    one, other = head.standardise_targets(near)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    # The circle is reached from any point off it.
    found = head.predict(torch.tensor([[0.0, 30.0, 40.0], [0.0, 0.3, 0.4]]).double())
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0, 1] / found[0, 0], torch.tensor(4 / 3).double())


def exchange(momenta: Tensor) -> Tensor:
    """The bosons have each other's place in the event: cos θ* and the masses are exchanged, and axes turned by π."""
    turn = torch.diag(torch.tensor([1.0, -1, -1, 1]).double())
    return torch.stack([momenta[:, 0], momenta[:, 1], *(momenta[:, b] @ turn for b in (3, 2))], 1)


@pytest.mark.parametrize("dimensions", [2, 4])
def test_combinations_of_helicities_are_even_or_odd(dimensions: int) -> None:
    momenta = helicities(dimensions)[:].cloud.momenta.unflatten(0, (300, 4))
    here, there = (pair_helicity_amplitudes(p)[:, 0].real.flatten(1) for p in (momenta, exchange(momenta)))
    parities = find_parities("bose", here, there)
    # Of each pair one is even and one is odd.
    matrix = find_combinations("bose", 9)
    pairs = [(1, 3), (2, 6), (5, 7)]
    assert all(int(parities[a] * parities[b]) == -1 for a, b in pairs)
    assert bool((parities[[0, 4, 8]] != 0).all())
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(9).double())
    with pytest.raises(AmplitudeError, match="combination 1 has no definite symmetry"):
        find_parities("none", here, there)


def test_eighteen_follow_from_nine() -> None:
    data = helicities(4)
    momenta = data[:].cloud.momenta.unflatten(0, (300, 4))
    all_of_them = complete_by_parity(data.target.unflatten(1, (3, 3)))
    wanted = pair_helicity_amplitudes(momenta)
    torch.testing.assert_close(all_of_them, wanted.real, rtol=1e-12, atol=1e-9)
    assert data.target_names[2] == "amplitude_-+"


def test_bad_use_is_named() -> None:
    data = decays(20)
    for head, message in (
        ({"num_targets": 3, "form": "joint"}, "real and imaginary parts in turn, but there are 3 numbers"),
        ({"num_targets": 4, "form": "real", "combinations": [[1, 0], [0, 1]]}, "4 rows of 4 numbers"),
        ({"num_targets": 2, "form": "real", "combinations": [[1, 1], [2, 2]]}, "condition number"),
        (
            {"num_targets": 3, "form": "real", "combinations": "sum-difference"},
            "pairs, but there are 3 targets",
        ),
        ({"num_targets": 3, "form": "real", "combinations": "bose"}, "all helicities of two bosons"),
    ):
        with pytest.raises(ValueError, match=message):
            lz.compose(
                **COORDINATES, head={"name": "amplitude-components", **head}, in_scalars=6, in_context=8
            )
    zero = data.subset(range(20))
    zero.target = torch.zeros_like(data.target)
    with pytest.raises(AmplitudeError, match="form='polar' takes the logarithm of the modulus"):
        make_model(zero, form="polar")
    model = make_model(data)
    with pytest.raises(AmplitudeError, match="num_targets=2, but the targets have shape"):
        model.head.standardise_targets(torch.zeros(3, 5))
    fresh = lz.compose(**COORDINATES, head="amplitude-components", in_scalars=6, in_context=8)
    with pytest.raises(NotFittedError):
        fresh.head.predict(torch.zeros(1, 2))
    with pytest.raises(AmplitudeError, match="with eight coordinates helicities are summed over"):
        lz.load_dataset("vector-pairs", dimensions=8, target="helicities")
