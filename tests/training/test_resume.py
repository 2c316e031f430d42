"""Checkpoints of a training that may be killed at any moment."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorentzoo.training import resume


class Killed(BaseException):
    """No handler of errors catches it, as none catches SIGKILL."""


@given(
    st.lists(
        st.sampled_from(["written", "killed between the two files", "killed before"]), min_size=1, max_size=8
    )
)
@settings(max_examples=40, deadline=None)
def test_nothing_but_two_checkpoints_is_left_wherever_writers_are_killed(
    tmp_path_factory: pytest.TempPathFactory, story: list[str]
) -> None:
    directory, last = tmp_path_factory.mktemp("run"), None
    for epoch, ending in enumerate(story):
        with pytest.MonkeyPatch.context() as patch:
            if ending == "killed between the two files":
                patch.setattr(resume, "write_bytes", _die)
            if ending == "killed before":
                patch.setattr(resume, "_keep_as", _die)
            try:
                resume.write_checkpoint(directory, {"fingerprint": "f", "epoch": epoch})
                last = epoch
            except Killed:
                pass
        left = {path.name for path in directory.iterdir()}
        assert left <= {resume.CHECKPOINT, resume.PREVIOUS}
        if last is not None:
            found = resume.read_checkpoint(directory, "f", _Silent())
            assert found is not None
            assert found["epoch"] == last


def _die(*_: object) -> None:
    raise Killed


class _Silent:
    def line(self, text: str) -> None:
        raise AssertionError(text)
