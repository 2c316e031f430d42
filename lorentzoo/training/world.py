"""Which processes train one model together, and how do they tell each other what each must know?

Numbers of events travel on the host (gloo), gradients on the device of the trainer (NCCL where that is CUDA).
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import torch
import torch.distributed as dist
from pytorch_lightning.plugins.environments import ClusterEnvironment
from torch import Tensor

from lorentzoo.core.errors import LorentzooError, StoppedElsewhere, TrainingError

__all__ = ["Processes", "World", "check_devices"]

T = TypeVar("T")
_TELLING: Final = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
"""Variables that only a process of several has."""
_PATIENCE: Final = timedelta(hours=6)
"""In which the others wait while the first process looks at data; one that dies ends their connections at once."""
_NEEDED: Final = (*_TELLING, "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class World:
    """The processes of a training; one is enough.

    Parameters
    ----------
    rank, size
        Which process this is, of how many.
    local_rank, local_size
        The same among those of this machine.
    meeting
        Where they find each other, as ``init_method`` of `torch.distributed.init_process_group`.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    meeting: str = "env://"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> World:
        """The processes that ``torchrun`` has started; one where it has not.

        Raises
        ------
        TrainingError
            If some of its variables are there and others are not, or they make no sense.
        """
        there = [name for name in _TELLING if environment.get(name)]
        if not there:
            return cls()
        missing = [name for name in _NEEDED if not environment.get(name)]
        if missing:
            raise TrainingError(
                f"the environment has {', '.join(there)}, but not {', '.join(missing)}: start several processes with "
                "torchrun, which sets all of them, or unset them for one"
            )
        try:
            rank, size, local = (int(environment[name]) for name in _TELLING)
            local_size = int(environment.get("LOCAL_WORLD_SIZE") or size)
        except ValueError as error:
            raise TrainingError(
                f"{', '.join(_TELLING)} of the environment are whole numbers: {error}"
            ) from None
        if not 0 <= local <= rank < size or local >= local_size or size % local_size:
            raise TrainingError(
                f"RANK={rank}, WORLD_SIZE={size}, LOCAL_RANK={local}, LOCAL_WORLD_SIZE={local_size} of the environment "
                "are not those of a process of torchrun"
            )
        return cls(rank, size, local, local_size)

    @property
    def is_first(self) -> bool:
        """Whether this process reads, writes and speaks for all."""
        return self.rank == 0

    def join(self) -> None:
        """Meet the others, once in the life of a process."""
        if self.size == 1 or dist.is_initialized():
            return
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(
            backend, self.meeting, timeout=_PATIENCE, world_size=self.size, rank=self.rank
        )
        atexit.register(_leave)

    def first_does(self, function: Callable[[], T]) -> T:
        """What the first process finds, told to all.

        Raises
        ------
        StoppedElsewhere
            On the others, if it raises.
        """
        if self.size == 1:
            return function()
        told: list[Any] = [None, False]
        if self.is_first:
            try:
                told = [function(), True]
            except BaseException:
                dist.broadcast_object_list(told, src=0)
                raise
        dist.broadcast_object_list(told, src=0)
        if not told[1]:
            raise StoppedElsewhere("the first process of this training stopped")
        found: T = told[0]
        return found

    def gather(self, value: T) -> list[T] | None:
        """The values of all processes by rank, for the first one; None for the others."""
        if self.size == 1:
            return [value]
        found: list[Any] | None = [None] * self.size if self.is_first else None
        dist.gather_object(value, found, dst=0)
        return found

    def gather_rows(self, row: Tensor) -> Tensor:
        """Rows of numbers (n,) of all processes, (size, n)."""
        if self.size == 1:
            return row.unsqueeze(0)
        rows = [torch.empty_like(row) for _ in range(self.size)]
        dist.all_gather(rows, row)
        return torch.stack(rows)

    def add(self, numbers: Sequence[float]) -> list[float]:
        """Sums over all processes, the same on each."""
        total: list[float] = (
            self.gather_rows(torch.tensor(list(numbers), dtype=torch.float64)).sum(0).tolist()
        )
        return total


class Processes(ClusterEnvironment):
    """What lightning asks of who started the processes; whatever a batch system says of its job is not meant for it."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    @property
    def creates_processes_externally(self) -> bool:
        """They are there."""
        return True

    @property
    def main_address(self) -> str:
        """They have met."""
        return "localhost"

    @property
    def main_port(self) -> int:
        """They have met."""
        return 0

    @staticmethod
    def detect() -> bool:
        """Never by itself."""
        return False

    def world_size(self) -> int:
        """How many there are."""
        return self._world.size

    def set_world_size(self, size: int) -> None:
        """It is known."""

    def global_rank(self) -> int:
        """Which one this is."""
        return self._world.rank

    def set_global_rank(self, rank: int) -> None:
        """It is known."""

    def local_rank(self) -> int:
        """Which one on this machine."""
        return self._world.local_rank

    def node_rank(self) -> int:
        """Which machine."""
        return self._world.rank // self._world.local_size


def check_devices(devices: int, processes: int, batch_size: int) -> None:
    """Refuse more processes than this machine has devices for, or more on all machines than a batch has events.

    Raises
    ------
    TrainingError
        Saying how many there are.
    """
    gpus = torch.cuda.device_count()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    have, what = (gpus, "GPUs") if gpus else (cores, "cores and no GPU")
    if devices > have:
        raise TrainingError(f"devices={devices}, but this machine has {have} {what}")
    if batch_size < processes:
        raise TrainingError(
            f"batch_size={batch_size} is the batch of all {processes} processes together, and each needs an event: make "
            f"it at least {processes}"
        )


def _leave() -> None:
    # What is left of a group of processes that died is of no interest any more.
    if dist.is_initialized():
        try:
            dist.destroy_process_group()
        except (RuntimeError, LorentzooError):
            return
