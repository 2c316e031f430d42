"""What a backbone gives back is looked at once, when it is composed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError
from lorentzoo.registry.catalogue import catalogue


class Plain(lz.Backbone):
    """Keeps its promises; the variants below do not."""

    def __init__(self, *, in_scalars: int, out_vectors: int = 0) -> None:
        super().__init__()
        self.width = 8
        self.layer = nn.Linear(in_scalars, 8)

    def forward(self, features: Any, frames: Any, layout: Any, context: Any) -> Any:
        return lz.Features.of_scalars(self.layer(features.scalars))


class UndeclaredPool(Plain):
    def forward(self, features: Any, frames: Any, layout: Any, context: Any) -> Any:
        return lz.Features.of_scalars(layout.pool(self.layer(features.scalars)))


class DeclaredPool(UndeclaredPool):
    pools = True


class NoPool(Plain):
    pools = True


class OtherWidth(Plain):
    def __init__(self, *, in_scalars: int) -> None:
        super().__init__(in_scalars=in_scalars)
        self.width = 9


class BareTensor(Plain):
    def forward(self, features: Any, frames: Any, layout: Any, context: Any) -> Any:
        return self.layer(features.scalars)


class Nothing(Plain):
    def forward(self, features: Any, frames: Any, layout: Any, context: Any) -> Any:
        self.layer(features.scalars)


class OtherDtype(Plain):
    def forward(self, features: Any, frames: Any, layout: Any, context: Any) -> Any:
        return lz.Features.of_scalars(self.layer(features.scalars).double())


@pytest.fixture(autouse=True)
def _own_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalogue()._components, "backbone", dict(catalogue()._components["backbone"]))


def compose(backbone: type[lz.Backbone]) -> lz.Model:
    lz.register("backbone", "tried")(backbone)
    return lz.compose(backbone="tried", embedding="kinematics")


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (
            UndeclaredPool,
            r"backbone 'tried' was given 2 events of 5 particles.*\(2, 8\).*declares `pools = True`",
        ),
        (NoPool, r"scalars of shape \(5, 8\).*where \(2, 8\).*is to give one row an event"),
        (OtherWidth, r"scalars of shape \(5, 8\).*where \(5, 9\)"),
        (BareTensor, "backbone 'tried' returns Tensor, not lorentzoo.Features"),
        (Nothing, "backbone 'tried' returns nothing, not lorentzoo.Features"),
        (
            OtherDtype,
            "given features in torch.float32 and returned scalars in torch.float64.*dtype that came in",
        ),
    ],
)
def test_promises_that_are_not_kept(backbone: type[lz.Backbone], message: str) -> None:
    with pytest.raises(CompositionError, match=message):
        compose(backbone)


@pytest.mark.parametrize("backbone", [Plain, DeclaredPool])
def test_a_trial_leaves_no_trace(backbone: type[lz.Backbone]) -> None:
    torch.manual_seed(3)
    model = compose(backbone)
    drawn = torch.rand(3)
    torch.manual_seed(3)
    layer = nn.Linear(7, 8)
    nn.Linear(8, 2)
    assert torch.equal(model.backbone.layer.weight, layer.weight)  # type: ignore[arg-type, union-attr]
    assert torch.equal(torch.rand(3), drawn)
    assert model.backbone.training


class WrongWidthIn(Plain):
    def __init__(self, *, in_scalars: int) -> None:
        super().__init__(in_scalars=in_scalars + 1)


class Misspelt(Plain):
    def forward(self, features: Any, frames: Any, layout: Any, context: Any) -> Any:
        return lz.Features.of_scalars(self.layer(features.scalar_values))


class NoWidth(lz.Backbone):
    def __init__(self, *, in_scalars: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_scalars, 8)

    def forward(self, features: Any, frames: Any, layout: Any, context: Any) -> Any:
        return lz.Features.of_scalars(self.layer(features.scalars))


class TensorWidth(NoWidth):
    def __init__(self, *, in_scalars: int) -> None:
        super().__init__(in_scalars=in_scalars)
        self.width = torch.tensor(8)  # type: ignore[assignment]


class Uncalled(lz.Backbone):
    def __init__(self, *, in_scalars: int) -> None:
        self.layer = nn.Linear(in_scalars, 8)

    def forward(self, features: Any, frames: Any, layout: Any, context: Any) -> Any:
        return features


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (
            WrongWidthIn,
            r"backbone 'tried' was given 2 events of 5 particles, with scalars of shape \(5, 7\), vectors of shape "
            r"\(5, 0, 4\) and context of shape \(2, 0\), and failed with RuntimeError: (addmm: )?mat1 and mat2",
        ),
        (Misspelt, "backbone 'tried' was given .* failed with AttributeError: .*'scalar_values'"),
        (
            NoWidth,
            "backbone 'tried' does not project .* set self.width to the number of scalars .*, not None",
        ),
        (TensorWidth, r"backbone 'tried' does not project .*, not tensor\(8\)"),
        (
            Uncalled,
            "backbone 'tried': cannot be made .AttributeError: .*__init__",
        ),
    ],
)
def test_backbones_that_fail_are_named_with_what_they_were_given(
    backbone: type[lz.Backbone], message: str
) -> None:
    with pytest.raises(CompositionError, match=message):
        compose(backbone)


@pytest.mark.parametrize("error", [ValueError("only at rest"), CompositionError("fit first")])
def test_refusals_in_own_words_are_left_to_real_events(error: Exception) -> None:
    class Choosy(Plain):
        def forward(self, features: Any, frames: Any, layout: Any, context: Any) -> Any:
            raise error

    model = compose(Choosy)
    assert isinstance(model.backbone, Choosy)


def test_parts_without_numbers_are_not_tried() -> None:
    with torch.device("meta"):
        assert isinstance(compose(WrongWidthIn).backbone, WrongWidthIn)


class Channels(lz.Embedding):
    """Names two channels and gives what the test wants."""

    scalar_symmetry = lz.Symmetry.trivial()  # type: ignore[assignment]
    scalar_names = ("one", "two")  # type: ignore[assignment]
    vector_names = ()  # type: ignore[assignment]
    gives: Any = None

    def forward(self, cloud: Any, frames: Any) -> Any:
        return self.gives(cloud)


class Turned(lz.FramesNet):
    gives: Any = None

    def forward(self, cloud: Any) -> Any:
        return self.gives(cloud)


class Answer(lz.Head):
    task = "classification"
    out_scalars = 1
    gives: Any = None

    def __init__(self, *, in_scalars: int | None = None) -> None:
        super().__init__()

    def forward(self, features: Any, cloud: Any) -> Any:
        return self.gives(features)

    def loss(self, output: Any, target: Any, weight: Any = None) -> Any:
        return output.mean()


@pytest.mark.parametrize(
    ("kind", "base", "gives", "message"),
    [
        (
            "embedding",
            Channels,
            lambda cloud: cloud.momenta[:, :2],
            "embedding 'tried' returns Tensor, not lorentzoo.Features",
        ),
        (
            "embedding",
            Channels,
            lambda cloud: lz.Features.of_scalars(cloud.momenta),
            r"embedding 'tried' was given a cloud of momenta of shape \(5, 4\) and returned scalars of shape \(5, 4\) "
            r".*where \(5, 2\) .* follow from its scalar_names \['one', 'two'\]",
        ),
        (
            "embedding",
            Channels,
            lambda cloud: cloud.four_momenta,
            "embedding 'tried' was given a cloud .* failed with AttributeError: .*four_momenta",
        ),
        ("frames", Turned, lambda cloud: torch.eye(4), "frames 'tried' returns Tensor, not lorentzoo.Frames"),
        (
            "frames",
            Turned,
            lambda cloud: lz.Frames(cloud.layout, torch.eye(3).expand(5, 3, 3), False),
            r"frames 'tried' returned matrices of shape \(5, 3, 3\), where \(5, 4, 4\) are expected",
        ),
        (
            "frames",
            Turned,
            lambda cloud: torch.eye(3) @ cloud.momenta.T,
            r"frames 'tried' was given a cloud of momenta of shape \(5, 4\), and failed with RuntimeError",
        ),
        ("head", Answer, lambda features: features, "head 'tried' was given 2 events.* returned Features"),
        (
            "head",
            Answer,
            lambda features: features.scalars.mean(),
            r"head 'tried' .* returned a tensor of shape \(\), where a tensor with one row an event",
        ),
        (
            "head",
            Answer,
            lambda features: features.scalars @ torch.ones(3, 1, dtype=features.scalars.dtype),
            r"head 'tried' was given 2 events, with features of scalars of shape \(5, 128\) .* failed with RuntimeError",
        ),
    ],
)
def test_other_parts_are_named_with_what_they_were_given(
    kind: Any, base: Any, gives: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(catalogue()._components, kind, dict(catalogue()._components[kind]))
    lz.register(kind, "tried")(type("Tried", (base,), {"gives": staticmethod(gives)}))
    slots = {"backbone": "transformer:num_blocks=1", "embedding": "kinematics", kind: "tried"}
    with pytest.raises(CompositionError, match=message):
        lz.compose(**slots)


def test_a_head_says_what_it_takes_of_a_backbone_that_projects(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Answer):
        out_scalars = None  # type: ignore[assignment]

    monkeypatch.setitem(catalogue()._components, "head", dict(catalogue()._components["head"]))
    lz.register("head", "silent")(Silent)
    with pytest.raises(
        CompositionError, match=r"head 'silent' is given to a backbone that projects.*not None"
    ):
        lz.compose(backbone="lgatr-slim:num_blocks=1", embedding="momenta", head="silent")
