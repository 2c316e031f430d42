"""Does a part give back what the composition promises to the next one?

Parts of other packages run once, on two events of drawn momenta, when they are composed. Those of this package are tested
as a whole, and so are not tried. A part that waits for statistics or for a second cloud, or refuses drawn events in its
own words, is left for its first real events to judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import CompositionError, LorentzooError
from lorentzoo.core.features import Features
from lorentzoo.core.frames import Frames
from lorentzoo.core.interfaces import Backbone, Embedding, FramesNet, Head
from lorentzoo.core.layout import Packed
from lorentzoo.core.spurions import Spurions

__all__ = ["read_out_scalars", "read_width", "try_backbone", "try_embedding", "try_frames", "try_head"]

_LENGTHS: Final = (3, 2)
_NOT_JUDGED: Final = object()


def try_frames(
    name: str, frames_net: FramesNet, spurions: Spurions, in_scalars: int, in_context: int
) -> None:
    """Look at the frames of the rows of a cloud.

    Parameters
    ----------
    name
        Of the component.
    frames_net, spurions
        As composed.
    in_scalars, in_context
        Of the clouds.

    Raises
    ------
    CompositionError
        Naming the component, what came back and what was expected.
    """
    if _is_exempt(frames_net):
        return
    cloud: ParticleCloud = spurions(_draw_cloud(in_scalars, in_context))
    label = f"frames {name!r}"
    out = _run(label, frames_net, (cloud,), f"a cloud of momenta of shape {tuple(cloud.momenta.shape)}")
    if out is _NOT_JUDGED:
        return
    if not isinstance(out, Frames):
        given = "nothing" if out is None else type(out).__name__
        raise CompositionError(f"{label} returns {given}, not lorentzoo.Frames")
    wanted = (len(cloud.momenta), 4, 4)
    shape = tuple(out.per_particle().shape)
    if shape != wanted:
        raise CompositionError(f"{label} returned matrices of shape {shape}, where {wanted} are expected")


def try_embedding(
    name: str, embedding: Embedding, spurions: Spurions, in_scalars: int, in_context: int
) -> None:
    """Look at the channels of the rows of a cloud, in the laboratory frame.

    Parameters
    ----------
    name
        Of the component.
    embedding, spurions
        As composed.
    in_scalars, in_context
        Of the clouds.

    Raises
    ------
    CompositionError
        Naming the component, what came back and what its channel names promise.
    """
    if _is_exempt(embedding):
        return
    cloud: ParticleCloud = spurions(_draw_cloud(in_scalars, in_context))
    label = f"embedding {name!r}"
    given = f"a cloud of momenta of shape {tuple(cloud.momenta.shape)}"
    out = _run(label, embedding, (cloud, Frames.identity(cloud.layout)), given)
    if out is _NOT_JUDGED:
        return
    _require_features(label, out)
    rows = len(cloud.momenta)
    wanted = ((rows, len(embedding.scalar_names)), (rows, len(embedding.vector_names), 4))
    found = (tuple(out.scalars.shape), tuple(out.vectors.shape))
    if found != wanted:
        raise CompositionError(
            f"{label} was given {given} and returned scalars of shape {found[0]} and vectors of shape {found[1]}, where "
            f"{wanted[0]} and {wanted[1]} follow from its scalar_names {list(embedding.scalar_names)} and vector_names "
            f"{list(embedding.vector_names)}"
        )


def read_width(name: str, backbone: Backbone) -> int:
    """How many scalars of each row a backbone that does not project gives to the head.

    Raises
    ------
    CompositionError
        If it does not say so.
    """
    width = getattr(backbone, "width", None)
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise CompositionError(
            f"backbone {name!r} does not project (`projects = False`), so its constructor is to set self.width to the "
            f"number of scalars that forward returns for each row, a positive int, not {width!r}; set `projects = True` "
            "if it takes out_scalars and returns as many"
        )
    return width


def read_out_scalars(name: str, head: Head) -> int:
    """How many scalars of each row a head takes of a backbone that projects.

    Raises
    ------
    CompositionError
        If it does not say so.
    """
    wanted = getattr(head, "out_scalars", None)
    if not isinstance(wanted, int):
        raise CompositionError(
            f"head {name!r} is given to a backbone that projects, so its constructor is to set self.out_scalars to the "
            f"number of scalars that it takes of each row, an int, not {wanted!r}"
        )
    return wanted


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
    """Look at the shapes that come back for drawn features.

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
    if _is_exempt(backbone) or backbone.takes_condition:
        return
    lengths = [backbone.num_particles] * 2 if backbone.num_particles else list(_LENGTHS)
    layout = Packed.from_lengths(lengths)
    rows, events = sum(lengths), len(lengths)
    dtype = next((p.dtype for p in backbone.parameters()), torch.get_default_dtype())
    names = tuple(scalar_names) if len(scalar_names) == in_scalars else ()
    with torch.random.fork_rng(devices=[]):
        features = Features(
            torch.randn(rows, in_scalars, dtype=dtype), torch.randn(rows, in_vectors, 4, dtype=dtype), names
        )
        context = torch.randn(events, in_context, dtype=dtype)
    label = f"backbone {name!r}"
    given = (
        f"{events} events of {rows} particles, with scalars of shape {(rows, in_scalars)}, vectors of shape "
        f"{(rows, in_vectors, 4)} and context of shape {(events, in_context)}"
    )
    out = _run(label, backbone, (features, Frames.identity(layout), layout, context), given)
    if out is _NOT_JUDGED:
        return
    _require_features(label, out)
    for what, tensor in (("scalars", out.scalars), ("vectors", out.vectors)):
        if tensor.dtype != dtype:
            raise CompositionError(
                f"{label} was given features in {dtype} and returned {what} in {tensor.dtype}, which the head cannot "
                "take; give back what is computed in the dtype that came in"
            )
    lead = (events,) if backbone.pools else (rows,)
    # Vectors that no head asks for are nobody's concern.
    vectors = out_vectors or out.vectors.shape[-2]
    wanted = ((*lead, out_scalars), (*lead, vectors, 4))
    found = (tuple(out.scalars.shape), tuple(out.vectors.shape))
    if found == wanted:
        return
    remedy = ""
    if found[0][:1] != lead:
        says = "one row an event, as `pools = True` says" if backbone.pools else "one row a particle"
        remedy = (
            f"; a backbone that pools over particles declares `pools = True`, and this one is to give {says}"
        )
    raise CompositionError(
        f"{label} was given {events} events of {rows} particles and returned scalars of shape {found[0]} and "
        f"vectors of shape {found[1]}, where {wanted[0]} and {wanted[1]} are promised to the head{remedy}"
    )


