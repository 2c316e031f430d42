"""Which network gives the parameters of each spline?

Multilayer perceptrons, free (for coupling) or masked (autoregressive), of zuko or of nflows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from lorentzoo.nn import MissingExtraError

__all__ = ["Backend", "Conditioner", "make_free", "make_masked"]

Backend = Literal["zuko", "nflows"]


class Conditioner(nn.Module, ABC):
    """From inputs (B, I) and context (B, C) to numbers (B, M)."""

    @abstractmethod
    def forward(self, inputs: Tensor, context: Tensor) -> Tensor:
        """Shape (B, M)."""


class _Zuko(Conditioner):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs: Tensor, context: Tensor) -> Tensor:
        result: Tensor = self.net(torch.cat([inputs, context], dim=-1))
        return result


class _Nflows(Conditioner):
    """With the columns of the outputs that are wanted, or all of them."""

    columns: Tensor | None

    def __init__(self, net: nn.Module, columns: Tensor | None = None) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, inputs: Tensor, context: Tensor) -> Tensor:
        result: Tensor = self.net(inputs, context if context.shape[-1] else None)
        return result if self.columns is None else result[..., self.columns]


def make_free(
    backend: Backend, inputs: int, context: int, outputs: int, hidden: Sequence[int]
) -> Conditioner:
    """Every output of every input: what a coupling layer needs.

    Parameters
    ----------
    backend
        ``"zuko"``: a perceptron; ``"nflows"``: a residual network with one block a hidden layer.
    inputs, context, outputs
        Widths.
    hidden
        Widths of the hidden layers.
    """
    if backend == "zuko":
        import zuko

        return _Zuko(zuko.nn.MLP(inputs + context, outputs, hidden, activation=nn.SiLU))
    _require_nflows()
    from nflows.nn.nets import ResidualNet

    width, blocks = _equal(hidden)
    return _Nflows(
        ResidualNet(inputs, outputs, width, context or None, blocks, activation=nn.functional.silu)
    )


def make_masked(
    backend: Backend, groups: Sequence[int], outputs: Sequence[int], context: int, hidden: Sequence[int]
) -> Conditioner:
    """Outputs of each number that depend on those before it only: what an autoregressive layer needs.

    Parameters
    ----------
    backend
        ``"zuko"``: a masked perceptron; ``"nflows"``: a residual MADE.
    groups
        How many inputs describe each number: two for an angle, one for others.
    outputs
        How many outputs each number has.
    context
        Width of the context, which all outputs see.
    hidden
        Widths of the hidden layers.
    """
    device = torch.get_default_device()
    # Masks are found by looking at values, which the meta device does not have.
    with torch.device("cpu"):
        net = _masked(backend, groups, outputs, context, hidden)
    return net.to(device)


def _masked(
    backend: Backend, groups: Sequence[int], outputs: Sequence[int], context: int, hidden: Sequence[int]
) -> Conditioner:
    before = torch.tensor([0, *groups]).cumsum(0)
    if backend == "zuko":
        import zuko

        rows = [torch.arange(int(before[-1])) < before[i] for i in range(len(groups))]
        adjacency = torch.stack(rows).repeat_interleave(torch.tensor(outputs), dim=0)
        seen = torch.ones(len(adjacency), context, dtype=torch.bool)
        return _Zuko(zuko.nn.MaskedMLP(torch.cat([adjacency, seen], dim=1), hidden, activation=nn.SiLU))
    _require_nflows()
    from nflows.transforms.made import MADE

    width, blocks = _equal(hidden)
    most = max(outputs)
    # The outputs at the first input of a number see all inputs of the numbers before it, and nothing of its own.
    columns = [int(before[i]) * most + torch.arange(n) for i, n in enumerate(outputs)]
    net = MADE(
        int(before[-1]),
        width,
        context_features=context or None,
        num_blocks=blocks,
        output_multiplier=most,
        activation=nn.functional.silu,
    )
    return _Nflows(net, torch.cat(columns))


def _require_nflows() -> None:
    try:
        import nflows  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "backend='nflows' needs 'nflows', which is not installed; run: pip install \"lorentzoo[nflows]\", or take "
            "backend='zuko'"
        ) from error


def _equal(hidden: Sequence[int]) -> tuple[int, int]:
    if not hidden or len(set(hidden)) != 1:
        raise ValueError(
            f"the networks of nflows have layers of one width, not hidden={list(hidden)}; give equal widths, or take "
            "backend='zuko'"
        )
    return hidden[0], len(hidden)
