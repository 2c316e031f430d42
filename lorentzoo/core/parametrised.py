"""How do parametrizations of a model end in its weights?"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["settle"]


def settle(
    model: nn.Module, kind: type[nn.Module], value: Callable[[nn.Module, str], Tensor] | None = None
) -> None:
    """Take parametrizations off, with what they give in the weights; of modules without any of this kind nothing.

    Parameters
    ----------
    model
        Changed in place.
    kind
        Of parametrization.
    value
        What a parameter is to be, from its module and its name there; by default what the parametrizations give.
    """
    for module in list(model.modules()):
        lists = getattr(module, "parametrizations", None)
        if not isinstance(lists, nn.ModuleDict) or not any(isinstance(m, kind) for m in lists.modules()):
            continue
        found = {
            name: (each.original, (getattr if value is None else value)(module, name).detach())
            for name, each in lists.items()
        }
        # Of torch's own way a copy would not get away: it takes the weight from the class that copies share.
        before = parametrize.type_before_parametrizations(module)
        del module.parametrizations
        module.__class__ = before
        for name, (parameter, settled) in found.items():
            assert isinstance(parameter, nn.Parameter)
            parameter.data = settled
            module.register_parameter(name, parameter)
