"""Do arrays, records and tables become the same events, with their targets, classes and splits?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import InputError
from lorentzoo.data.columns import EventValueError

COUNT, PLACES = 40, 5
FIELDS = ("pt", "eta", "phi", "mass")


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """pt, eta, phi, mass (B, N, 4) and the mask (B, N)."""
    rng = np.random.default_rng(0)
    shape = (COUNT, PLACES)
    momenta = np.stack(
        [
            rng.exponential(20, shape) + 1,
            rng.normal(size=shape),
            rng.uniform(-3, 3, shape),
            np.full(shape, 0.14),
        ],
        -1,
    )
    mask = np.arange(PLACES) < rng.integers(1, PLACES + 1, COUNT)[:, None]
    return momenta * mask[..., None], mask


def labels() -> np.ndarray:
    return np.arange(COUNT) % 2


def make(how: str, **options: Any) -> lz.JetDataset:
    momenta, mask = arrays()
    weight = np.linspace(0.5, 2, COUNT)
    lengths = mask.sum(1)
    flat = dict(zip(FIELDS, momenta[mask].T, strict=True))
    if how == "padded":
        given = {"target": labels(), "weight": weight, "event_id": np.arange(COUNT), "order": FIELDS}
        return lz.JetDataset.from_padded(momenta, mask, **{**given, **options})
    if how == "padded torch":
        torches = [torch.from_numpy(x) for x in (momenta, mask, labels(), weight)]
        return lz.JetDataset.from_padded(*torches, order="pt,eta,phi,mass", **options)
    if how == "awkward":
        ak = pytest.importorskip("awkward")
        array = ak.unflatten(ak.zip(flat, with_name="PtEtaPhiMLorentzVector"), lengths)
        given = {"target": ak.Array(labels()), "weight": ak.Array(weight)}
        return lz.JetDataset.from_awkward(array, **{**given, **options})
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            **flat,
            **{
                k: np.repeat(v, lengths) for k, v in (("n", np.arange(COUNT)), ("y", labels()), ("w", weight))
            },
        }
    )
    return lz.JetDataset.from_pandas(frame, **{"target": "y", "weight": "w", "event": "n", **options})


@pytest.mark.parametrize("how", ["padded torch", "awkward", "pandas"])
def test_the_same_events_by_every_door(how: str) -> None:
    assert make(how).fingerprint() == make("padded").fingerprint()


def test_events_are_split_within_every_class_unless_told_otherwise() -> None:
    data = make("padded")
    counts = [len(data.split(name)) for name in ("train", "validation", "test")]
    assert counts == [24, 6, 10]
    assert data.split("test").target.bincount().tolist() == [5, 5]
    assert make("padded", splits=None).splits is None
    assert make("padded", splits=np.ones(COUNT)).splits.tolist() == [1] * COUNT


@pytest.mark.parametrize(
    ("target", "options", "names", "first"),
    [
        (labels(), {}, ("class_0", "class_1"), 0),
        (labels(), {"class_names": ("qcd", "top")}, ("qcd", "top"), 0),
        (labels() == 1, {}, ("class_0", "class_1"), 0),
        (np.array(["top", "qcd"] * (COUNT // 2)), {}, ("qcd", "top"), 1),
        (
            np.array(["top", "qcd"] * (COUNT // 2), dtype=object),
            {"class_names": ("top", "qcd")},
            ("top", "qcd"),
            0,
        ),
        (labels() * 1.0, {"class_names": ("qcd", "top")}, ("qcd", "top"), 0),
        (None, {}, ("events",), 0),
        (labels() * 1.0, {}, (), 0.0),
        (labels(), {"target_names": ("charge",)}, (), 0),
    ],
)
def test_classes_are_numbers_or_text(
    target: Any, options: dict[str, Any], names: tuple[str, ...], first: float
) -> None:
    data = make("padded", target=target, **options)
    assert data.class_names == names
    assert data.has_classes == bool(names)
    assert data.target[0] == first


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        (
            np.where(labels() == 1, 1, -1),
            {},
            "whole numbers from -1 to 1, which number no classes: map labels",
        ),
        (labels() * 100_000, {}, "from 0 to 100000, which number no classes"),
        (
            np.array(["a", "b"] * (COUNT // 2)),
            {"class_names": ("a", "c")},
            "names the class 'b'; class_names are a, c",
        ),
        (np.array(["a", None] * (COUNT // 2)), {}, "target holds None; classes are whole numbers or text"),
    ],
)
def test_what_is_no_class_is_refused(target: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(EventValueError, match=message):
        make("padded", target=target, **options)


def test_values_of_a_table_are_named_by_their_columns() -> None:
    data = make("pandas", target=["w", "y"], target_units=["GeV", ""])
    assert (data.target_names, data.target_units, data.num_targets) == (("w", "y"), ("GeV", ""), 2)
    assert make("pandas", target="w").target_names == ("w",)
    assert make("pandas", target=None).class_names == ("events",)
    assert make("pandas", splits="y").splits.tolist() == labels().tolist()


def test_a_cloud_with_further_vectors_is_refused() -> None:
    momenta, mask = arrays()
    cloud = lz.ParticleCloud.from_padded(momenta, mask, vectors=np.zeros((COUNT, PLACES, 1, 4)), order=FIELDS)
    with pytest.raises(InputError, match="holds no further vectors of particles, but the cloud has 1"):
        lz.JetDataset.from_cloud(cloud)


def test_constituents_are_cut_and_columns_travel() -> None:
    momenta, mask = arrays()
    data = lz.JetDataset.from_padded(
        momenta,
        mask,
        labels(),
        scalars=momenta[..., :1],
        context=np.ones((COUNT, 2)),
        scalar_names=["pt"],
        context_names=["a", "b"],
        order=FIELDS,
        max_constituents=2,
    )
    assert int(data.lengths.max()) == 2
    hardest = np.sort(momenta[..., 0], axis=1)[:, ::-1][:, 0]
    batch = data[:]
    firsts = batch.cloud.scalars[batch.cloud.layout.ptr[:-1], 0]
    np.testing.assert_allclose(firsts.numpy(), hardest.astype(np.float32))
    assert batch.cloud.context_names == ("a", "b")
