"""Published forms of a tagger are named by one helper."""

from __future__ import annotations

import lorentzoo as lz
from lorentzoo.cli.catalogue import fold_sizes


def test_both_forms_differ_in_classes_and_scalars_only() -> None:
    spec = {"backbone": {"name": "part"}, "head": {"hidden": [8]}, **lz.LEARNED_FRAMES}
    top, jetclass = lz.make_taggers(
        "net", spec, summaries=("one", "two"), references=("a", "b"), recipe={"batch_size": 3}
    )
    assert (top.name, jetclass.name) == ("net", "net-jetclass")
    assert (top.summary, jetclass.summary) == ("one", "two")
    assert (top.reference, jetclass.reference) == ("a", "b")
    assert top.recipe == jetclass.recipe == {"batch_size": 3}
    assert top.spec == {**spec, "head": {"name": "classify", "num_classes": 1, "hidden": [8]}}
    assert jetclass.spec == {
        **spec,
        "head": {"name": "classify", "num_classes": 10, "hidden": [8]},
        "in_scalars": 10,
    }


def test_heads_may_be_others() -> None:
    spec = {"backbone": "x", "head": {"name": "boosted-trees"}}
    top, _ = lz.make_taggers("net", spec, summaries=("", ""), references=("", ""))
    assert top.spec["head"] == {"name": "boosted-trees", "num_classes": 1}
    assert spec["head"] == {"name": "boosted-trees"}


def test_sizes_change_the_parameters_they_name_and_know_their_network() -> None:
    sizes = {"tiny": {"backbone": {"num_blocks": 1}, "frames": {"hidden": 8}}}
    spec = {"backbone": "part", **lz.LEARNED_FRAMES}
    top, _, tiny, base = lz.make_taggers(
        "net", spec, summaries=("one", "two"), references=("a", "b"), recipe={"batch_size": 3}, sizes=sizes
    )
    assert (top.size_of, tiny.size_of, base.size_of) == ("", "net", "net")
    assert (tiny.name, base.name) == ("net-tiny", "net-base")
    assert tiny.recipe == base.recipe == top.recipe
    assert base.spec == top.spec
    assert tiny.spec == {
        **top.spec,
        "backbone": {"name": "part", "num_blocks": 1},
        "frames": {**lz.LEARNED_FRAMES["frames"], "hidden": 8},
    }


def test_sizes_of_a_network_are_one_line_for_a_reader() -> None:
    made = lz.make_taggers(
        "net", {"backbone": "part"}, summaries=("one", "two"), references=("", ""), sizes={"tiny": {}}
    )
    assert fold_sizes(made) == [
        ("model", "net", "", "one"),
        ("model", "net-jetclass", "", "two"),
        ("model", "net-{tiny,base}", "", "Sizes of net"),
    ]
