"""Are momenta the same however their components are called and stored? (`vector` is the oracle)"""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

import lorentzoo as lz
from lorentzoo.core.errors import InputError, ParameterError
from lorentzoo.core.momentum_columns import find_columns, join_momenta, read_order

LENGTHS = [3, 0, 2, 5]
TRANSVERSE, LONGITUDINAL, TEMPORAL = (("px", "py"), ("pt", "phi")), ("pz", "eta", "theta"), ("E", "mass")


def random_momenta(seed: int = 0, count: int = sum(LENGTHS)) -> np.ndarray:
    """(E, px, py, pz) of massive particles in all directions, (P, 4)."""
    rng = np.random.default_rng(seed)
    three = rng.normal(size=(count, 3)) * rng.exponential(30, (count, 1))
    mass = rng.uniform(0.1, 5, count)
    return np.concatenate([np.sqrt((three**2).sum(1) + mass**2)[:, None], three], axis=1)


def coordinates(momenta: np.ndarray) -> dict[str, np.ndarray]:
    """Every component by name, as `vector` computes it."""
    vector = pytest.importorskip("vector")
    found = vector.array(dict(zip(("E", "px", "py", "pz"), momenta.T, strict=True)))
    return {
        name: np.asarray(getattr(found, name))
        for name in ("px", "py", "pt", "phi", "pz", "eta", "theta", "E", "mass")
    }


@given(
    transverse=st.sampled_from(TRANSVERSE),
    longitudinal=st.sampled_from(LONGITUDINAL),
    temporal=st.sampled_from(TEMPORAL),
    seed=st.integers(0, 1000),
)
def test_every_choice_of_components_gives_the_same_momenta(
    transverse: tuple[str, str], longitudinal: str, temporal: str, seed: int
) -> None:
    momenta = random_momenta(seed)
    known = coordinates(momenta)
    names = np.random.default_rng(seed).permutation([*transverse, longitudinal, temporal]).tolist()
    ptr = np.cumsum([0, *LENGTHS])
    cloud = lz.ParticleCloud.from_packed(
        np.stack([known[name] for name in names], 1), ptr, order=",".join(names)
    )
    np.testing.assert_allclose(cloud.momenta.numpy(), momenta, rtol=1e-9, atol=1e-9)


NAMES: dict[str, tuple[str, str, str, str]] = {
    "vector, as momenta": ("pt", "eta", "phi", "mass"),
    "vector, as stored": ("rho", "eta", "phi", "tau"),
    "vector, Cartesian": ("px", "py", "pz", "E"),
    "vector, Cartesian as stored": ("x", "y", "z", "t"),
    "coffea with energies": ("pt", "eta", "phi", "energy"),
    "Delphes": ("PT", "Eta", "Phi", "Mass"),
    "short": ("pT", "eta", "phi", "m"),
    "mixed": ("px", "py", "eta", "M"),
}
MEANING = {"rho": "pt", "tau": "mass", "x": "px", "y": "py", "z": "pz", "t": "E", "energy": "E", "m": "mass"}


@pytest.mark.parametrize("what", NAMES)
def test_records_are_read_by_the_names_of_their_fields(what: str) -> None:
    ak = pytest.importorskip("awkward")
    momenta = random_momenta()
    known = coordinates(momenta)
    fields = {
        name: known[MEANING.get(name.lower(), name if name == "E" else name.lower())] for name in NAMES[what]
    }
    array = ak.unflatten(ak.zip({**fields, "charge": np.ones(len(momenta))}), LENGTHS)
    cloud = lz.ParticleCloud.from_awkward(array, ["charge"])
    np.testing.assert_allclose(cloud.momenta.numpy(), momenta, rtol=1e-9, atol=1e-9)
    assert cloud.layout.counts().tolist() == LENGTHS
    assert cloud.scalar_names == ("charge",)


