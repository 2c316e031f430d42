"""What is stated of a generator: its columns, in order; the numbers are those of `GeneratorEvaluation.metrics`."""

from __future__ import annotations

from typing import Final

from lorentzoo.output.metric import Metric, count_cell

__all__ = ["BY_MULTIPLICITY", "C2ST", "METRICS", "SECONDS"]

SECONDS: Final = Metric("seconds_per_sample", "CPU-s/sample")
C2ST: Final = Metric("c2st_auc", "C2ST AUC", "low")

BY_MULTIPLICITY: Final = {
    "nll": Metric("nll_particles", "NLL", "low", shown="file", family=True),
    "c2st_auc": Metric("c2st_auc_particles", "C2ST AUC", "low", shown="file", family=True),
    "true_share": Metric("true_share_particles", "Share of true events", shown="file", family=True),
    "generated_share": Metric(
        "generated_share_particles", "Share of generated events", shown="file", family=True
    ),
}
"""Of the events of each number of particles n, as ``NAME_particles_n``."""

METRICS: Final = (
    Metric(
        "nll",
        "NLL",
        "low",
        note="NLL: mean of -ln p over held-out events, relative to Π d⁴p or Π d³p/2E in powers of GeV; 'No density' "
        "counts those that the generator cannot draw, which the mean leaves out.",
    ),
    C2ST,
    Metric("fpd", "FPD", "low"),
    Metric("nll_infinite", "No density", cell=count_cell),
    Metric("nll_failed", "Density failed", cell=count_cell, shown="nonzero"),
    Metric("samples_failed", "Samples failed", cell=count_cell, shown="nonzero"),
    Metric("cut_violations", "Cuts violated", cell=count_cell),
    Metric("evaluations_per_sample", "Evaluations/sample", cell=count_cell),
    SECONDS,
    *(
        Metric(name, shown="file")
        for name in (
            "nll_error",
            "nll_events",
            "c2st_auc_error",
            "c2st_effective_fraction",
            "c2st_cpu_seconds",
            "fpd_error",
        )
    ),
    Metric("cut_violations", shown="file", family=True),
    *BY_MULTIPLICITY.values(),
    *(Metric(f"{name}_error_particles", shown="file", family=True) for name in ("nll", "c2st_auc")),
)
