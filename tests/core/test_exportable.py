"""Is a part that cannot be exported found wherever it stands in a model?"""

from __future__ import annotations

from typing import Any

import pytest

import lorentzoo as lz
from lorentzoo.core.errors import ExportError
from lorentzoo.core.exportable import find_refusal


@pytest.mark.parametrize(
    "slots",
    [
        {"embedding": "substructure"},
        {"embedding": ["kinematics", "substructure"]},
        {"embedding": ["substructure", "kinematics"], "frames": "random-beam"},
        {"frames": {"name": "lloca-polar", "lab_scalars": "substructure"}, "embedding": "kinematics"},
    ],
)
def test_alone_among_others_and_inside_of_frames(slots: dict[str, Any]) -> None:
    refusal = find_refusal(lz.compose(backbone="deep-sets:hidden=[4]", **slots))
    assert refusal is not None
    assert "SubstructureScalars cannot be exported: clustering takes as many steps" in refusal


def test_models_of_parts_that_can_be_exported_are_not_refused() -> None:
    assert (
        find_refusal(lz.compose(backbone="deep-sets:hidden=[4]", embedding=["kinematics", "momenta"])) is None
    )


def test_the_reason_is_what_a_user_reads(tmp_path: Any) -> None:
    pytest.importorskip("onnx")
    model = lz.create_model("particlenet-observables")
    with pytest.raises(ExportError, match="SubstructureScalars cannot be exported: clustering"):
        lz.export(model, tmp_path / "a.onnx")
