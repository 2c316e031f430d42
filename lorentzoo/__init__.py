"""A plugin-based zoo of Lorentz-symmetric neural networks for high-energy physics.

>>> import lorentzoo as lz
>>> model = lz.create_model("transformer", num_classes=2)

Importing the package imports neither torch nor any plugin: names are resolved on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorentzoo._lazy import resolve_on_use

__version__ = "0.1.0"

_HOMES = {
    "Backbone": "lorentzoo.core.interfaces",
    "Batch": "lorentzoo.core.cloud",
    "Cell": "lorentzoo.output.table",
    "Component": "lorentzoo.registry.components",
    "DensityHead": "lorentzoo.core.density_head",
    "Embedding": "lorentzoo.core.interfaces",
    "Evaluation": "lorentzoo.output.evaluation",
    "Details": "lorentzoo.registry.details",
    "EventData": "lorentzoo.data.events",
    "EventFileError": "lorentzoo.data.readers.source",
    "Executor": "lorentzoo.studies.executors.base",
    "Features": "lorentzoo.core.features",
    "Frames": "lorentzoo.core.frames",
    "FramesNet": "lorentzoo.core.interfaces",
    "Generator": "lorentzoo.core.generator",
    "Head": "lorentzoo.core.interfaces",
    "JetDataset": "lorentzoo.data.dataset",
    "LEARNED_FRAMES": "lorentzoo.registry.presets",
    "Layout": "lorentzoo.core.layout",
    "LheFile": "lorentzoo.data.readers.lhe_file",
    "Metric": "lorentzoo.output.metric",
    "Model": "lorentzoo.core.model",
    "Packed": "lorentzoo.core.layout",
    "Padded": "lorentzoo.core.layout",
    "ParticleCloud": "lorentzoo.core.cloud",
    "ReportFigure": "lorentzoo.output.figure",
    "Reps": "lorentzoo.core.reps",
    "Regression": "lorentzoo.tasks.regression.task",
    "Row": "lorentzoo.output.rows",
    "Settings": "lorentzoo.output.task",
    "Spurions": "lorentzoo.core.spurions",
    "Symmetry": "lorentzoo.core.symmetry",
    "Table": "lorentzoo.output.table",
    "Task": "lorentzoo.output.task",
    "Trainable": "lorentzoo.core.trainable",
    "ValuePredictions": "lorentzoo.tasks.regression.predictions",
    "Weights": "lorentzoo.registry.weights",
    "adapt": "lorentzoo.registry.adapters",
    "cite": "lorentzoo.registry.citations",
    "compose": "lorentzoo.registry.composition",
    "create_model": "lorentzoo.registry.creation",
    "describe": "lorentzoo.registry.descriptions",
    "evaluate": "lorentzoo.studies.single",
    "export": "lorentzoo.exporting.export",
    "hookimpl": "lorentzoo.registry.hookspecs",
    "import_weights": "lorentzoo.registry.imports",
    "list_components": "lorentzoo.registry.catalogue",
    "list_models": "lorentzoo.registry.listing",
    "list_plugins": "lorentzoo.registry.catalogue",
    "list_pretrained": "lorentzoo.registry.pretrained",
    "load": "lorentzoo.registry.checkpoints",
    "load_dataset": "lorentzoo.registry.composition",
    "load_exported": "lorentzoo.exporting.serving",
    "make_loader": "lorentzoo.data.batching",
    "make_taggers": "lorentzoo.registry.presets",
    "push": "lorentzoo.registry.publishing",
    "quantise": "lorentzoo.registry.quantisation",
    "read_details": "lorentzoo.registry.details",
    "merge_adapters": "lorentzoo.core.adapters",
    "register": "lorentzoo.registry.catalogue",
    "replace_head": "lorentzoo.registry.replacement",
    "save": "lorentzoo.registry.checkpoints",
    "symmetry_spectrum": "lorentzoo.verification.spectrum",
    "train": "lorentzoo.training.own_data",
    "verify": "lorentzoo.verification.verify",
}

__all__ = ["__version__", *sorted(_HOMES)]

if TYPE_CHECKING:
    from lorentzoo.core.adapters import merge_adapters as merge_adapters
    from lorentzoo.core.cloud import Batch as Batch
    from lorentzoo.core.cloud import ParticleCloud as ParticleCloud
    from lorentzoo.core.density_head import DensityHead as DensityHead
    from lorentzoo.core.features import Features as Features
    from lorentzoo.core.frames import Frames as Frames
    from lorentzoo.core.generator import Generator as Generator
    from lorentzoo.core.interfaces import Backbone as Backbone
    from lorentzoo.core.interfaces import Embedding as Embedding
    from lorentzoo.core.interfaces import FramesNet as FramesNet
    from lorentzoo.core.interfaces import Head as Head
    from lorentzoo.core.layout import Layout as Layout
    from lorentzoo.core.layout import Packed as Packed
    from lorentzoo.core.layout import Padded as Padded
    from lorentzoo.core.model import Model as Model
    from lorentzoo.core.reps import Reps as Reps
    from lorentzoo.core.spurions import Spurions as Spurions
    from lorentzoo.core.symmetry import Symmetry as Symmetry
    from lorentzoo.core.trainable import Trainable as Trainable
    from lorentzoo.data.batching import make_loader as make_loader
    from lorentzoo.data.dataset import JetDataset as JetDataset
    from lorentzoo.data.events import EventData as EventData
    from lorentzoo.data.readers.lhe_file import LheFile as LheFile
    from lorentzoo.data.readers.source import EventFileError as EventFileError
    from lorentzoo.exporting.export import export as export
    from lorentzoo.exporting.serving import load_exported as load_exported
    from lorentzoo.output.evaluation import Evaluation as Evaluation
    from lorentzoo.output.figure import ReportFigure as ReportFigure
    from lorentzoo.output.metric import Metric as Metric
    from lorentzoo.output.rows import Row as Row
    from lorentzoo.output.table import Cell as Cell
    from lorentzoo.output.table import Table as Table
    from lorentzoo.output.task import Settings as Settings
    from lorentzoo.output.task import Task as Task
    from lorentzoo.registry.adapters import adapt as adapt
    from lorentzoo.registry.catalogue import list_components as list_components
    from lorentzoo.registry.catalogue import list_plugins as list_plugins
    from lorentzoo.registry.catalogue import register as register
    from lorentzoo.registry.checkpoints import load as load
    from lorentzoo.registry.checkpoints import save as save
    from lorentzoo.registry.citations import cite as cite
    from lorentzoo.registry.components import Component as Component
    from lorentzoo.registry.composition import compose as compose
    from lorentzoo.registry.composition import load_dataset as load_dataset
    from lorentzoo.registry.creation import create_model as create_model
    from lorentzoo.registry.descriptions import describe as describe
    from lorentzoo.registry.details import Details as Details
    from lorentzoo.registry.details import read_details as read_details
    from lorentzoo.registry.hookspecs import hookimpl as hookimpl
    from lorentzoo.registry.imports import import_weights as import_weights
    from lorentzoo.registry.listing import list_models as list_models
    from lorentzoo.registry.presets import LEARNED_FRAMES as LEARNED_FRAMES
    from lorentzoo.registry.presets import make_taggers as make_taggers
    from lorentzoo.registry.pretrained import list_pretrained as list_pretrained
    from lorentzoo.registry.publishing import push as push
    from lorentzoo.registry.quantisation import quantise as quantise
    from lorentzoo.registry.replacement import replace_head as replace_head
    from lorentzoo.registry.weights import Weights as Weights
    from lorentzoo.studies.executors.base import Executor as Executor
    from lorentzoo.studies.single import evaluate as evaluate
    from lorentzoo.tasks.regression.predictions import ValuePredictions as ValuePredictions
    from lorentzoo.tasks.regression.task import Regression as Regression
    from lorentzoo.training.own_data import train as train
    from lorentzoo.verification.spectrum import symmetry_spectrum as symmetry_spectrum
    from lorentzoo.verification.verify import verify as verify

__getattr__, __dir__ = resolve_on_use(__name__, _HOMES)