@pytest.mark.parametrize(
    "fields", [("px", "py", "pz", "E"), ("pt", "phi", "eta", "mass"), ("pt", "phi", "theta", "energy")]
)
def test_arrays_of_vector_are_read(fields: tuple[str, ...]) -> None:
    ak, vector = pytest.importorskip("awkward"), pytest.importorskip("vector")
    momenta = random_momenta()
    known = coordinates(momenta)
    array = vector.zip({name: ak.unflatten(known[MEANING.get(name, name)], LENGTHS) for name in fields})
    np.testing.assert_allclose(
        lz.ParticleCloud.from_awkward(array).momenta.numpy(), momenta, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("name", ["PtEtaPhiMLorentzVector", "PtEtaPhiMCandidate", "Momentum4D"])
def test_the_name_of_a_record_does_not_matter(name: str) -> None:
    ak = pytest.importorskip("awkward")
    known = coordinates(random_momenta())
    columns = {field: ak.unflatten(known[field], LENGTHS) for field in ("pt", "eta", "phi", "mass")}
    plain, named = ak.zip(columns), ak.zip(columns, with_name=name)
    assert torch.equal(
        lz.ParticleCloud.from_awkward(named).momenta, lz.ParticleCloud.from_awkward(plain).momenta
    )


def test_a_vertex_is_not_taken_for_a_momentum() -> None:
    """Particles of Delphes have both, and only letters tell them apart."""
    names = ["X", "Y", "Z", "T", "PT", "Eta", "Phi", "Mass", "E", "Px", "Py", "Pz"]
    assert find_columns(names) == {"E": "E", "px": "Px", "py": "Py", "pz": "Pz"}
    assert find_columns(names[:8]) == {"pt": "PT", "phi": "Phi", "eta": "Eta", "mass": "Mass"}
    with pytest.raises(InputError, match=r"has no field \['px', 'py', 'pz', 'E'\]"):
        find_columns(names[:4])


def test_the_energy_goes_with_px_and_py_and_the_mass_with_pt_and_phi() -> None:
    both = ["E", "mass", "px", "py", "pz"]
    assert "mass" not in find_columns(both)
    assert "E" not in find_columns(["E", "mass", "pt", "eta", "phi"])


def test_fields_may_be_named_and_are_massless_without_a_mass() -> None:
    ak = pytest.importorskip("awkward")
    known = coordinates(random_momenta())
    array = ak.unflatten(ak.zip({f"Jet_{name}": known[name] for name in ("pt", "eta", "phi")}), LENGTHS)
    cloud = lz.ParticleCloud.from_awkward(
        array, momentum={"pt": "Jet_pt", "eta": "Jet_eta", "phi": "Jet_phi"}
    )
    np.testing.assert_allclose(cloud.momenta[:, 1:].numpy(), random_momenta()[:, 1:], rtol=1e-9)
    np.testing.assert_allclose(cloud.momenta[:, 0], cloud.momenta[:, 1:].norm(dim=1), rtol=1e-12)
    padded = np.stack([known[name] for name in ("pt", "eta", "phi")], 1)[None]
    again = lz.ParticleCloud.from_padded(padded, order="pt,eta,phi")
    assert torch.equal(again.momenta[0], cloud.momenta)


def test_a_mass_below_zero_is_as_space_like_as_it_says() -> None:
    found = join_momenta(
        {
            name: torch.tensor([value])
            for name, value in (("px", 3.0), ("py", 0.0), ("pz", 4.0), ("mass", -3.0))
        }
    )
    assert found.tolist() == [[4.0, 3.0, 0.0, 4.0]]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: read_order("pt,eta,mass"),
            InputError,
            "order must name the components of one four-momentum",
        ),
        (lambda: read_order("E,px,py,pz,mass"), InputError, "not 'E,px,py,pz,mass'"),
        (lambda: read_order("E,px,py,height"), InputError, "px, py or pt, phi; pz, eta or theta; E or mass"),
        (lambda: read_order(["E", 3]), ParameterError, "order names components by text"),
        (
            lambda: find_columns(["pt", "eta"]),
            InputError,
            r"has no field \['phi', 'mass'\]; its fields are \['eta', 'pt'\]",
        ),
        (
            lambda: find_columns(["a"], {"pt": "b", "eta": "a", "phi": "a"}),
            InputError,
            r"has no field \['b'\]",
        ),
        (lambda: find_columns(["a"], ["a"]), ParameterError, "momentum maps components to columns"),  # type: ignore[arg-type]
        (
            lambda: lz.ParticleCloud.from_padded(np.ones((2, 3, 3)), order="pt,eta,phi,mass"),
            InputError,
            r"momenta must have shape \(B, N, 4\) with components \(pt, eta, phi, mass\), not \(2, 3, 3\)",
        ),
    ],
)
def test_what_makes_no_momentum_is_refused(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_lists_of_events_take_an_order_too() -> None:
    known = coordinates(random_momenta())
    rows = np.stack([known[name] for name in ("pt", "eta", "phi", "mass")], 1)
    events = np.split(rows, np.cumsum(LENGTHS)[:-1])
    cloud = lz.ParticleCloud.from_list(events, order="pt,eta,phi,mass")
    np.testing.assert_allclose(cloud.momenta.numpy(), random_momenta(), rtol=1e-9, atol=1e-9)
    massless = lz.ParticleCloud.from_list([event[:, :3] for event in events], order="pt,eta,phi")
    assert massless.layout.counts().tolist() == LENGTHS


def test_without_a_mask_places_of_zeros_are_padding() -> None:
    known = coordinates(random_momenta())
    rows = np.stack([known[name] for name in ("pt", "eta", "phi", "mass")], 1)
    mask = np.arange(6) < np.array(LENGTHS)[:, None]
    padded = np.zeros((len(LENGTHS), 6, 4))
    padded[mask] = rows
    with_mask = lz.ParticleCloud.from_padded(padded, mask, order="pt,eta,phi,mass")
    without = lz.ParticleCloud.from_padded(padded, order="pt,eta,phi,mass")
    assert torch.equal(with_mask.momenta, without.momenta)
    assert torch.equal(with_mask.layout.mask, without.layout.mask)
    padded[mask] = np.nan
    with pytest.raises(InputError, match="NaN or infinite momentum"):
        lz.ParticleCloud.from_padded(padded)
