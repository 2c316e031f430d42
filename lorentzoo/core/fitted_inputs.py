"""Does a cloud bring the scalars and the context that a model was fitted on, in its order?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from lorentzoo.core.cloud import Batch, ParticleCloud

__all__ = ["InputNames"]


@dataclass(frozen=True)
class InputNames:
    """Names of the columns on which a model was fitted; empty where they had none.

    Attributes
    ----------
    scalars, context
        Names in the order of the columns.
    """

    scalars: tuple[str, ...] = ()
    context: tuple[str, ...] = ()

    @classmethod
    def read(cls, batches: Sequence[Batch]) -> InputNames:
        """The names in the first of some batches."""
        return cls(batches[0].cloud.scalar_names, batches[0].cloud.context_names) if batches else cls()

    def arrange(self, cloud: ParticleCloud) -> ParticleCloud:
        """The cloud with its columns in the order of the names; as it is where one side has no names.

        Raises
        ------
        ValueError
            If the cloud has columns of other names.
        """
        scalars, scalar_names = _arrange(cloud.scalars, cloud.scalar_names, self.scalars, "scalars")
        context, context_names = _arrange(cloud.context, cloud.context_names, self.context, "context")
        if (scalar_names, context_names) == (cloud.scalar_names, cloud.context_names):
            return cloud
        return replace(
            cloud, scalars=scalars, context=context, scalar_names=scalar_names, context_names=context_names
        )


def _arrange(
    values: Tensor, names: tuple[str, ...], wanted: tuple[str, ...], what: str
) -> tuple[Tensor, tuple[str, ...]]:
    if not names or not wanted or names == wanted:
        return values, names
    if sorted(names) != sorted(wanted):
        raise ValueError(
            f"the model was fitted on the {what} {list(wanted)}, but the cloud has {list(names)}"
        )
    return values[..., [names.index(name) for name in wanted]], wanted
