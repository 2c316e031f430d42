"""Published forms of a tagger are named by one helper."""

from __future__ import annotations

import lorentzoo as lz


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
