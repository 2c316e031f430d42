"""The kit finds what it is there to find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import lorentzoo as lz
from lorentzoo.plugins.sets.deep_sets import DeepSets
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.composition import build
from lorentzoo.testing import (
    CHECKS,
    Case,
    ConformanceError,
    check_component,
    check_model,
    conformance_cases,
    random_cloud,
)
from lorentzoo.testing.cases import KIND_CHECKS
from lorentzoo.testing.compositions import SMALL, compose_around
from lorentzoo.testing.report import Outcome, Report, require, run_check

pytestmark = pytest.mark.usefixtures("own_catalogue")


class Base(DeepSets):
    """A deep set of one layer.

    Parameters
    ----------
    hidden
        Width.
    dropout
        Probability.
    """

    def forward(self, *inputs: Any) -> lz.Features:
        return self.spoil(super().forward(*inputs), inputs[2])

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        return out


class Ordered(Base):
    """Sees the order of particles."""

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        first = layout.spread(layout.take(out.scalars, 1).squeeze(1))
        return lz.Features.of_scalars(out.scalars * first)


class Unordered(Base):
    """Claims to see it, and does not."""

    permutation_symmetric = False


class Leaky(Base):
    """Normalises over all rows, padding included."""

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        x = out.scalars
        return lz.Features.of_scalars(x / (1 + x.flatten(0, -2).mean()))


class Mixing(Base):
    """Lets events see each other."""

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        everyone = layout.pool(out.scalars).sum(0) / 100
        return lz.Features.of_scalars(out.scalars + everyone)


class Root(Base):
    """Has an infinite gradient at zero."""

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        return lz.Features.of_scalars((out.scalars * (out.scalars > 1)).sqrt())


class Noisy(Base):
    """Draws noise in evaluation."""

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        return lz.Features.of_scalars(out.scalars + torch.randn_like(out.scalars))


class Counting(Base):
    """Keeps state between calls."""

    def __init__(self, *, in_scalars: int, in_vectors: int) -> None:
        super().__init__((8,), in_scalars=in_scalars, in_vectors=in_vectors)
        self.register_buffer("calls", torch.zeros(()))

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        self.calls += 1
        return out


class Double(Base):
    """Answers in double precision always."""

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        return lz.Features.of_scalars(out.scalars.double())


class OnHost(Base):
    """Holds a tensor that does not move with it."""

    def __init__(self, *, in_scalars: int, in_vectors: int) -> None:
        super().__init__((8,), in_scalars=in_scalars, in_vectors=in_vectors)
        self.factor = torch.full((8,), 2.0)

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        return lz.Features.of_scalars(torch.where(self.factor > out.scalars, 1.0, out.scalars))


class Local(Base):
    """Cannot be pickled."""

    def __init__(self, *, in_scalars: int, in_vectors: int) -> None:
        super().__init__((8,), in_scalars=in_scalars, in_vectors=in_vectors)
        self.function = lambda x: x


class Hollow(Base):
    """Divides by the number of particles."""

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        number = layout.spread(layout.counts() - 1).unsqueeze(-1)
        return lz.Features.of_scalars(out.scalars / number)


class Unspoken(Base):
    """Gives an empty reason."""

    exportable: ClassVar[bool | str] = ""


class Cheating(Base):
    """Claims to be symmetric by its layers."""

    equivariant = True


class Dead(Base):
    """Has a branch that nothing reads."""

    def __init__(self, *, in_scalars: int, in_vectors: int) -> None:
        super().__init__((8,), in_scalars=in_scalars, in_vectors=in_vectors)
        self.branch = torch.nn.Linear(8, 8)

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        self.branch(out.scalars)
        return out


class Silenced(Dead):
    """Multiplies its branch by zero."""

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        return lz.Features.of_scalars(out.scalars + 0 * self.branch(out.scalars))


class Excused(Base):
    """Excuses weights that do learn."""

    without_gradient = ("*.weight",)


class Cancelling(Base):
    """Loses its digits in float32: a large number is added and taken away."""

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        large = torch.full_like(out.scalars, 1e7)
        return lz.Features.of_scalars((out.scalars + large) - large)


BROKEN = {
    Dead: "gradients finite",
    Silenced: "gradients finite",
    Excused: "gradients finite",
    Cancelling: "dtypes",
    Ordered: "permutation symmetry",
    Unordered: "permutation symmetry",
    Leaky: "padding does not leak",
    Mixing: "events do not mix",
    Root: "gradients finite",
    Noisy: "re-entrant",
    Counting: "re-entrant",
    Double: "composition",  # tried on two events when it is composed
    OnHost: "devices",
    Local: "copy and pickle",
    Hollow: "empty and one-particle events",
    Unspoken: "declarations",
    Cheating: "symmetry as declared",
}


def check(backbone: type, **options: Any) -> Report:
    lz.register("backbone", "under-test", summary="A backbone")(backbone)
    return check_component("backbone", "under-test", small={"hidden": [8]}, **options)


@pytest.mark.parametrize("backbone", BROKEN, ids=lambda c: c.__name__)
def test_what_is_broken_is_found(backbone: type) -> None:
    report = check(backbone)
    assert not report.passed
    assert report[BROKEN[backbone]].status == "failed", str(report)
    assert report[BROKEN[backbone]].detail
    with pytest.raises(ConformanceError, match="DOES NOT CONFORM"):
        report.raise_if_failed()


def test_parameters_without_a_gradient_are_named() -> None:
    detail = check(Dead, checks=["gradients finite"])["gradients finite"].detail
    assert "parameters without a gradient: ['backbone.branch.weight', 'backbone.branch.bias']" in detail
    assert "name them in `without_gradient`" in detail

    class Declared(Dead):
        without_gradient = ("branch.*",)

    assert check(Declared, checks=["gradients finite"]).passed
    detail = check(Excused, checks=["gradients finite"])["gradients finite"].detail
    assert "`without_gradient` names ['backbone.*.weight'], which have one" in detail


def test_float32_is_judged_at_a_stated_boost() -> None:
    detail = check(Cancelling, checks=["dtypes"])["dtypes"].detail
    assert "(median) for pions at γ = 10, more than 0.0001" in detail


@pytest.mark.parametrize(("annotation", "value"), [(int, 32), (Sequence[int], [16, 16]), (str, "wide")])
def test_small_values_are_used_where_they_fit(annotation: type, value: Any) -> None:
    class Net(DeepSets):
        def __init__(self, hidden: annotation = value, *, in_scalars: int) -> None:  # type: ignore[valid-type]
            super().__init__((8,), in_scalars=in_scalars)
            self.given = hidden

    Net.__init__.__annotations__["hidden"] = annotation
    lz.register("backbone", "under-test", summary="A backbone")(Net)
    component = catalogue().find("backbone", "under-test")
    spec = compose_around(component, {}, {"embedding": "kinematics"}, SMALL)
    assert build(spec).backbone.given == value


def test_further_kinds_are_plugged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_text(component: lz.Component, case: Case) -> list[Outcome]:
        wanted = case.parameters["text"]
        return [run_check("text", lambda text: require(text == "yes", f"it says {text}"), wanted)]

    monkeypatch.setitem(KIND_CHECKS, "dataset", check_text)
    assert check_component("dataset", "toptag", {"text": "yes"}).passed
    assert check_component("dataset", "toptag", {"text": "no"})["text"].detail == "it says no"


def test_what_is_sound_conforms() -> None:
    report = check(Base)
    assert report.passed, str(report)
    assert report.raise_if_failed() is report
    assert {outcome.check for outcome in report.outcomes} == {"description complete", *CHECKS}
    assert "conforms" in str(report)


def test_expected_failures_need_a_reason_and_must_happen() -> None:
    broken = {"permutation symmetry": "Takes the first particle as its axis."}
    report = check(Ordered, expected_failures=broken)
    assert report["permutation symmetry"].status == "failed as expected"
    assert "first particle as its axis" in str(report)

    report = check(Base, expected_failures=broken)
    assert not report.passed
    assert report["permutation symmetry"].status == "passed unexpectedly"

    with pytest.raises(ValueError, match=r"expected failures need a reason: \['units'\]"):
        check(Base, expected_failures={"units": " "})
    with pytest.raises(ValueError, match=r"no checks are called \['colour'\]"):
        check(Base, expected_failures={"colour": "red"})


def test_a_model_may_be_given_in_any_form() -> None:
    model = lz.compose(backbone="deep-sets:hidden=[4]")
    for form in ("deep-sets", {"backbone": "deep-sets:hidden=[4]"}, model.spec, model):
        report = check_model(form, checks=["declarations", "re-entrant"])
        assert report.passed
        assert len(report.outcomes) == 2
    with pytest.raises(KeyError, match="no check 'units' was run"):
        report["units"]


def test_a_poor_description_is_found() -> None:
    class Silent(DeepSets):
        pass

    Silent.__init__.__doc__ = None

    class Bare(lz.Backbone):
        def __init__(self, depth=3, *, in_scalars: int) -> None:  # type: ignore[no-untyped-def]
            super().__init__()
            self.width = 4

        def forward(self, *inputs: Any) -> lz.Features:
            features = inputs[0]
            return lz.Features.of_scalars(features.scalars[..., :4])

    lz.register("backbone", "under-test", summary="A backbone")(Bare)
    report = check_component("backbone", "under-test")
    assert "no annotation, so they cannot be checked: ['depth']" in report["description complete"].detail
    lz.register("backbone", "under-test")(Base)
    report = check_component("backbone", "under-test")
    assert "has no summary" in report["description complete"].detail


def test_a_component_that_cannot_be_composed_says_why() -> None:
    report = check_component("spurions", "vectors")
    assert not report.passed
    assert "needs a value for 'values'" in report["composition"].detail
    assert check_component("spurions", "vectors", {"values": [[1, 0, 0, 0]]}).passed
    assert check_component("spurions", "vectors", alone="needs values").passed


def test_cases_for_parametrised_tests() -> None:
    cases = conformance_cases(plugin="sets")
    assert {case.id for case in cases} == {
        "backbone-sets/deep-sets",
        "backbone-sets/mlp",
        "backbone-sets/mlp-particles",
        "model-sets/deep-sets",
        "model-sets/mlp",
    }
    (deep, *_) = conformance_cases(plugin="sets", kinds=["backbone"])
    assert deep.values[0].run().passed
    with pytest.raises(ValueError, match=r"no such components: \['backbone/deep-sats'\]"):
        conformance_cases(plugin="sets", parameters={"backbone/deep-sats": {}})


def test_random_events() -> None:
    cloud = random_cloud([3, 0, 2], in_scalars=2, in_context=1, in_vectors=1)
    assert (cloud.num_events, cloud.scalars.shape, cloud.context.shape) == (3, (5, 2), (3, 1))
    assert torch.equal(cloud.momenta, random_cloud([3, 0, 2]).momenta)
    assert not torch.equal(cloud.momenta, random_cloud([3, 0, 2], seed=1).momenta)
    spread: Tensor = random_cloud([50]).momenta
    assert (spread[:, 0] > 0).all()


class Hidden(Base):
    """A deep set that looks at values, and does not say so.

    Parameters
    ----------
    hidden
        Width.
    dropout
        Probability.
    """

    def spoil(self, out: lz.Features, layout: lz.Layout) -> lz.Features:
        return out if bool(torch.isfinite(out.scalars).all()) else lz.Features.of_scalars(0 * out.scalars)


class Frank(Hidden):
    """The same, and says so.

    Parameters
    ----------
    hidden
        Width.
    dropout
        Probability.
    """

    exportable = "it looks at values"


def test_exports_are_as_declared() -> None:
    for backbone, exports in ((Hidden, False), (Frank, True)):
        model = lz.compose(backbone="deep-sets:hidden=[4]", embedding="kinematics", head="classify")
        model.backbone.__class__ = backbone
        report = check_model(model, checks=["exports"])
        assert [outcome.check for outcome in report.outcomes] == ["exports"]
        assert report.passed is exports, str(report)
        assert exports or "all parts declare exportable = True, but: torch.export cannot write" in str(report)
