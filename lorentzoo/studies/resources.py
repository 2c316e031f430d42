"""What does a run ask of the machine that executes it?"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

__all__ = ["NEEDS", "Resources", "Rows"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Resources(BaseModel):
    """What one run asks for.

    Parameters
    ----------
    cpus
        Cores; None for as many as the recipe has threads.
    gpus
        Whole GPUs. With two or more the training is shared by as many processes; where there is no GPU they take cores.
    memory_gb
        Main memory, in GB.
    hours
        Wall-clock time after which a batch system may end it; what is done by then goes on from its last epoch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: PositiveInt | None = None
    gpus: NonNegativeInt = 0
    memory_gb: Positive = 4.0
    hours: Positive = 4.0


NEEDS: Final = tuple(Resources.model_fields)
"""Keys of `Resources`."""


class Rows(Resources):
    """Resources of all runs, and of those of some rows.

    Parameters
    ----------
    rows
        Mappings of axes to labels (or lists of labels), beside keys of `Resources` that differ for the rows which they
        match; later ones win.
    """

    rows: list[dict[str, Any]] = []

    def split(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Which rows each entry matches, and what differs for them."""
        return [
            (
                {key: value for key, value in entry.items() if key not in NEEDS},
                {key: value for key, value in entry.items() if key in NEEDS},
            )
            for entry in self.rows
        ]
