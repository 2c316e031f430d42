"""Which adapters stand behind a name?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lorentzoo.core.adapters import Adapters, BiasOnly, LowRank
from lorentzoo.core.adapters import adapt as adapt_by
from lorentzoo.core.trainable import Trainable
from lorentzoo.registry.kinds import Kinds

__all__ = ["adapt", "read_adapters", "write_adapters"]

_KINDS: Final[Kinds[Adapters]] = Kinds(
    "adapters", "there are no adapters", "adapters", {"bias": BiasOnly, "low-rank": LowRank}
)


def adapt(model: Trainable, adapters: str | Mapping[str, Any]) -> Trainable:
    """Let a trained model learn by adapters alone, beside its head: few numbers, fewer epochs, no other cost afterwards.

    The model computes what it did until it is trained. `lorentzoo.save` and `lorentzoo.export` put what adapters have
    learned into the weights, `lorentzoo.merge_adapters` does so in place. Frozen parts get none.

    Parameters
    ----------
    model
        Changed in place.
    adapters
        ``"bias"``: biases and norms (BitFit). ``"low-rank:rank=4,alpha=8"``: updates of low rank of all matrices (LoRA);
        ``parameters='backbone.*'`` chooses some by a glob. Or a mapping with a name.

    Returns
    -------
    The model.

    Raises
    ------
    ParameterError
        If there are no such adapters, the model has some, or there is nothing to adapt.

    Examples
    --------
    >>> import lorentzoo as lz
    >>> model = lz.create_model("transformer", num_blocks=1)
    >>> before = model.num_parameters
    >>> lz.adapt(model, "low-rank:rank=2").num_parameters < before / 10
    True
    """
    return adapt_by(model, read_adapters(adapters))


def read_adapters(value: Any) -> Adapters:
    """Adapters from a name, inline text or a mapping; errors as of `Kinds.read`."""
    return _KINDS.read(value)


def write_adapters(adapters: Adapters) -> dict[str, Any]:
    """Plain data that `read_adapters` reads back, without what is as it is by default."""
    return _KINDS.write(adapters)
