"""Studies are checked before anything trains."""

from __future__ import annotations

import json

import pytest

from lorentzoo.core.errors import StudyError
from lorentzoo.studies.grid import AXES, Study, load_study
from lorentzoo.studies.plan import RunSpec, make_plan

BASE = {
    "name": "small",
    "dataset": "toptag:num_jets=400,max_constituents=20",
    "axes": {"frames": ["identity", "random-beam"], "backbone": ["deep-sets:hidden=[16]"]},
    "seeds": 2,
    "training": {"batch_size": 50},
    "budget": {"steps": 10},
}

DEEP: list = []
for _ in range(5000):
    DEEP = [DEEP]


def labels(**changes) -> list[str]:
    return [row.label for row in load_study(BASE | changes).combinations()]


def test_labels_are_the_names_that_vary() -> None:
    assert labels() == ["identity", "random-beam"]
    assert labels(axes={"backbone": ["deep-sets"]}) == ["deep-sets"]
    axes = {
        "backbone": [
            "deep-sets:hidden=[16]",
            "deep-sets:hidden=[32]",
            {"name": "mlp", "label": "a perceptron"},
        ]
    }
    assert labels(axes=axes) == ["deep-sets (hidden=[16])", "deep-sets (hidden=[32])", "a perceptron"]
    axes = {"spurions": [None, "time", ["beam", "time"]], "backbone": ["transformer"]}
    assert labels(axes=axes, train_sizes=[100, None]) == [
        f"{spurions} · {size} events" for spurions in ("none", "time", "beam+time") for size in ("100", "all")
    ]


def test_excluded_combinations_are_left_out() -> None:
    axes = {"frames": ["identity", "random-beam"], "backbone": ["deep-sets", "mlp"]}
    assert labels(axes=axes, exclude=[{"frames": "random-beam", "backbone": ["mlp"]}]) == [
        "identity · deep-sets",
        "identity · mlp",
        "random-beam · deep-sets",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"buget": {}}, "unknown key 'buget'; did you mean 'budget'"),
        ({"axes": {"frame": ["identity"]}}, "there is no axis 'frame'; did you mean 'frames'"),
        ({"axes": {"backbone": []}}, "backbone is empty"),
        ({"axes": {"backbone": ["mlp", "mlp"]}}, "lists 'mlp' twice"),
        ({"axes": {"frames": ["identity"]}}, "neither axes nor fixed names a backbone"),
        ({"axes": {"backbone": [3]}}, "expected a name"),
        ({"fixed": {"frames": "identity"}}, "frames cannot be both in axes and fixed"),
        ({"budget": {}}, "either {cpu_seconds: ...} or {steps: ...}"),
        ({"budget": {"steps": 10, "cpu_seconds": 3}}, "either {cpu_seconds: ...} or {steps: ...}"),
        ({"budget": {"steps": 0}}, "budget.steps: .* not 0"),
        ({"seeds": 0}, "the number of seeds is from 1 to 10000, not 0"),
        ({"seeds": [1, 1]}, "different numbers"),
        ({"training": {"optimizer": "adamw"}}, "unknown key 'optimizer'; did you mean 'optimiser'"),
        ({"training": {"epochs": 3}}, "epochs cannot be set here: use `budget`"),
        ({"exclude": [{"head": "classify"}]}, "exclude names 'head', which is not one of the axes"),
        ({"exclude": [{"frames": "random"}]}, "frames has no choice 'random'"),
        ({"exclude": [{"frames": ["identity", "random-beam"]}]}, "exclude leaves no combination"),
        ({"name": None}, "name: .*string"),
        ({"seeds": 10**9}, "the number of seeds is from 1 to 10000, not 1000000000"),
        ({"seeds": 10**30}, "study holds a whole number of 100 bits; at most 63 are read"),
        ({"seeds": [[1]]}, r"seeds.0: .*valid integer, not \[1\]"),
        ({"seeds": [-1]}, "seeds.0: .*greater than or equal to 0, not -1"),
        ({"axes": []}, r"axes: .*valid dictionary, not \[\]"),
        ({"training": []}, r"training: .*valid dictionary, not \[\]"),
        ({"budget": {"cpu_seconds": float("inf")}}, "budget.cpu_seconds: .*finite number"),
        ({"budget": {"cpu_seconds": float("nan")}}, r"study holds a number that is not one \(NaN\)"),
        ({"dataset": DEEP}, "study is nested more than 32 levels deep"),
        (
            {"axes": {axis: [f"{axis}{n}" for n in range(20)] for axis in AXES[2:9]}, "seeds": 1},
            "make 1280000000 runs, before any is excluded; a study has at most 10000: split it",
        ),
    ],
)
def test_what_is_wrong_is_named(change, message) -> None:
    with pytest.raises(StudyError, match=message.replace("{", r"\{").replace("...", r"\.\.\.")):
        load_study(BASE | change)


