"""What do convolutions along the particles of a jet see?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout
from lorentzoo.nn import ChannelBatchNorm, WeightReader, require_package

__all__ = ["PCNN"]

_KERNEL: Final = 3


class PCNN(Backbone):
    """Residual network of convolutions over the particles in the order of the event (P-CNN, arXiv:1902.08570).

    Published jets are ordered by falling transverse momentum; another order is another input. Missing particles
    are zeros and an input like any other: batch norms and the mean at the end take them in, as published.

    Parameters
    ----------
    num_particles
        Particles taken; missing ones are zero, further ones are left out.
    stem
        Width of the first convolution.
    stages
        Width of each stage; all but the first begin by halving the number of places.
    units
        Residual units a stage, of two convolutions each.
    """

    pools = True
    permutation_symmetric = False

    def __init__(
        self,
        num_particles: int = 128,
        stem: int = 32,
        stages: Sequence[int] = (64, 64, 128),
        units: int = 2,
        *,
        in_scalars: int,
        in_vectors: int = 0,
    ) -> None:
        super().__init__()
        if num_particles < 1 or units < 1 or not stages or min([stem, *stages]) < 1:
            raise ValueError(
                "num_particles and units must be at least 1, and stages needs at least one width, none empty; not "
                f"num_particles={num_particles}, stem={stem}, stages={list(stages)}, units={units}"
            )
        self.num_particles = num_particles
        channels = in_scalars + 4 * in_vectors
        self.in_norm = ChannelBatchNorm(channels)
        self.stem = nn.Conv1d(channels, stem, _KERNEL, padding=_KERNEL // 2)
        self.stem_norm = ChannelBatchNorm(stem)
        widths = [stem, *stages]
        self.units = nn.ModuleList(
            _Unit(widths[stage + (unit > 0)], widths[stage + 1], 2 if stage > 0 and unit == 0 else 1)
            for stage in range(len(stages))
            for unit in range(units)
        )
        self._units_a_stage = units
        self.width = widths[-1]

    def read_published(self, reader: WeightReader, package: str) -> list[str]:
        """Weights of the P-CNN that the authors of ``weaver`` trained on JetClass."""
        require_package(package, "weaver-0.4", "weaver-0.5")
        reader.copy_module(self.in_norm, "fts_conv.0")
        reader.copy_module(self.stem, "fts_conv.1")
        reader.copy_module(self.stem_norm, "fts_conv.2")
        for number, unit in enumerate(self.units):
            assert isinstance(unit, _Unit)
            stage, place = divmod(number, self._units_a_stage)
            unit.read_published(reader, f"resnet_units.resnet_unit_{stage}.{place}")
        return ["fc.0.0", "fc.1"]

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars of each event, (B, width)."""
        x = torch.cat([features.scalars, features.vectors.flatten(-2)], dim=-1)
        x = layout.take(x, self.num_particles).transpose(1, 2)
        x = F.relu(self.stem_norm(self.stem(self.in_norm(x))))
        for unit in self.units:
            x = unit(x)
        return Features.of_scalars(x.mean(-1))


class _Unit(nn.Module):
    """Shortcut plus two convolutions, each with batch norm and ReLU; nothing follows the sum."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(width, out, _KERNEL, stride, padding=_KERNEL // 2)
        self.first_norm = ChannelBatchNorm(out)
        self.second = nn.Conv1d(out, out, _KERNEL, padding=_KERNEL // 2)
        self.second_norm = ChannelBatchNorm(out)
        same = width == out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv1d(width, out, 1, stride, bias=False)

    def read_published(self, reader: WeightReader, prefix: str) -> None:
        """Weights of one published unit."""
        for module, name in (
            (self.first, "conv1"),
            (self.first_norm, "bn1"),
            (self.second, "conv2"),
            (self.second_norm, "bn2"),
            (self.shortcut, "conv_sc"),
        ):
            reader.copy_module(module, f"{prefix}.{name}")

    def forward(self, x: Tensor) -> Tensor:
        """Shape (B, width, N) -> (B, out, ceil(N / stride))."""
        y = F.relu(self.first_norm(self.first(x)))
        y = F.relu(self.second_norm(self.second(y)))
        return self.shortcut(x) + y
