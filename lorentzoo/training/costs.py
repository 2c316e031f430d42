"""What does a network cost: parameters, arithmetic, time, memory?"""

from __future__ import annotations

import copy
import math
import statistics
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from lorentzoo.core.cloud import Batch
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.events import EventData

__all__ = ["Costs", "count_flops", "measure_costs", "peak_memory", "time_per_event"]

_REPEATS: Final = 5
_LONG_ENOUGH: Final = 10.0
"""CPU-seconds after which a time is not measured again."""
_FLOP_EVENTS: Final = 4


@dataclass(frozen=True)
class Costs:
    """Costs of a network.

    Attributes
    ----------
    parameters
        Trainable parameters.
    flops
        Floating-point operations of the forward pass of one event, see `count_flops`.
    multiplicity
        Particles of the event for which `flops` was counted.
    forward_ms, training_ms
        CPU-milliseconds an event, forward alone and forward with backward, see `time_per_event`.
    memory_mb
        Peak memory of tensors in a training step in 10⁶ bytes, see `peak_memory`.
    batch_size
        Events a batch for times and memory.
    """

    parameters: int
    flops: float
    multiplicity: int
    forward_ms: float
    training_ms: float
    memory_mb: float
    batch_size: int

    def to_data(self) -> dict[str, Any]:
        """Plain data, ``Costs(**data)`` again."""
        return asdict(self)


def measure_costs(
    model: Trainable, dataset: EventData, *, batch_size: int = 128, multiplicity: int | None = None
) -> Costs:
    """Costs of a model or a generator whose statistics are fitted, on events of a data set.

    The forward pass of a generator is that of its loss.

    The model is left as it was. Times and memory are of a batch of the data set's first `batch_size`
    events, arithmetic of an event with `multiplicity` particles, by default the median of the data set.
    """
    first = torch.arange(min(batch_size, len(dataset)))
    if multiplicity is None:
        multiplicity = max(int(dataset.lengths.double().median()), 1)
    twin = copy.deepcopy(model)
    forward, training = time_per_event(twin, dataset.batch(first))
    return Costs(
        parameters=model.num_parameters,
        flops=count_flops(twin, dataset, multiplicity),
        multiplicity=multiplicity,
        forward_ms=1e3 * forward,
        training_ms=1e3 * training,
        memory_mb=1e-6 * peak_memory(twin, dataset.batch(first)),
        batch_size=len(first),
    )


@torch.no_grad()
def count_flops(model: Trainable, dataset: EventData, multiplicity: int) -> float:
    """Floating-point operations of the forward pass of one event with `multiplicity` particles.

    A multiplication with its addition counts two. Matrix products, convolutions and attention are
    counted, fused attention included; what acts on single numbers (activations, norms, kinematics) is not.
    Events that are longer are cut to their first particles, shorter ones repeat theirs.
    """
    lengths = (dataset.lengths - multiplicity).abs()
    nearest = lengths.argsort(stable=True)[: min(_FLOP_EVENTS, len(dataset))]
    batch = dataset.batch(nearest)
    clouds = batch.cloud.to_padded()
    real = clouds.layout.counts().clamp(min=1)
    places = torch.arange(multiplicity)[None] % real[:, None]
    rows = torch.arange(len(batch))[:, None]
    cloud = type(clouds).from_packed(
        clouds.momenta[rows, places].flatten(0, 1),
        torch.arange(len(batch) + 1) * multiplicity,
        clouds.scalars[rows, places].flatten(0, 1),
        clouds.context,
        units=clouds.units,
        scalar_names=clouds.scalar_names,
        context_names=clouds.context_names,
        validate=False,
    )
    with FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as counter:
        model.eval().run_forward(cloud)
    return counter.get_total_flops() / len(batch)


def time_per_event(model: Trainable, batch: Batch) -> tuple[float, float]:
    """CPU-seconds an event, forward and training (forward, loss and backward): medians of up to five repetitions.

    Processor time of all threads, so that other programs on the machine count little.
    """

    def forward() -> None:
        with torch.no_grad():
            model.run_forward(batch.cloud)

    def training() -> None:
        _step(model, batch)

    model.eval()
    first = _median_cpu_seconds(forward) / len(batch)
    model.train()
    second = _median_cpu_seconds(training) / len(batch)
    return first, second


def peak_memory(model: Trainable, batch: Batch) -> float:
    """Largest number of bytes in tensors during a training step (forward, loss, backward).

    Parameters, buffers, the batch, activations and gradients count, each storage once; the optimiser's
    state, scratch space inside kernels and the libraries do not. On a CPU this is counted by following every
    tensor that is made, which is exact and repeatable; the size of the process would be neither. On a CUDA
    device it is the allocator's own maximum. What a batch caches at its first use counts, so give a fresh one.
    """
    model.train()
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
        _step(model, batch.to(model.device))
        return float(torch.cuda.max_memory_allocated(model.device))
    with _LiveBytes() as live:
        cloud = batch.cloud
        live.follow(
            [*model.parameters(), *model.buffers(), cloud.momenta, cloud.scalars, batch.target, batch.weight]
        )
        _step(model, batch)
    return float(live.peak)


def _step(model: Trainable, batch: Batch) -> None:
    """Forward, loss and, where there is anything to descend on, backward."""
    loss = model.batch_loss(batch)
    if loss.requires_grad:
        loss.backward()
    model.zero_grad(set_to_none=True)


class _LiveBytes(TorchDispatchMode):
    """Bytes of all storages that are alive, and their maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.current = 0
        self.peak = 0
        self._known: set[int] = set()

    def follow(self, tensors: list[Tensor]) -> None:
        for tensor in tensors:
            storage = tensor.untyped_storage()
            address, size = storage._cdata, storage.nbytes()
            if address in self._known:
                continue
            self._known.add(address)
            self.current += size
            weakref.finalize(storage, self._forget, address, size)
        self.peak = max(self.peak, self.current)

    def _forget(self, address: int, size: int) -> None:
        self._known.discard(address)
        self.current -= size

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.follow([leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)])
        return result


def _median_cpu_seconds(run: Callable[[], None]) -> float:
    seconds: list[float] = []
    while len(seconds) <= _REPEATS and sum(seconds) < _LONG_ENOUGH:
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    # The first run fills caches and the allocator; where it is the only one, that does not matter.
    return statistics.median(seconds[1:] or seconds)


def _attention_flops(
    query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any
) -> int:
    """Two products for every pair of query and key: q·k and the weighted sum of v. Given are shapes."""
    *lead, queries, width = query
    return 2 * math.prod(lead) * queries * key[-2] * (width + value[-1])


# The fused CPU kernel is not in torch's own list: without this, attention on a CPU would count as nothing.
_CPU_ATTENTION: Final[dict[Any, Any]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops
}
