"""What must hold of every input, however odd: an error of our own or a result, in a second, in 500 MB."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import select
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from lorentzoo.core.errors import LorentzooError

SECONDS, MEGABYTES = 1.0, 500
COUNTS: dict[str, Counter[str]] = {}
"""Cases by property, and what became of them; printed at the end of a test session."""


def sizes(quick: int, slow: int) -> Any:
    """The same property on a few inputs in the quick suite, on many in the slow one."""
    return pytest.mark.parametrize(
        "examples",
        [pytest.param(quick, id=f"{quick}"), pytest.param(slow, id=f"{slow}", marks=pytest.mark.slow)],
    )


def is_ours(error: BaseException) -> bool:
    """Whether an error is of the package's types, or a ValueError or TypeError that a statement of it raises."""
    if isinstance(error, LorentzooError):
        return True
    if not isinstance(error, ValueError | TypeError):
        return False
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"lorentzoo{os.sep}" in last.filename and (last.line or "").startswith("raise")


def outcome(check: Callable[[Any], Any], value: Any, allowed: float = SECONDS, *, again: bool = False) -> str:
    """``"accepted"``, ``"refused"``, or what must not be.

    `check` gives what is wrong with a result, or nothing.
    """
    started, before = time.process_time(), _memory()
    try:
        fault = check(value)
    except Exception as error:
        fault = None if is_ours(error) else f"{type(error).__name__}: {error}"[:300]
        result = "refused"
    else:
        result = "accepted"
    if fault:
        return fault
    seconds = time.process_time() - started
    if seconds > allowed and not again:
        # What is imported or compiled at the first use does not count.
        return outcome(check, value, allowed, again=True)
    if seconds > allowed:
        return f"{result} after {seconds:.1f} s"
    if (grown := _memory() - before) > MEGABYTES:
        return f"{result} with {grown:.0f} MB"
    return result


def survey(
    name: str,
    strategy: st.SearchStrategy[Any],
    check: Callable[[Any], Any],
    examples: int,
    seconds: float = SECONDS,
) -> None:
    """A property of random inputs."""
    counts = COUNTS.setdefault(name, Counter())

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def every(value: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = outcome(check, value, seconds)
        counts[found if found in ("accepted", "refused") else "faults"] += 1
        assert found in ("accepted", "refused"), found

    every()


def survey_damage(
    name: str,
    check: Callable[[np.random.Generator], Any],
    examples: int,
    seed: int,
    *,
    hangs_allowed: float = 0.0,
) -> None:
    """A property of damaged files, in a child: a library that hangs or crashes is found, too.

    Of the cases, `hangs_allowed` is the part in which a library may not come back.
    """
    counts = COUNTS.setdefault(name, Counter())
    faults: list[str] = []
    seeds = [seed * 10**9 + example for example in range(examples)]
    while seeds:
        seeds = _in_child(check, seeds, counts, faults)
    assert counts["hangs"] <= hangs_allowed * examples, f"{counts['hangs']} of {examples} do not come back"
    assert not faults, f"{len(faults)} of {examples}: " + "\n".join(faults[:10])


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """The same bytes with a few flipped, overwritten, left out, cut off or put in."""
    data = bytearray(content)
    place, length = int(rng.integers(max(len(data), 1))), int(2 ** rng.uniform(0, 10))
    kind = rng.integers(6)
    if kind == 0:
        data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        for other in rng.integers(len(data), size=rng.integers(1, 20)):
            data[other] = int(rng.integers(256))
    elif kind == 2:
        del data[place:]
    elif kind == 3:
        del data[place : place + length]
    elif kind == 4:
        data[place:place] = rng.bytes(length)
    else:
        data[place : place + length] = bytes([int(rng.choice([0, 255]))]) * len(data[place : place + length])
    return bytes(data)


# ---- helpers ----------------------------------------------------------------------------------


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _in_child(
    check: Callable[[np.random.Generator], Any],
    seeds: Sequence[int],
    counts: Counter[str],
    faults: list[str],
    patience: float = 20.0,
) -> list[int]:
    """Try all seeds; returns those after the one at which the child died or went silent."""
    reader, writer = os.pipe()
    stack = tempfile.TemporaryFile("w+")  # noqa: SIM115  (shared with the child)
    child = os.fork()
    if child == 0:
        warnings.simplefilter("ignore")
        # Threads are not forked, and a pool that lacks them is waited for without end.
        torch.set_num_threads(1)
        with os.fdopen(writer, "w") as answers:
            for seed in seeds:
                faulthandler.dump_traceback_later(0.8 * patience, file=stack)
                found = outcome(check, np.random.default_rng(seed))
                answers.write(json.dumps(found) + "\n")
                answers.flush()
        os._exit(0)
    os.close(writer)
    done = 0
    with os.fdopen(reader) as answers:
        while done < len(seeds):
            ready, _, _ = select.select([answers], [], [], patience)
            text = answers.readline() if ready else ""
            if not text:
                os.kill(child, signal.SIGKILL)
                counts["faults" if ready else "hangs"] += 1
                if ready:
                    faults.append(f"seed {seeds[done]}: the process died")
                else:
                    stack.seek(0)
                    print(f"seed {seeds[done]} does not come back:\n{stack.read(2000)}")
                done += 1
                break
            found = json.loads(text)
            counts[found if found in ("accepted", "refused") else "faults"] += 1
            if found not in ("accepted", "refused"):
                faults.append(f"seed {seeds[done]}: {found}")
            done += 1
    os.waitpid(child, 0)
    stack.close()
    return list(seeds[done:])
