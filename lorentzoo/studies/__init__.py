"""Training, evaluation, ablation grids and reports.

>>> from lorentzoo.studies import TrainConfig
>>> TrainConfig(max_steps=100).batch_size
128
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "GenerationConfig": "lorentzoo.studies.config",
    "GeneratorEvaluation": "lorentzoo.studies.generation",
    "Observable": "lorentzoo.studies.observables",
    "Predictions": "lorentzoo.studies.evaluation",
    "RunRecord": "lorentzoo.studies.runs",
    "Study": "lorentzoo.studies.grid",
    "StudyResult": "lorentzoo.studies.results",
    "TrainConfig": "lorentzoo.studies.config",
    "TrainResult": "lorentzoo.studies.training",
    "evaluate": "lorentzoo.studies.evaluation",
    "evaluate_generator": "lorentzoo.studies.generation",
    "evaluate_run": "lorentzoo.studies.single",
    "frechet_physics_distance": "lorentzoo.studies.frechet",
    "generator_figures": "lorentzoo.studies.generative_figures",
    "load_study": "lorentzoo.studies.grid",
    "measure_costs": "lorentzoo.studies.costs",
    "published_flops": "lorentzoo.studies.closed_forms",
    "run_study": "lorentzoo.studies.runner",
    "show_study": "lorentzoo.studies.runner",
    "tagger_table": "lorentzoo.studies.taggers",
    "train": "lorentzoo.studies.training",
    "train_model": "lorentzoo.studies.single",
    "two_sample_test": "lorentzoo.studies.two_sample",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from lorentzoo.studies.closed_forms import published_flops as published_flops
    from lorentzoo.studies.config import GenerationConfig as GenerationConfig
    from lorentzoo.studies.config import TrainConfig as TrainConfig
    from lorentzoo.studies.costs import measure_costs as measure_costs
    from lorentzoo.studies.evaluation import Predictions as Predictions
    from lorentzoo.studies.evaluation import evaluate as evaluate
    from lorentzoo.studies.frechet import frechet_physics_distance as frechet_physics_distance
    from lorentzoo.studies.generation import GeneratorEvaluation as GeneratorEvaluation
    from lorentzoo.studies.generation import evaluate_generator as evaluate_generator
    from lorentzoo.studies.generative_figures import generator_figures as generator_figures
    from lorentzoo.studies.grid import Study as Study
    from lorentzoo.studies.grid import load_study as load_study
    from lorentzoo.studies.observables import Observable as Observable
    from lorentzoo.studies.results import StudyResult as StudyResult
    from lorentzoo.studies.runner import run_study as run_study
    from lorentzoo.studies.runner import show_study as show_study
    from lorentzoo.studies.runs import RunRecord as RunRecord
    from lorentzoo.studies.single import evaluate_run as evaluate_run
    from lorentzoo.studies.single import train_model as train_model
    from lorentzoo.studies.taggers import tagger_table as tagger_table
    from lorentzoo.studies.training import TrainResult as TrainResult
    from lorentzoo.studies.training import train as train
    from lorentzoo.studies.two_sample import two_sample_test as two_sample_test


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lorentzoo.studies' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
