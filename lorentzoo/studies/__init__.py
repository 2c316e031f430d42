"""Training, evaluation, ablation grids and reports.

>>> from lorentzoo.studies import TrainConfig
>>> TrainConfig(max_steps=100).batch_size
128
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorentzoo._lazy import resolve_on_use

_HOMES = {
    "ClassPredictions": "lorentzoo.tasks.classification.predictions",
    "GeneratorEvaluation": "lorentzoo.tasks.generation.evaluation",
    "Observable": "lorentzoo.tasks.generation.observables",
    "RatioPredictions": "lorentzoo.tasks.likelihood_ratio.predictions",
    "RunRecord": "lorentzoo.studies.runs",
    "Study": "lorentzoo.studies.grid",
    "StudyResult": "lorentzoo.studies.results",
    "TrainConfig": "lorentzoo.training.config",
    "TrainResult": "lorentzoo.training.train",
    "ValuePredictions": "lorentzoo.tasks.regression.predictions",
    "cancel_study": "lorentzoo.studies.runner",
    "collect_runs": "lorentzoo.studies.collect",
    "evaluate": "lorentzoo.studies.single",
    "evaluate_generator": "lorentzoo.tasks.generation.evaluation",
    "evaluate_run": "lorentzoo.studies.single",
    "evaluate_runs": "lorentzoo.studies.single",
    "frechet_physics_distance": "lorentzoo.tasks.generation.frechet",
    "generator_figures": "lorentzoo.tasks.generation.figures",
    "load_study": "lorentzoo.studies.grid",
    "measure_costs": "lorentzoo.training.costs",
    "published_flops": "lorentzoo.studies.closed_forms",
    "run_study": "lorentzoo.studies.runner",
    "show_study": "lorentzoo.studies.runner",
    "study_csv": "lorentzoo.studies.report.numbers",
    "study_numbers": "lorentzoo.studies.report.numbers",
    "study_tables": "lorentzoo.studies.report.tables",
    "study_text": "lorentzoo.studies.report.write",
    "tagger_table": "lorentzoo.studies.taggers",
    "train": "lorentzoo.training.train",
    "train_model": "lorentzoo.studies.single",
    "two_sample_test": "lorentzoo.tasks.generation.two_sample",
    "work": "lorentzoo.studies.jobs",
    "write_report": "lorentzoo.studies.report.write",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from lorentzoo.studies.closed_forms import published_flops as published_flops
    from lorentzoo.studies.collect import collect_runs as collect_runs
    from lorentzoo.studies.grid import Study as Study
    from lorentzoo.studies.grid import load_study as load_study
    from lorentzoo.studies.jobs import work as work
    from lorentzoo.studies.report.numbers import study_csv as study_csv
    from lorentzoo.studies.report.numbers import study_numbers as study_numbers
    from lorentzoo.studies.report.tables import study_tables as study_tables
    from lorentzoo.studies.report.write import study_text as study_text
    from lorentzoo.studies.report.write import write_report as write_report
    from lorentzoo.studies.results import StudyResult as StudyResult
    from lorentzoo.studies.runner import cancel_study as cancel_study
    from lorentzoo.studies.runner import run_study as run_study
    from lorentzoo.studies.runner import show_study as show_study
    from lorentzoo.studies.runs import RunRecord as RunRecord
    from lorentzoo.studies.single import evaluate as evaluate
    from lorentzoo.studies.single import evaluate_run as evaluate_run
    from lorentzoo.studies.single import evaluate_runs as evaluate_runs
    from lorentzoo.studies.single import train_model as train_model
    from lorentzoo.studies.taggers import tagger_table as tagger_table
    from lorentzoo.tasks.classification.predictions import ClassPredictions as ClassPredictions
    from lorentzoo.tasks.generation.evaluation import GeneratorEvaluation as GeneratorEvaluation
    from lorentzoo.tasks.generation.evaluation import evaluate_generator as evaluate_generator
    from lorentzoo.tasks.generation.figures import generator_figures as generator_figures
    from lorentzoo.tasks.generation.frechet import frechet_physics_distance as frechet_physics_distance
    from lorentzoo.tasks.generation.observables import Observable as Observable
    from lorentzoo.tasks.generation.two_sample import two_sample_test as two_sample_test
    from lorentzoo.tasks.likelihood_ratio.predictions import RatioPredictions as RatioPredictions
    from lorentzoo.tasks.regression.predictions import ValuePredictions as ValuePredictions
    from lorentzoo.training.config import TrainConfig as TrainConfig
    from lorentzoo.training.costs import measure_costs as measure_costs
    from lorentzoo.training.train import TrainResult as TrainResult
    from lorentzoo.training.train import train as train

__getattr__, __dir__ = resolve_on_use(__name__, _HOMES)
