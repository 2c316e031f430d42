"""What do papers say of the taggers: quality, time, arithmetic, memory, size?

Quoted, not measured here. Quality is of the ten-class task (JetClass); arithmetic and size are of the top-tagging form
with one logit, except for PFN and P-CNN, whose forms are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["PUBLISHED", "SOURCE", "Published"]

SOURCE: Final = "arXiv:2508.14898"
"""The table that is quoted: training on JetClass, times and memory on one GPU of the authors'."""


@dataclass(frozen=True)
class Published:
    """A row of the published table, as printed there.

    Attributes
    ----------
    network
        Its label.
    accuracy, auc
        On JetClass, ten classes.
    hours
        Training time.
    megaflops
        Forward pass of one event of 50 particles, in 10⁶.
    gigabytes
        Training memory.
    kiloparameters
        Size, in 10³.
    """

    network: str
    accuracy: float
    auc: float
    hours: float
    megaflops: float
    gigabytes: float
    kiloparameters: float


PUBLISHED: Final[dict[str, Published]] = {
    "pfn": Published("PFN", 0.772, 0.9714, 3, 3, 1.6, 86),
    "pcnn": Published("P-CNN", 0.809, 0.9789, 3, 12, 3.0, 354),
    "mipart-l": Published("MIParT-L", 0.861, 0.9878, 47, 225, 53.6, 2380),
    "lorentznet": Published("LorentzNet", 0.847, 0.9856, 57, 676, 20.5, 223),
    "lgatr": Published("L-GATr", 0.866, 0.9885, 180, 2060, 19.0, 1079),
    "particlenet": Published("ParticleNet", 0.844, 0.9849, 27, 413, 16.5, 366),
    "lloca-particlenet": Published("LLoCa-ParticleNet", 0.848, 0.9857, 41, 517, 23.5, 385),
    "part": Published("ParT", 0.861, 0.9877, 38, 211, 13.3, 2141),
    "lloca-part": Published("LLoCa-ParT", 0.864, 0.9882, 67, 315, 19.9, 2160),
    "transformer": Published("Transformer", 0.855, 0.9867, 17, 210, 2.3, 1979),
    "lloca-transformer": Published("LLoCa-Transformer", 0.864, 0.9882, 33, 301, 6.9, 1998),
}
"""Rows by the name of the model in the zoo."""