def test_missing_keys_are_named() -> None:
    with pytest.raises(StudyError, match="'dataset' is missing; 'axes' is missing; 'budget' is missing"):
        load_study({"name": "x"})


def test_unreadable_files_are_named(tmp_path) -> None:
    with pytest.raises(StudyError, match=r"study none.yaml: there is no file"):
        load_study(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(StudyError, match=r"cannot read study broken.yaml as YAML"):
        load_study(broken)
    broken.write_text("a: &a [x, x]\nb: &b [*a, *b]")
    with pytest.raises(StudyError, match=r"cannot read study broken.yaml as YAML: 'b' contains itself"):
        load_study(broken)
    broken.write_bytes(b"name: \xff")
    with pytest.raises(StudyError, match=r"study broken.yaml cannot be read: .*utf-8"):
        load_study(broken)
    broken.write_text("x" * 2_000_000)
    with pytest.raises(
        StudyError, match=r"broken.yaml cannot be read: it has 2000000 bytes; at most 1000000 are read"
    ):
        load_study(broken)
    with pytest.raises(StudyError, match="is a folder, a pipe or a device, not a file"):
        load_study("/dev/zero")
    broken.write_text("just text")
    with pytest.raises(StudyError, match="expected keys"):
        load_study(broken)


def test_plan_refuses_nonsense_with_the_reason() -> None:
    axes = {"backbone": ["deep-sets"], "spurions": [None, "time"]}
    plan = make_plan(load_study(BASE | {"axes": axes}))
    good, refused = plan.rows
    assert (good.refusal, good.symmetry) == ("", "SO(2)_beam")
    assert "would have no effect" in refused.refusal
    assert len(plan.runs(good)) == 2
    assert plan.runs(refused) == []


def test_plan_names_everything_that_cannot_be() -> None:
    axes = {"backbone": ["deep-set", "deep-sets:hiden=[3]"]}
    with pytest.raises(StudyError, match=r"(?si)did you mean 'deep-sets'.*did you mean 'hidden'"):
        make_plan(load_study(BASE | {"axes": axes}))
    with pytest.raises(StudyError, match=r"(?i)did you mean 'toptag'"):
        make_plan(load_study(BASE | {"dataset": "toptags"}))
    with pytest.raises(StudyError, match=r"train_sizes \[9999\] exceed the"):
        make_plan(load_study(BASE | {"train_sizes": [9999]}))


def test_models_by_name_take_part() -> None:
    study = load_study(BASE | {"axes": {"model": ["deep-sets", "transformer:num_blocks=1"]}})
    plan = make_plan(study)
    assert [row.spec.model for row in plan.rows] == ["deep-sets", "transformer"]
    assert plan.rows[1].spec.backbone.parameters["num_blocks"] == 1


def test_classes_and_widths_come_from_the_data() -> None:
    data = {"dataset": "jets10:num_jets=100", "axes": {"model": ["deep-sets"]}}
    spec = make_plan(load_study(BASE | data)).rows[0].spec
    assert spec.head.parameters["num_classes"] == 10
    assert spec.in_scalars > 0


def test_key_depends_on_everything_and_goes_through_json() -> None:
    plan = make_plan(load_study(BASE))
    first, second = plan.runs(plan.rows[0])
    assert first.key != second.key
    assert RunSpec.from_data(first.to_data()).key == first.key
    other = make_plan(load_study(BASE | {"training": {"batch_size": 51}}))
    assert other.runs(other.rows[0])[0].key != first.key


def test_a_study_is_a_value() -> None:
    study = load_study(BASE)
    assert load_study(study) is study
    assert isinstance(study, Study)
    assert study.config(seed=5).seed == 5
    assert study.config(seed=5).max_steps == 10


def test_infinite_values_go_through_plain_data() -> None:
    """As null, a bound would come back as none at all."""
    study = load_study(BASE | {"axes": {"backbone": [{"name": "deep-sets", "bound": float("inf")}]}})
    assert load_study(json.loads(json.dumps(study.model_dump(mode="json")))) == study
