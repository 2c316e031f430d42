"""How are channels normalised: over the real particles of a batch alone, or each particle by itself?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo.core.shares import active_share, merge_moments

__all__ = ["ChannelBatchNorm", "MaskedBatchNorm", "RMSNorm"]


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of the last dimension, over the rows that a mask selects.

    Parameters and buffers are those of `torch.nn.BatchNorm1d`, so weights of published networks fit. Padding
    never enters the statistics; published networks normalise over it too, so only their evaluation agrees. In a training
    on several processes statistics are those of the events of all.
    """

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Shapes (..., C), (...) -> (..., C)."""
        if x.shape[-1] == 0:  # a network that reads pairs of momenta alone
            return x
        rows = x.reshape(-1, x.shape[-1])
        if not self.training:
            out = F.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
            return out.reshape(x.shape)
        share = active_share()
        if mask is None:
            if share is None:
                # One row has no variance; an empty batch has nothing to normalise.
                return x if rows.shape[0] < 2 else super().forward(rows).reshape(x.shape)
            mask = torch.ones_like(rows[:, 0])
        weight = mask.reshape(-1, 1).to(rows.dtype)
        count = weight.sum().clamp(min=1)
        mean = (rows * weight).sum(0) / count
        variance = ((rows - mean).square() * weight).sum(0) / count
        if share is not None:
            mean, variance, count = merge_moments(mean, variance, weight.sum())
        centred = rows - mean
        with torch.no_grad():
            self._update(mean, variance * count / (count - 1).clamp(min=1))
        out = centred * torch.rsqrt(variance + self.eps)
        if self.affine:
            out = out * self.weight + self.bias
        return out.reshape(x.shape)

    def fold(self, moments: tuple[Tensor, Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """The normalisation as a map x · scale + shift, from statistics that were taken elsewhere.

        Parameters
        ----------
        moments
            Mean (C,), biased variance (C,) and number () of the rows of this batch; None, in evaluation, for the
            running statistics.

        Returns
        -------
        Scale and shift, shapes (C,).
        """
        if moments is None:
            assert self.running_mean is not None
            assert self.running_var is not None
            mean, variance = self.running_mean, self.running_var
        else:
            mean, variance, count = merge_moments(*moments)
            with torch.no_grad():
                unbiased = variance * count / (count - 1).clamp(min=1)
                known = count > 1
                if self.running_mean is not None and self.running_var is not None:
                    # A batch without pairs has no statistics to add.
                    self._update(
                        torch.where(known, mean, self.running_mean),
                        torch.where(known, unbiased, self.running_var),
                    )
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
            return scale, self.bias - mean * scale
        return scale, -mean * scale

    def _update(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        share = active_share()
        if share is not None and share.processes == 1 and share.stands_in:
            return
        self.num_batches_tracked.add_(1)
        momentum = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), momentum)


class ChannelBatchNorm(MaskedBatchNorm):
    """Batch normalisation of channels in the middle, as `torch.nn.BatchNorm1d`; over all processes in training."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Shape (B, C, N), all of which count."""
        if not self.training or active_share() is None:
            return nn.BatchNorm1d.forward(self, x)
        return super().forward(x.transpose(1, 2), mask).transpose(1, 2)


class RMSNorm(nn.Module):
    """Root mean square norm of the last dimension, y = g x / √(mean x² + ε), ε the resolution of the type of x.

    The numbers of `torch.nn.RMSNorm` and its one parameter ``weight``, of operations that derivatives of any order and
    every export know (arXiv:1910.07467).

    Parameters
    ----------
    width
        Of the last dimension.
    affine
        Whether there are gains g.
    """

    def __init__(self, width: int, affine: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Shapes (..., C) -> (..., C)."""
        square = x.square().mean(-1, keepdim=True)
        out = x * torch.rsqrt(square + torch.finfo(x.dtype).eps)
        return out if self.weight is None else out * self.weight
