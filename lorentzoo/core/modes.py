"""In which of torch's modes is something computed, and what may be done there?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.autograd import forward_ad

__all__ = ["asks_first_derivatives", "has_hooks", "in_transform", "leave_inference_mode", "leave_modes"]


def leave_inference_mode() -> AbstractContextManager[object]:
    """A context in which tensors are ordinary ones, which can be saved for a backward pass.

    ``torch.inference_mode(False)`` alone would switch gradients on where ``torch.no_grad`` has switched them off.
    """
    compiled = torch.compiler.is_compiling()
    return (
        torch.inference_mode(False) if not compiled and torch.is_inference_mode_enabled() else nullcontext()
    )


def in_transform() -> bool:
    """Whether `torch.func` (jvp, vmap, ...) or a forward derivative is at work.

    They know no hand-written backward passes, fused kernels and tensors that are written to.
    """
    return bool(torch._C._are_functorch_transforms_active()) or forward_ad._current_level >= 0


def asks_first_derivatives(x: Tensor) -> bool:
    """Whether plain values and first derivatives on a CPU are all that can be wanted of a tensor.

    Under ``torch.nn.attention.sdpa_kernel(SDPBackend.MATH)``, which forward derivatives need and higher ones of
    L-GATr, under autocast and in tracing, the answer is no.
    """
    return (
        not torch.compiler.is_compiling()
        and not in_transform()
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and torch.backends.cuda.flash_sdp_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


def has_hooks(*modules: nn.Module) -> bool:
    """Whether something wants to see or to change what goes through modules, so that they must be called."""
    return any(module._forward_pre_hooks or module._forward_hooks for module in modules)


@contextmanager
def leave_modes() -> Iterator[None]:
    """A context for constants that outlive a call: neither inference tensors nor wrappers of a transform."""
    transforms = temporarily_clear_interpreter_stack() if in_transform() else nullcontext()
    with leave_inference_mode(), transforms:
        yield
