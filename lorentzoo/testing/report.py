"""What does the kit find, and what was expected?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lorentzoo.core.errors import LorentzooError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ConformanceError", "Outcome", "Report", "Status", "relative_change", "require", "run_check"]

Status = Literal["passed", "failed", "failed as expected", "passed unexpectedly"]


class ConformanceError(LorentzooError, AssertionError):
    """A component that does not keep what it promises."""


@dataclass(frozen=True)
class Outcome:
    """What one check found.

    Attributes
    ----------
    check
        Its name.
    status
        Whether it passed, and whether that was expected.
    detail
        What was wrong; for an expected failure, the stated reason.
    """

    check: str
    status: Status
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether this is as expected."""
        return self.status in ("passed", "failed as expected")


@dataclass(frozen=True)
class Report:
    """The outcomes of all checks of one subject; print it, or call ``raise_if_failed()``."""

    subject: str
    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """Whether every check went as expected."""
        return all(outcome.ok for outcome in self.outcomes)

    def __getitem__(self, check: str) -> Outcome:
        for outcome in self.outcomes:
            if outcome.check == check:
                return outcome
        raise KeyError(f"no check {check!r} was run; checks: {[outcome.check for outcome in self.outcomes]}")

    def __str__(self) -> str:
        width = max((len(outcome.check) for outcome in self.outcomes), default=0)
        lines = [f"{self.subject}: {'conforms' if self.passed else 'DOES NOT CONFORM'}"]
        lines += [
            f"  {outcome.check:<{width}}  {outcome.status}"
            + (f": {outcome.detail}" if outcome.detail else "")
            for outcome in self.outcomes
        ]
        return "\n".join(lines)

    def raise_if_failed(self) -> Report:
        """Return itself, or raise `ConformanceError` with every failed check."""
        if not self.passed:
            raise ConformanceError(str(self))
        return self


def run_check(name: str, check: Callable[[Any], None], subject: Any, reason: str | None = None) -> Outcome:
    """Run one named check, which is expected to fail where a reason is given."""
    try:
        check(subject)
    except Exception as error:
        what = str(error) if isinstance(error, LorentzooError) else f"{type(error).__name__}: {error}"
        return (
            Outcome(name, "failed", what) if reason is None else Outcome(name, "failed as expected", reason)
        )
    if reason is None:
        return Outcome(name, "passed")
    return Outcome(name, "passed unexpectedly", f"but it was expected to fail: {reason}")


def require(condition: bool, message: str) -> None:
    """Raise `ConformanceError` with the message unless the condition holds."""
    if not condition:
        raise ConformanceError(message)


def relative_change(a: Tensor, b: Tensor) -> float:
    """Largest difference relative to the largest value; infinite where one is not finite or shapes differ."""
    if a.shape != b.shape:
        return math.inf
    if b.numel() == 0:
        return 0.0
    scale = float(b.detach().abs().max())
    change = float((a.detach() - b.detach()).abs().max())
    if math.isnan(change) or math.isnan(scale):
        return math.inf
    return change / scale if scale > 0 else change
