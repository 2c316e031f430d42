"""How are tensors made in inference mode that training may use afterwards?"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

__all__ = ["leave_inference_mode"]


def leave_inference_mode() -> AbstractContextManager[object]:
    """A context in which tensors are ordinary ones, which can be saved for a backward pass.

    ``torch.inference_mode(False)`` alone would switch gradients on where ``torch.no_grad`` has switched them off.
    """
    return torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()
