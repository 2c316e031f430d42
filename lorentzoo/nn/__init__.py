"""Building blocks for authors of plugins: what networks, frames-nets and embeddings are made of.

>>> from lorentzoo.nn import MaskedBatchNorm, lorentz_inverse
>>> MaskedBatchNorm(8).num_features
8

Names are public and stable, and are imported on first use. The parts themselves (`Backbone`, `Layout`, ...) are in
`lorentzoo`, coordinates and solvers in `lorentzoo.densities`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorentzoo._lazy import resolve_on_use

_HOMES = {
    "Activation": "lorentzoo.nn.readout",
    "Anchor": "lorentzoo.core.anchor",
    "COLOURS": "lorentzoo.output.style",
    "CheckpointError": "lorentzoo.core.errors",
    "Columns": "lorentzoo.core.steps",
    "CompositionError": "lorentzoo.core.errors",
    "DISCRETE": "lorentzoo.core.symmetry",
    "DensityWarning": "lorentzoo.core.errors",
    "EMPTY": "lorentzoo.nn.patches",
    "EdgeSums": "lorentzoo.nn.pair_norm",
    "EmbeddingList": "lorentzoo.core.embeddings",
    "EventSteps": "lorentzoo.core.steps",
    "ExportError": "lorentzoo.core.errors",
    "Extended": "lorentzoo.core.layout",
    "FeedForward": "lorentzoo.nn.feed_forward",
    "FlopsSetting": "lorentzoo.nn.flops",
    "GeometricAlgebra": "lorentzoo.nn.clifford",
    "INCIDENT": "lorentzoo.nn.patches",
    "LorentzooError": "lorentzoo.core.errors",
    "asks_first_derivatives": "lorentzoo.core.modes",
    "in_transform": "lorentzoo.core.modes",
    "MATMUL": "lorentzoo.nn.flops",
    "MATVEC": "lorentzoo.nn.flops",
    "MULTIVECTOR_NORM": "lorentzoo.nn.flops",
    "ChannelBatchNorm": "lorentzoo.nn.norms",
    "MaskedBatchNorm": "lorentzoo.nn.norms",
    "MissingExtraError": "lorentzoo.core.errors",
    "NoClosedFormError": "lorentzoo.core.errors",
    "NoDensityError": "lorentzoo.core.errors",
    "NotFittedError": "lorentzoo.core.errors",
    "PLACE": "lorentzoo.nn.patches",
    "PairBackbone": "lorentzoo.core.inner_backbones",
    "PairTerms": "lorentzoo.nn.pair_norm",
    "PairValues": "lorentzoo.core.layout",
    "Part": "lorentzoo.core.interfaces",
    "Pooling": "lorentzoo.core.interfaces",
    "PublishedOption": "lorentzoo.core.foreign",
    "ProgressLine": "lorentzoo.output.progress",
    "QueryBackbone": "lorentzoo.core.inner_backbones",
    "RMSNorm": "lorentzoo.nn.norms",
    "Readout": "lorentzoo.nn.readout",
    "SPACETIME": "lorentzoo.nn.clifford",
    "ShapeError": "lorentzoo.core.errors",
    "SpurionMode": "lorentzoo.core.interfaces",
    "Standardised": "lorentzoo.nn.standardise",
    "StateDictError": "lorentzoo.core.foreign",
    "Template": "lorentzoo.core.generator",
    "TimeFeatures": "lorentzoo.nn.time_features",
    "TrainingError": "lorentzoo.core.errors",
    "Triangle": "lorentzoo.core.layout",
    "WeightReader": "lorentzoo.core.foreign",
    "allowed_pairs": "lorentzoo.core.layout",
    "anchor_for": "lorentzoo.core.anchor",
    "asinh": "lorentzoo.core.elementary",
    "axes_or_new": "lorentzoo.output.style",
    "attend_between_frames": "lorentzoo.nn.frame_attention",
    "boost_to_rest": "lorentzoo.core.minkowski",
    "cache_folder": "lorentzoo.core.cache",
    "cap_gamma": "lorentzoo.core.minkowski",
    "count_attention": "lorentzoo.nn.flops",
    "count_linear": "lorentzoo.nn.flops",
    "count_multivector_network": "lorentzoo.nn.flops",
    "count_pair_network": "lorentzoo.nn.flops",
    "count_vectors": "lorentzoo.nn.flops",
    "decay_momentum": "lorentzoo.core.minkowski",
    "delta_phi": "lorentzoo.core.minkowski",
    "determinant3": "lorentzoo.core.elementary",
    "edge_sums": "lorentzoo.nn.pair_norm",
    "figure_style": "lorentzoo.output.style:style",
    "fill_patches": "lorentzoo.nn.patches",
    "find_class": "lorentzoo.nn.parts",
    "finish_axes": "lorentzoo.output.row_plots",
    "format_uncertain": "lorentzoo.core.numbers",
    "has_azimuth": "lorentzoo.core.minkowski",
    "has_hooks": "lorentzoo.core.modes",
    "inner": "lorentzoo.core.minkowski",
    "intersection": "lorentzoo.core.symmetry",
    "lorentz_exp": "lorentzoo.core.minkowski:exp",
    "lorentz_generators": "lorentzoo.core.minkowski:generators",
    "lorentz_inverse": "lorentzoo.core.minkowski:inverse",
    "lower_index": "lorentzoo.core.minkowski:lower",
    "make_part": "lorentzoo.nn.parts",
    "mass": "lorentzoo.core.minkowski",
    "mass_squared": "lorentzoo.core.minkowski",
    "mean_and_deviation": "lorentzoo.core.means",
    "make_published_frames": "lorentzoo.nn.published_frames",
    "moves_vectors": "lorentzoo.nn.frame_attention",
    "normalise_pairs": "lorentzoo.nn.pair_norm",
    "pair_hidden": "lorentzoo.nn.pair_network",
    "pair_masses": "lorentzoo.nn.pair_momenta",
    "pair_moments": "lorentzoo.nn.pair_norm",
    "pair_products": "lorentzoo.nn.pair_momenta",
    "pair_statistics": "lorentzoo.nn.pair_momenta",
    "phi": "lorentzoo.core.minkowski",
    "plain_text": "lorentzoo.output.style",
    "pseudorapidity": "lorentzoo.core.minkowski",
    "pt": "lorentzoo.core.minkowski",
    "random_lorentz": "lorentzoo.core.minkowski",
    "random_rotation": "lorentzoo.core.minkowski",
    "rapidity": "lorentzoo.core.minkowski",
    "read_range": "lorentzoo.core.ranges",
    "require_package": "lorentzoo.core.foreign",
    "stable_argsort": "lorentzoo.core.elementary",
    "spread_cell": "lorentzoo.output.table",
    "take_columns": "lorentzoo.nn.patches",
    "target_columns": "lorentzoo.core.means",
    "voxel_names": "lorentzoo.nn.patches",
    "mean_loss": "lorentzoo.core.means",
    "draw_for_events": "lorentzoo.core.shares",
    "draw_for_parameters": "lorentzoo.core.shares",
    "weighted_mean": "lorentzoo.output.weights",
    "weighted_quantile": "lorentzoo.output.weights",
    "write_atomically": "lorentzoo.registry.files",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from lorentzoo.core.anchor import Anchor as Anchor
    from lorentzoo.core.anchor import anchor_for as anchor_for
    from lorentzoo.core.cache import cache_folder as cache_folder
    from lorentzoo.core.elementary import asinh as asinh
    from lorentzoo.core.elementary import determinant3 as determinant3
    from lorentzoo.core.elementary import stable_argsort as stable_argsort
    from lorentzoo.core.embeddings import EmbeddingList as EmbeddingList
    from lorentzoo.core.errors import CheckpointError as CheckpointError
    from lorentzoo.core.errors import CompositionError as CompositionError
    from lorentzoo.core.errors import DensityWarning as DensityWarning
    from lorentzoo.core.errors import ExportError as ExportError
    from lorentzoo.core.errors import LorentzooError as LorentzooError
    from lorentzoo.core.errors import MissingExtraError as MissingExtraError
    from lorentzoo.core.errors import NoClosedFormError as NoClosedFormError
    from lorentzoo.core.errors import NoDensityError as NoDensityError
    from lorentzoo.core.errors import NotFittedError as NotFittedError
    from lorentzoo.core.errors import ShapeError as ShapeError
    from lorentzoo.core.errors import TrainingError as TrainingError
    from lorentzoo.core.foreign import PublishedOption as PublishedOption
    from lorentzoo.core.foreign import StateDictError as StateDictError
    from lorentzoo.core.foreign import WeightReader as WeightReader
    from lorentzoo.core.foreign import require_package as require_package
    from lorentzoo.core.generator import Template as Template
    from lorentzoo.core.inner_backbones import PairBackbone as PairBackbone
    from lorentzoo.core.inner_backbones import QueryBackbone as QueryBackbone
    from lorentzoo.core.interfaces import Part as Part
    from lorentzoo.core.interfaces import Pooling as Pooling
    from lorentzoo.core.interfaces import SpurionMode as SpurionMode
    from lorentzoo.core.layout import Extended as Extended
    from lorentzoo.core.layout import PairValues as PairValues
    from lorentzoo.core.layout import Triangle as Triangle
    from lorentzoo.core.layout import allowed_pairs as allowed_pairs
    from lorentzoo.core.means import mean_and_deviation as mean_and_deviation
    from lorentzoo.core.means import mean_loss as mean_loss
    from lorentzoo.core.means import target_columns as target_columns
    from lorentzoo.core.minkowski import boost_to_rest as boost_to_rest
    from lorentzoo.core.minkowski import cap_gamma as cap_gamma
    from lorentzoo.core.minkowski import decay_momentum as decay_momentum
    from lorentzoo.core.minkowski import delta_phi as delta_phi
    from lorentzoo.core.minkowski import exp as lorentz_exp  # noqa: F401
    from lorentzoo.core.minkowski import generators as lorentz_generators  # noqa: F401
    from lorentzoo.core.minkowski import has_azimuth as has_azimuth
    from lorentzoo.core.minkowski import inner as inner
    from lorentzoo.core.minkowski import inverse as lorentz_inverse  # noqa: F401
    from lorentzoo.core.minkowski import lower as lower_index  # noqa: F401
    from lorentzoo.core.minkowski import mass as mass
    from lorentzoo.core.minkowski import mass_squared as mass_squared
    from lorentzoo.core.minkowski import phi as phi
    from lorentzoo.core.minkowski import pseudorapidity as pseudorapidity
    from lorentzoo.core.minkowski import pt as pt
    from lorentzoo.core.minkowski import random_lorentz as random_lorentz
    from lorentzoo.core.minkowski import random_rotation as random_rotation
    from lorentzoo.core.minkowski import rapidity as rapidity
    from lorentzoo.core.modes import asks_first_derivatives as asks_first_derivatives
    from lorentzoo.core.modes import has_hooks as has_hooks
    from lorentzoo.core.modes import in_transform as in_transform
    from lorentzoo.core.numbers import format_uncertain as format_uncertain
    from lorentzoo.core.ranges import read_range as read_range
    from lorentzoo.core.shares import draw_for_events as draw_for_events
    from lorentzoo.core.shares import draw_for_parameters as draw_for_parameters
    from lorentzoo.core.steps import Columns as Columns
    from lorentzoo.core.steps import EventSteps as EventSteps
    from lorentzoo.core.symmetry import DISCRETE as DISCRETE
    from lorentzoo.core.symmetry import intersection as intersection
    from lorentzoo.nn.clifford import SPACETIME as SPACETIME
    from lorentzoo.nn.clifford import GeometricAlgebra as GeometricAlgebra
    from lorentzoo.nn.feed_forward import FeedForward as FeedForward
    from lorentzoo.nn.flops import MATMUL as MATMUL
    from lorentzoo.nn.flops import MATVEC as MATVEC
    from lorentzoo.nn.flops import MULTIVECTOR_NORM as MULTIVECTOR_NORM
    from lorentzoo.nn.flops import FlopsSetting as FlopsSetting
    from lorentzoo.nn.flops import count_attention as count_attention
    from lorentzoo.nn.flops import count_linear as count_linear
    from lorentzoo.nn.flops import count_multivector_network as count_multivector_network
    from lorentzoo.nn.flops import count_pair_network as count_pair_network
    from lorentzoo.nn.flops import count_vectors as count_vectors
    from lorentzoo.nn.frame_attention import attend_between_frames as attend_between_frames
    from lorentzoo.nn.frame_attention import moves_vectors as moves_vectors
    from lorentzoo.nn.norms import ChannelBatchNorm as ChannelBatchNorm
    from lorentzoo.nn.norms import MaskedBatchNorm as MaskedBatchNorm
    from lorentzoo.nn.norms import RMSNorm as RMSNorm
    from lorentzoo.nn.pair_momenta import pair_masses as pair_masses
    from lorentzoo.nn.pair_momenta import pair_products as pair_products
    from lorentzoo.nn.pair_momenta import pair_statistics as pair_statistics
    from lorentzoo.nn.pair_network import pair_hidden as pair_hidden
    from lorentzoo.nn.pair_norm import EdgeSums as EdgeSums
    from lorentzoo.nn.pair_norm import PairTerms as PairTerms
    from lorentzoo.nn.pair_norm import edge_sums as edge_sums
    from lorentzoo.nn.pair_norm import normalise_pairs as normalise_pairs
    from lorentzoo.nn.pair_norm import pair_moments as pair_moments
    from lorentzoo.nn.parts import find_class as find_class
    from lorentzoo.nn.parts import make_part as make_part
    from lorentzoo.nn.patches import EMPTY as EMPTY
    from lorentzoo.nn.patches import INCIDENT as INCIDENT
    from lorentzoo.nn.patches import PLACE as PLACE
    from lorentzoo.nn.patches import fill_patches as fill_patches
    from lorentzoo.nn.patches import take_columns as take_columns
    from lorentzoo.nn.patches import voxel_names as voxel_names
    from lorentzoo.nn.published_frames import make_published_frames as make_published_frames
    from lorentzoo.nn.readout import Activation as Activation
    from lorentzoo.nn.readout import Readout as Readout
    from lorentzoo.nn.standardise import Standardised as Standardised
    from lorentzoo.nn.time_features import TimeFeatures as TimeFeatures
    from lorentzoo.output.progress import ProgressLine as ProgressLine
    from lorentzoo.output.row_plots import finish_axes as finish_axes
    from lorentzoo.output.style import COLOURS as COLOURS
    from lorentzoo.output.style import axes_or_new as axes_or_new
    from lorentzoo.output.style import plain_text as plain_text
    from lorentzoo.output.style import style as figure_style  # noqa: F401
    from lorentzoo.output.table import spread_cell as spread_cell
    from lorentzoo.output.weights import weighted_mean as weighted_mean
    from lorentzoo.output.weights import weighted_quantile as weighted_quantile
    from lorentzoo.registry.files import write_atomically as write_atomically

__getattr__, __dir__ = resolve_on_use(__name__, _HOMES)
