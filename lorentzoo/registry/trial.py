"""Does a backbone give back what the composition promises to the head?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from lorentzoo.core.errors import CompositionError
from lorentzoo.core.features import Features
from lorentzoo.core.frames import Frames
from lorentzoo.core.interfaces import Backbone
from lorentzoo.core.layout import Packed

__all__ = ["try_backbone"]

_LENGTHS: Final = (3, 2)


def try_backbone(
    name: str,
    backbone: Backbone,
    in_scalars: int,
    in_vectors: int,
    in_context: int,
    scalar_names: Sequence[str],
    out_scalars: int,
    out_vectors: int,
) -> None:
    """Run somebody's backbone once on two events of drawn features, and look at the shapes that come back.

    Backbones of this package are tested as a whole, and so are not tried; one that does not run on drawn features (it
    waits for statistics, or for a second cloud) is left for its first real events to judge.

    Parameters
    ----------
    name
        Of the component.
    backbone
        As composed.
    in_scalars, in_vectors, in_context, scalar_names
        What it is given.
    out_scalars, out_vectors
        What the head takes.

    Raises
    ------
    CompositionError
        Naming the backbone, the shapes that came back and those that were promised.
    """
    without_memory = torch.empty(0).device.type == "meta"
    if without_memory or type(backbone).__module__.startswith("lorentzoo.plugins."):
        return
    rows, events = (
        (backbone.num_particles * 2, 2) if backbone.num_particles else (sum(_LENGTHS), len(_LENGTHS))
    )
    layout = Packed.from_lengths(_LENGTHS if not backbone.num_particles else [backbone.num_particles] * 2)
    training = backbone.training
    backbone.eval()
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            dtype = next((p.dtype for p in backbone.parameters()), torch.get_default_dtype())
            names = tuple(scalar_names) if len(scalar_names) == in_scalars else ()
            features = Features(
                torch.randn(rows, in_scalars, dtype=dtype),
                torch.randn(rows, in_vectors, 4, dtype=dtype),
                names,
            )
            out = backbone(
                features, Frames.identity(layout), layout, torch.randn(events, in_context, dtype=dtype)
            )
    except Exception:
        return
    finally:
        backbone.train(training)
    if not isinstance(out, Features):
        raise CompositionError(f"backbone {name!r} returns {type(out).__name__}, not lorentzoo.Features")
    lead = (events,) if backbone.pools else (rows,)
    # Vectors that no head asks for are nobody's concern.
    vectors = out_vectors or out.vectors.shape[-2]
    wanted = ((*lead, out_scalars), (*lead, vectors, 4))
    given = (tuple(out.scalars.shape), tuple(out.vectors.shape))
    if given == wanted:
        return
    remedy = ""
    if given[0][:1] != lead:
        says = "one row an event, as `pools = True` says" if backbone.pools else "one row a particle"
        remedy = (
            f"; a backbone that pools over particles declares `pools = True`, and this one is to give {says}"
        )
    raise CompositionError(
        f"backbone {name!r} was given {events} events of {rows} particles and returned scalars of shape {given[0]} and "
        f"vectors of shape {given[1]}, where {wanted[0]} and {wanted[1]} are promised to the head{remedy}"
    )
