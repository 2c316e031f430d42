"""A plugin-based zoo of Lorentz-symmetric neural networks for high-energy physics.

>>> import lorentzoo as lz
>>> model = lz.create_model("transformer", num_classes=2)

Importing the package imports neither torch nor any plugin: names are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Backbone": "lorentzoo.core.interfaces",
    "Batch": "lorentzoo.core.cloud",
    "Component": "lorentzoo.registry.components",
    "DensityHead": "lorentzoo.core.density_head",
    "Embedding": "lorentzoo.core.interfaces",
    "EventData": "lorentzoo.data.events",
    "Features": "lorentzoo.core.features",
    "Frames": "lorentzoo.core.frames",
    "FramesNet": "lorentzoo.core.interfaces",
    "Generator": "lorentzoo.core.generator",
    "Head": "lorentzoo.core.interfaces",
    "JetDataset": "lorentzoo.data.dataset",
    "Layout": "lorentzoo.core.layout.base",
    "Model": "lorentzoo.core.model",
    "Packed": "lorentzoo.core.layout.base",
    "Padded": "lorentzoo.core.layout.base",
    "ParticleCloud": "lorentzoo.core.cloud",
    "Reps": "lorentzoo.core.reps",
    "Spurions": "lorentzoo.core.interfaces",
    "Symmetry": "lorentzoo.core.symmetry",
    "compose": "lorentzoo.registry.composition",
    "create_model": "lorentzoo.registry.composition",
    "describe": "lorentzoo.registry.descriptions",
    "hookimpl": "lorentzoo.registry.hookspecs",
    "import_weights": "lorentzoo.registry.imports",
    "list_components": "lorentzoo.registry.catalogue",
    "list_models": "lorentzoo.registry.catalogue",
    "list_plugins": "lorentzoo.registry.catalogue",
    "load": "lorentzoo.registry.checkpoints",
    "load_dataset": "lorentzoo.registry.composition",
    "register": "lorentzoo.registry.catalogue",
    "save": "lorentzoo.registry.checkpoints",
    "verify": "lorentzoo.verification.verify",
}

__all__ = ["__version__", *sorted(_HOMES)]

if TYPE_CHECKING:
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
    from lorentzoo.core.interfaces import Spurions as Spurions
    from lorentzoo.core.layout.base import Layout as Layout
    from lorentzoo.core.layout.base import Packed as Packed
    from lorentzoo.core.layout.base import Padded as Padded
    from lorentzoo.core.model import Model as Model
    from lorentzoo.core.reps import Reps as Reps
    from lorentzoo.core.symmetry import Symmetry as Symmetry
    from lorentzoo.data.dataset import JetDataset as JetDataset
    from lorentzoo.data.events import EventData as EventData
    from lorentzoo.registry.catalogue import list_components as list_components
    from lorentzoo.registry.catalogue import list_models as list_models
    from lorentzoo.registry.catalogue import list_plugins as list_plugins
    from lorentzoo.registry.catalogue import register as register
    from lorentzoo.registry.checkpoints import load as load
    from lorentzoo.registry.checkpoints import save as save
    from lorentzoo.registry.components import Component as Component
    from lorentzoo.registry.composition import compose as compose
    from lorentzoo.registry.composition import create_model as create_model
    from lorentzoo.registry.composition import load_dataset as load_dataset
    from lorentzoo.registry.descriptions import describe as describe
    from lorentzoo.registry.hookspecs import hookimpl as hookimpl
    from lorentzoo.registry.imports import import_weights as import_weights
    from lorentzoo.verification.verify import verify as verify


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lorentzoo' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
