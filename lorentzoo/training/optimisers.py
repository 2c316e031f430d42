"""Which optimiser stands behind a name, and which parameters decay?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer, RAdam

from lorentzoo.core.errors import MissingExtraError
from lorentzoo.core.freezing import PartName, parameters_of_part

__all__ = ["OptimiserName", "Ranger", "make_optimiser", "parameter_groups"]

OptimiserName = Literal["adamw", "lion", "ranger"]


def make_optimiser(
    name: OptimiserName,
    model: nn.Module,
    learning_rate: float,
    *,
    weight_decay: float = 0.0,
    betas: tuple[float, float] | None = None,
    rates: Mapping[PartName, float] | None = None,
) -> Optimizer:
    """An optimiser by its name, with `parameter_groups` of the model.

    The learning rate of a group is to be multiplied with its ``factor``.

    Raises
    ------
    MissingExtraError
        If ``"lion"`` is asked for and lion-pytorch is not installed.
    """
    groups = parameter_groups(model, weight_decay, rates)
    if name == "adamw":
        return AdamW(groups, lr=learning_rate, betas=betas or (0.9, 0.999))
    if name == "ranger":
        return Ranger(groups, lr=learning_rate, betas=betas or (0.95, 0.999))
    try:
        from lion_pytorch import Lion
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            'the optimiser "lion" needs lion-pytorch, which is not installed; run: pip install "lorentzoo[train]"'
        ) from error
    return Lion(groups, lr=learning_rate, betas=betas or (0.9, 0.99))


def parameter_groups(
    model: nn.Module, weight_decay: float, rates: Mapping[PartName, float] | None = None
) -> list[dict[str, Any]]:
    """Two groups for each learning rate: matrices decay; norms, biases and parameters of fewer dimensions do not.

    Parameters
    ----------
    model
        Frozen parameters are in no group.
    weight_decay
        Of the groups that decay.
    rates
        Factors of the learning rate by part of the model; groups carry theirs as ``factor``.
    """
    own = rates or {}
    special = {
        id(parameter): own[part] for part in own for parameter in parameters_of_part(model, part).values()
    }
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    seen: set[int] = set()
    for module in model.modules():
        is_norm = "norm" in type(module).__name__.lower()
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            stays = is_norm or parameter.ndim < 2 or name.endswith("bias")
            groups.setdefault((special.get(id(parameter), 1.0), stays), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": 0.0 if stays else weight_decay, "factor": factor}
        for (factor, stays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


class Ranger(RAdam):
    """RAdam with lookahead: every k steps the weights go back to α of the way from the slow weights.

    Parameters
    ----------
    params, lr, betas, weight_decay
        As in `torch.optim.RAdam`; the decay is decoupled.
    lookahead_steps
        k, steps between two updates of the slow weights.
    lookahead_rate
        α, how far the slow weights follow.

    References
    ----------
    arXiv:1908.03265 (RAdam), arXiv:1907.08610 (lookahead).
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.95, 0.999),
        eps: float = 1e-5,
        weight_decay: float = 0.0,
        *,
        lookahead_steps: int = 6,
        lookahead_rate: float = 0.5,
    ) -> None:
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, decoupled_weight_decay=True
        )
        self.lookahead_steps, self.lookahead_rate = lookahead_steps, lookahead_rate

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step of RAdam, and of the slow weights when it is their turn."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        moving = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        # RAdam knows a new parameter by its empty state, so the slow weights can join only afterwards.
        first: dict[Tensor, Tensor] = {p: p.detach().clone() for p in moving if "slow" not in self.state[p]}
        super().step()
        for p, start in first.items():
            self.state[p]["slow"] = start
        for p in moving:
            if int(self.state[p]["step"]) % self.lookahead_steps == 0:
                slow = self.state[p]["slow"]
                slow.lerp_(p, self.lookahead_rate)
                p.copy_(slow)
        return loss