def try_head(
    name: str, head: Head, in_scalars: int, in_context: int, out_scalars: int, out_vectors: int, pooled: bool
) -> None:
    """Look at what a head makes of drawn features.

    Parameters
    ----------
    name
        Of the component.
    head
        As composed.
    in_scalars, in_context
        Of the clouds.
    out_scalars, out_vectors
        What the backbone gives.
    pooled
        Whether it gives one row an event.

    Raises
    ------
    CompositionError
        Naming the head, what it was given, and what came back.
    """
    if _is_exempt(head):
        return
    cloud = _draw_cloud(in_scalars, in_context)
    label = f"head {name!r}"
    rows = cloud.num_events if pooled else len(cloud.momenta)
    dtype = next((p.dtype for p in head.parameters()), torch.get_default_dtype())
    features = Features(
        torch.zeros(rows, out_scalars, dtype=dtype), torch.zeros(rows, out_vectors, 4, dtype=dtype)
    )
    given = (
        f"{cloud.num_events} events, with features of scalars of shape {(rows, out_scalars)} and vectors of shape "
        f"{(rows, out_vectors, 4)}"
    )
    out = _run(label, head, (features, cloud), given)
    if out is not _NOT_JUDGED and not (
        isinstance(out, Tensor) and out.ndim and len(out) in (cloud.num_events, rows)
    ):
        found = f"a tensor of shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
        raise CompositionError(
            f"{label} was given {given} and returned {found}, where a tensor with one row an event or a particle is "
            "expected"
        )


def _draw_cloud(in_scalars: int, in_context: int) -> ParticleCloud:
    """Two events of drawn momenta, scalars and context; no random number of anyone else is used up."""
    rng = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    layout = Packed.from_lengths(_LENGTHS)
    three = 20 * draw(sum(_LENGTHS), 3)
    energy = (three.square().sum(-1, keepdim=True) + 1).sqrt()
    return ParticleCloud.from_packed(
        torch.cat([energy, three], dim=-1),
        layout.ptr,
        draw(sum(_LENGTHS), in_scalars),
        draw(len(_LENGTHS), in_context),
        validate=False,
    )


def _is_exempt(part: nn.Module) -> bool:
    """Whether it is of this package, or was made without numbers."""
    if type(part).__module__.startswith("lorentzoo."):
        return True
    tensors = [*part.parameters(), *part.buffers(), torch.empty(0)]
    return any(tensor.device.type == "meta" for tensor in tensors)


def _require_features(label: str, out: Any) -> None:
    if not isinstance(out, Features):
        given = "nothing" if out is None else type(out).__name__
        raise CompositionError(f"{label} returns {given}, not lorentzoo.Features")


def _run(label: str, part: nn.Module, given: tuple[Any, ...], described: str) -> Any:
    """What the part gives back; `_NOT_JUDGED` where that is left to the first real events."""
    training = part.training
    part.eval()
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            return part(*given)
    except (LorentzooError, ValueError, torch.linalg.LinAlgError):
        return _NOT_JUDGED
    except Exception as error:
        raise CompositionError(
            f"{label} was given {described}, and failed with {type(error).__name__}: {error}"
        ) from error
    finally:
        part.train(training)
