"""How long does a call take, and how much memory does it need beyond what was held before?"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile

__all__ = ["peak", "seconds"]


def seconds(run: Callable[[], object]) -> float:
    """CPU time of this process."""
    start = time.process_time()
    run()
    return time.process_time() - start


def peak(run: Callable[[], object]) -> float:
    """Largest memory held at a time beyond what was held before, MiB, from torch's own allocator events."""
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as prof:
        run()
    held = most = 0
    for event in sorted(prof.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most / 2**20
